//! Exports all tables of a side as of one moment: in one transaction, with a COPY for each table.
//! An API has no such transaction, so `pages` proves that the pages are of one moment.
//!
//! The tables are locked before the snapshot is taken, in the mode in which every read locks them.
//! Otherwise:
//!
//! 1. the snapshot is taken;
//! 2. somebody truncates a table;
//! 3. the snapshot shows that table as empty.
//!
//! The files of this folder:
//!
//! - `pages`, `moment`: the pages of a side over an API, and the proof that they are of one moment
//! - `writer`, `statements`, `lines`: write rows as SQL, CSV or JSON
//! - `fault`, `progress`: the faults of an export, and its progress

mod fault;
mod lines;
mod moment;
mod pages;
mod progress;
mod statements;
mod writer;

use std::pin::pin;

use async_trait::async_trait;
use futures_util::TryStreamExt;

use super::catalog::{describe, sequences};
use super::connection::pool::Pool;
use super::connection::session::Session;
use super::sql;
use super::sql::transaction::{self, Purpose};
use crate::engine::model::address::Database;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;
use crate::engine::ports::export::{Consistency, ExportSide, Format, Output, Part, Snapshot};
use fault::{reword_for_export, unreadable};
use pages::PagedSnapshot;
use progress::{REPORT_EVERY_ROWS, report_progress};
use writer::Writer;

/// The number of bytes that are written to the output together.
const CHUNK: usize = 256 << 10;

/// A Postgres database that is exported.
pub struct PostgresExport {
    pool: Pool,
}

impl PostgresExport {
    /// Returns the export of a pipeline's source.
    pub fn of_source(database: Database, meter: Meter) -> Self {
        Self { pool: Pool::new(database, meter, Step::ConnectSource) }
    }

    /// Returns the export of a pipeline's target.
    pub fn of_target(database: Database, meter: Meter) -> Self {
        Self { pool: Pool::new(database, meter, Step::ConnectTarget) }
    }
}

#[async_trait]
impl ExportSide for PostgresExport {
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault> {
        let call = self.pool.call(Step::Read, None).await?;
        let facts = describe::facts(&call, tables, TargetTriggers::Fire).await;
        call.end(facts).map_err(reword_for_export)
    }

    async fn snapshot(&self, parts: &[Part]) -> Result<Box<dyn Snapshot>, Fault> {
        let session = self.pool.take().await?;
        if self.pool.is_project() {
            return Ok(Box::new(PagedSnapshot::take(session, parts).await?));
        }
        let encoding = begin(&session, parts).await?;
        Ok(Box::new(PostgresSnapshot { session, encoding }))
    }

    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault> {
        let session = self.pool.take().await?;
        sequences::read_sequences(&session, tables).await.map_err(unreadable)
    }

    fn tail(&self, steps: &[SequenceStep]) -> String {
        statements::tail(steps)
    }
}

/// Begins the transaction and locks the tables. Returns the encoding of all text. Each table is
/// locked by a statement of its own, so that the fault names the table that somebody else locks.
async fn begin(session: &Session, parts: &[Part]) -> Result<String, Fault> {
    session.begin(Purpose::Export).await.map_err(unreadable)?;
    for part in parts.iter().filter(|part| part.relation.is_table()) {
        let lock = format!("lock table {} in access share mode", rows_of(part));
        let locked = session.batch(&lock).await;
        locked.map_err(|error| unreadable(error).of_table(&part.table))?;
    }
    session.batch(transaction::BYTES_AS_THEY_ARE).await.map_err(unreadable)?;
    let rows = session.query("select current_setting('client_encoding')", []).await;
    Ok(rows.map_err(unreadable)?[0].get(0))
}

fn rows_of(part: &Part) -> String {
    sql::rows_of(&part.table, part.relation)
}

/// A snapshot of all tables, in one transaction.
struct PostgresSnapshot {
    session: Session,
    encoding: String,
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    fn consistency(&self) -> Consistency {
        Consistency::Held
    }

    fn head(&self, notes: &[String]) -> String {
        statements::head(&self.encoding, notes)
    }

    async fn rows(
        &mut self,
        part: &Part,
        format: Format,
        output: &mut dyn Output,
    ) -> Result<u64, Fault> {
        let text = copy_sql(part, format);
        let mut stream = pin!(self.session.copy_out(&text).await.map_err(unreadable)?);
        let mut writer = Writer::new(part, format, self.encoding == "UTF8");
        // There is no deadline: a condition may skip rows for any time, and the kernel's keepalive
        // finds out if the server is gone.
        while let Some(message) =
            stream.try_next().await.map_err(|error| unreadable(error.into()))?
        {
            writer.message(&message)?;
            if writer.chunk.len() >= CHUNK {
                output.write(&writer.chunk).await?;
                writer.chunk.clear();
            }
            if writer.rows.is_multiple_of(REPORT_EVERY_ROWS) {
                report_progress(part, writer.rows);
            }
        }
        writer.end();
        output.write(&writer.chunk).await?;
        report_progress(part, writer.rows);
        Ok(writer.rows)
    }

    async fn end(self: Box<Self>) -> Result<(), Fault> {
        self.session.roll_back().await.map_err(unreadable)
    }
}

/// The COPY of a part's rows. The server builds JSON rows, since it knows which values are numbers.
fn copy_sql(part: &Part, format: Format) -> String {
    let columns = sql::prefixed("r.", part.columns.iter().map(|column| column.name.as_str()));
    let filter = part.filter.as_deref().map(sql::condition);
    let rows = format!(
        "select {columns} from {rows} as r where {filter}",
        rows = rows_of(part),
        filter = filter.as_deref().unwrap_or("true"),
    );
    match format {
        Format::Sql | Format::Copy => format!("copy ({rows}) to stdout (format text)"),
        Format::BinaryCopy => format!("copy ({rows}) to stdout (format binary)"),
        Format::Csv => format!("copy ({rows}) to stdout (format csv, header)"),
        Format::Jsonl => format!(
            "copy (select pg_catalog.row_to_json(j.*)::text from ({rows}) as j) to stdout (format text)"
        ),
    }
}
