//! A full sync that goes record by record: the answer to a batch of rows, and the position of the
//! deployment that sends them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::BODY_BYTES;
use super::session::{RejectedCopyRow, Restored, RestoredTable, SessionId};
use crate::engine::model::cursor;
use crate::engine::model::reject::MISSING_PARENT;
use crate::engine::model::sequence::Sequence;
use crate::engine::model::table::TableName;

/// The most rows of a batch.
pub const BATCH_ROWS: u32 = 500;

/// The most bytes of a batch: what one call can carry.
pub const BATCH_BYTES: usize = BODY_BYTES;

/// The most rows that are kept with their keys because they are not saved. Of a table with more of
/// them all rows are read again.
const MOST_KEPT: usize = 1_000;

/// The most rejected rows that are listed.
const MOST_LISTED: usize = 100;

/// The code of a row that somebody else holds locked (SQLSTATE 55P03).
const LOCKED: &str = "55P03";

/// The code of a row that is too large for a call (SQLSTATE 54000).
const TOO_LARGE: &str = "54000";

/// Names a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchAddress {
    /// The session.
    pub session: SessionId,
    /// The table of its rows.
    pub table: TableName,
    /// Its number in the session.
    pub number: u64,
}

/// The answer to a batch, given after its rows were committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// The counts of the rows that the table has now.
    pub saved: RestoredTable,
    /// A verdict for each row, in the order of the batch.
    pub verdicts: Vec<Verdict>,
}

/// The fate of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The table has it.
    Saved,
    /// The target rejected it.
    Rejected {
        /// The database's code for the reason (SQLSTATE).
        code: String,
        /// The reason in the database's own words.
        reason: String,
    },
}

impl Verdict {
    /// The verdict on a row that no call can carry.
    pub fn too_large(bytes: usize) -> Self {
        let reason = format!("the row has {bytes} bytes, and a call carries {BATCH_BYTES}");
        Self::Rejected { code: TOO_LARGE.to_owned(), reason }
    }
}

impl BatchAnswer {
    /// Says whether the answer has a verdict for each of so many rows, and counts as many as saved
    /// as it says are saved.
    pub fn is_of(&self, rows: u64) -> bool {
        let saved = self.verdicts.iter().filter(|verdict| **verdict == Verdict::Saved).count();
        self.verdicts.len() as u64 == rows && saved as u64 == self.saved.rows()
    }
}

/// The end of a session that went record by record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsEnd {
    /// The session.
    pub session: SessionId,
    /// The sequences of the deployment that was read, as of after the rows.
    pub sequences: Vec<Sequence>,
    /// The counts of all batches.
    pub restored: Restored,
}

/// The position of the deployment that sends rows. It is saved after the answer to each batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsPosition {
    /// The number of the next batch.
    pub batch: u64,
    /// The rows that are still to be sent, in their order.
    pub queue: Vec<Reading>,
    /// The counts of each table.
    pub tables: BTreeMap<TableName, RecordCounts>,
    /// The rows that are not saved: all of them where they are few.
    pub unsaved: Vec<RejectedCopyRow>,
    /// The number of rows that waited at the end of the pass before.
    pub waited: Option<u64>,
}

/// Rows of a table that are still to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The table.
    pub table: TableName,
    /// The rows.
    pub rows: ReadingRows,
}

/// The rows of a reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingRows {
    /// All rows behind this one, in the order of the key.
    After(Option<cursor::Position>),
    /// The rows of these keys.
    Keys(Vec<Vec<String>>),
}

/// The counts of a table whose rows go record by record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordCounts {
    /// Rows that the table did not have.
    pub inserted: u64,
    /// Rows that differed.
    pub updated: u64,
    /// Rows that the table has now.
    pub saved: u64,
    /// Rows that the target rejected.
    pub rejected: u64,
    /// Rows that wait for another one, and are sent again.
    pub waiting: u64,
}

impl RecordsPosition {
    /// The position before the first row of these tables.
    pub fn start(tables: impl IntoIterator<Item = TableName>) -> Self {
        let all = |table| Reading { table, rows: ReadingRows::After(None) };
        Self { queue: tables.into_iter().map(all).collect(), ..Self::default() }
    }

    /// The number of rows that the receiving side has.
    pub fn saved(&self) -> u64 {
        self.tables.values().map(|counts| counts.saved).sum()
    }

