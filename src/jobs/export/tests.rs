//! The plan for rows that point to one another.

use super::plan::{Plan, plan};
use crate::engine::model::facts::{Column, Facts, Reference, TableFacts};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::{Pipeline, TableRule};
use crate::engine::model::range::Side;
use crate::engine::model::table::TableName;
use crate::engine::ports::export::{Format, Pass};

/// A foreign key: the child, the parent, and the kind.
struct ForeignKey(&'static str, &'static str, Kind);

#[derive(PartialEq)]
enum Kind {
    Nullable,
    Deferrable,
    AtOnce,
}
use Kind::{AtOnce, Deferrable, Nullable};

fn facts(keys: &[ForeignKey]) -> Facts {
    let mut facts = Facts::default();
    let table_name = |name: &str| TableName::new("public", name);
    for name in keys.iter().flat_map(|ForeignKey(child, parent, _)| [child, parent]) {
        let id = Column { name: "id".into(), not_null: true, ..Column::default() };
        let key = vec!["id".to_owned()];
        let table = TableFacts { columns: vec![id], keys: vec![key], ..TableFacts::default() };
        facts.tables.insert(table_name(name), table);
    }
    for ForeignKey(child, parent, kind) in keys {
        let table = facts.tables.get_mut(&table_name(child)).unwrap();
        let (name, not_null) = (format!("to_{parent}"), *kind != Nullable);
        table.columns.push(Column { name: name.clone(), not_null, ..Column::default() });
        table.references.push(Reference {
            columns: vec![name],
            parent: table_name(parent),
            referenced: vec!["id".to_owned()],
            deferrable: *kind == Deferrable,
        });
    }
    facts
}

/// The parts, as `table` or, for a first pass, `table-omitted_columns`.
fn part_names(plan: &Plan) -> Vec<String> {
    let part = |part: &crate::engine::ports::export::Part| {
        let columns = part.columns.iter().filter(|column| column.omitted_first);
        let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        match part.pass {
            Pass::Whole => part.table.name().to_owned(),
            Pass::First => format!("{}-{}", part.table.name(), columns.join("-")),
        }
    };
    plan.parts.iter().map(part).collect()
}

#[test]
fn rows_that_come_later_are_waited_for_or_written_twice_or_noted() {
    let cases: [(&[ForeignKey], &[&str], usize); 7] = [
        (&[ForeignKey("a", "z", AtOnce), ForeignKey("z", "m", Nullable)], &["m", "z", "a"], 0),
        (&[ForeignKey("a", "a", Nullable)], &["a-to_a", "a"], 0),
        (&[ForeignKey("a", "a", Deferrable)], &["a"], 0),
        (&[ForeignKey("a", "a", AtOnce)], &["a"], 1),
        (&[ForeignKey("a", "b", AtOnce), ForeignKey("b", "a", Nullable)], &["b-to_a", "a", "b"], 0),
        (&[ForeignKey("a", "b", AtOnce), ForeignKey("b", "a", Deferrable)], &["b", "a"], 0),
        (&[ForeignKey("a", "b", AtOnce), ForeignKey("b", "a", AtOnce)], &["a", "b"], 1),
    ];
    for (at, (keys, parts, notes)) in cases.iter().enumerate() {
        let plan = plan(&Pipeline::plain(), Side::Source, &facts(keys), Format::Sql).unwrap();
        assert_eq!(
            (part_names(&plan).join(" "), plan.notes.len()),
            (parts.join(" "), *notes),
            "case {at}"
        );
        let csv =
            super::plan::plan(&Pipeline::plain(), Side::Source, &facts(keys), Format::Csv).unwrap();
        assert_eq!((csv.parts.len(), csv.notes.len()), (plan.tables().len(), 0), "case {at}");
    }
}

#[test]
fn a_key_of_the_file_must_be_a_key_of_the_table_for_sql() {
    let facts = facts(&[ForeignKey("child", "parent", AtOnce)]);
    let child = TableName::new("public", "child");
    let planned = |key: &str, format| {
        let rule = TableRule { key: Some(vec![key.into()]), ..TableRule::new(child.clone()) };
        let pipeline = Pipeline { rules: vec![rule], ..Pipeline::plain() };
        plan(&pipeline, Side::Source, &facts, format)
    };
    for wrong in ["nope", "to_parent"] {
        let fault = planned(wrong, Format::Sql).unwrap_err();
        assert_eq!((fault.code, fault.table), (FaultCode::NoKey, Some(child.clone())), "{wrong}");
    }
    assert!(planned("id", Format::Sql).is_ok());
    assert!(planned("to_parent", Format::Csv).is_ok());
}
