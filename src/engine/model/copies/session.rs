//! One full sync: who copies what to whom, and how far it is. Both deployments keep a record of it
//! under the same id.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::manifest::Sha;
use crate::engine::model::hex::hex;
use crate::engine::model::named::named;
use crate::engine::model::table::TableName;

/// Names a session: 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// A text that names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("A session is named by 32 hexadecimal digits")]
pub struct BadSessionId;

impl SessionId {
    /// Makes an id of random bits.
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(hex(&bits))
    }

    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, BadSessionId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 32 && text.bytes().all(is_digit) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadSessionId),
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for SessionId {
    type Error = BadSessionId;

    fn try_from(text: String) -> Result<Self, BadSessionId> {
        Self::parse(&text)
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.0
    }
}

named! {
    /// The direction of a copy, as the deployment sees it that drives the session.
    Direction {
        /// Rows go from the peer to this deployment.
        Pull = "pull",
        /// Rows go from this deployment to the peer.
        Push = "push",
    }
}

named! {
    /// The task of a deployment in a session.
    Role {
        /// It was asked for the session, and makes all calls.
        Driver = "driver",
        /// It answers.
        Peer = "peer",
    }
}

named! {
    /// The way in which rows travel.
    Method {
        /// As parts of one copy, which is applied in one transaction.
        Copy = "copy",
        /// As batches of rows, each saved by itself. A push alone can do that.
        Records = "records",
    }
}

named! {
    /// The phase of a session.
    Phase {
        /// The tables are exported into the spool of their own deployment.
        Backup = "backup",
        /// The parts go to the other deployment.
        Transfer = "transfer",
        /// The rows go into their tables.
        Restore = "restore",
        /// All rows are compared with what was written.
        Verify = "verify",
    }
}

named! {
    /// The state of a session.
    SessionState {
        /// Somebody works at it, or has until a moment ago.
        Running = "running",
        /// Whoever worked at it is gone. It can be resumed.
        Interrupted = "interrupted",
        /// All rows are saved.
        Completed = "completed",
        /// It was given up. Only with `per_table` rows may be saved.
        Failed = "failed",
        /// A person ended it.
        Cancelled = "cancelled",
    }
}

impl SessionState {
    /// Says whether the session is over for good.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// The options of a session, as the person chose them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOptions {
    /// The tables; none for all of schema `public` that have a key.
    #[serde(default)]
    pub tables: Option<Vec<TableName>>,
    /// Conditions on the rows of single tables.
    #[serde(default)]
    pub filters: BTreeMap<TableName, String>,
    /// Frames are compressed.
    #[serde(default = "yes")]
    pub compress: bool,
    /// All rows are compared once they are written, before the transaction ends.
    #[serde(default)]
    pub verify: bool,
    /// Each table is a transaction of its own, so that a failure leaves earlier tables written.
    #[serde(default)]
    pub per_table: bool,
}

fn yes() -> bool {
    true
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            tables: None,
            filters: BTreeMap::new(),
            compress: true,
            verify: false,
            per_table: false,
        }
    }
}

/// A new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// Its id, the same on both deployments.
    pub id: SessionId,
    /// The name of the other deployment in the settings; of a driver the peer does not know it.
    pub peer: String,
    /// The task of this deployment.
    pub role: Role,
    /// The direction, as the driver sees it.
    pub direction: Direction,
    /// The way in which rows travel.
    pub method: Method,
    /// The options.
    pub options: CopyOptions,
}

/// The right to work at a session until its lease is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionLease {
    /// The session.
    pub session: SessionId,
    /// The worker, a random text.
    pub holder: String,
}

