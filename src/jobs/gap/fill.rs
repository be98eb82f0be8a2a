//! Puts the files in, one after the other, and then once more what waited for a row of a later page
//! or file.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::import::ImportGap;
use super::movable_checkpoint::{self, Newest, Stays, Vouched};
use super::pages::{Filled, Lines, Pages};
use super::plan::PlannedFile;
use super::ports::{Folder, RefusedRow, Rehearsed};
use super::report::{FilledTable, GapReport, RefusedLine};
use super::sink::{Keyed, Put};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::reject::{MISSING_PARENT, TAKEN_VALUE};
use crate::engine::model::run::Tally;
use crate::engine::model::table::TableName;

/// How often what waits is tried again, as long as some goes in: rows that point to one another are
/// this many generations deep at most.
const MOST_ROUNDS: usize = 64;

/// More refused rows of one file have a common cause, and they are kept in memory until its end.
const MOST_REFUSED: usize = 100_000;

/// Into how many parts a page goes that takes too long.
const PARTS: usize = 4;

/// The files on their way.
pub struct Filling<'a> {
    /// What is asked.
    pub job: &'a ImportGap,
    /// Where rows come from.
    pub folder: &'a dyn Folder,
    /// The files, parents' tables first.
    pub files: &'a [PlannedFile],
    /// Where rows go.
    pub put: &'a mut dyn Put,
}

