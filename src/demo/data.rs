//! Real data for a throwaway database: the flights that left New York City in January 2013, with
//! airlines, airports, planes and weather. Makes the tables, fills them, and changes them as a day
//! of use would. Whether two databases are equal is told by [`compare`](super::compare).

use std::io::Read;
use std::pin::pin;

use bytes::Bytes;
use flate2::read::GzDecoder;
use futures_util::SinkExt;

use super::session::Session;

const SCHEMA: &str = include_str!("data/schema.sql");
const CHANGE: &str = include_str!("data/change.sql");

/// The tables, parents before those that reference them.
pub const TABLES: [&str; 5] = ["airlines", "airports", "planes", "weather", "flights"];

/// A change that a person makes by hand to see it synced: it stamps what it touches.
pub const BY_HAND: &str =
    "update airlines set name = upper(name), updated_at = now() where carrier in ('AA', 'UA')";

/// Rows that were loaded into a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The table's name.
    pub table: &'static str,
    /// The number of rows that were loaded.
    pub rows: u64,
}

/// The change that one step of a day's work made in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The table's name.
    pub table: &'static str,
    /// The kind of change.
    pub how: Change,
    /// The number of rows.
    pub rows: u64,
}

/// A kind of change of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// They are new.
    Inserted,
    /// They existed, and their stamp is now.
    Updated,
}

/// Why a throwaway database has not got the data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The server could not be reached.
    #[error("Cannot connect to the throwaway database")]
    Connect(#[source] tokio_postgres::Error),
    /// The server refused a step.
    #[error("Cannot {0} in the throwaway database")]
    Refused(String, #[source] tokio_postgres::Error),
}

/// A table's data as it lies in the program.
struct Table {
    name: &'static str,
    csv_gz: &'static [u8],
    /// When the row was last changed, as SQL over its columns: long ago, as in a database in use.
    stamp: &'static str,
}

const DATA: [Table; 5] = [
    Table {
        name: "airlines",
        csv_gz: include_bytes!("data/airlines.csv.gz"),
        stamp: "timestamptz '2012-11-01 12:00Z' + row_number() over (order by carrier) * interval '1 day'",
    },
    Table {
        name: "airports",
        csv_gz: include_bytes!("data/airports.csv.gz"),
        stamp: "timestamptz '2012-10-01 09:00Z' + row_number() over (order by faa) * interval '37.25 minutes'",
    },
    Table {
        name: "planes",
        csv_gz: include_bytes!("data/planes.csv.gz"),
        stamp: "timestamptz '2012-10-01 09:00Z' + row_number() over (order by tailnum) * interval '29.125 minutes'",
    },
    // The airports report together, nine minutes before the hour: up to three rows share a stamp.
    Table {
        name: "weather",
        csv_gz: include_bytes!("data/weather.csv.gz"),
        stamp: "time_hour + interval '51 minutes'",
    },
    // A flight's last news is its landing; a cancelled one's that it did not leave.
    Table {
        name: "flights",
        csv_gz: include_bytes!("data/flights-january.csv.gz"),
        stamp: "time_hour + make_interval(mins => minute + coalesce(dep_delay + air_time, 0) + 20, \
                secs => flight % 600 / 10.0)",
    },
];

/// Creates the tables, empty.
pub async fn create_schema(url: &str) -> Result<(), DataError> {
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    session.batch_execute(SCHEMA).await.map_err(refused("create the tables"))?;
    session.close().await;
    Ok(())
}

/// Fills the tables of [`create_schema`], all or none of them.
pub async fn load(url: &str) -> Result<Vec<Loaded>, DataError> {
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    let failed = refused("load the data");
    session.batch_execute("begin").await.map_err(&failed)?;
    let mut loaded = Vec::new();
    for table in &DATA {
        let rows =
            load_table(&session, table).await.map_err(refused(&format!("load {}", table.name)))?;
        loaded.push(Loaded { table: table.name, rows });
    }
    session.batch_execute("commit; analyze").await.map_err(&failed)?;
    session.close().await;
    Ok(loaded)
}

/// Does a day's work: updates some rows, stamping them, and inserts an airline, an airport and
/// flights between them. Everybody gets the same changes; a second call makes the next day's.
pub async fn change(url: &str) -> Result<Vec<Changed>, DataError> {
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    let failed = refused("change the data");
    session.batch_execute("begin").await.map_err(&failed)?;
    let mut changed = Vec::new();
    for (table, how, statement) in changes() {
        let rows = session.execute(statement, &[]).await.map_err(&failed)?;
        changed.push(Changed { table, how, rows });
    }
    session.batch_execute("commit").await.map_err(&failed)?;
    session.close().await;
    Ok(changed)
}

/// The rows go through a table without indexes: the file has no stamp, and setting it afterwards
/// would leave every row in the table twice.
async fn load_table(session: &Session, table: &Table) -> Result<u64, tokio_postgres::Error> {
    let Table { name, csv_gz, stamp } = table;
    let mut csv = Vec::new();
    GzDecoder::new(*csv_gz).read_to_end(&mut csv).expect("the program's own data inflates");
    let header = csv.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let columns = String::from_utf8_lossy(header).into_owned();

    let staging =
        format!("create temp table loaded (like {name} including defaults) on commit drop");
    session.batch_execute(&staging).await?;
    let copy = format!("copy loaded ({columns}) from stdin (format csv, header)");
    let mut sink = pin!(session.copy_in(&copy).await?);
    sink.send(Bytes::from(csv)).await?;
    sink.finish().await?;
    let insert = format!(
        "insert into {name} ({columns}, updated_at) select {columns}, {stamp} as stamp from loaded order by stamp"
    );
    let rows = session.execute(&insert, &[]).await?;
    session.batch_execute("drop table loaded").await?;
    Ok(rows)
}

/// The statements of `change.sql`: after an empty line, each is announced by `-- table: inserted`.
fn changes() -> impl Iterator<Item = (&'static str, Change, &'static str)> {
    CHANGE.split("\n\n-- ").skip(1).map(|part| {
        let (title, statement) = part.split_once('\n').expect("a statement has a title");
        let (name, how) = title.split_once(": ").expect("the title is `table: inserted`");
        let table = TABLES.into_iter().find(|table| *table == name).expect("the title has a table");
        let how = if how == "inserted" { Change::Inserted } else { Change::Updated };
        (table, how, statement)
    })
}

fn refused(step: &str) -> impl Fn(tokio_postgres::Error) -> DataError {
    move |error| DataError::Refused(step.to_owned(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_names_its_table_and_does_what_its_title_says() {
        for (table, how, statement) in changes() {
            let begins = match how {
                Change::Inserted => format!("insert into {table} "),
                Change::Updated => format!("update {table} "),
            };
            assert!(statement.starts_with(&begins), "{statement}");
        }
        assert_eq!(changes().count(), 6);
    }
}
