//! Compares the columns of a table's two sides: which can be moved, and which differ.

use crate::engine::model::facts::{Column, TableFacts};
use crate::engine::model::pipeline::TableRule;
use crate::engine::model::table::TableName;
use crate::engine::model::type_name::unmodified;

use crate::engine::plan::note::{Note, Weight};

/// The columns that can be moved, and the notes on columns that differ.
#[derive(Debug, Default)]
pub struct Drift<'a> {
    /// Pairs of source and target column, in the source's order.
    pub shared: Vec<(&'a Column, &'a Column)>,
    /// The notes.
    pub notes: Vec<Note>,
}

/// Compares the columns of a table on both sides, within the operator's choice of columns.
pub fn compare<'a>(
    table: &TableName,
    source: &'a TableFacts,
    target: &'a TableFacts,
    rule: Option<&TableRule>,
) -> Drift<'a> {
    let chosen = rule.and_then(|rule| rule.columns.as_deref());
    let mut drift = Drift::default();
    for name in chosen.unwrap_or_default().iter().filter(|name| source.column(name).is_none()) {
        drift.notes.push(Note::new(
            Weight::Problem,
            table,
            format!("the listed column {name} does not exist on the source"),
            "correct the table's `columns` in syncline.toml",
        ));
    }
    for column in &source.columns {
        if chosen.is_none_or(|names| names.contains(&column.name)) {
            drift.add_source_column(table, (source, column), target);
        }
    }
    for column in &target.columns {
        let is_moved = drift.shared.iter().any(|(_, target)| target.name == column.name);
        if !is_moved && column.not_null && !column.has_default && !column.generated {
            drift.notes.push(Note::new(
                Weight::Problem,
                table,
                format!("the target's column {} needs a value and gets none", column.name),
                "give it a default, drop NOT NULL, or add it to the source",
            ));
        }
    }
    drift
}

impl<'a> Drift<'a> {
    fn add_source_column(
        &mut self,
        table: &TableName,
        (source, column): (&TableFacts, &'a Column),
        target: &'a TableFacts,
    ) {
        let Some(counterpart) = target.column(&column.name) else {
            self.notes.push(note_only_on_source(table, &column.name));
            return;
        };
        if counterpart.generated {
            return;
        }
        let (source_type, target_type) = (&column.type_name, &counterpart.type_name);
        let differ = match source.told_by_api {
            // An API names the type under a domain.
            true => differ_over_api(
                source_type,
                counterpart.base_type.as_deref().unwrap_or(target_type),
            ),
            false => source_type != target_type,
        };
        if differ {
            self.notes.push(Note::new(
                Weight::Warning,
                table,
                format!(
                    "the column {} is {} on the source and {} on the target; its values are \
                     converted through text",
                    column.name, column.type_name, counterpart.type_name
                ),
                "give both sides the same type if a value could be refused or rounded",
            ));
        }
        self.shared.push((column, counterpart));
    }
}

/// Says whether a column's types differ as far as an API shows. An API shows no modifiers of a
/// type, and calls a `smallint` an `integer`.
fn differ_over_api(source_type: &str, target_type: &str) -> bool {
    let (source_type, target_type) = (unmodified(source_type), unmodified(target_type));
    source_type != target_type
        && (source_type.as_ref(), target_type.as_ref()) != ("integer", "smallint")
}

/// The note on a column that the target lacks.
pub fn note_only_on_source(table: &TableName, column: &str) -> Note {
    Note::new(
        Weight::Warning,
        table,
        format!("the column {column} exists only on the source and is not synced"),
        "add it to the target with `syncline run --add-columns` (the table is then read again \
         from the start), or leave it out with `columns`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, type_name: &str) -> Column {
        Column { name: name.into(), type_name: type_name.into(), ..Column::default() }
    }

    fn table(columns: Vec<Column>) -> TableFacts {
        TableFacts { columns, ..TableFacts::default() }
    }

    fn weights(source: &TableFacts, target: &TableFacts) -> (Vec<String>, Vec<Weight>) {
        let drift = compare(&TableName::new("public", "t"), source, target, None);
        let names = drift.shared.iter().map(|(column, _)| column.name.clone()).collect();
        (names, drift.notes.iter().map(|note| note.weight).collect())
    }

    #[test]
    fn a_column_only_on_the_source_is_a_warning_and_the_shared_ones_travel() {
        let source = table(vec![column("id", "uuid"), column("extra", "text")]);
        let target = table(vec![column("id", "uuid")]);
        assert_eq!(weights(&source, &target), (vec!["id".into()], vec![Weight::Warning]));
    }

    #[test]
    fn a_target_column_without_a_value_is_a_problem_unless_something_fills_it() {
        let source = table(vec![column("id", "uuid")]);
        let required = Column { not_null: true, ..column("needed", "text") };
        let filled = Column { has_default: true, ..required.clone() };
        let target = |extra| table(vec![column("id", "uuid"), extra]);
        assert_eq!(weights(&source, &target(required)).1, vec![Weight::Problem]);
        assert_eq!(weights(&source, &target(filled)).1, vec![]);
    }

    #[test]
    fn a_column_of_two_types_gets_a_warning_and_travels() {
        let mut source = table(vec![column("n", "numeric"), column("i", "integer")]);
        let target = table(vec![column("n", "numeric(10,2)"), column("i", "smallint")]);
        assert_eq!(weights(&source, &target).1.len(), 2);
        source.told_by_api = true;
        assert_eq!(weights(&source, &target).1, vec![], "an API cannot tell them apart");
        let source = table(vec![column("n", "integer")]);
        let target = table(vec![column("n", "bigint")]);
        assert_eq!(weights(&source, &target), (vec!["n".into()], vec![Weight::Warning]));
    }

    #[test]
    fn a_column_that_the_target_computes_is_left_to_it() {
        let source = table(vec![column("id", "uuid"), column("sum", "integer")]);
        let computed = Column { generated: true, ..column("sum", "integer") };
        let target = table(vec![column("id", "uuid"), computed]);
        assert_eq!(weights(&source, &target), (vec!["id".into()], vec![]));
    }

    #[test]
    fn only_the_listed_columns_travel_and_a_wrong_one_is_a_problem() {
        let name = TableName::new("public", "t");
        let rule = TableRule {
            columns: Some(vec!["id".into(), "gone".into()]),
            ..TableRule::new(name.clone())
        };
        let both = table(vec![column("id", "uuid"), column("other", "text")]);
        let drift = compare(&name, &both, &both, Some(&rule));
        assert_eq!(drift.shared.len(), 1);
        assert_eq!(drift.notes[0].weight, Weight::Problem);
        assert!(drift.notes[0].text.contains("gone"));
    }
}
