//! The passes over the frames of some tables, in one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{Manifest, RowsDigest};
use crate::engine::model::page::Page;
use crate::engine::model::reject::MISSING_PARENT;
use crate::engine::model::run::Tally;
use crate::engine::model::session::{Phase, RejectedCopyRow, RestoredTable};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::jobs::full_sync::frames::FrameReader;
use crate::jobs::full_sync::ports::{LackingParents, Restore, RestoredPage};
use crate::jobs::full_sync::work::Work;

/// The most refused rows that are told.
pub const MOST_REFUSED: usize = 100;

/// The code of a row that somebody else holds locked (SQLSTATE 55P03).
const LOCKED: &str = "55P03";

/// The passes over the frames of some tables, in one transaction.
pub struct Passes<'a> {
    /// The contents of the copy.
    pub manifest: &'a Manifest,
    /// The lease of the session, and its progress.
    pub work: &'a Work<'a>,
    /// The tables.
    pub shapes: &'a [Shape],
    /// The transaction.
    pub transaction: Box<dyn Restore>,
    /// The copy.
    pub reader: FrameReader<'a>,
}

/// The rows that are refused.
#[derive(Default)]
pub struct RejectedRows {
    /// The first of them.
    pub rows: Vec<RejectedCopyRow>,
    /// Their number, or the least that it can be.
    pub count: u64,
    /// There may be more.
    pub has_more: bool,
}

/// The outcome of a pass.
#[derive(Default)]
struct PassOutcome {
    /// Frames that have to be applied again.
    again: Vec<usize>,
    /// Rows that wait for another one.
    waiting: RejectedRows,
    /// Rows that break a rule.
    refused: RejectedRows,
}

/// The counts of each table.
pub type Counts = BTreeMap<TableName, RestoredTable>;