impl Filling<'_> {
    /// Puts all files in. What goes wrong is in the report.
    pub async fn all(mut self, report: &mut GapReport) {
        for file in self.files {
            let mut filled = FilledTable {
                table: file.shape.table.clone(),
                file: file.file.clone(),
                tally: Tally::default(),
                doubled: 0,
                refused: Default::default(),
                vouched: None,
            };
            let ended = self.file(file, &mut filled).await;
            tracing::debug!(target: "syncline::progress", table = %filled.table, ended = true);
            if ended.is_err() && matches!(file.vouched, Some(Vouched::Moves(_))) {
                filled.vouched = Some(Vouched::Stays(Stays::Failed));
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
        self.waiting(report).await;
    }

    async fn file(&mut self, file: &PlannedFile, filled: &mut FilledTable) -> Result<(), Fault> {
        let watch = match &file.vouched {
            Some(Vouched::Moves(on)) => Some(on.watch()),
            Some(Vouched::Stays(_)) | None => None,
        };
        let mut pages = pages(self.job, self.folder, file)?.watched(watch);
        while let Some(next) = pages.next(None)? {
            filled.doubled += next.doubled;
            let Rehearsed { tally, refused } = self.save(file, &next).await?;
            filled.tally += tally;
            filled.note(&next, refused);
            if filled.refused.len() > MOST_REFUSED {
                return Err(too_many(file));
            }
            tell(&file.shape.table, filled.tally.read(), file.rows);
        }
        filled.vouched = self.move_on(file, filled, pages.newest()).await?;
        Ok(())
    }

    /// What becomes of the checkpoint of a table whose file is in whole. Refused rows do not hold
    /// it up, as in a run: the next one asks the source for them by their keys, if those are the
    /// source's.
    async fn move_on(
        &mut self,
        file: &PlannedFile,
        filled: &FilledTable,
        newest: Option<&Newest>,
    ) -> Result<Option<Vouched>, Fault> {
        let Some(Vouched::Moves(on)) = &file.vouched else { return Ok(file.vouched.clone()) };
        let stays = |why| Ok(Some(Vouched::Stays(why)));
        if !newest.is_some_and(|newest| on.is_of(newest)) {
            return stays(Stays::Changed);
        }
        if let Some(line) = movable_checkpoint::lost_row(&file.shape, filled.refused.iter()) {
            return stays(Stays::LostRow(line));
        }
        match self.put.move_on(&file.shape, on).await? {
            true => Ok(file.vouched.clone()),
            false => stays(Stays::Changed),
        }
    }

    /// Puts a page in, in parts where it takes too long or is in somebody's way.
    async fn save(&mut self, file: &PlannedFile, next: &Filled) -> Result<Rehearsed, Fault> {
        let mut saved = Rehearsed::default();
        let mut left = vec![(next.page.clone(), Cow::Borrowed(&next.lines))];
        while let Some((page, lines)) = left.pop() {
            let rows = Keyed { shape: &file.shape, page: &page, lines: &lines };
            match self.put.page(rows).await {
                Ok(Rehearsed { tally, refused }) => {
                    saved.tally += tally;
                    saved.refused.extend(refused);
                }
                Err(fault) if fault.may_pass_smaller() && page.rows > 1 => {
                    let parts = parts(&page, &lines).into_iter().rev();
                    left.extend(parts.map(|(page, lines)| (page, Cow::Owned(lines))));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(saved)
    }

    /// Tries again what waits for a row that may have come since: its file is read once more. Then
    /// what waits is tried together. A table in which something goes wrong leaves the others to go
    /// on.
    async fn waiting(&mut self, report: &mut GapReport) {
        let mut failed = BTreeSet::new();
        for _ in 0..MOST_ROUNDS {
            let mut written = 0;
            for (file, filled) in self.files.iter().zip(&mut report.tables) {
                if failed.contains(&filled.table) {
                    continue;
                }
                match self.again(file, filled).await {
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
        if let Err(fault) = self.together(&mut report.tables, &failed).await {
            report.faults.push(fault);
        }
    }

    /// How many rows went in.
    async fn again(&mut self, file: &PlannedFile, filled: &mut FilledTable) -> Result<u64, Fault> {
        let keys = filled.waiting();
        if keys.is_empty() {
            return Ok(0);
        }
        let mut written = 0;
        let mut pages = pages(self.job, self.folder, file)?;
        while let Some(next) = pages.next(Some(&keys))? {
            if next.page.rows == 0 {
                continue;
            }
            let rows = Keyed { shape: &file.shape, page: &next.page, lines: &next.lines };
            let Rehearsed { tally, refused } = self.put.again(rows).await?;
            written += tally.written();
            filled.went_in(tally);
            filled.note(&next, refused);
        }
        Ok(written)
    }

    /// The first page of what waits in each table, all at once: rows in a circle have no first one.
    async fn together(
        &mut self,
        tables: &mut [FilledTable],
        failed: &BTreeSet<TableName>,
    ) -> Result<(), Fault> {
        let mut waiting = Vec::new();
        for (at, (file, filled)) in self.files.iter().zip(&*tables).enumerate() {
            if failed.contains(&filled.table) {
                continue;
            }
            let keys = filled.waiting();
            // It takes two steps, and the first could look newer than the second.
            if !keys.is_empty() && file.shape.newest_by().is_none() {
                let next =
                    pages(self.job, self.folder, file).and_then(|mut of| of.next(Some(&keys)));
                let next = next.map_err(|fault| fault.of_table(&file.shape.table))?;
                waiting.extend(next.filter(|next| next.page.rows > 0).map(|next| (at, next)));
            }
        }
        if waiting.iter().map(|(_, next)| next.page.rows).sum::<u64>() < 2 {
            return Ok(());
        }
        let all: Vec<Keyed<'_>> = waiting
            .iter()
            .map(|of: &(usize, Filled)| {
                let (at, next) = of;
                Keyed { shape: &self.files[*at].shape, page: &next.page, lines: &next.lines }
            })
            .collect();
        let Some(told) = self.put.together(&all).await? else { return Ok(()) };
        for ((at, next), Rehearsed { tally, refused }) in waiting.iter().zip(told) {
            tables[*at].went_in(tally);
            tables[*at].note(next, refused);
        }
        Ok(())
    }
}

impl FilledTable {
    /// The keys of the refused rows that another row may let in.
    fn waiting(&self) -> BTreeSet<RowKey> {
        let waits = |of: &RefusedLine| of.code == MISSING_PARENT || of.code == TAKEN_VALUE;
        let waiting = self.refused.iter().filter(|(_, of)| waits(of));
        waiting.map(|(key, _)| key.clone()).collect()
    }

    /// Takes in which rows of a page are refused now, and forgets its others.
    fn note(&mut self, of: &Filled, refused: Vec<RefusedRow>) {
        of.lines.keys().for_each(|key| {
            self.refused.remove(key);
        });
        for RefusedRow { key, code, reason } in refused {
            if let Some(&line) = of.lines.get(&key) {
                self.refused.insert(key, RefusedLine { line, code, reason });
            }
        }
        self.tally.rejected = self.refused.len() as u64;
    }

    /// Counts rows that were refused at first.
    fn went_in(&mut self, tally: Tally) {
        self.tally += Tally { rejected: 0, ..tally };
    }
}

/// Opens a file anew, at its first row.
fn pages<'a>(
    job: &'a ImportGap,
    folder: &dyn Folder,
    file: &'a PlannedFile,
) -> Result<Pages<'a>, Fault> {
    let rows = folder.open(&file.file, &|name| file.header.iter().any(|of| of == name))?;
    if rows.header() != file.header {
        return Err(Fault::new(
            Step::Read,
            Remedy::Operator,
            FaultCode::BadFile,
            format!("{} has another header than a moment ago", file.file),
            "leave the files alone until the import has ended, then repeat it",
        ));
    }
    Ok(Pages::new(file, &job.nulls, rows, job.pipeline.page_rows))
}

/// A page in parts of whole rows, each with the lines of its own: a row of a later part may have
/// been set aside by an earlier import, and is not told of before its turn has come.
fn parts(page: &Page, lines: &Lines) -> Vec<(Page, Lines)> {
    let most = usize::try_from(page.rows).unwrap_or(usize::MAX).div_ceil(PARTS);
    let mut ordered: Vec<_> = lines.iter().collect();
    ordered.sort_by_key(|(_, line)| **line);
    let mut of_parts = ordered.chunks(most);
    let (mut parts, mut start, mut rows) = (Vec::new(), 0, 0);
    let ends = page.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (end, _) in ends {
        rows += 1;
        if rows == most || end + 1 == page.bytes.len() {
            let bytes = page.bytes.slice(start..=end);
            let own = of_parts.next().into_iter().flatten().copied();
            let own = own.map(|(key, line)| (key.clone(), *line)).collect();
            parts.push((Page { bytes, rows: rows as u64, ..page.clone() }, own));
            (start, rows) = (end + 1, 0);
        }
    }
    parts
}

/// One line a page, for whoever draws progress.
pub fn tell(what: &impl std::fmt::Display, rows: u64, expected: u64) {
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
        Remedy::Operator,
        FaultCode::TooManyRefused,
        format!("The target refuses more than {MOST_REFUSED} rows of {}", file.file),
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

        let told: Vec<(String, Vec<u64>)> = parts
            .iter()
            .map(|(page, lines)| {
                let rows = String::from_utf8_lossy(&page.bytes).replace("\tx\n", " ");
                let mut lines: Vec<u64> = lines.values().copied().collect();
                lines.sort_unstable();
                (rows, lines)
            })
            .collect();
        let expected = [("9 8 ", vec![2, 3]), ("7 6 ", vec![4, 5]), ("5 ", vec![6])];
        assert_eq!(told, expected.map(|(rows, lines)| (rows.to_owned(), lines)));
    }
}
