//! Decides what an export writes: which tables in which order, by which keys, and how rows that
//! point to one another are restored.
//!
//! A file of SQL is restored statement by statement, and a foreign key is checked at the end of
//! each statement unless it is deferrable. So:
//!
//! 1. Tables come after their parents.
//! 2. That is impossible if tables point to each other, or a table to itself. Then deferrable
//!    foreign keys are deferred to the end of the transaction.
//! 3. If a foreign key is not deferrable and one of its columns takes NULL, the table is written
//!    twice: first without that column, and at the end whole.
//! 4. If none of its columns takes NULL, a note says that the restore may fail.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::facts::{Facts, Reference, TableFacts};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::{Pipeline, TableRule};
use crate::engine::model::range::Side;
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;
use crate::engine::plan::order;
use crate::engine::ports::export::{Format, Part, PartColumn, Pass};

/// The parts that are written, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The parts; a table may have two.
    pub parts: Vec<Part>,
    /// Remarks for the person who restores them.
    pub notes: Vec<String>,
}

impl Plan {
    /// The tables, each once, in the order of their first parts.
    pub fn tables(&self) -> Vec<TableName> {
        let mut tables: Vec<TableName> = Vec::new();
        for part in &self.parts {
            if !tables.contains(&part.table) {
                tables.push(part.table.clone());
            }
        }
        tables
    }
}

/// Plans an export of a side. A table that the pipeline lists and that cannot be written is a
/// fault, since a file without it would look complete. If the pipeline lists none, such a table is
/// left out, with a note.
pub fn plan(pipeline: &Pipeline, side: Side, facts: &Facts, format: Format) -> Result<Plan, Fault> {
    let listed = pipeline.tables.as_deref();
    for table in listed.into_iter().flatten() {
        if !facts.tables.contains_key(table) {
            return Err(no_table(table));
        }
    }
    let order = order::parents_first(&parents(facts));
    let (mut plan, mut second_passes) = (Plan::default(), Vec::new());
    let mut planned = BTreeSet::new();
    for table in order {
        let table_facts = &facts.tables[&table];
        let mut part = part(pipeline.rule(&table), side, &table, table_facts);
        if format == Format::Sql {
            let chosen_key = pipeline.rule(&table).and_then(|rule| rule.key.as_ref());
            if chosen_key.is_some_and(|key| !is_key(key, table_facts)) {
                return Err(not_a_key(&table, &part.key));
            }
            if part.key.is_empty() {
                if listed.is_some() {
                    return Err(no_key(&table));
                }
                plan.notes.push(format!(
                    "{table} is left out: it has no key, so its rows would be there twice after a \
                     second restore"
                ));
                planned.insert(table);
                continue;
            }
            let unmet: Vec<&Reference> = table_facts
                .references
                .iter()
                .filter(|reference| !reference.deferrable)
                .filter(|reference| !planned.contains(&reference.parent))
                .filter(|reference| facts.tables.contains_key(&reference.parent))
                .collect();
            let (columns, notes) = omitted_columns(&table, table_facts, &part.key, &unmet);
            plan.notes.extend(notes);
            if !columns.is_empty() {
                for column in &mut part.columns {
                    column.omitted_first = columns.contains(column.name.as_str());
                }
                second_passes.push(part.clone());
                part.pass = Pass::First;
            }
        }
        planned.insert(table);
        plan.parts.push(part);
    }
    plan.parts.extend(second_passes);
    Ok(plan)
}

/// Advances each sequence to the furthest value that it gave out or that a column holds, so that
/// none gives out a key that is in the file. A sequence that cycles is left as it is, and so is an
/// unused one that begins after all values.
pub fn sequence_steps(sequences: &[Sequence]) -> Vec<SequenceStep> {
    let step = |sequence: &Sequence| {
        let descends = sequence.increment < 0;
        let values = sequence.last.into_iter().chain(sequence.reached);
        let to = if descends { values.min() } else { values.max() }?;
        let is_after = |first: i64| if descends { first < to } else { first > to };
        let begins_after = sequence.last.is_none() && sequence.first.is_some_and(is_after);
        let may_advance = !sequence.cycles && (sequence.min..=sequence.max).contains(&to);
        let name = sequence.name.clone();
        let step = SequenceStep { sequence: name, from: None, to, descends };
        (may_advance && !begins_after).then_some(step)
    };
    sequences.iter().filter_map(step).collect()
}

