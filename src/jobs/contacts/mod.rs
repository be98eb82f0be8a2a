//! Keeps people in a table of Postgres and in a mailing list at MailerLite in step, both ways.
//!
//! - `plan`: decides who is who, and what each side gets
//! - `ports`: the outsides
//! - `own_contacts`: the contacts of this deployment, as the doors ask for them; `notices`: their
//!   syncs, of which people get notices
//! - `sides`: both sides with the rules between them
//! - `paced`: calls of the list within a budget; `lease`: one sync of all people at a time
//! - `check`: the mapping against both sides; `field_types`: types that fit each other
//! - `enterprise`: the sync of all people
//! - `backfill`: shadows for all links
//! - `smart`: the sync of named people
//! - `desk`: conflicts, the log, and a person's answers
//!
//! Both sides are read, what changed since they agreed is merged, and only what changed is written.

pub mod backfill;
pub mod check;
pub mod desk;
pub mod enterprise;
mod field_types;
mod lease;
mod notices;
pub mod own_contacts;
mod paced;
mod plan;
pub mod ports;
pub mod sides;
pub mod smart;

pub use plan::field::{FieldMove, SetApart, merge as merge_field};
pub use plan::limits::{ChangeCounts, ExceededLimit, exceeded, is_suspicious};
pub use plan::membership::{MembershipMove, merge as merge_membership};
pub use plan::pairing::{PageKnowledge, Pairing, pair};
pub use plan::person::{Person, PersonPlan, plan as plan_person};
pub use plan::status::{StatusPlan, merge as merge_status};
