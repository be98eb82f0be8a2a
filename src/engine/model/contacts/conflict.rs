//! A question that only a person can answer. Until then neither side's value is written, and all
//! other values of the person go on.

use serde::{Deserialize, Serialize};

use crate::engine::model::named::named;

named! {
    /// The reason of a conflict.
    ConflictKind {
        /// Both sides changed the value since they agreed.
        BothChanged = "both_changed",
        /// The values differ, and were never agreed on.
        First = "first",
        /// A person who had unsubscribed subscribed again at MailerLite.
        Resubscribed = "resubscribed",
        /// Two rows have one address.
        TwoRows = "two_rows",
        /// The new address belongs to another subscriber.
        Merge = "merge",
        /// The row is gone, and the subscriber was changed since.
        DeletedAgainstChanged = "deleted_against_changed",
        /// The database does not know the subscriber.
        Unknown = "unknown",
        /// A side refused the person's values. Each run tries again.
        Rejected = "rejected",
    }
}

named! {
    /// The state of a conflict.
    ConflictState {
        /// Nobody has answered yet.
        Open = "open",
        /// A person answered.
        Resolved = "resolved",
        /// The question ended by itself: the sides agree again.
        Gone = "gone",
    }
}

named! {
    /// The side whose value a person keeps.
    Winner {
        /// The database.
        Database = "database",
        /// MailerLite.
        MailerLite = "mailerlite",
    }
}

/// A conflict of one value of a person, as it is kept in `sync_conflicts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The reason.
    pub kind: ConflictKind,
    /// The key of the field, or `email`, `status`, `person`.
    pub subject: String,
    /// The value that was agreed on last.
    pub base: Option<String>,
    /// The value in the database.
    pub a: Option<String>,
    /// The value at MailerLite.
    pub b: Option<String>,
}
