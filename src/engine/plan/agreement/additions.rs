//! Which columns the target is to get because only the source has them.

use std::collections::BTreeSet;

use crate::engine::model::addition::{Addition, NewColumn};
use crate::engine::model::facts::{Column, Facts};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;

use super::{drift, tables};
use crate::engine::plan::note::{Note, Weight};

/// The columns that are added to the target, and those that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// The tables that get columns.
    pub tables: Vec<Addition>,
    /// Columns whose types the target does not know.
    pub unknown: Vec<Addition>,
    /// The declarations of the new columns that the target does not get.
    pub remarks: Vec<Note>,
}

/// The types of all columns that only the source has and that are asked for; the target must know
/// them. None where columns are not to be added.
pub fn types(pipeline: &Pipeline, source: &Facts, target: &Facts) -> BTreeSet<String> {
    let columns =
        lacking(pipeline, source, target).into_iter().flat_map(|addition| addition.columns);
    columns.map(|column| column.type_name).collect()
}

/// Plans what is added. Each new column is nullable and without a default: the rows that are there
/// have no value until they are read again, and the source decides what a row holds. A table that
/// could not be synced with its new columns either is left alone.
pub fn plan(
    pipeline: &Pipeline,
    source: &Facts,
    target: &Facts,
    unknown_types: &BTreeSet<String>,
) -> Additions {
    let mut plan = Additions::default();
    for Addition { table, columns } in lacking(pipeline, source, target) {
        let (unknown, known): (Vec<_>, Vec<_>) =
            columns.into_iter().partition(|column| unknown_types.contains(&column.type_name));
        for (columns, list) in [(known, &mut plan.tables), (unknown, &mut plan.unknown)] {
            if !columns.is_empty() {
                list.push(Addition { table: table.clone(), columns });
            }
        }
    }
    let workable = tables::plan(pipeline, source, &plan.applied(target)).shapes;
    plan.tables.retain(|addition| workable.iter().any(|shape| shape.table == addition.table));
    plan.remarks =
        plan.tables.iter().filter_map(|addition| left_behind(addition, source)).collect();
    plan
}

fn lacking(pipeline: &Pipeline, source: &Facts, target: &Facts) -> Vec<Addition> {
    if !pipeline.add_columns {
        return Vec::new();
    }
    let mut additions = Vec::new();
    for table in tables::wanted(pipeline, source) {
        let (Some(at_source), Some(at_target)) =
            (source.tables.get(&table), target.tables.get(&table))
        else {
            continue;
        };
        let chosen = pipeline.rule(&table).and_then(|rule| rule.columns.as_deref());
        let is_lacking = |column: &&Column| {
            chosen.is_none_or(|names| names.contains(&column.name))
                && at_target.column(&column.name).is_none()
        };
        let columns = at_source.columns.iter().filter(is_lacking).map(|column| NewColumn {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
        });
        let columns: Vec<NewColumn> = columns.collect();
        if !columns.is_empty() {
            additions.push(Addition { table, columns });
        }
    }
    additions
}

/// The declarations of the columns that the target does not get.
fn left_behind(addition: &Addition, source: &Facts) -> Option<Note> {
    let declared = |new: &NewColumn| {
        let column = source.tables.get(&addition.table)?.column(&new.name)?;
        let parts = [
            (column.not_null, "not null"),
            (column.generated, "its expression"),
            (column.has_default && !column.generated, "its default"),
        ];
        let parts: Vec<&str> =
            parts.iter().filter(|(declares, _)| *declares).map(|(_, part)| *part).collect();
        (!parts.is_empty()).then(|| format!("{} ({})", new.name, parts.join(", ")))
    };
    let declared: Vec<String> = addition.columns.iter().filter_map(declared).collect();
    (!declared.is_empty()).then(|| {
        Note::new(
            Weight::Info,
            &addition.table,
            format!("added columns are plain and nullable on the target: {}", declared.join("; ")),
            "declare the rest there by hand once the rows are filled, if it is wanted",
        )
    })
}

impl Additions {
    /// The target as it will be.
    #[must_use]
    pub fn applied(&self, target: &Facts) -> Facts {
        let mut after = target.clone();
        for Addition { table, columns } in &self.tables {
            let Some(facts) = after.tables.get_mut(table) else { continue };
            facts.columns.extend(columns.iter().map(|NewColumn { name, type_name }| Column {
                name: name.clone(),
                type_name: type_name.clone(),
                ..Column::default()
            }));
        }
        after
    }
}

/// The note of a run on a table that got its columns.
pub fn added(addition: &Addition) -> Note {
    let (names, were) = names(addition);
    let text = format!("{names} {were} added to the target, and the table is read from the start");
    Note::new(Weight::Info, &addition.table, text, "")
}

/// Says why columns were not added, in place of what planning says of each that the target lacks.
pub fn explain(notes: &mut Vec<Note>, addition: &Addition, why: Note) {
    let Addition { table, columns } = addition;
    notes.retain(|note| {
        !columns.iter().any(|column| *note == drift::only_on_source(table, &column.name))
    });
    notes.push(why);
}

/// Why a table goes on without columns whose types the target does not know.
pub fn unknown(addition: &Addition) -> Note {
    let mut types: Vec<&str> =
        addition.columns.iter().map(|column| column.type_name.as_str()).collect();
    types.dedup();
    let (names, _) = names(addition);
    Note::new(
        Weight::Warning,
        &addition.table,
        format!("{names} cannot be added: the target has no type {}", types.join(", ")),
        "create the type there, then run again",
    )
}

/// Why a table goes on without columns that the target refused.
pub fn refused(addition: &Addition, fault: &Fault) -> Note {
    let remedy = match fault.code {
        FaultCode::Locked => "the next run tries again".to_owned(),
        _ => format!("let the table's owner run: {addition}"),
    };
    let (names, were) = names(addition);
    let text = format!("{names} {were} not added: {}", fault.chain());
    Note::new(Weight::Warning, &addition.table, text, remedy)
}

fn names(addition: &Addition) -> (String, &'static str) {
    let names: Vec<&str> = addition.columns.iter().map(|column| column.name.as_str()).collect();
    match names.as_slice() {
        [only] => (format!("the column {only}"), "was"),
        several => (format!("the columns {}", several.join(", ")), "were"),
    }
}

#[cfg(test)]
#[path = "additions_tests.rs"]
mod tests;
