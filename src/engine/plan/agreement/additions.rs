//! Plans the columns that are added to the target because only the source has them.

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
    /// The columns whose types the target lacks.
    pub unknown: Vec<Addition>,
    /// The notes on declarations, such as defaults, that new columns do not get.
    pub remarks: Vec<Note>,
}

/// The types of the columns that would be added; the target must have them.
pub fn types(pipeline: &Pipeline, source: &Facts, target: &Facts) -> BTreeSet<String> {
    let columns =
        new_columns(pipeline, source, target).into_iter().flat_map(|addition| addition.columns);
    columns.map(|column| column.type_name).collect()
}

/// Plans the new columns. Each is nullable and has no default: existing rows have no value in it
/// until they are read again, and then the value comes from the source. A table that could not be
/// synced even with its new columns gets none.
pub fn plan(
    pipeline: &Pipeline,
    source: &Facts,
    target: &Facts,
    unknown_types: &BTreeSet<String>,
) -> Additions {
    let mut plan = Additions::default();
    for Addition { table, columns } in new_columns(pipeline, source, target) {
        let (unknown, known): (Vec<_>, Vec<_>) =
            columns.into_iter().partition(|column| unknown_types.contains(&column.type_name));
        for (columns, list) in [(known, &mut plan.tables), (unknown, &mut plan.unknown)] {
            if !columns.is_empty() {
                list.push(Addition { table: table.clone(), columns });
            }
        }
    }
    let shapes = tables::plan(pipeline, source, &plan.apply(target)).shapes;
    plan.tables.retain(|addition| shapes.iter().any(|shape| shape.table == addition.table));
    plan.remarks =
        plan.tables.iter().filter_map(|addition| note_declarations(addition, source)).collect();
    plan
}

/// The columns that the target lacks; none if columns are not to be added.
fn new_columns(pipeline: &Pipeline, source: &Facts, target: &Facts) -> Vec<Addition> {
    if !pipeline.add_columns {
        return Vec::new();
    }
    let mut additions = Vec::new();
    for table in tables::names(pipeline, source) {
        let (Some(source_table), Some(target_table)) =
            (source.tables.get(&table), target.tables.get(&table))
        else {
            continue;
        };
        let chosen = pipeline.rule(&table).and_then(|rule| rule.columns.as_deref());
        let is_new = |column: &&Column| {
            chosen.is_none_or(|names| names.contains(&column.name))
                && target_table.column(&column.name).is_none()
        };
        let columns = source_table.columns.iter().filter(is_new).map(|column| NewColumn {
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

/// The note on declarations of the source that the new columns do not get.
fn note_declarations(addition: &Addition, source: &Facts) -> Option<Note> {
    let declarations = |new: &NewColumn| {
        let column = source.tables.get(&addition.table)?.column(&new.name)?;
        let parts = [
            (column.not_null, "not null"),
            (column.generated, "its expression"),
            (column.has_default && !column.generated, "its default"),
        ];
        let parts: Vec<&str> =
            parts.iter().filter(|(is_declared, _)| *is_declared).map(|(_, part)| *part).collect();
        (!parts.is_empty()).then(|| format!("{} ({})", new.name, parts.join(", ")))
    };
    let list: Vec<String> = addition.columns.iter().filter_map(declarations).collect();
    (!list.is_empty()).then(|| {
        Note::new(
            Weight::Info,
            &addition.table,
            format!("added columns are plain and nullable on the target: {}", list.join("; ")),
            "declare the rest there by hand once the rows are filled, if it is wanted",
        )
    })
}

impl Additions {
    /// The facts of the target with the new columns.
    #[must_use]
    pub fn apply(&self, target: &Facts) -> Facts {
        let mut target = target.clone();
        for Addition { table, columns } in &self.tables {
            let Some(facts) = target.tables.get_mut(table) else { continue };
            facts.columns.extend(columns.iter().map(|NewColumn { name, type_name }| Column {
                name: name.clone(),
                type_name: type_name.clone(),
                ..Column::default()
            }));
        }
        target
    }
}

/// The note on a table whose new columns were added.
pub fn note_added(addition: &Addition) -> Note {
    let (names, were) = names(addition);
    let text = format!("{names} {were} added to the target, and the table is read from the start");
    Note::new(Weight::Info, &addition.table, text, "")
}

/// Adds the reason why columns were not added, and removes the notes that the target lacks them.
pub fn explain(notes: &mut Vec<Note>, addition: &Addition, reason: Note) {
    let Addition { table, columns } = addition;
    notes.retain(|note| {
        !columns.iter().any(|column| *note == drift::note_only_on_source(table, &column.name))
    });
    notes.push(reason);
}

/// The note on columns that are not added because the target lacks their types.
pub fn note_unknown_type(addition: &Addition) -> Note {
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

/// The note on columns that the target refused.
pub fn note_refused(addition: &Addition, fault: &Fault) -> Note {
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
