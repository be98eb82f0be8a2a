//! Writes the rows of the files, one file after the other. Then it retries rejected rows that may
//! have waited for a row of a later page or file.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::checkpoint_change::{CheckpointChange, NewestCursor, StayReason};
use super::csv_values::value::Nulls;
use super::movable_checkpoint::lost_row;
use super::pages::{FilePage, FilePages, Lines};
use super::plan::PlannedFile;
use super::ports::{Folder, PageOutcome};
use super::report::{FilledTable, GapReport, RejectedLine};
use super::sink::{KeyedPage, Sink};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::{MISSING_PARENT, RejectedRow, TAKEN_VALUE};
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;

/// The most rounds in which waiting rows are retried, as long as some are accepted: rows that point
/// to one another are at most so many generations deep.
const MOST_ROUNDS: usize = 64;

/// The most rejected rows of a file, which are kept in memory until its end. More have a common
/// cause.
const MOST_REJECTED: usize = 100_000;

/// The number of parts that a page is cut into when it takes too long.
const PARTS: usize = 4;

/// Writes the planned files into a sink.
pub struct Fill<'a> {
    /// The texts that stand for NULL.
    pub nulls: &'a Nulls,
    /// The most rows of a page.
    pub page_rows: u32,
    /// The folder that the files are in.
    pub folder: &'a dyn Folder,
    /// The files, parents' tables first.
    pub files: &'a [PlannedFile],
    /// Takes the pages.
    pub sink: Sink<'a>,
}

impl<'a> Fill<'a> {
    /// Writes all files. Failures are in the report.
    pub async fn all(mut self, report: &mut GapReport) {
        for file in self.files {
            let mut filled = FilledTable {
                table: file.shape.table.clone(),
                file: file.file.clone(),
                tally: Tally::default(),
                duplicates: 0,
                rejected: Default::default(),
                checkpoint: None,
            };
            let ended = self.file(file, &mut filled).await;
            tracing::debug!(target: "syncline::progress", table = %filled.table, ended = true);
            if ended.is_err() && matches!(file.checkpoint, Some(CheckpointChange::Moves(_))) {
                filled.checkpoint = Some(CheckpointChange::Stays(StayReason::Failed));
            }
            report.tables.push(filled);
            if let Err(fault) = ended {
                let fault = fault.of_table(&file.shape.table);
                let stops = fault.stops_the_run();
                report.faults.push(fault);
                if stops {
                    return;
                }
            }
        }
        self.retry_all(report).await;
    }

    async fn file(&mut self, file: &'a PlannedFile, filled: &mut FilledTable) -> Result<(), Fault> {
        let newest = match &file.checkpoint {
            Some(CheckpointChange::Moves(to)) => Some(to.second_reading()),
            Some(CheckpointChange::Stays(_)) | None => None,
        };
        let mut pages = self.pages(file)?.with_newest(newest);
        while let Some(next) = pages.next(None)? {
            filled.duplicates += next.duplicates;
            let PageOutcome { tally, rejected } = self.write(file, &next).await?;
            filled.tally += tally;
            filled.set_rejected(&next, rejected);
            if filled.rejected.len() > MOST_REJECTED {
                return Err(too_many(file));
            }
            report_progress(&file.shape.table, filled.tally.read(), file.rows);
        }
        filled.checkpoint = self.move_checkpoint(file, filled, pages.newest()).await?;
        Ok(())
    }

    /// Moves the checkpoint of a table whose whole file was written. As in a run, rejected rows do
    /// not prevent it: the next run reads them from the source by their keys, if it has such keys.
    async fn move_checkpoint(
        &mut self,
        file: &PlannedFile,
        filled: &FilledTable,
        newest: Option<&NewestCursor>,
    ) -> Result<Option<CheckpointChange>, Fault> {
        let Some(CheckpointChange::Moves(to)) = &file.checkpoint else {
            return Ok(file.checkpoint.clone());
        };
        let stays = |reason| Ok(Some(CheckpointChange::Stays(reason)));
        if !newest.is_some_and(|newest| to.is_for(newest)) {
            return stays(StayReason::Changed);
        }
        if let Some(line) = lost_row(&file.shape, filled.rejected.iter()) {
            return stays(StayReason::LostRow(line));
        }
        match self.sink.move_checkpoint(&file.shape, to).await? {
            true => Ok(file.checkpoint.clone()),
            false => stays(StayReason::Changed),
        }
    }

