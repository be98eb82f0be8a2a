//! The settings of a transaction: its rights, its time limits, and the settings that decide how
//! values are printed and read.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The purpose of a transaction, which decides what it may do and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One snapshot.
    Read,
    /// One snapshot for a COPY, whose bytes are those of the database.
    Copy,
    /// All rows of several tables in one snapshot, however long that takes. The first query takes
    /// the snapshot, so that locks can come before it.
    Export,
    /// Several queries of a side, each with a snapshot of its own.
    Look,
    /// Writing to the target.
    Write,
}

/// A statement that steers a transaction and has no answer of its own.
#[derive(Clone, Copy, Debug)]
pub enum Control<'a> {
    /// Sets a savepoint.
    Savepoint(&'a str),
    /// Undoes all statements after a savepoint. The savepoint stays.
    RollBackTo(&'a str),
    /// Forgets a savepoint.
    Release(&'a str),
    /// Runs statements that prepare for later ones. A later one may report their refusal.
    Prepare(&'a str),
    /// Undoes the transaction.
    RollBack,
}

impl fmt::Display for Control<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Savepoint(name) => write!(f, "savepoint {name}"),
            Self::RollBackTo(name) => write!(f, "rollback to savepoint {name}"),
            Self::Release(name) => write!(f, "release savepoint {name}"),
            Self::Prepare(statements) => f.write_str(statements),
            Self::RollBack => f.write_str("rollback"),
        }
    }
}

/// The time that one statement may take: below the two minutes after which Supabase ends it.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(110);

/// The time for which a statement waits for another's lock: long enough for ordinary transactions,
/// and short enough that no queue forms behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// The time without a statement of ours after which the server ends a transaction.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Builds the statements that begin a transaction and pin its settings, in one round trip. Nothing
/// of them outlives the transaction, also through a transaction pooler.
pub fn begin(purpose: Purpose) -> String {
    let mut text = String::from(match purpose {
        Purpose::Read | Purpose::Copy | Purpose::Export => {
            "begin isolation level repeatable read read only;"
        }
        Purpose::Look => "begin isolation level read committed read only;",
        Purpose::Write => "begin isolation level read committed read write;",
    });
    text.push_str(&settings(purpose));
    match purpose {
        Purpose::Write => {
            let _ = write!(text, "{WRITE_PINS}{BYTES_AS_THEY_ARE}");
        }
        Purpose::Copy => text.push_str(BYTES_AS_THEY_ARE),
        Purpose::Read | Purpose::Look | Purpose::Export => {}
    }
    text
}

/// Builds the statement that sets the time for the statements of a transaction that follow; none is
/// as long as it takes.
pub fn statement_timeout(time: Option<Duration>) -> String {
    let millis = time.map_or(0, |time| time.as_millis().max(1));
    format!("set local statement_timeout = {millis}")
}

/// Builds the statements that pin the same settings inside of a transaction that has begun already.
pub fn pins(purpose: Purpose) -> String {
    let own = match purpose {
        Purpose::Write => WRITE_PINS,
        Purpose::Copy | Purpose::Read | Purpose::Look | Purpose::Export => {
            "set local transaction_read_only = on;"
        }
    };
    format!("{}{own}", settings(purpose))
}

fn settings(purpose: Purpose) -> String {
    let mut text = String::new();
    // The time of a whole table is unknown, and so is that of a program that reads from a pipe.
    let limit = |limit| if purpose == Purpose::Export { Duration::ZERO } else { limit };
    let timeouts = [
        ("statement_timeout", limit(STATEMENT_TIMEOUT)),
        ("lock_timeout", LOCK_TIMEOUT),
        ("idle_in_transaction_session_timeout", limit(IDLE_TIMEOUT)),
    ];
    for (name, value) in timeouts {
        let _ = write!(text, "set local {name} = {};", value.as_millis());
    }
    text.push_str(PINS);
    text
}

/// The settings that decide how values are printed. With `row_security` off, a role to which
/// policies apply gets an error instead of silently fewer rows.
const PINS: &str = "set local search_path = pg_catalog, pg_temp;\
    set local datestyle = 'ISO, YMD';\
    set local intervalstyle = 'postgres';\
    set local timezone = 'UTC';\
    set local extra_float_digits = 3;\
    set local bytea_output = 'hex';\
    set local standard_conforming_strings = on;\
    set local array_nulls = on;\
    set local quote_all_identifiers = off;\
    set local lc_monetary = 'C';\
    set local xmloption = 'content';\
    set local row_security = off;\
    set local jit = off;";

/// The statement that lets a database without an encoding send and receive bytes unchanged. With
/// UTF-8, the source would refuse the whole page for one row that is not UTF-8. Without it, the
/// target refuses that row alone.
pub const BYTES_AS_THEY_ARE: &str = "select set_config('client_encoding', \
    case current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, true);";

/// Allows hash joins for a statement that compares staged rows with one another: they have no
/// index, and nested loops over ten thousand of them take a hundred million steps.
pub const HASHES: &str = "set local enable_hashjoin = on";

/// Allows only nested loops again.
pub const NO_HASHES: &str = "set local enable_hashjoin = off";

/// The settings that let the planner find a page's rows by key, with one index look-up each, so
/// that the cost depends on the page and not on the table. The planner has no statistics of a new
/// table, and would sometimes read the whole target to hash it.
///
/// A page is sorted in memory: it and its rows' headers fit, and a spill costs more than the sort.
const WRITE_PINS: &str = "set local enable_hashjoin = off;set local enable_mergejoin = off;\
    set local work_mem = '16MB';";

/// The savepoint before each attempt to write rows.
pub const PART: &str = "part";

/// The statement that sets the role's own search path, under which rows are written. The table's
/// triggers may name tables without a schema, and the operators of an extension's types, such as
/// citext's `=`, are found through it. The values were printed under the pinned path, so all names
/// in them have a schema.
pub const OWN_SEARCH_PATH: &str = "set local search_path to default";
