//! Decides which file fills which table, by which columns, and what speaks against it; in the order
//! that foreign keys ask for.

use std::collections::{BTreeMap, BTreeSet};

use super::checkpoint_change::CheckpointChange;
use super::csv_values::header::{self, Matched};
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
    /// The columns of its table that are moved, and how.
    pub shape: Shape,
    /// The reading of each moved column, with its place in a row of the file.
    pub readings: Vec<(Reading, usize)>,
    /// The names in its header that mean no column.
    pub extra: Vec<String>,
    /// The table's columns that it lacks, which stay as they are or take their defaults.
    pub missing: Vec<String>,
    /// The number of rows.
    pub rows: u64,
    /// The columns with the word null in them, and how often.
    pub doubtful: BTreeMap<String, u64>,
    /// The change of the table's checkpoint, where somebody vouches for the file.
    pub checkpoint: Option<CheckpointChange>,
}

/// A file with its table and its header.
#[derive(Clone, Debug)]
pub struct HeadedFile {
    /// The name of the file in the folder.
    pub file: String,
    /// The table that it is for.
    pub table: TableName,
    /// The names in its first line.
    pub header: Vec<String>,
}

/// The tables that a file's name may mean: `TABLE.csv`, `SCHEMA.TABLE.csv`, and `TABLE_rows.csv` as
/// the dashboard's table editor names it. The likelier come first.
pub fn meant_by(file: &str) -> Vec<TableName> {
    let stem = file.rfind('.').map_or(file, |dot| &file[..dot]);
    let mut meant = Vec::new();
    for stem in [Some(stem), stem.strip_suffix("_rows")].into_iter().flatten() {
        meant.push(TableName::new(DEFAULT_SCHEMA, stem));
        let dots = stem.match_indices('.');
        meant.extend(dots.map(|(at, _)| TableName::new(&stem[..at], &stem[at + 1..])));
    }
    meant.retain(|table| !table.schema().is_empty() && !table.name().is_empty());
    meant
}

/// The name of the file that a table's rows are expected in.
pub fn file_of(table: &TableName) -> String {
    match table.schema() {
        DEFAULT_SCHEMA => format!("{}.csv", table.name()),
        schema => format!("{schema}.{}.csv", table.name()),
    }
}

/// The files to import and what there is to say of them. `asked` are the tables that were
/// named; none for those of the pipeline. Tables of the target that are not in `facts` are none.
pub fn tables_of(
    files: &[String],
    asked: &[TableName],
    pipeline: &Pipeline,
    facts: &Facts,
) -> (Vec<(String, TableName)>, Vec<Note>) {
    let (mut found, mut notes) = (Vec::<(String, TableName)>::new(), Vec::new());
    let is_wanted = |table: &TableName| match (asked, &pipeline.tables) {
        ([], None) => true,
        ([], Some(listed)) => listed.contains(table),
        (asked, _) => asked.contains(table),
    };
    for file in files {
        let meant = meant_by(file);
        let Some(table) = meant.iter().find(|table| facts.tables.contains_key(*table)) else {
            if asked.is_empty() {
                let shown = TableName::new(DEFAULT_SCHEMA, file.clone());
                let shown = meant.first().unwrap_or(&shown);
                notes.push(no_table(file, shown));
            }
            continue;
        };
        if !is_wanted(table) {
            if asked.is_empty() {
                notes.push(not_of_pipeline(file, table));
            }
            continue;
        }
        if let Some((other, _)) = found.iter().find(|(_, other)| other == table) {
            notes.push(problem(table, format!("both {other} and {file} are for it"), "keep one"));
            continue;
        }
        found.push((file.clone(), table.clone()));
    }
    for table in asked.iter().filter(|table| !found.iter().any(|(_, other)| other == *table)) {
        let text = match facts.tables.contains_key(table) {
            true => format!("the folder has no {}", file_of(table)),
            false => "it does not exist on the target".to_owned(),
        };
        notes.push(problem(table, text, "`syncline gap sql` tells what to export, and as what"));
    }
    (found, notes)
}

fn no_table(file: &str, shown: &TableName) -> Note {
    let text = format!("{file} is named like no table of the target");
    problem(
        shown,
        text,
        "name it TABLE.csv, or SCHEMA.TABLE.csv outside of public, or take it away",
    )
}

