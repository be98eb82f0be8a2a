//! Contacts as people and programs ask for them: at the terminal and over HTTP.
//!
//! - `business`: a table of clients beside an account of MailerLite
//! - `terminal`: `syncline contacts`; `conflicts`: a person's answers
//! - `functions`: the functions over HTTP; `webhooks`: MailerLite's own calls
//! - `notices`: people are notified; `page`: the page on contacts, command by command
//! - `project`: clients in a project behind its API

mod business;
mod conflicts;
mod functions;
mod notices;
mod page;
mod project;
mod terminal;
mod webhooks;