impl Passes<'_> {
    /// Says whether all tables have the rows of the copy already, and no others. To print a table's
    /// rows is much faster than to compare them one by one.
    ///
    /// If one table differs, the frames of all are applied: rows that are written may change others
    /// by cascades and triggers.
    pub async fn are_equal(&mut self, left: Option<Duration>) -> Result<bool, Fault> {
        for shape in self.shapes {
            let (mut digest, mut rows) = (RowsDigest::default(), 0);
            for frame in self.manifest.frames_of(&shape.table) {
                digest.add(frame.digest);
                rows += frame.rows;
            }
            let own = self.transaction.digest(shape, rows, left).await?;
            if rows > 0 && own != Some(digest) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The counts of tables that are equal, of which nothing is written.
    pub fn unchanged(&self) -> Counts {
        let tables = self.shapes.iter().map(|shape| &shape.table);
        let count = |table| self.manifest.frames_of(table).map(|frame| frame.rows).sum();
        let unchanged = |table| RestoredTable { unchanged: count(table), ..Default::default() };
        tables.map(|table| (table.clone(), unchanged(table))).collect()
    }

    /// Applies frames until no row waits that could go in.
    pub async fn until_all_are_in(&mut self) -> Result<(Counts, RejectedRows), Fault> {
        let manifest = self.manifest;
        let tables = self.shapes.iter().map(|shape| (shape.table.clone(), Default::default()));
        let mut counts: Counts = tables.collect();
        let mut frames = self.frames();
        let (mut refused, mut waited, mut lack) =
            (RejectedRows::default(), u64::MAX, LackingParents::Wait);
        let mut was_left_out = false;
        loop {
            let is_first = waited == u64::MAX;
            let outcome = self.pass(&frames, lack, is_first, |table, tally| {
                let count: &mut RestoredTable = counts.entry(table.clone()).or_default();
                count.inserted += tally.inserted;
                // After rows were written with NULL, they are written once more.
                count.updated += if was_left_out { 0 } else { tally.updated };
            });
            let outcome = outcome.await?;
            refused.add_new(outcome.refused);
            if outcome.again.is_empty() || refused.has_more {
                break;
            }
            let is_stuck = outcome.waiting.count >= waited && lack == LackingParents::Wait;
            if is_stuck && was_left_out {
                refused.add(outcome.waiting);
                break;
            }
            was_left_out |= lack == LackingParents::LeaveOut;
            lack = if is_stuck { LackingParents::LeaveOut } else { LackingParents::Wait };
            (waited, frames) = (outcome.waiting.count, outcome.again);
        }
        for (table, count) in manifest.tables.iter().map(|table| (&table.table, table.rows)) {
            if let Some(counted) = counts.get_mut(table) {
                let written = counted.inserted + counted.updated;
                counted.unchanged = count.saturating_sub(written);
            }
        }
        Ok((counts, refused))
    }

    /// Applies these frames once. The next one is read while one is applied.
    async fn pass(
        &mut self,
        frames: &[usize],
        lack: LackingParents,
        is_first: bool,
        mut count: impl FnMut(&TableName, &Tally),
    ) -> Result<PassOutcome, Fault> {
        let mut outcome = PassOutcome::default();
        let mut next = match frames.first() {
            Some(first) => Some(self.reader.frame(*first).await?),
            None => None,
        };
        for (place, number) in frames.iter().enumerate() {
            let page = next.take().expect("a frame was read before");
            let shape = self.shape_of(*number).expect("its frames alone are applied").clone();
            let written = self.transaction.page(&shape, &page, lack);
            let (written, read) = match frames.get(place + 1) {
                Some(following) => {
                    let (written, read) = tokio::join!(written, self.reader.frame(*following));
                    (written?, Some(read))
                }
                None => (written.await?, None),
            };
            if !written.has_more {
                add_up(&page, &written).map_err(|fault| fault.of_table(&shape.table))?;
            }
            count(&shape.table, &written.tally);
            outcome.add(*number, written);
            if outcome.refused.has_more {
                // So many have one cause, and to find each of them takes a dozen statements.
                return Ok(outcome);
            }
            if is_first {
                let bytes = self.manifest.frames[*number].bytes;
                self.work.advance(bytes, page.rows);
            }
            next = read.transpose()?;
        }
        Ok(outcome)
    }

    /// Applies all frames once more: every row must be equal by now.
    pub async fn verify(&mut self) -> Result<u64, Fault> {
        let manifest = self.manifest;
        let numbers = self.frames();
        let frames = || numbers.iter().map(|number| &manifest.frames[*number]);
        let bytes = frames().map(|frame| frame.bytes).sum();
        self.work.enter(Phase::Verify, bytes, frames().map(|frame| frame.rows).sum());
        let (mut compared, mut differing) = (0, BTreeMap::new());
        let outcome = self.pass(&numbers, LackingParents::Wait, true, |table, tally| {
            compared += tally.unchanged;
            let differ = tally.inserted + tally.updated + tally.rejected;
            if differ > 0 {
                *differing.entry(table.to_string()).or_insert(0) += differ;
            }
        });
        outcome.await?;
        match differing.is_empty() {
            true => Ok(compared),
            false => Err(unequal(&differing)),
        }
    }

    /// The frames of this transaction's tables.
    fn frames(&self) -> Vec<usize> {
        let numbers = 0..self.manifest.frames.len();
        numbers.filter(|number| self.shape_of(*number).is_some()).collect()
    }

    fn shape_of(&self, frame: usize) -> Option<&Shape> {
        let table = &self.manifest.tables[self.manifest.frames[frame].table].table;
        self.shapes.iter().find(|shape| shape.table == *table)
    }
}

impl PassOutcome {
    fn add(&mut self, frame: usize, page: RestoredPage) {
        let (waiting, refused): (Vec<_>, Vec<_>) = (page.refused.into_iter())
            .partition(|row| row.code == MISSING_PARENT || row.code == LOCKED);
        if !waiting.is_empty() || page.left_out {
            self.again.push(frame);
        }
        let has_refused = !refused.is_empty();
        self.waiting.add(RejectedRows::of(waiting, page.has_more && !has_refused));
        self.refused.add(RejectedRows::of(refused, page.has_more && has_refused));
    }
}

impl RejectedRows {
    fn of(rows: Vec<RejectedCopyRow>, has_more: bool) -> Self {
        Self { count: rows.len() as u64, rows, has_more }
    }

    /// Adds the rows of a later pass. A frame that is applied again has its refused rows refused
    /// again, and those that are not listed cannot be told apart.
    fn add_new(&mut self, later: Self) {
        let is_listed = self.rows.len() as u64 == self.count;
        let new: Vec<RejectedCopyRow> =
            later.rows.into_iter().filter(|row| is_listed && !self.rows.contains(row)).collect();
        let count = if self.count == 0 { later.count } else { new.len() as u64 };
        let has_more = later.has_more || !is_listed && later.count > 0;
        self.add(Self { rows: new, count, has_more });
    }

    /// Says whether there are any.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, more: Self) {
        let room = MOST_REFUSED.saturating_sub(self.rows.len());
        self.rows.extend(more.rows.into_iter().take(room));
        self.count += more.count;
        self.has_more |= more.has_more;
    }
}

/// Checks that no row of a page was lost without a word.
fn add_up(page: &Page, written: &RestoredPage) -> Result<(), Fault> {
    let Tally { inserted, updated, unchanged, .. } = written.tally;
    let counted = inserted + updated + unchanged + written.refused.len() as u64;
    if counted == page.rows {
        return Ok(());
    }
    let message = format!("{counted} of {} rows of a page were counted as written", page.rows);
    let hint = "its transaction is undone; please report it";
    Err(Fault::new(Step::Write, FaultCode::BadCopy, message, hint))
}

fn unequal(differing: &BTreeMap<String, u64>) -> Fault {
    let tables: Vec<String> =
        differing.iter().map(|(table, rows)| format!("{rows} rows of {table}")).collect();
    let message =
        format!("After the write {} differ from the copy, so it is undone", tables.join(", "));
    let hint = "triggers of the target rewrite them: psql shows which by `\\d TABLE`; disable them, \
                or leave --verify out";
    Fault::new(Step::Compare, FaultCode::Unequal, message, hint)
}