fn not_of_pipeline(file: &str, table: &TableName) -> Note {
    let text = format!("{file} is passed over: the table is not one of the pipeline's");
    Note::new(Weight::Warning, table, text, format!("name it with --table {table} to import it"))
}

/// Plans the files whose headers are known, parents' tables first. A file with a problem is named
/// and left out.
pub fn files(
    headed_files: &[HeadedFile],
    pipeline: &Pipeline,
    facts: &Facts,
) -> (Vec<PlannedFile>, Vec<Note>) {
    let (mut notes, mut found, mut of_files) = (Vec::new(), BTreeMap::new(), Facts::default());
    for headed in headed_files {
        let HeadedFile { file, table, header } = headed;
        let whole = &facts.tables[table];
        let matched = header::matched(header, &whole.columns);
        match obstacle(file, table, whole, &matched) {
            Some(note) => notes.push(note),
            None => {
                of_files.tables.insert(table.clone(), restricted(whole, &matched));
                found.insert(table, (headed, matched));
            }
        }
    }
    let pipeline = for_files(pipeline, &of_files);
    let planned = tables::plan(&pipeline, &of_files, facts);
    notes.extend(planned.notes.into_iter().filter(|note| note.weight == Weight::Problem));
    let mut files = Vec::new();
    for shape in planned.shapes {
        let (headed, matched) = &found[&shape.table];
        let table = &facts.tables[&shape.table];
        // A file's values are texts: no side takes them in binary.
        let encoding = encoding::agree([facts, facts], Encoding::Text);
        let shape = Shape { encoding, filter: None, ..shape };
        files.push(planned_file(headed, shape, matched, table));
    }
    (files, notes)
}

fn planned_file(
    headed: &HeadedFile,
    shape: Shape,
    matched: &Matched,
    table: &TableFacts,
) -> PlannedFile {
    let place = |name: &str| {
        let found = matched.places.iter().find(|(column, _)| column == name);
        found.map(|(_, place)| *place).expect("a moved column is one of the file's")
    };
    let column = |name: &str| table.column(name).expect("a moved column is one of the table's");
    let readings = shape.columns.iter().map(|moved| {
        let name = moved.name.as_str();
        (Reading::of(column(name)), place(name))
    });
    let lacks = |column: &&Column| !column.generated && shape.place(&column.name).is_none();
    PlannedFile {
        file: headed.file.clone(),
        header: headed.header.clone(),
        readings: readings.collect(),
        extra: matched.extra.clone(),
        missing: table.columns.iter().filter(lacks).map(|column| column.name.clone()).collect(),
        rows: 0,
        doubtful: BTreeMap::new(),
        checkpoint: None,
        shape,
    }
}

/// Returns why a file cannot fill its table; none if nothing speaks against it.
fn obstacle(file: &str, table: &TableName, facts: &TableFacts, matched: &Matched) -> Option<Note> {
    let has = |name: &String| matched.places.iter().any(|(column, _)| column == name);
    if !facts.relation.is_table() {
        return Some(problem(table, "it is no table on the target", "import the tables it reads"));
    }
    if matched.places.is_empty() {
        let text = format!("the first line of {file} names none of its columns");
        return Some(problem(table, text, "export it with a header line"));
    }
    if !matched.doubled.is_empty() {
        let text = format!("{file} has the column {} twice", matched.doubled.join(", "));
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
        let lacks: Vec<&str> =
            facts.keys[0].iter().filter(|name| !has(name)).map(String::as_str).collect();
        let text = format!("{file} lacks its key column {}", lacks.join(", "));
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

/// The table as if it had no more columns than the file.
fn restricted(whole: &TableFacts, matched: &Matched) -> TableFacts {
    let has = |name: &String| matched.places.iter().any(|(column, _)| column == name);
    let mut table = whole.clone();
    table.columns.retain(|column| has(&column.name));
    table.keys.retain(|key| key.iter().all(has));
    table
}

/// The pipeline for these files: their tables, no more columns than they have, and no condition,
/// which is one on rows of the source.
fn for_files(pipeline: &Pipeline, files: &Facts) -> Pipeline {
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

/// Deletes nothing, since a row that a file lacks may be in another one. A marked row that it has
/// is unmarked.
fn without_deletes(deletes: Deletes) -> Deletes {
    match deletes {
        Deletes::Off | Deletes::Mirror => Deletes::Off,
        Deletes::Mark(column) => Deletes::Mark(column),
    }
}
