//! A rejected row: one that the target refused.

use std::time::SystemTime;

use super::range::RowKey;
use super::table::TableName;

/// The code of a row that points to one that is not there (SQLSTATE 23503).
pub const MISSING_PARENT: &str = "23503";

/// The code of a row whose unique value another row has (SQLSTATE 23505).
pub const TAKEN_VALUE: &str = "23505";

/// A row that the target rejects. The key and the reason may hold values of the row.
#[derive(Clone, Debug)]
pub struct RejectedRow {
    /// The key of the row.
    pub key: RowKey,
    /// The database's code for the reason (SQLSTATE).
    pub code: String,
    /// The reason in the database's own words.
    pub reason: String,
}

/// A rejected row, as the ledger keeps it. Its key and reason may hold values of the row:
/// they go to people who ask for them, never to a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The table.
    pub table: TableName,
    /// The row.
    pub key: RowKey,
    /// The database's code for the reason (SQLSTATE).
    pub code: String,
    /// The reason in the database's own words.
    pub reason: String,
    /// The number of times that the row was refused.
    pub attempts: u64,
    /// The time at which it was refused first.
    pub first_seen: SystemTime,
    /// The time at which it was refused last.
    pub last_seen: SystemTime,
}

impl Reject {
    /// It may wait for another row that waits in its turn.
    pub fn waits_for_a_row(&self) -> bool {
        self.code == MISSING_PARENT || self.code == TAKEN_VALUE
    }
}