    /// The number of rows that are not saved.
    pub fn unsaved(&self) -> u64 {
        self.tables.values().map(|counts| counts.rejected + counts.waiting).sum()
    }

    /// Counts the verdicts on rows of these keys.
    pub fn record(&mut self, table: &TableName, keys: Vec<Vec<String>>, answer: BatchAnswer) {
        let BatchAnswer { saved, verdicts } = answer;
        let counts = self.tables.entry(table.clone()).or_default();
        counts.inserted += saved.inserted;
        counts.updated += saved.updated;
        counts.saved += saved.rows();
        for (key, verdict) in keys.into_iter().zip(verdicts) {
            let Verdict::Rejected { code, reason } = verdict else { continue };
            let waits = waits(&code);
            match waits {
                true => counts.waiting += 1,
                false => counts.rejected += 1,
            }
            // Rows that wait, and may yet be saved, take no place from those that are rejected.
            if self.unsaved.len() < MOST_KEPT || !waits && rejected(&self.unsaved) < MOST_LISTED {
                self.unsaved.push(RejectedCopyRow { table: table.clone(), key, code, reason });
            }
        }
    }

    /// Begins another pass over the rows that wait for another one, if the last one made them
    /// fewer. Returns false if there is none: what is not saved then is rejected.
    pub fn send_waiting(&mut self) -> bool {
        let waiting = self.tables.values().map(|counts| counts.waiting).sum();
        if waiting == 0 || self.waited.is_some_and(|waited| waiting >= waited) {
            return false;
        }
        self.waited = Some(waiting);
        self.send_again(|counts| counts.waiting > 0, |row| waits(&row.code));
        true
    }

    /// Begins another pass over all rows that are not saved.
    pub fn send_unsaved(&mut self) {
        self.waited = None;
        self.send_again(|counts| counts.waiting + counts.rejected > 0, |_| true);
    }

    /// Puts rows into the queue that are not saved, and forgets their verdicts. Of a table of which
    /// not all such rows are kept, all rows are read and counted again.
    fn send_again(
        &mut self,
        has_some: impl Fn(&RecordCounts) -> bool,
        is_one: impl Fn(&RejectedCopyRow) -> bool,
    ) {
        for (table, counts) in self.tables.iter_mut().filter(|(_, counts)| has_some(counts)) {
            let of_table = |row: &&RejectedCopyRow| row.table == *table;
            let kept = self.unsaved.iter().filter(of_table).count() as u64;
            let rows = if kept == counts.rejected + counts.waiting {
                let again = self.unsaved.extract_if(.., |row| row.table == *table && is_one(row));
                let mut keys = Vec::new();
                for row in again {
                    match waits(&row.code) {
                        true => counts.waiting -= 1,
                        false => counts.rejected -= 1,
                    }
                    keys.push(row.key);
                }
                ReadingRows::Keys(keys)
            } else {
                self.unsaved.retain(|row| row.table != *table);
                (counts.saved, counts.rejected, counts.waiting) = (0, 0, 0);
                ReadingRows::After(None)
            };
            self.queue.push(Reading { table: table.clone(), rows });
        }
    }

    /// The outcome so far.
    pub fn restored(&self) -> Restored {
        let counts = |(table, counts): (&TableName, &RecordCounts)| {
            let RecordCounts { inserted, updated, saved, .. } = *counts;
            // A row that was written in two passes, since it changed in between, is one row.
            let inserted = inserted.min(saved);
            let updated = updated.min(saved - inserted);
            let unchanged = saved - inserted - updated;
            (table.clone(), RestoredTable { inserted, updated, unchanged })
        };
        let (waiting, rejected): (Vec<_>, Vec<_>) =
            self.unsaved.iter().partition(|row| waits(&row.code));
        let refused = rejected.into_iter().chain(waiting);
        Restored {
            tables: self.tables.iter().map(counts).collect(),
            refused: refused.take(MOST_LISTED).cloned().collect(),
            refused_in_all: self.unsaved(),
            verified: 0,
            keyless: Vec::new(),
        }
    }
}

fn rejected(unsaved: &[RejectedCopyRow]) -> usize {
    unsaved.iter().filter(|row| !waits(&row.code)).count()
}

