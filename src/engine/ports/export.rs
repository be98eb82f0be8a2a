//! The ports of an export: a side whose tables are read as of one moment, and an output for the
//! bytes.

use async_trait::async_trait;

use crate::engine::model::facts::{Facts, Relation};
use crate::engine::model::fault::Fault;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;

/// A side whose tables can be exported. Nothing is written there.
#[async_trait]
pub trait ExportSide: Send + Sync {
    /// Describes the tables: the listed ones that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// Takes a snapshot of the database for these parts. If a transaction holds it, none of their
    /// tables can be dropped, altered or truncated until it ends; all other work goes on.
    async fn snapshot(&self, parts: &[Part]) -> Result<Box<dyn Snapshot>, Fault>;

    /// The sequences that fill columns of these tables, and how far they and the columns are now.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// The end of a file of SQL. It advances the sequences to these values. None is set back, and
    /// those that the role may not advance stay as they are.
    fn tail(&self, steps: &[SequenceStep]) -> String;
}

/// One moment of a database, the same for all calls.
#[async_trait]
pub trait Snapshot: Send {
    /// The reason why its rows are of one moment.
    fn consistency(&self) -> Consistency;

    /// The beginning of a file of SQL: one transaction, the settings that its text depends on, and
    /// the notes as comments.
    fn head(&self, notes: &[String]) -> String;

    /// Writes the rows of a part in a format, and returns their number. However large the table is,
    /// no more than a batch of it is in memory. `Ok` promises that the rows are those of the
    /// moment. `FaultCode::Overtaken` says that they are not, so that the whole snapshot is of no
    /// use; another one may be.
    async fn rows(
        &mut self,
        part: &Part,
        format: Format,
        output: &mut dyn Output,
    ) -> Result<u64, Fault>;

    /// Ends the snapshot.
    async fn end(self: Box<Self>) -> Result<(), Fault>;
}

/// The reason why rows are of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// A transaction holds the moment, so that every row that is read belongs to it.
    Held,
    /// A check after the rows of a part proves it, or says that the moment is over.
    Proved,
}

/// An output for bytes. One that is not finished leaves no file, or none under its final name.
#[async_trait]
pub trait Output: Send {
    /// Begins a table: the next bytes belong to it.
    async fn begin(&mut self, table: &TableName) -> Result<(), Fault>;

    /// Writes the next bytes.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// Ends the output: all that was written is complete, under its final names.
    async fn finish(&mut self) -> Result<(), Fault>;
}

/// The form in which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Statements that insert rows or update them by their key, in one transaction.
    Sql,
    /// A line of column names, and then lines as COPY writes and reads them.
    Csv,
    /// A line with a JSON object for each row.
    Jsonl,
    /// The lines of a COPY in its text form, a row each. What is written at once ends with a row.
    Copy,
    /// The rows of a COPY in its binary form, without its header and its trailer. What is written at
    /// once ends with a row. A snapshot that is proved has no such rows.
    BinaryCopy,
}

/// The rows of one table, to be written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The table.
    pub table: TableName,
    /// The kind of relation that the table is.
    pub relation: Relation,
    /// Its columns that can be written, in their order.
    pub columns: Vec<PartColumn>,
    /// The columns of its key; none if it has no key.
    pub key: Vec<String>,
    /// The operator's condition on the rows.
    pub filter: Option<String>,
    /// The pass over the table that writes these rows.
    pub pass: Pass,
    /// The number of its rows as the query planner estimates it.
    pub expected: u64,
}

/// A column that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartColumn {
    /// Its name.
    pub name: String,
    /// A sequence gives its default value.
    pub serial: bool,
    /// It is `generated always as identity`, and refuses every update.
    pub identity_always: bool,
    /// It points to a row that may come later, and is omitted in the first of two passes.
    pub omitted_first: bool,
}

/// A pass over a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The only pass, or the second of two.
    Whole,
    /// The first pass of two: missing rows are inserted without their omitted columns.
    First,
}
