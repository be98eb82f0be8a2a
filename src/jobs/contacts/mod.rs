//! Keeps people in a table of Postgres and in a mailing list at MailerLite in step, both ways.
//!
//! - `plan`: decides who is who, and what each side gets
//! - `ports`: the outsides
//!
//! Both sides are read, what changed since they agreed is merged, and only what changed is written.

mod plan;
pub mod ports;

pub use plan::field::{FieldMove, SetApart, merge as merge_field};
pub use plan::limits::{ChangeCounts, ExceededLimit, exceeded, is_suspicious};
pub use plan::membership::{MembershipMove, merge as merge_membership};
pub use plan::pairing::{PageKnowledge, Pairing, pair};
pub use plan::person::{Person, PersonPlan, plan as plan_person};
pub use plan::status::{StatusPlan, merge as merge_status};
