//! Real data for a throwaway database: the flights that left New York City in January 2013, with
//! airlines, airports, planes and weather. This file makes the tables, fills them, and changes them
//! as a day of use would.

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

/// A change that a person makes by hand to see it synced. It sets the stamps of the rows.
pub const MANUAL_CHANGE: &str =
    "update airlines set name = upper(name), updated_at = now() where carrier in ('AA', 'UA')";

/// A table that was filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedTable {
    /// The table's name.
    pub table: &'static str,
    /// The number of rows that were loaded.
    pub rows: u64,
}

/// The rows that one statement of a day's work changed in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableChange {
    /// The table's name.
    pub table: &'static str,
    /// The kind of change.
    pub kind: ChangeKind,
    /// The number of rows.
    pub rows: u64,
}

/// A kind of change of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// The rows are new.
    Inserted,
    /// The rows existed, and got a new stamp.
    Updated,
}

/// The reason why a throwaway database lacks the data.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The server could not be reached.
    #[error("Cannot connect to the throwaway database")]
    Connect(#[source] tokio_postgres::Error),
    /// The server refused a step.
    #[error("Cannot {0} in the throwaway database")]
    Refused(String, #[source] tokio_postgres::Error),
}

/// A table's data, as part of the program.
struct Table {
    name: &'static str,
    csv_gz: &'static [u8],
    /// The time of each row's last change, as SQL over its columns: long ago, as in a database in
    /// use.
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
    // A flight was last changed at its landing; a cancelled one when it did not leave.
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
    session.batch_execute(SCHEMA).await.map_err(step_failed("create the tables"))?;
    session.close().await;
    Ok(())
}

/// Fills the tables of [`create_schema`], all or none of them.
pub async fn load(url: &str) -> Result<Vec<LoadedTable>, DataError> {
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    let failed = step_failed("load the data");
    session.batch_execute("begin").await.map_err(&failed)?;
    let mut loaded = Vec::new();
    for table in &DATA {
        let rows = load_table(&session, table)
            .await
            .map_err(step_failed(&format!("load {}", table.name)))?;
        loaded.push(LoadedTable { table: table.name, rows });
    }
    session.batch_execute("commit; analyze").await.map_err(&failed)?;
    session.close().await;
    Ok(loaded)
}

/// Does a day's work: updates some rows and their stamps, and inserts an airline, an airport and
/// flights. The changes are the same in every database; a second call makes those of the next day.
pub async fn change(url: &str) -> Result<Vec<TableChange>, DataError> {
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    let failed = step_failed("change the data");
    session.batch_execute("begin").await.map_err(&failed)?;
    let mut changed = Vec::new();
    for (table, kind, statement) in changes() {
        let rows = session.execute(statement, &[]).await.map_err(&failed)?;
        changed.push(TableChange { table, kind, rows });
    }
    session.batch_execute("commit").await.map_err(&failed)?;
    session.close().await;
    Ok(changed)
}

/// Loads the rows through a table without indexes: the file has no stamps, and a later update would
/// leave two versions of every row in the table.
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

/// The statements of `change.sql`. Each begins after an empty line with `-- table: inserted`.
fn changes() -> impl Iterator<Item = (&'static str, ChangeKind, &'static str)> {
    CHANGE.split("\n\n-- ").skip(1).map(|part| {
        let (title, statement) = part.split_once('\n').expect("a statement has a title");
        let (name, kind) = title.split_once(": ").expect("the title is `table: inserted`");
        let table = TABLES.into_iter().find(|table| *table == name).expect("the title has a table");
        let kind = if kind == "inserted" { ChangeKind::Inserted } else { ChangeKind::Updated };
        (table, kind, statement)
    })
}

fn step_failed(step: &str) -> impl Fn(tokio_postgres::Error) -> DataError {
    move |error| DataError::Refused(step.to_owned(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_names_its_table_and_does_what_its_title_says() {
        for (table, kind, statement) in changes() {
            let begins = match kind {
                ChangeKind::Inserted => format!("insert into {table} "),
                ChangeKind::Updated => format!("update {table} "),
            };
            assert!(statement.starts_with(&begins), "{statement}");
        }
        assert_eq!(changes().count(), 6);
    }
}
