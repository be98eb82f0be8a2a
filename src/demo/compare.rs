//! Tells whether two databases hold the same rows, by a way that shares nothing with the engine:
//! every row as text, hashed inside each database.

use super::data::{DataError, TABLES};
use super::session::Session;

/// Pins the settings on which a value's text depends.
const PINNED: &str = "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'iso_8601'; \
    set extra_float_digits = 3; set bytea_output = 'hex'; set xmloption = 'content'; set lc_monetary = 'C'; \
    set quote_all_identifiers = off";

/// One table in two databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The table's name, as it was asked for.
    pub table: String,
    /// Its rows in the source.
    pub source_rows: i64,
    /// Its rows in the target.
    pub target_rows: i64,
    /// True if both have the same rows, column by column.
    pub equal: bool,
}

/// Compares the demo's tables in two databases.
pub async fn equal(source_url: &str, target_url: &str) -> Result<Vec<Compared>, DataError> {
    compare(source_url, target_url, &TABLES).await
}

/// Compares tables, named as SQL names them, in two databases. Their columns must stand in the
/// same order; the order of rows does not matter, and a row that is there twice counts twice.
pub async fn compare(
    source_url: &str,
    target_url: &str,
    tables: &[&str],
) -> Result<Vec<Compared>, DataError> {
    let (source, target) =
        tokio::try_join!(digests(source_url, tables), digests(target_url, tables))?;
    let compared = |((table, ours), theirs): ((&&str, Digest), Digest)| Compared {
        table: (*table).to_owned(),
        source_rows: ours.rows,
        target_rows: theirs.rows,
        equal: ours == theirs,
    };
    Ok(tables.iter().zip(source).zip(target).map(compared).collect())
}

#[derive(PartialEq)]
struct Digest {
    rows: i64,
    hash: String,
}

async fn digests(url: &str, tables: &[&str]) -> Result<Vec<Digest>, DataError> {
    let refused = |error| DataError::Refused("compare the tables".to_owned(), error);
    let session = Session::open(url).await.map_err(DataError::Connect)?;
    session.batch_execute(PINNED).await.map_err(refused)?;
    let mut digests = Vec::new();
    for table in tables {
        let query = format!(
            "select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0)::text from {table} as t"
        );
        let row = session.query_one(&query, &[]).await.map_err(refused)?;
        digests.push(Digest { rows: row.get(0), hash: row.get(1) });
    }
    session.close().await;
    Ok(digests)
}
