//! The side that is read.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;

use super::digests::Digests;
use crate::engine::model::checkpoint::Scan;
use crate::engine::model::facts::{Facts, Reference};
use crate::engine::model::fault::Fault;
use crate::engine::model::page::{Page, PageLimit};
use crate::engine::model::range::RowKey;
use crate::engine::model::sequence::Sequence;
use crate::engine::model::shape::Shape;
use crate::engine::model::survey::{Survey, SurveyAsk};
use crate::engine::model::table::TableName;
use crate::engine::model::writer::Writer;

/// The side that is read and never written.
#[async_trait]
pub trait Source: Send + Sync {
    /// Returns the questions about rows that both sides answer.
    fn digests(&self) -> &dyn Digests;

    /// Describes the listed tables that exist, or all of schema `public`.
    async fn describe(&self, tables: Option<&[TableName]>) -> Result<Facts, Fault>;

    /// Returns the sequences that fill columns of these tables, and how far they and the columns
    /// are.
    async fn sequences(&self, tables: &[TableName]) -> Result<Vec<Sequence>, Fault>;

    /// Surveys all tables in a constant number of round trips. The writers before are sampled
    /// before the first snapshot, the writers after when the last table is surveyed.
    async fn survey(&self, asks: &[SurveyAsk<'_>], overlap: Duration) -> Result<Survey, Fault>;

    /// Returns the writers, which have a transaction open now. A transaction that is not listed any
    /// more is visible to every read that starts later.
    async fn writers(&self) -> Result<BTreeSet<Writer>, Fault>;

    /// Reads the next page of a scan: rows after `scan.after` in the pass's order, each exactly
    /// once, at most `limit`. `Page::complete` promises that the pass held no further row in the
    /// snapshot of this read.
    async fn read(&self, read: &ReadPage<'_>) -> Result<Page, Fault>;

    /// Reads the rows that have these values, each once, in key order; values that no row has give
    /// none, and the table's filter applies. The page ends before its bytes exceed `PAGE_BYTES`,
    /// after one row at least, and is not complete then: callers go through `drive::fetch`.
    async fn fetch(&self, fetch: &Fetch<'_>) -> Result<Page, Fault>;

    /// Reads the rows that others point to, each once, in key order; otherwise as `fetch`.
    async fn parents(&self, fetch: &FetchParents<'_>) -> Result<Page, Fault>;

    /// Reads the rows that those of a page point to, as `parents` does, by the page's bounds instead
    /// of its keys: rows that were written since may give others. None where the source cannot, or
    /// they do not fit one page.
    async fn parents_of_page(&self, _: &FetchPageParents<'_>) -> Result<Option<Page>, Fault> {
        Ok(None)
    }

    /// Returns the rows that the rows of these keys point to in their own table, the rows that
    /// those point to, and so on: a pair for each row that points, of its key and its parent's.
    /// Pairs come in no order, and the table's filter applies to parents.
    async fn ancestors(&self, ask: &Ancestors<'_>) -> Result<Vec<(RowKey, RowKey)>, Fault>;

    /// Reads the keys of a page's rows from its bytes, in the page's order.
    fn keys(&self, shape: &Shape, page: &Page) -> Result<Vec<RowKey>, Fault>;
}

/// The rows that are read by the values of some columns.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The columns: the key's, or those that a foreign key points to.
    pub columns: &'a [String],
    /// Their values, a row each, as text that the source casts to the columns' types.
    pub values: &'a [Vec<String>],
}

/// The rows that some rows of another table point to.
#[derive(Clone, Copy, Debug)]
pub struct FetchParents<'a> {
    /// The agreement of the table that is pointed to.
    pub parent: &'a Shape,
    /// Its columns that are pointed to.
    pub referenced: &'a [String],
    /// The agreement of the table that points.
    pub child: &'a Shape,
    /// Its columns that point, in the same order.
    pub columns: &'a [String],
    /// The keys of the rows that point.
    pub keys: &'a [Vec<String>],
}

/// The rows that those of a page of another table point to.
#[derive(Clone, Copy, Debug)]
pub struct FetchPageParents<'a> {
    /// The agreement of the table that is pointed to.
    pub parent: &'a Shape,
    /// Its columns that are pointed to.
    pub referenced: &'a [String],
    /// The page of the table that points; its limit is the number of rows that it had.
    pub page: ReadPage<'a>,
    /// Its columns that point, in the same order.
    pub columns: &'a [String],
}

/// The rows of a table that others of it lead to.
#[derive(Clone, Copy, Debug)]
pub struct Ancestors<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The foreign keys that lead from the table to itself.
    pub references: &'a [Reference],
    /// The keys of the rows that the way up begins at.
    pub keys: &'a [Vec<String>],
}

/// A page that is to be read.
#[derive(Clone, Copy, Debug)]
pub struct ReadPage<'a> {
    /// The table's agreement.
    pub shape: &'a Shape,
    /// The scan, with the position that it has come to.
    pub scan: &'a Scan,
    /// The span below the kept cursor that is read once more.
    pub overlap: Duration,
    /// The page's bounds.
    pub limit: PageLimit,
}