/// A session, as a deployment has recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its terms.
    pub new: NewSession,
    /// Its state now.
    pub state: SessionState,
    /// Its phase.
    pub phase: Phase,
    /// The progress of its phase.
    pub progress: Progress,
    /// The export that the parts here belong to.
    pub export: Option<String>,
    /// The hash of the manifest, once it is here.
    pub manifest: Option<Sha>,
    /// The rows that were saved, once they are.
    pub restored: Option<Restored>,
    /// The reason why it failed, or was interrupted last.
    pub error: Option<SessionError>,
    /// The time at which it began.
    pub started_at: SystemTime,
    /// The time at which its progress was recorded last.
    pub updated_at: SystemTime,
    /// The time at which it was over.
    pub finished_at: Option<SystemTime>,
    /// The time for which whoever works at it holds it; zero if nobody does.
    pub lease_left: Duration,
    /// The milliseconds of work that each phase took.
    pub phase_millis: BTreeMap<Phase, u64>,
}

/// The progress of a phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The bytes that are done.
    pub bytes: u64,
    /// The bytes in all; 0 while they are not known.
    pub bytes_total: u64,
    /// The rows that are done.
    pub rows: u64,
    /// The rows in all; 0 while they are not known.
    pub rows_total: u64,
    /// The bytes that are done in a second, as of lately.
    pub speed: u64,
}

impl Progress {
    /// The longest time that is an estimate.
    const CENTURY: Duration = Duration::from_secs(3_000_000_000);

    /// The time until the end of the phase at its speed. None while its bytes or its speed are not
    /// known, or if it would take a century.
    pub fn left(&self) -> Option<Duration> {
        let Self { bytes, bytes_total, speed, .. } = self;
        let rest = bytes_total.checked_sub(*bytes).filter(|_| *bytes_total > 0 && *speed > 0)?;
        let left = Duration::from_secs(rest.div_ceil(*speed));
        Some(left).filter(|left| *left < Self::CENTURY)
    }
}

/// The outcome of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Restored {
    /// The counts of each table that is saved.
    pub tables: BTreeMap<TableName, RestoredTable>,
    /// The rows that were refused, up to 100. Of a copy, the tables of their transaction are not
    /// saved if there is one.
    pub refused: Vec<RejectedCopyRow>,
    /// The number of rows that were refused, where a session goes record by record.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused_in_all: u64,
    /// The number of rows that were compared after they were written.
    pub verified: u64,
    /// The tables that were left out, since they have no key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keyless: Vec<TableName>,
}

/// The counts of a restored table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredTable {
    /// Rows that the table did not have.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Rows that were equal already.
    pub unchanged: u64,
}

impl RestoredTable {
    /// All rows of the copy that the table has now.
    pub fn rows(self) -> u64 {
        self.inserted + self.updated + self.unchanged
    }
}

/// A row that was refused. Its key and the reason may hold values of the row: they go to people
/// who ask for them, never to a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedCopyRow {
    /// The table.
    pub table: TableName,
    /// The values of its key.
    pub key: Vec<String>,
    /// The database's code for the reason (SQLSTATE).
    pub code: String,
    /// The reason in the database's own words.
    pub reason: String,
}

/// The reason why a session ended, without a row's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionError {
    /// The code of the fault.
    pub code: String,
    /// One sentence, with its causes.
    pub message: String,
    /// The sentence that says what to do.
    pub hint: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_32_digits() {
        let id = SessionId::from_random([0xab; 16]);
        assert_eq!(SessionId::parse(id.as_str()), Ok(id));
        for text in ["", "ab", &"AB".repeat(16), &"g".repeat(32), &"a".repeat(33)] {
            assert_eq!(SessionId::parse(text), Err(BadSessionId), "{text}");
        }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for phase in Phase::ALL {
            assert_eq!(Phase::named(phase.name()), Some(*phase));
        }
        for state in SessionState::ALL {
            assert_eq!(SessionState::named(state.name()), Some(*state));
        }
        assert_eq!(Direction::named("sideways"), None);
    }

    #[test]
    fn options_that_are_left_out_are_the_usual_ones() {
        let options: CopyOptions = serde_json::from_str("{}").expect("no option is needed");
        assert_eq!(options, CopyOptions::default());
    }
}
