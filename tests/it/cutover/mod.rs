//! The end of a migration: `syncline cutover`, and the page that tells of moving to another
//! account.

mod hosted_journey;
mod migration_page;
mod resumption;
mod rivals;
mod steps;
