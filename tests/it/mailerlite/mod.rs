//! The local MailerLite, as a client without an SDK meets it.

mod account;
mod batches;
mod faults;
mod fields;
mod groups;
mod imports;
mod limits;
mod lists;
mod people;
mod subscribers;
mod variants;
mod webhooks;
