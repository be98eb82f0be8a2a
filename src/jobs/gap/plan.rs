//! Decides which file fills which table and by which columns, or why it cannot. Parents' tables
//! come first.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint_change::CheckpointChange;
use super::csv_values::header::HeaderMatch;
use super::csv_values::value::Reading;
use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::{Column, Facts, TableFacts};
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::{Pipeline, TableRule};
use crate::engine::model::shape::Shape;
use crate::engine::model::table::{DEFAULT_SCHEMA, TableName};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::{encoding, tables};

/// A file that can be imported.
#[derive(Clone, Debug)]
pub struct PlannedFile {
    /// The name of the file in the folder.
    pub file: String,
    /// The names in its first line.
    pub header: Vec<String>,
    /// The agreement on the columns that are moved.
    pub shape: Shape,
    /// The reading of each moved column, with its place in a row of the file.
    pub readings: Vec<(Reading, usize)>,
    /// The names in its header that mean no column.
    pub extra: Vec<String>,
    /// The table's columns that the file lacks. They stay as they are, or take their defaults.
    pub missing: Vec<String>,
    /// The number of rows.
    pub rows: u64,
    /// The columns with the word null, which may stand for NULL, and how often.
    pub null_words: BTreeMap<String, u64>,
    /// The change of the table's checkpoint, where somebody vouches for the file.
    pub checkpoint: Option<CheckpointChange>,
}

/// The header of a file, with the table that the file is for.
#[derive(Clone, Debug)]
pub struct FileHeader {
    /// The name of the file in the folder.
    pub file: String,
    /// The table.
    pub table: TableName,
    /// The names in its first line.
    pub header: Vec<String>,
}

/// The tables that a file may be for by its name: `TABLE.csv`, `SCHEMA.TABLE.csv`, and
/// `TABLE_rows.csv` as the dashboard's table editor names it. The likelier come first.
pub fn candidates(file: &str) -> Vec<TableName> {
    let stem = file.rfind('.').map_or(file, |dot| &file[..dot]);
    let mut tables = Vec::new();
    for stem in [Some(stem), stem.strip_suffix("_rows")].into_iter().flatten() {
        tables.push(TableName::new(DEFAULT_SCHEMA, stem));
        let dots = stem.match_indices('.');
        tables.extend(dots.map(|(at, _)| TableName::new(&stem[..at], &stem[at + 1..])));
    }
    tables.retain(|table| !table.schema().is_empty() && !table.name().is_empty());
    tables
}

/// The name of the file that a table's rows are expected in.
pub fn file_of(table: &TableName) -> String {
    match table.schema() {
        DEFAULT_SCHEMA => format!("{}.csv", table.name()),
        schema => format!("{schema}.{}.csv", table.name()),
    }
}

/// Pairs each file with its table, and notes what fits nothing. An empty selection stands for the
/// tables of the pipeline. A table that is not in `facts` does not exist.
pub fn match_files(
    files: &[String],
    selection: &[TableName],
    pipeline: &Pipeline,
    facts: &Facts,
) -> (Vec<(String, TableName)>, Vec<Note>) {
    let (mut pairs, mut notes) = (Vec::<(String, TableName)>::new(), Vec::new());
    let is_selected = |table: &TableName| match (selection, &pipeline.tables) {
        ([], None) => true,
        ([], Some(listed)) => listed.contains(table),
        (selection, _) => selection.contains(table),
    };
    for file in files {
        let tables = candidates(file);
        let Some(table) = tables.iter().find(|table| facts.tables.contains_key(*table)) else {
            if selection.is_empty() {
                let name = TableName::new(DEFAULT_SCHEMA, file.clone());
                notes.push(no_table(file, tables.first().unwrap_or(&name)));
            }
            continue;
        };
        if !is_selected(table) {
            if selection.is_empty() {
                notes.push(not_of_pipeline(file, table));
            }
            continue;
        }
        if let Some((other, _)) = pairs.iter().find(|(_, other)| other == table) {
            notes.push(problem(table, format!("both {other} and {file} are for it"), "keep one"));
            continue;
        }
        pairs.push((file.clone(), table.clone()));
    }
    for table in selection.iter().filter(|table| !pairs.iter().any(|(_, other)| other == *table)) {
        let text = match facts.tables.contains_key(table) {
            true => format!("the folder has no {}", file_of(table)),
            false => "it does not exist on the target".to_owned(),
        };
        notes.push(problem(table, text, "`syncline gap sql` tells what to export, and as what"));
    }
    (pairs, notes)
}

fn no_table(file: &str, name: &TableName) -> Note {
    let text = format!("{file} is named like no table of the target");
    problem(name, text, "name it TABLE.csv, or SCHEMA.TABLE.csv outside of public, or take it away")
}

fn not_of_pipeline(file: &str, table: &TableName) -> Note {
    let text = format!("{file} is passed over: the table is not one of the pipeline's");
    Note::new(Weight::Warning, table, text, format!("name it with --table {table} to import it"))
}

