//! A MailerLite on this machine, written from the public reference and from answers that MailerLite
//! recorded for its own clients: subscribers, groups, fields, batches, imports, webhooks and both
//! rate limits. It has what Syncline and its users call, and refuses the rest by its name
//! (docs/decisions/0807).
//!
//! - `handle`: [`LocalMailerLite`], by which a program starts, steers and inspects it.
//! - `options`: its options, with a switch for each behaviour that nobody documents.
//! - `api`: the routes and their answers; `wire` has the shapes of the answers.
//! - `state`: what MailerLite knows, and what follows from each call and each act of a person.
//! - `limits`: the windows of the rate limits; `faults`: the faults that a test ordered.
//! - `hooks`: delivers webhooks when they are due.
//! - `service`: what these share.
//! - `stamp`: times as MailerLite writes them; `refusal`: answers that refuse.
//!
//! Neither reference nor recordings settle some points, which are decided here:
//!
//! - a deleted person keeps fields and groups, and comes back with them;
//! - a status that may not be set is left as it was, and the answer says which it is;
//! - an empty text clears a field;
//! - events of a batchable webhook are collected for a second;
//! - a second group with the name of another is made, a second field is not.

mod api;
mod faults;
mod handle;
mod hooks;
mod limits;
mod options;
mod refusal;
mod service;
mod stamp;
mod state;
mod wire;

pub use faults::{CallRecord, Fault, Faults};
pub use handle::{LocalMailerLite, UnknownPerson};
pub use options::{Error, Options, Oversize, UnconfirmedActive, UpsertBatch, Variants};
pub use state::{Act, FieldKind, PersonView, Seed, Source, Status};

use refusal::Refusal;
