//! The settings of a transaction: what it may do, for how long, and what its text depends on.

use std::fmt::{self, Write as _};
use std::time::Duration;

/// The purpose of a transaction, which decides what it may do and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One snapshot.
    Read,
    /// One snapshot for a COPY, whose bytes are as the database has them.
    Copy,
    /// All rows of several tables in one snapshot, however long that takes. The first query takes
    /// the snapshot, so that locks can come before it.
    Export,
    /// Several looks at a side, each with a snapshot of its own.
    Look,
    /// Writing to the target.
    Write,
}

/// A statement that steers a transaction and has no answer of its own.
#[derive(Clone, Copy, Debug)]
pub enum Control<'a> {
    /// Sets a savepoint.
    Savepoint(&'a str),
    /// Undoes what came after a savepoint, which stays.
    RollBackTo(&'a str),
    /// Forgets a savepoint.
    Release(&'a str),
    /// Runs statements that prepare for others, which may be the first to report their refusal.
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

/// The time that a statement waits for a lock that somebody holds: long enough for ordinary
/// transactions, short enough that nobody queues up behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// The time after which the server ends a transaction in which we have fallen silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Begins a transaction and pins what its text depends on. One round trip, and through a
/// transaction pooler nothing of it outlives the transaction.
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

/// Pins the same settings inside of a transaction that somebody else has begun.
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
    // Nobody knows how long a whole table takes, or whoever reads the file from a pipe.
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

/// The printed form of values depends on these, and with `row_security` off a role that policies
/// apply to gets an error instead of silently fewer rows.
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

/// A database without an encoding gives and takes bytes as they are. A source that is asked for
/// UTF-8 would refuse the whole page for one row that is none; so it is the target that refuses it,
/// and that row alone.
pub const BYTES_AS_THEY_ARE: &str = "select set_config('client_encoding', \
    case current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end, true);";

/// Lets a statement join by hashes that compares staged rows with one another: they have no index,
/// and nested loops over ten thousand of them are a hundred million steps.
pub const HASHES: &str = "set local enable_hashjoin = on";

/// Pins the joins to nested loops again.
pub const NO_HASHES: &str = "set local enable_hashjoin = off";

/// A page's rows are found by key, one index look-up each: its cost follows the page, never the
/// table. The planner knows nothing of a table made a moment ago and would sometimes read the
/// whole target to hash it.
///
/// A page is sorted in memory: it and its rows' headers fit, and a spill costs more than the sort.
const WRITE_PINS: &str = "set local enable_hashjoin = off;set local enable_mergejoin = off;\
    set local work_mem = '16MB';";

/// The savepoint before each attempt at rows.
pub const PART: &str = "part";

/// Rows are written under the role's own search path: the table's triggers may name tables without
/// a schema, and the operators of an extension's types, citext's `=` say, are found through it. The
/// values were printed under the pinned path and name everything in full.
pub const OWN_SEARCH_PATH: &str = "set local search_path to default";
