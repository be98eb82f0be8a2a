//! The columns that are added, and the notes on those that are not.

use super::*;
use crate::engine::model::facts::{Privileges, TableFacts};
use crate::engine::model::fault::Step;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::TableRule;
use crate::engine::model::table::TableName;

fn column(name: &str, type_name: &str) -> Column {
    Column { name: name.into(), type_name: type_name.into(), ..Column::default() }
}

fn side(columns: &[Column]) -> Facts {
    let key = Column { not_null: true, ..column("id", "uuid") };
    let facts = TableFacts {
        columns: std::iter::once(key).chain(columns.iter().cloned()).collect(),
        keys: vec![vec!["id".into()]],
        privileges: Privileges {
            select: true,
            insert: true,
            update: true,
            delete: true,
            rows_hidden: false,
        },
        ..TableFacts::default()
    };
    Facts { tables: [(table(), facts)].into(), ..Facts::default() }
}

fn table() -> TableName {
    TableName::new("public", "t")
}

fn pipeline(columns: Option<&[&str]>) -> Pipeline {
    let columns = columns.map(|names| names.iter().map(|&name| name.to_owned()).collect());
    let rule = TableRule { columns, ..TableRule::new(table()) };
    Pipeline { rules: vec![rule], add_columns: true, ..Pipeline::plain() }
}

fn statements(additions: &Additions) -> Vec<String> {
    additions.tables.iter().map(ToString::to_string).collect()
}

#[test]
fn what_only_the_source_has_is_added_in_its_order() {
    let source = side(&[column("b", "text"), column("a", "app.mood")]);
    let additions = plan(&pipeline(None), &source, &side(&[]), &BTreeSet::new());
    let expected = "alter table public.t add column if not exists \"b\" text, \
        add column if not exists \"a\" app.mood";
    assert_eq!(statements(&additions), [expected]);
    assert_eq!(additions.remarks, []);
}

#[test]
fn nothing_is_added_unless_it_is_asked_for() {
    let source = side(&[column("b", "text")]);
    let unasked = Pipeline { add_columns: false, ..pipeline(None) };
    assert!(types(&unasked, &source, &side(&[])).is_empty());
    let additions = plan(&unasked, &source, &side(&[]), &BTreeSet::new());
    assert_eq!(additions, Additions::default());
}

#[test]
fn columns_that_the_operator_left_out_are_not_added() {
    let source = side(&[column("b", "text"), column("c", "text")]);
    let additions = plan(&pipeline(Some(&["id", "c"])), &source, &side(&[]), &BTreeSet::new());
    assert_eq!(
        statements(&additions),
        ["alter table public.t add column if not exists \"c\" text"]
    );
}

#[test]
fn a_type_that_the_target_lacks_keeps_its_column_out_and_no_other() {
    let source = side(&[column("b", "text"), column("a", "app.mood")]);
    let additions = plan(&pipeline(None), &source, &side(&[]), &["app.mood".to_owned()].into());
    assert_eq!(
        statements(&additions),
        ["alter table public.t add column if not exists \"b\" text"]
    );
    let note = note_unknown_type(&additions.unknown[0]);
    assert!(note.text.contains("the column a cannot be added") && note.text.ends_with("app.mood"));
}

#[test]
fn a_table_that_could_not_be_synced_anyway_is_left_alone() {
    let mut target = side(&[]);
    target.tables.get_mut(&table()).unwrap().privileges.update = false;
    let additions = plan(&pipeline(None), &side(&[column("b", "text")]), &target, &BTreeSet::new());
    assert_eq!(statements(&additions), [""; 0]);
}

#[test]
fn what_the_source_declares_and_the_target_does_not_get_is_said() {
    let source = side(&[
        Column { not_null: true, has_default: true, ..column("a", "text") },
        Column { generated: true, has_default: true, ..column("b", "text") },
    ]);
    let additions = plan(&pipeline(None), &source, &side(&[]), &BTreeSet::new());
    let text = &additions.remarks[0].text;
    assert!(text.ends_with("a (not null, its default); b (its expression)"), "{text}");
}

#[test]
fn the_reason_takes_the_place_of_the_remark_that_a_column_is_missing() {
    let source = side(&[column("b", "text"), column("c", "text")]);
    let mut notes = tables::plan(&pipeline(None), &source, &side(&[])).notes;
    let before = notes.len();
    let addition = Addition {
        table: table(),
        columns: vec![NewColumn { name: "b".into(), type_name: "text".into() }],
    };
    let fault = Fault::new(Step::Alter, FaultCode::Locked, "Somebody is in the way", "");

    explain(&mut notes, &addition, note_refused(&addition, &fault));

    let texts: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), before, "{texts:?}");
    assert!(
        texts.last().unwrap().contains("b was not added: Somebody is in the way; the next run")
    );
    assert!(texts.iter().any(|note| note.contains("the column c exists only on the source")));
}