fn waits(code: &str) -> bool {
    code == MISSING_PARENT || code == LOCKED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableName {
        TableName::new("public", "a")
    }

    fn rejected(code: &str) -> Verdict {
        Verdict::Rejected { code: code.to_owned(), reason: "it says why".to_owned() }
    }

    fn answer(saved: u64, others: &[&str]) -> BatchAnswer {
        let mut verdicts = vec![Verdict::Saved; usize::try_from(saved).unwrap()];
        verdicts.extend(others.iter().map(|code| rejected(code)));
        BatchAnswer { saved: RestoredTable { inserted: saved, ..Default::default() }, verdicts }
    }

    fn keys(range: std::ops::Range<u64>) -> Vec<Vec<String>> {
        range.map(|key| vec![key.to_string()]).collect()
    }

    /// A position after one batch of 3 saved rows and these others.
    fn after_batch(others: &[&str]) -> RecordsPosition {
        let mut position = RecordsPosition::start([table()]);
        position.queue.clear();
        position.record(&table(), keys(0..3 + others.len() as u64), answer(3, others));
        position
    }

    #[test]
    fn an_answer_has_a_verdict_for_each_row_and_counts_what_it_says() {
        assert!(answer(2, &["23514"]).is_of(3));
        assert!(!answer(2, &["23514"]).is_of(4));
        assert!(!answer(2, &["23514"]).is_of(2));
        let more = RestoredTable { inserted: 3, ..RestoredTable::default() };
        assert!(!BatchAnswer { saved: more, ..answer(2, &["23514"]) }.is_of(3));
    }

    #[test]
    fn rows_that_wait_are_sent_again_by_their_keys_as_long_as_they_become_fewer() {
        let mut position = after_batch(&[MISSING_PARENT, "23514", MISSING_PARENT]);
        assert!(position.send_waiting());
        let again = vec![vec!["3".to_owned()], vec!["5".to_owned()]];
        assert_eq!(position.queue[0].rows, ReadingRows::Keys(again.clone()));
        assert_eq!((position.saved(), position.unsaved()), (3, 1));
        position.queue.clear();
        position.record(&table(), again, answer(1, &[MISSING_PARENT]));
        assert_eq!((position.saved(), position.unsaved()), (4, 2));
        assert!(position.send_waiting(), "one row waits where two did");
        position.queue.clear();
        position.record(&table(), keys(5..6), answer(0, &[MISSING_PARENT]));
        assert!(!position.send_waiting(), "one waited before");
        let restored = position.restored();
        assert_eq!((restored.refused_in_all, restored.refused.len()), (2, 2));
        assert_eq!(restored.tables[&table()].inserted, 4);
    }

    #[test]
    fn a_resumed_session_sends_rejected_rows_once_more() {
        let mut position = after_batch(&["23514"]);
        assert!(!position.send_waiting());
        position.send_unsaved();
        assert_eq!(position.queue[0].rows, ReadingRows::Keys(keys(3..4)));
        position.record(&table(), keys(3..4), answer(1, &[]));
        assert_eq!((position.saved(), position.unsaved()), (4, 0));
        assert!(position.restored().refused.is_empty());
    }

    #[test]
    fn a_table_with_more_unsaved_rows_than_are_kept_is_read_again() {
        let mut position = after_batch(&[MISSING_PARENT; MOST_KEPT + 1]);
        assert_eq!(position.unsaved(), MOST_KEPT as u64 + 1);
        assert_eq!(position.restored().refused.len(), MOST_LISTED);
        assert!(position.send_waiting());
        assert_eq!(position.queue[0].rows, ReadingRows::After(None));
        assert_eq!((position.saved(), position.unsaved()), (0, 0));
        let rows = MOST_KEPT as u64 + 4;
        let unchanged = RestoredTable { inserted: rows - 3, updated: 0, unchanged: 3 };
        let verdicts = vec![Verdict::Saved; usize::try_from(rows).unwrap()];
        position.record(&table(), keys(0..rows), BatchAnswer { saved: unchanged, verdicts });
        let counted = position.restored().tables[&table()];
        assert_eq!((counted.inserted, counted.rows()), (rows, rows));
    }

    #[test]
    fn a_rejected_row_is_listed_however_many_rows_wait() {
        let mut position = after_batch(&[MISSING_PARENT; MOST_KEPT]);
        position.record(&TableName::new("public", "b"), keys(0..1), answer(0, &["23514"]));
        assert_eq!(position.restored().refused[0].code, "23514");
    }

    #[test]
    fn a_position_survives_its_json() {
        let mut position = after_batch(&[MISSING_PARENT]);
        position.send_waiting();
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<RecordsPosition>(&text).unwrap(), position);
    }
}