/// The tables that each table comes after. In a cycle these are only those whose rows must be there
/// first: foreign keys to the others are deferred, or their columns written later.
fn parents(facts: &Facts) -> BTreeMap<TableName, Vec<TableName>> {
    let parents = |facts: &TableFacts| {
        facts.references.iter().map(|reference| reference.parent.clone()).collect()
    };
    let parents: BTreeMap<_, Vec<_>> =
        facts.tables.iter().map(|(table, facts)| (table.clone(), parents(facts))).collect();
    let cycles = order::in_cycles(&parents);
    let ordered = |(table, facts): (&TableName, &TableFacts)| {
        let in_cycle = |parent: &TableName| cycles.contains(table) && cycles.contains(parent);
        let outside = parents[table].iter().filter(|parent| !in_cycle(parent));
        (table.clone(), facts.needed_at_once().chain(outside).cloned().collect())
    };
    facts.tables.iter().map(ordered).collect()
}

/// The whole of a table. The operator's columns and condition are for the source alone; the key is
/// for both sides.
fn part(rule: Option<&TableRule>, side: Side, table: &TableName, facts: &TableFacts) -> Part {
    let chosen_key = rule.and_then(|rule| rule.key.clone());
    let source_rule = rule.filter(|_| side == Side::Source);
    let chosen = source_rule.and_then(|rule| rule.columns.as_ref());
    let key = chosen_key.or_else(|| facts.keys.first().cloned()).unwrap_or_default();
    let is_chosen =
        |name: &String| chosen.is_none_or(|names| names.contains(name) || key.contains(name));
    let columns =
        facts.columns.iter().filter(|column| !column.generated && is_chosen(&column.name));
    Part {
        table: table.clone(),
        relation: facts.relation,
        columns: columns
            .map(|column| PartColumn {
                name: column.name.clone(),
                serial: column.serial,
                identity_always: column.identity_always,
                omitted_first: false,
            })
            .collect(),
        filter: source_rule.and_then(|rule| rule.filter.clone()),
        pass: Pass::Whole,
        expected: facts.estimated_rows,
        key,
    }
}

/// Says whether these columns, in any order, are a key that `on conflict` takes. A view has no key
/// of its own; it is restored into a table, for whose key the operator answers.
fn is_key(columns: &[String], facts: &TableFacts) -> bool {
    let is_same = |key: &Vec<String>| {
        key.len() == columns.len() && key.iter().all(|column| columns.contains(column))
    };
    let all_exist = columns.iter().all(|name| facts.column(name).is_some());
    facts.keys.iter().any(is_same) || !facts.relation.is_table() && all_exist
}

/// The columns that are omitted in a first pass, because their foreign keys point to rows that come
/// later, and notes on the foreign keys whose columns cannot be omitted.
fn omitted_columns<'a>(
    table: &TableName,
    facts: &'a TableFacts,
    key: &[String],
    unmet: &[&'a Reference],
) -> (BTreeSet<&'a str>, Vec<String>) {
    let (mut columns, mut notes) = (BTreeSet::new(), Vec::new());
    for reference in unmet {
        let takes_null = |name: &&String| {
            let column = facts.column(name);
            column.is_some_and(|column| !column.not_null && !column.generated)
                && !key.contains(name)
        };
        let nullable: Vec<&str> =
            reference.columns.iter().filter(takes_null).map(String::as_str).collect();
        if nullable.is_empty() {
            notes.push(format!(
                "{table} points to {parent} by ({columns}), whose rows may come later: the restore \
                 fails at such a row unless that foreign key is made deferrable, or \
                 session_replication_role is replica",
                parent = reference.parent,
                columns = reference.columns.join(", "),
            ));
        }
        columns.extend(nullable);
    }
    (columns, notes)
}

fn no_table(table: &TableName) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoTable,
        "There is no such table",
        "check its name and its schema, and that the role may see it",
    )
    .of_table(table)
}

fn no_key(table: &TableName) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoKey,
        "It has no primary key and no unique index over non-null columns, so SQL that runs twice \
         would insert its rows twice",
        "add a primary key, name a unique one in syncline.toml, or take --format csv or jsonl",
    )
    .of_table(table)
}

fn not_a_key(table: &TableName, columns: &[String]) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoKey,
        format!("The key ({}) has no unique index over non-null columns", columns.join(", ")),
        "create that index, choose another `key` in syncline.toml, or take --format csv or jsonl",
    )
    .of_table(table)
}
