//! Reads a file's rows as pages of text COPY or JSON. A page has a limit of bytes, and each key
//! once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::checkpoint_change::NewestCursor;
use super::csv_values::line::{Form, Line};
use super::csv_values::value::{self, Nulls};
use super::plan::PlannedFile;
use super::ports::{Record, Rows};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::{PAGE_BYTES, Page};
use crate::engine::model::range::RowKey;

/// Reads one file page by page.
pub struct FilePages<'a> {
    file: &'a PlannedFile,
    nulls: &'a Nulls,
    rows: Box<dyn Rows>,
    most_rows: u64,
    /// The places of the key's columns among the moved ones, with their types.
    key: Vec<(usize, &'a str)>,
    newest: Option<NewestCursor>,
}

/// The line that each row begins in, by its key.
pub type Lines = BTreeMap<RowKey, u64>;

/// A page, and the lines of its rows in the file.
#[derive(Debug)]
pub struct FilePage {
    /// The rows.
    pub page: Page,
    /// The line of each row, by its key.
    pub lines: Lines,
    /// The number of rows that were left out because a later one has the same key.
    pub duplicates: u64,
}

impl<'a> FilePages<'a> {
    /// Reads from the first row on, in pages of at most `most_rows`.
    pub fn new(
        file: &'a PlannedFile,
        nulls: &'a Nulls,
        rows: Box<dyn Rows>,
        most_rows: u32,
    ) -> Self {
        let place = |name: &String| {
            let place = file.shape.place(name).expect("key columns are among the moved ones");
            (place, file.shape.source_type(name))
        };
        let key = file.shape.key.iter().map(place).collect();
        Self { file, nulls, rows, most_rows: u64::from(most_rows), key, newest: None }
    }

    /// Looks for the newest cursor among the rows, if one is given.
    #[must_use]
    pub fn with_newest(self, newest: Option<NewestCursor>) -> Self {
        Self { newest, ..self }
    }

    /// The newest cursor so far, if it is looked for.
    pub fn newest(&self) -> Option<&NewestCursor> {
        self.newest.as_ref()
    }

    /// The next page; none at the file's end. Where `only` is given, rows with other keys are left
    /// out. Of rows with the same key the last counts, as if each had been written in turn.
    pub fn next(&mut self, only: Option<&BTreeSet<RowKey>>) -> Result<Option<FilePage>, Fault> {
        let mut bytes = Vec::new();
        let (mut places, mut lines) = (Vec::<(usize, usize)>::new(), BTreeMap::new());
        let mut rows_by_key: HashMap<Vec<String>, (usize, RowKey)> = HashMap::new();
        let (mut duplicates, mut has_row) = (0, false);
        while bytes.len() < PAGE_BYTES && (places.len() as u64) < self.most_rows {
            let (key, line, start) = {
                let Some(record) = self.rows.next()? else { break };
                has_row = true;
                if let Some(newest) = &mut self.newest {
                    newest.add(&self.file.readings, self.nulls, record);
                }
                let start = bytes.len();
                let key = write_row(self.file, self.nulls, &self.key, record, &mut bytes)?;
                (key, record.line(), start)
            };
            if only.is_some_and(|only| !only.contains(&key)) {
                bytes.truncate(start);
                continue;
            }
            let values = key.values().iter().zip(&self.key);
            let spelling =
                values.map(|(value, (_, of_type))| value::canonical(value, of_type).into_owned());
            let place = (places.len(), key.clone());
            if let Some((earlier, old_key)) = rows_by_key.insert(spelling.collect(), place) {
                places[earlier].1 = places[earlier].0;
                lines.remove(&old_key);
                duplicates += 1;
            }
            places.push((start, bytes.len()));
            lines.insert(key, line);
        }
        if !has_row {
            return Ok(None);
        }
        if duplicates > 0 {
            bytes = places.iter().flat_map(|&(from, to)| &bytes[from..to]).copied().collect();
        }
        let rows = places.len() as u64 - duplicates;
        let page = Page { bytes: bytes.into(), rows, last: None, complete: false };
        Ok(Some(FilePage { page, lines, duplicates }))
    }
}

/// Adds a row to the bytes in the agreed encoding, and returns its key.
fn write_row(
    file: &PlannedFile,
    nulls: &Nulls,
    key: &[(usize, &str)],
    record: &Record,
    bytes: &mut Vec<u8>,
) -> Result<RowKey, Fault> {
    let mut values: Vec<Option<String>> = vec![None; key.len()];
    let read = file.readings.iter().map(|(reading, at)| reading.value(record.field(*at), nulls));
    let mut line = Line::new(&file.shape.columns, Form::of(file.shape.encoding), bytes);
    for (at, value) in read.enumerate() {
        line.add(value.as_deref());
        if let Some(part) = key.iter().position(|(place, _)| *place == at) {
            values[part] = value.map(|value| value.into_owned());
        }
    }
    line.end();
    if let Some(part) = values.iter().position(Option::is_none) {
        return Err(no_key(file, &file.shape.key[part], record.line()));
    }
    Ok(RowKey::new(values.into_iter().flatten().collect()))
}

fn no_key(file: &PlannedFile, column: &str, line: u64) -> Fault {
    Fault::new(
        Step::Read,
        FaultCode::NoKey,
        format!("{}, line {line}, has no value in the key column {column}", file.file),
        "give the row its key, or take it out of the file",
    )
    .of_table(&file.shape.table)
}

/// The counts of a first reading of a file.
#[derive(Debug, Default)]
pub struct FileCounts {
    /// The number of rows.
    pub rows: u64,
    /// The columns with the word null, which may stand for NULL, and how often.
    pub null_words: BTreeMap<String, u64>,
}

/// Reads a file to its end and keeps no row, so that errors in its form are known before the first
/// row is written.
pub fn count(
    file: &PlannedFile,
    nulls: &Nulls,
    rows: Box<dyn Rows>,
    mut newest: Option<&mut NewestCursor>,
    mut on_row: impl FnMut(u64),
) -> Result<FileCounts, Fault> {
    let mut pages = FilePages::new(file, nulls, rows, 1);
    let mut counts = FileCounts::default();
    let mut line = Vec::new();
    while let Some(record) = pages.rows.next()? {
        line.clear();
        write_row(file, nulls, &pages.key, record, &mut line)?;
        for (column, (reading, place)) in file.shape.columns.iter().zip(&file.readings) {
            if reading.is_null_word(record.field(*place), nulls) {
                *counts.null_words.entry(column.name.clone()).or_default() += 1;
            }
        }
        if let Some(newest) = &mut newest {
            newest.add(&file.readings, nulls, record);
        }
        counts.rows += 1;
        on_row(counts.rows);
    }
    Ok(counts)
}
