//! Compares the rows of two databases in a way that shares nothing with the engine: each database
//! hashes its rows as texts.

use super::data::{DataError, TABLES};
use super::session::Session;

/// Sets everything on which the text of a value depends.
const TEXT_SETTINGS: &str = "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; \
    set extra_float_digits = 3; set bytea_output = 'hex'; set xmloption = 'content'; set lc_monetary = 'C'; \
    set quote_all_identifiers = off";

/// A table in two databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedTable {
    /// The table's name, as the caller wrote it.
    pub table: String,
    /// The number of its rows in the source.
    pub source_rows: i64,
    /// The number of its rows in the target.
    pub target_rows: i64,
    /// True if both have the same rows, column by column.
    pub equal: bool,
}

/// Compares the demo's tables in two databases.
pub async fn equal(source_url: &str, target_url: &str) -> Result<Vec<ComparedTable>, DataError> {
    compare(source_url, target_url, &TABLES).await
}

/// Compares tables, named as in SQL, in two databases. Their columns must have the same order. The
/// order of rows does not matter, and two equal rows count twice.
pub async fn compare(
    source_url: &str,
    target_url: &str,
    tables: &[&str],
) -> Result<Vec<ComparedTable>, DataError> {
    let (source, target) =
        tokio::try_join!(digests(source_url, tables), digests(target_url, tables))?;
    let compared = |((table, source), target): ((&&str, Digest), Digest)| ComparedTable {
        table: (*table).to_owned(),
        source_rows: source.rows,
        target_rows: target.rows,
        equal: source == target,
    };
    Ok(tables.iter().zip(source).zip(target).map(compared).collect())
}

#[derive(PartialEq)]
struct Digest {
    rows: i64,
    hash: String,
}

async fn digests(url: &str, tables: &[&str]) -> Result<Vec<Digest>, DataError> {
    let failed = |error| DataError::Refused("compare the tables".to_owned(), error);
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    session.batch_execute(TEXT_SETTINGS).await.map_err(failed)?;
    let mut digests = Vec::new();
    for table in tables {
        let query = format!(
            "select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {table} as t"
        );
        let row = session.query_one(&query, &[]).await.map_err(failed)?;
        digests.push(Digest { rows: row.get(0), hash: row.get(1) });
    }
    session.close().await;
    Ok(digests)
}
