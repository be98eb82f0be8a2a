//! A file's rows as pages that the target takes: text COPY or JSON, of bounded bytes, each key
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
    pub doubled: u64,
}

impl<'a> FilePages<'a> {
    /// Reads from the first row on, in pages of at most so many rows.
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

    /// Watches for the newest cursor among the rows.
    #[must_use]
    pub fn watched(self, newest: Option<NewestCursor>) -> Self {
        Self { newest, ..self }
    }

    /// The newest cursor so far, if it is watched for.
    pub fn newest(&self) -> Option<&NewestCursor> {
        self.newest.as_ref()
    }

    /// The next page; none when the file is read. Where `only` is given, other rows are passed
    /// over. The last of the rows with one key counts, as if each had been written in its turn.
    pub fn next(&mut self, only: Option<&BTreeSet<RowKey>>) -> Result<Option<FilePage>, Fault> {
        let mut bytes = Vec::new();
        let (mut places, mut lines) = (Vec::<(usize, usize)>::new(), BTreeMap::new());
        let mut known: HashMap<Vec<String>, (usize, RowKey)> = HashMap::new();
        let (mut doubled, mut any) = (0, false);
        while bytes.len() < PAGE_BYTES && (places.len() as u64) < self.most_rows {
            let (key, line, start) = {
                let Some(record) = self.rows.next()? else { break };
                any = true;
                if let Some(newest) = &mut self.newest {
                    newest.see(&self.file.readings, self.nulls, record);
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
            if let Some((before, old)) = known.insert(spelling.collect(), place) {
                places[before].1 = places[before].0;
                lines.remove(&old);
                doubled += 1;
            }
            places.push((start, bytes.len()));
            lines.insert(key, line);
        }
        if !any {
            return Ok(None);
        }
        if doubled > 0 {
            let kept: Vec<u8> =
                places.iter().flat_map(|&(from, to)| &bytes[from..to]).copied().collect();
            bytes = kept;
        }
        let rows = places.len() as u64 - doubled;
        let page = Page { bytes: bytes.into(), rows, last: None, complete: false };
        Ok(Some(FilePage { page, lines, doubled }))
    }
}

/// Adds a row to the bytes, in the agreed form, and returns its key.
fn write_row(
    file: &PlannedFile,
    nulls: &Nulls,
    key: &[(usize, &str)],
    record: &Record,
    bytes: &mut Vec<u8>,
) -> Result<RowKey, Fault> {
    let mut values: Vec<Option<String>> = vec![None; key.len()];
    let read = file.readings.iter().map(|(reading, at)| reading.value(record.field(*at), nulls));
    let mut line = Line::begun(&file.shape.columns, Form::of(file.shape.encoding), bytes);
    for (at, value) in read.enumerate() {
        line.add(value.as_deref());
        if let Some(part) = key.iter().position(|(place, _)| *place == at) {
            values[part] = value.map(|value| value.into_owned());
        }
    }
    line.end();
    let lacking = values.iter().position(Option::is_none);
    if let Some(part) = lacking {
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

/// The findings of a first reading of a file.
#[derive(Debug, Default)]
pub struct Counted {
    /// The number of rows.
    pub rows: u64,
    /// The columns with the word null in them, and how often.
    pub doubtful: BTreeMap<String, u64>,
}

/// Reads a file to its end and keeps nothing of it, so that what is wrong with its form is known
/// before the first row is written.
pub fn count(
    file: &PlannedFile,
    nulls: &Nulls,
    rows: Box<dyn Rows>,
    mut newest: Option<&mut NewestCursor>,
    mut on_row: impl FnMut(u64),
) -> Result<Counted, Fault> {
    let mut pages = FilePages::new(file, nulls, rows, 1);
    let mut counted = Counted::default();
    let mut line = Vec::new();
    while let Some(record) = pages.rows.next()? {
        line.clear();
        write_row(file, nulls, &pages.key, record, &mut line)?;
        for (column, (reading, place)) in file.shape.columns.iter().zip(&file.readings) {
            if reading.is_doubtful(record.field(*place), nulls) {
                *counted.doubtful.entry(column.name.clone()).or_default() += 1;
            }
        }
        if let Some(newest) = &mut newest {
            newest.see(&file.readings, nulls, record);
        }
        counted.rows += 1;
        on_row(counted.rows);
    }
    Ok(counted)
}
