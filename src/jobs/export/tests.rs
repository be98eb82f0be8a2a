//! The plan for rows that point to one another.

use super::plan::{Plan, Rules, plan};
use super::ports::{Format, Pass};
use crate::engine::model::facts::{Column, Facts, Reference, TableFacts};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::{Pipeline, TableRule};
use crate::engine::model::table::TableName;

/// A foreign key: the table, the one it points to, and what stands in its way.
struct Leg(&'static str, &'static str, Leads);

#[derive(PartialEq)]
enum Leads {
    Nullable,
    Deferrable,
    AtOnce,
}
use Leads::{AtOnce, Deferrable, Nullable};

fn facts(legs: &[Leg]) -> Facts {
    let mut facts = Facts::default();
    let named = |name: &str| TableName::new("public", name);
    for name in legs.iter().flat_map(|Leg(child, parent, _)| [child, parent]) {
        let id = Column { name: "id".into(), not_null: true, ..Column::default() };
        let keys = vec![vec!["id".to_owned()]];
        let table = TableFacts { columns: vec![id], keys, ..TableFacts::default() };
        facts.tables.insert(named(name), table);
    }
    for Leg(child, parent, leads) in legs {
        let of = facts.tables.get_mut(&named(child)).unwrap();
        let (name, not_null) = (format!("to_{parent}"), *leads != Nullable);
        of.columns.push(Column { name: name.clone(), not_null, ..Column::default() });
        of.references.push(Reference {
            columns: vec![name],
            parent: named(parent),
            referenced: vec!["id".to_owned()],
            deferrable: *leads == Deferrable,
        });
    }
    facts
}

/// The parts, as `name` or, for a first pass, `name-without`.
fn told(plan: &Plan) -> Vec<String> {
    let part = |part: &super::ports::Part| {
        let late: Vec<&str> =
            part.columns.iter().filter(|column| column.late).map(|of| of.name.as_str()).collect();
        match part.pass {
            Pass::Whole => part.table.name().to_owned(),
            Pass::First => format!("{}-{}", part.table.name(), late.join("-")),
        }
    };
    plan.parts.iter().map(part).collect()
}

#[test]
fn rows_that_come_later_are_waited_for_written_twice_for_or_told() {
    let cases: [(&[Leg], &[&str], usize); 7] = [
        (&[Leg("a", "z", AtOnce), Leg("z", "m", Nullable)], &["m", "z", "a"], 0),
        (&[Leg("a", "a", Nullable)], &["a-to_a", "a"], 0),
        (&[Leg("a", "a", Deferrable)], &["a"], 0),
        (&[Leg("a", "a", AtOnce)], &["a"], 1),
        (&[Leg("a", "b", AtOnce), Leg("b", "a", Nullable)], &["b-to_a", "a", "b"], 0),
        (&[Leg("a", "b", AtOnce), Leg("b", "a", Deferrable)], &["b", "a"], 0),
        (&[Leg("a", "b", AtOnce), Leg("b", "a", AtOnce)], &["a", "b"], 1),
    ];
    for (at, (legs, parts, notes)) in cases.iter().enumerate() {
        let plan = plan(&Pipeline::plain(), Rules::All, &facts(legs), Format::Sql).unwrap();
        assert_eq!(
            (told(&plan).join(" "), plan.notes.len()),
            (parts.join(" "), *notes),
            "case {at}"
        );
        let csv =
            super::plan::plan(&Pipeline::plain(), Rules::All, &facts(legs), Format::Csv).unwrap();
        assert_eq!((csv.parts.len(), csv.notes.len()), (plan.tables().len(), 0), "case {at}");
    }
}

#[test]
fn a_key_that_was_named_has_to_be_one_for_sql() {
    let facts = facts(&[Leg("child", "parent", AtOnce)]);
    let child = TableName::new("public", "child");
    let planned = |key: &str, format| {
        let rule = TableRule { key: Some(vec![key.into()]), ..TableRule::new(child.clone()) };
        let pipeline = Pipeline { rules: vec![rule], ..Pipeline::plain() };
        plan(&pipeline, Rules::All, &facts, format)
    };
    for wrong in ["nope", "to_parent"] {
        let fault = planned(wrong, Format::Sql).unwrap_err();
        assert_eq!((fault.code, fault.table), (FaultCode::NoKey, Some(child.clone())), "{wrong}");
    }
    assert!(planned("id", Format::Sql).is_ok());
    assert!(planned("to_parent", Format::Csv).is_ok());
}