    /// Writes a page, in parts where it takes too long or blocks another transaction.
    async fn write(&mut self, file: &PlannedFile, next: &FilePage) -> Result<PageOutcome, Fault> {
        let mut written = PageOutcome::default();
        let mut stack = vec![(next.page.clone(), Cow::Borrowed(&next.lines))];
        while let Some((page, lines)) = stack.pop() {
            let rows = KeyedPage { shape: &file.shape, page: &page, lines: &lines };
            match self.sink.write(rows).await {
                Ok(PageOutcome { tally, rejected }) => {
                    written.tally += tally;
                    written.rejected.extend(rejected);
                }
                Err(fault) if fault.may_pass_smaller() && page.rows > 1 => {
                    let parts = parts(&page, &lines).into_iter().rev();
                    stack.extend(parts.map(|(page, lines)| (page, Cow::Owned(lines))));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(written)
    }

    /// Retries rejected rows that waited for a row that may exist by now: their file is read again.
    /// Then the waiting rows of all tables are tried together. A table that fails does not stop the
    /// others.
    async fn retry_all(&mut self, report: &mut GapReport) {
        let mut failed = BTreeSet::new();
        for _ in 0..MOST_ROUNDS {
            let mut written = 0;
            for (file, filled) in self.files.iter().zip(&mut report.tables) {
                if failed.contains(&filled.table) {
                    continue;
                }
                match self.retry(file, filled).await {
                    Ok(rows) => written += rows,
                    Err(fault) => {
                        let fault = fault.of_table(&filled.table);
                        let stops = fault.stops_the_run();
                        report.faults.push(fault);
                        if stops {
                            return;
                        }
                        failed.insert(filled.table.clone());
                    }
                }
            }
            if written == 0 {
                break;
            }
        }
        if let Err(fault) = self.retry_interdependent(&mut report.tables, &failed).await {
            report.faults.push(fault);
        }
    }

    /// Retries the waiting rows of one table, and returns how many were written.
    async fn retry(
        &mut self,
        file: &'a PlannedFile,
        filled: &mut FilledTable,
    ) -> Result<u64, Fault> {
        let keys = filled.waiting();
        if keys.is_empty() {
            return Ok(0);
        }
        let mut written = 0;
        let mut pages = self.pages(file)?;
        while let Some(next) = pages.next(Some(&keys))? {
            if next.page.rows == 0 {
                continue;
            }
            let outcome = self.sink.retry(next.keyed(&file.shape)).await?;
            written += outcome.tally.written();
            filled.add_retry(&next, outcome);
        }
        Ok(written)
    }

    /// Retries the first page of waiting rows of each table in one step: of rows that point to each
    /// other in a circle, none can be written first.
    async fn retry_interdependent(
        &mut self,
        tables: &mut [FilledTable],
        failed: &BTreeSet<TableName>,
    ) -> Result<(), Fault> {
        let mut waiting = Vec::new();
        for (at, (file, filled)) in self.files.iter().zip(&*tables).enumerate() {
            let keys = filled.waiting();
            // Interdependent rows are written in two steps, and the row of the first could pass for
            // newer than that of the second.
            let may_be_newer = file.shape.newest_by().is_some();
            if failed.contains(&filled.table) || keys.is_empty() || may_be_newer {
                continue;
            }
            let next = self.pages(file).and_then(|mut pages| pages.next(Some(&keys)));
            let next = next.map_err(|fault| fault.of_table(&file.shape.table))?;
            waiting.extend(next.filter(|next| next.page.rows > 0).map(|next| (at, next)));
        }
        if waiting.iter().map(|(_, next)| next.page.rows).sum::<u64>() < 2 {
            return Ok(());
        }
        let pages: Vec<KeyedPage<'_>> =
            waiting.iter().map(|(at, next)| next.keyed(&self.files[*at].shape)).collect();
        let outcomes = self.sink.retry_interdependent(&pages).await?;
        for ((at, next), outcome) in waiting.iter().zip(outcomes) {
            tables[*at].add_retry(next, outcome);
        }
        Ok(())
    }

    /// Opens a file at its first row.
    fn pages(&self, file: &'a PlannedFile) -> Result<FilePages<'a>, Fault> {
        let is_known = |name: &str| file.header.iter().any(|known| known == name);
        let rows = self.folder.open(&file.file, &is_known)?;
        if rows.header() != file.header {
            return Err(Fault::new(
                Step::Read,
                FaultCode::BadFile,
                format!("{} has another header than a moment ago", file.file),
                "leave the files alone until the import has ended, then repeat it",
            ));
        }
        Ok(FilePages::new(file, self.nulls, rows, self.page_rows))
    }
}

impl FilePage {
    fn keyed<'a>(&'a self, shape: &'a Shape) -> KeyedPage<'a> {
        KeyedPage { shape, page: &self.page, lines: &self.lines }
    }
}

impl FilledTable {
    /// The keys of the rejected rows that may be accepted once another row exists.
    fn waiting(&self) -> BTreeSet<RowKey> {
        let waits = |line: &RejectedLine| line.code == MISSING_PARENT || line.code == TAKEN_VALUE;
        let waiting = self.rejected.iter().filter(|(_, line)| waits(line));
        waiting.map(|(key, _)| key.clone()).collect()
    }

    /// Replaces what is known of a page's rows by the rows that are rejected now.
    fn set_rejected(&mut self, page: &FilePage, rejected: Vec<RejectedRow>) {
        page.lines.keys().for_each(|key| {
            self.rejected.remove(key);
        });
        for RejectedRow { key, code, reason } in rejected {
            if let Some(&line) = page.lines.get(&key) {
                self.rejected.insert(key, RejectedLine { line, code, reason });
            }
        }
        self.tally.rejected = self.rejected.len() as u64;
    }

    /// Adds the outcome of a retry of rejected rows.
    fn add_retry(&mut self, page: &FilePage, PageOutcome { tally, rejected }: PageOutcome) {
        self.tally += Tally { rejected: 0, ..tally };
        self.set_rejected(page, rejected);
    }
}

/// Splits a page into parts of whole rows, each with the lines of its own rows: a row of a later
/// part may be kept as rejected by an earlier import, and is not reported before its part is
/// written.
fn parts(page: &Page, lines: &Lines) -> Vec<(Page, Lines)> {
    let most = usize::try_from(page.rows).unwrap_or(usize::MAX).div_ceil(PARTS);
    let mut ordered: Vec<_> = lines.iter().collect();
    ordered.sort_by_key(|(_, line)| **line);
    let mut line_groups = ordered.chunks(most);
    let (mut parts, mut start, mut rows) = (Vec::new(), 0, 0);
    let ends = page.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (end, _) in ends {
        rows += 1;
        if rows == most || end + 1 == page.bytes.len() {
            let bytes = page.bytes.slice(start..=end);
            let own = line_groups.next().into_iter().flatten().copied();
            let own = own.map(|(key, line)| (key.clone(), *line)).collect();
            parts.push((Page { bytes, rows: rows as u64, ..page.clone() }, own));
            (start, rows) = (end + 1, 0);
        }
    }
    parts
}

/// Emits the event of a page that was read, for the progress display.
pub fn report_progress(what: &impl std::fmt::Display, rows: u64, expected: u64) {
    tracing::debug!(
        target: "syncline::progress",
        table = %what,
        rows,
        expected,
        "Read a part of a file"
    );
}

fn too_many(file: &PlannedFile) -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::TooManyRefused,
        format!("The target refuses more than {MOST_REJECTED} rows of {}", file.file),
        "mend their common cause; `syncline rejects list` tells the reasons",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_page_has_the_lines_of_its_own_rows() {
        let key = |row: u64| RowKey::new(vec![format!("{}", 9 - row)]);
        let bytes = (0..5).map(|row| format!("{}\tx\n", 9 - row)).collect::<String>();
        let page = Page { bytes: bytes.into(), rows: 5, ..Page::empty() };
        // In the order of keys, the last line comes first.
        let lines: Lines = (0..5).map(|row| (key(row), 2 + row)).collect();

        let parts = parts(&page, &lines);

        let texts: Vec<(String, Vec<u64>)> = parts
            .iter()
            .map(|(page, lines)| {
                let rows = String::from_utf8_lossy(&page.bytes).replace("\tx\n", " ");
                let mut lines: Vec<u64> = lines.values().copied().collect();
                lines.sort_unstable();
                (rows, lines)
            })
            .collect();
        let expected = [("9 8 ", vec![2, 3]), ("7 6 ", vec![4, 5]), ("5 ", vec![6])];
        assert_eq!(texts, expected.map(|(rows, lines)| (rows.to_owned(), lines)));
    }
}
