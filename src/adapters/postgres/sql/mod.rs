//! SQL text: the quoting of names and literals, and the settings that every transaction pins.

pub mod refusal;
pub mod row;
pub mod statement;

use std::fmt::Write as _;
use std::time::Duration;

use crate::engine::model::facts::Relation;
use crate::engine::model::table::TableName;

/// A name, quoted: capitals, spaces, quotes and keywords survive.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table with its schema, quoted.
pub fn table(name: &TableName) -> String {
    format!("{}.{}", ident(name.schema()), ident(name.name()))
}

/// A table's own rows: without those of the tables that inherit from it, with those of its
/// partitions.
pub fn rows_of(name: &TableName, relation: Relation) -> String {
    let only = if relation == Relation::Table { "only " } else { "" };
    format!("{only}{}", table(name))
}

/// Names, quoted and separated by commas.
pub fn idents<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    prefixed("", names)
}

/// Names, quoted, each behind the prefix, separated by commas.
pub fn prefixed<'a>(prefix: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for name in names {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(prefix);
        list.push_str(&ident(name));
    }
    list
}

/// A text literal, for COPY alone: it takes no parameters. It relies on the pinned
/// `standard_conforming_strings`, under which a backslash means itself.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The operator's condition, to stand beside ours. The line's end keeps a comment at its end from
/// swallowing what follows.
pub fn condition(filter: &str) -> String {
    format!("({filter}\n)")
}

/// Whether a type is Postgres' own: under the pinned `search_path`, `format_type` prints any other
/// with its schema.
pub fn built_in(type_name: &str) -> bool {
    !type_name.contains('.')
}

/// The schema of a type that is not built in, quoted as `format_type` has quoted it.
pub fn schema_of(type_name: &str) -> Option<&str> {
    let mut quoted = false;
    let dot = type_name.find(|letter| {
        quoted ^= letter == '"';
        letter == '.' && !quoted
    });
    dot.map(|at| &type_name[..at])
}

/// What a transaction is for; it decides what it may do and for how long.
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

/// How long one statement may run: below the two minutes after which Supabase ends it.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(110);

/// How long a statement waits for a lock that somebody holds: long enough for ordinary
/// transactions, short enough that nobody queues up behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// After how long the server ends a transaction in which we have fallen silent.
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

/// Pins the same inside of a transaction that somebody else has begun.
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

/// A page's rows are found by key, one index look-up each: its cost follows the page, never the
/// table. The planner knows nothing of a table made a moment ago and would sometimes read the
/// whole target to hash it.
///
/// A page is sorted in memory: it and its rows' headers fit, and a spill costs more than the sort.
const WRITE_PINS: &str = "set local enable_hashjoin = off;set local enable_mergejoin = off;\
    set local work_mem = '16MB';";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whatever_they_hold() {
        assert_eq!(ident("a\"b"), "\"a\"\"b\"");
        assert_eq!(table(&TableName::new("My Schema", "ünï")), "\"My Schema\".\"ünï\"");
        assert_eq!(prefixed("t.", ["a", "B"]), "t.\"a\", t.\"B\"");
    }

    #[test]
    fn a_types_schema_ends_at_the_first_dot_outside_quotes() {
        assert_eq!(schema_of("integer"), None);
        assert_eq!(schema_of("extensions.vector(3)"), Some("extensions"));
        assert_eq!(schema_of("\"My.\"\"Types\".\"a.b\"[]"), Some("\"My.\"\"Types\""));
    }

    #[test]
    fn literals_double_their_quotes_and_keep_backslashes() {
        assert_eq!(literal("it's \\ n"), "'it''s \\ n'");
    }
}
