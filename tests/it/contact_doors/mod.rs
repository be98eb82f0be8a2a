//! Contacts as people and programs ask for them: at the terminal and over HTTP.
//!
//! - `business`: a table of clients beside an account of MailerLite
//! - `terminal`: `syncline contacts`; `conflicts`: a person's answers

mod business;
mod conflicts;
mod terminal;
