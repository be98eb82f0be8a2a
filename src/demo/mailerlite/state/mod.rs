//! The state of a MailerLite, and what follows from each call and each act of a person. It has no
//! clock and no HTTP: each method gets the time.
//!
//! - `store`: the state itself; every change of a person is saved here, with counts and events.
//! - `person`: a person; `fields`: the fields of the account; `records`: all other things in it.
//! - `groups`: groups and their members.
//! - `write`: the parts of a person that a client may write.
//! - `walk`: pages of people by cursors.
//! - `imports`: imports and their progress.
//! - `events`: the events that follow from a change; `webhooks`: who is told, and what is due.
//! - `acts`: people that tests seed, and what they do by themselves.

mod acts;
mod events;
mod fields;
mod groups;
mod imports;
mod person;
mod records;
mod store;
mod walk;
mod webhooks;
mod write;

pub use acts::{Act, PersonView, Seed};
pub use events::EVENT_NAMES;
pub use fields::{Field, FieldKind, LONGEST_NAME, key};
pub use person::{Person, Source, Status};
pub use records::{DueDelivery, Group, Import, Webhook};
pub use store::State;
pub use walk::Cursor;
pub use write::SubscriberWrite;