/// Plans the files with these headers, parents' tables first. A file with a problem is left out,
/// and a note names it.
pub fn files(
    headers: &[FileHeader],
    pipeline: &Pipeline,
    facts: &Facts,
) -> (Vec<PlannedFile>, Vec<Note>) {
    let (mut notes, mut matches) = (Vec::new(), BTreeMap::new());
    let mut file_facts = Facts::default();
    for header in headers {
        let FileHeader { file, table, header: names } = header;
        let table_facts = &facts.tables[table];
        let columns = HeaderMatch::new(names, &table_facts.columns);
        match obstacle(file, table, table_facts, &columns) {
            Some(note) => notes.push(note),
            None => {
                file_facts.tables.insert(table.clone(), restrict(table_facts, &columns));
                matches.insert(table, (header, columns));
            }
        }
    }
    let pipeline = pipeline_for_files(pipeline, &file_facts);
    let planned = tables::plan(&pipeline, &file_facts, facts);
    notes.extend(planned.notes.into_iter().filter(|note| note.weight == Weight::Problem));
    let mut files = Vec::new();
    for shape in planned.shapes {
        let (header, columns) = &matches[&shape.table];
        let table = &facts.tables[&shape.table];
        // A file's values are texts, which binary COPY does not take.
        let encoding = encoding::agree([facts, facts], Encoding::Text);
        let shape = Shape { encoding, filter: None, ..shape };
        files.push(planned_file(header, shape, columns, table));
    }
    (files, notes)
}

fn planned_file(
    header: &FileHeader,
    shape: Shape,
    columns: &HeaderMatch,
    table: &TableFacts,
) -> PlannedFile {
    let place = |name: &str| {
        let place = columns.places.iter().find(|(column, _)| column == name);
        place.map(|(_, place)| *place).expect("a moved column is one of the file's")
    };
    let column = |name: &str| table.column(name).expect("a moved column is one of the table's");
    let readings = shape.columns.iter().map(|moved| {
        let name = moved.name.as_str();
        (Reading::of(column(name)), place(name))
    });
    let is_missing = |column: &&Column| !column.generated && shape.place(&column.name).is_none();
    let missing = table.columns.iter().filter(is_missing);
    PlannedFile {
        file: header.file.clone(),
        header: header.header.clone(),
        readings: readings.collect(),
        extra: columns.extra.clone(),
        missing: missing.map(|column| column.name.clone()).collect(),
        rows: 0,
        null_words: BTreeMap::new(),
        checkpoint: None,
        shape,
    }
}

/// The reason why a file cannot fill its table, if there is one.
fn obstacle(
    file: &str,
    table: &TableName,
    facts: &TableFacts,
    columns: &HeaderMatch,
) -> Option<Note> {
    let has = |name: &String| columns.has(name);
    if !facts.relation.is_table() {
        return Some(problem(table, "it is no table on the target", "import the tables it reads"));
    }
    if columns.places.is_empty() {
        let text = format!("the first line of {file} names none of its columns");
        return Some(problem(table, text, "export it with a header line"));
    }
    if !columns.duplicates.is_empty() {
        let text = format!("{file} has the column {} twice", columns.duplicates.join(", "));
        return Some(problem(table, text, "take one of them out of the file"));
    }
    if facts.keys.is_empty() {
        let text = "it has no primary key and no unique index over non-null columns";
        return Some(problem(
            table,
            text,
            "add a primary key; without one a row is not found again",
        ));
    }
    if !facts.keys.iter().any(|key| key.iter().all(has)) {
        let missing: Vec<&str> =
            facts.keys[0].iter().filter(|name| !has(name)).map(String::as_str).collect();
        let text = format!("{file} lacks its key column {}", missing.join(", "));
        return Some(problem(table, text, "export the file with it"));
    }
    let needs = |column: &&Column| {
        column.not_null && !column.has_default && !column.generated && !has(&column.name)
    };
    let needed: Vec<&str> =
        facts.columns.iter().filter(needs).map(|column| column.name.as_str()).collect();
    if !needed.is_empty() {
        let text = format!("{file} lacks {}, which needs a value", needed.join(", "));
        return Some(problem(table, text, "export the file with it, or give the column a default"));
    }
    None
}

fn problem(table: &TableName, text: impl Into<String>, remedy: &str) -> Note {
    Note::new(Weight::Problem, table, text, remedy)
}

/// The table without the columns that the file lacks.
fn restrict(facts: &TableFacts, columns: &HeaderMatch) -> TableFacts {
    let mut table = facts.clone();
    table.columns.retain(|column| columns.has(&column.name));
    table.keys.retain(|key| key.iter().all(|name| columns.has(name)));
    // A file does not tell which triggers its rows went through.
    table.triggers = Vec::new();
    table
}

/// The pipeline with the tables and columns of these files alone. It has no filters: those are
/// conditions on rows of the source.
fn pipeline_for_files(pipeline: &Pipeline, files: &Facts) -> Pipeline {
    let rule = |rule: &TableRule| {
        let has: BTreeSet<&str> = match files.tables.get(&rule.table) {
            Some(table) => table.columns.iter().map(|column| column.name.as_str()).collect(),
            None => BTreeSet::new(),
        };
        let kept = |columns: &Vec<String>| {
            columns.iter().filter(|name| has.contains(name.as_str())).cloned().collect()
        };
        let TableRule { table, cursor, key, columns, filter: _, deletes, policy, lookback: _ } =
            rule.clone();
        TableRule {
            table,
            cursor: cursor.filter(|name| has.contains(name.as_str())),
            key,
            columns: columns.as_ref().map(kept),
            filter: None,
            deletes: deletes.map(without_deletes),
            policy,
            lookback: None,
        }
    };
    Pipeline {
        tables: Some(files.tables.keys().cloned().collect()),
        rules: pipeline.rules.iter().map(rule).collect(),
        deletes: without_deletes(pipeline.deletes.clone()),
        lookback: None,
        ..pipeline.clone()
    }
}

/// The policy without deletes, since a row that a file lacks may be in another one. A row that is
/// marked as deleted is unmarked if the file has it.
fn without_deletes(deletes: Deletes) -> Deletes {
    match deletes {
        Deletes::Off | Deletes::Mirror => Deletes::Off,
        Deletes::Mark(column) => Deletes::Mark(column),
    }
}
