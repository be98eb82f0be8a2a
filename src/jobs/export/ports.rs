//! The ports of an export: a side that gives all its tables as of one moment, and an output that
//! takes the bytes.

use async_trait::async_trait;

use crate::engine::model::facts::{Facts, Relation};
use crate::engine::model::fault::Fault;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;

/// A side that can be read out whole. Nothing is written there.
#[async_trait]
pub trait Exported: Send + Sync {
    /// Describes the tables: the listed ones that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// Takes one moment of the database for these parts. Where it is held, none of their tables can
    /// be dropped, altered or truncated until it is let go, and everything else goes on there.
    async fn snapshot(&self, parts: &[Part]) -> Result<Box<dyn Snapshot>, Fault>;

    /// The sequences that fill columns of these tables, and how far they and the columns are now.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// The end of a file of SQL: the sequences go on behind these values, none is set back, and those
    /// that the role may not advance stay as they are.
    fn tail(&self, steps: &[SequenceStep]) -> String;
}

/// One moment of a database, the same for all calls.
#[async_trait]
pub trait Snapshot: Send {
    /// The way in which its rows come to be of that moment.
    fn how(&self) -> How;

    /// The beginning of a file of SQL: one transaction, the settings that its text depends on, and
    /// the notes as comments.
    fn head(&self, notes: &[String]) -> String;

    /// Sends the rows of a part in a format, and says how many they were. However large the table
    /// is, no more of it is held than a batch. `Ok` promises that they are those of the moment.
    /// `FaultCode::Overtaken` says that they are not, and that all of this snapshot is for nothing;
    /// another one may do.
    async fn rows(
        &mut self,
        part: &Part,
        format: Format,
        output: &mut dyn Output,
    ) -> Result<u64, Fault>;

    /// Lets the moment go.
    async fn end(self: Box<Self>) -> Result<(), Fault>;
}

/// The way in which rows come to be of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The database holds the moment: whatever is read is of it.
    Held,
    /// The moment is proved after the rows of a part, and may turn out to be gone.
    Proved,
}

/// Takes the bytes. An output that was begun and not finished leaves nothing, or nothing under its
/// name.
pub trait Output: Send {
    /// Begins a table, which the next bytes belong to.
    fn begin(&mut self, table: &TableName) -> Result<(), Fault>;

    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Fault>;

    /// Ends the output: all that was written is whole, under its names.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// The form in which rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Statements that insert rows or update them by their key, in one transaction.
    Sql,
    /// Lines as COPY writes and reads them, after a line of column names.
    Csv,
    /// An object a row, one a line.
    Jsonl,
}

/// The rows of one table, to be written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The table.
    pub table: TableName,
    /// The kind of relation that its rows lie in.
    pub relation: Relation,
    /// Its columns that can be written, in their order.
    pub columns: Vec<PartColumn>,
    /// The columns that identify a row; none where it has no key.
    pub key: Vec<String>,
    /// The operator's condition on the rows.
    pub filter: Option<String>,
    /// Says whether these statements are all that is written of the table.
    pub pass: Pass,
    /// The rows that the planner believes it has.
    pub expected: u64,
}

/// A column that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartColumn {
    /// Its name.
    pub name: String,
    /// It takes its value from a sequence where none is given.
    pub serial: bool,
    /// It refuses every update.
    pub identity_always: bool,
    /// It points to a row that may come later, and is NULL in the first of two passes.
    pub late: bool,
}

/// The pass over a table that these statements belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The only pass, or the second.
    Whole,
    /// The first pass of two: missing rows are inserted, without the columns that point to a row
    /// that may come later.
    First,
}
