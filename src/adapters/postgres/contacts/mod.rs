//! Contacts in a database: the mapped table, the crosswalk, the shadows and the conflicts.
//!
//! - `store`: the port, each method of which is one transaction
//! - `adopted`: the check of tables that an older system made
//! - `candidates`: the tables that may be mapped
//! - `desk`: the records that people look at
//! - `notices`: the notices that were sent
//! - `rows`: reads people
//! - `records`: new rows, open questions, and people who asked to be forgotten
//! - `status`: the progress that dashboards read
//! - `save`: writes people, each only if their row still has the values that were decided on
//! - `quotas`: quotas and leases that all programs of a deployment share

mod adopted;
mod candidates;
mod desk;
mod notices;
mod quotas;
mod records;
mod rows;
mod save;
mod status;
mod store;

pub use store::PostgresContacts;
