//! A full sync: all tables of one deployment, as of one moment, into another deployment.
//!
//! - `drive`: drives a session from the deployment where it was asked for, with `drive_faults`;
//!   `side_work`: the work of one side, as the driver follows it; `end_session`: the session's end
//! - `plan`: the tables of a session; `estimate`: the time and the room that it needs
//! - `own_deployment`: this deployment's part of a session, for its driver and for its peers
//! - `export`, `restore`: the two halves of it; `frames`: rows into parts, and back
//! - `records`: a push that goes record by record
//! - `notices`: what people are notified of
//! - `condition`: what a condition on rows may be made of
//! - `work`: the lease of whoever works at a session, and the record of progress
//! - `ports`: the outsides

mod condition;
mod drive;
mod drive_faults;
mod end_session;
pub mod estimate;
mod export;
mod frames;
mod notices;
mod own_deployment;
mod plan;
pub mod ports;
mod records;
mod restore;
mod side_work;
mod work;

pub use drive::{FullSync, SliceOutcome};
pub use own_deployment::OwnDeployment;
pub use plan::CopyPlan;
