//! Decides what an export writes: which tables in which order, by which keys, and how rows that
//! point to one another go in.
//!
//! A file of SQL is restored statement by statement, and a foreign key is checked at the end of
//! each unless it can wait. So:
//!
//! 1. tables come after those that they point to;
//! 2. where that cannot be, because tables point to each other or rows to rows of their own table,
//!    constraints that can wait are told to wait for the end of the transaction;
//! 3. where a constraint cannot wait and a column of it takes NULL, the table is written twice:
//!    first its rows without that column, and at the end whole;
//! 4. a note says what is left.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::{Format, Part, PartColumn, Pass};
use crate::engine::model::facts::{Facts, Reference, TableFacts};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::{Pipeline, TableRule};
use crate::engine::model::sequence::{Sequence, SequenceStep};
use crate::engine::model::table::TableName;
use crate::engine::plan::order;

/// The part of the operator's rules for single tables that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Keys, columns and conditions.
    All,
    /// Keys alone: columns and conditions are meant for the source.
    Keys,
}

/// The parts that are written, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The parts; a table may have two.
    pub parts: Vec<Part>,
    /// Remarks for whoever restores it.
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

/// Plans an export. A table that was listed and cannot be written is a fault, since a file without
/// it would be taken for whole; one that was not is left out, with a note.
pub fn plan(
    pipeline: &Pipeline,
    rules: Rules,
    facts: &Facts,
    format: Format,
) -> Result<Plan, Fault> {
    let listed = pipeline.tables.as_deref();
    for table in listed.into_iter().flatten() {
        if !facts.tables.contains_key(table) {
            return Err(no_table(table));
        }
    }
    let order = order::parents_first(&parents(facts));
    let (mut plan, mut again) = (Plan::default(), Vec::new());
    let mut before = BTreeSet::new();
    for table in order {
        let table_facts = &facts.tables[&table];
        let mut part = part(pipeline.rule(&table), rules, &table, table_facts);
        if format == Format::Sql {
            let named = pipeline.rule(&table).and_then(|rule| rule.key.as_ref());
            if named.is_some_and(|named| !is_key(named, table_facts)) {
                return Err(named_no_key(&table, &part.key));
            }
            if part.key.is_empty() {
                if listed.is_some() {
                    return Err(no_key(&table));
                }
                plan.notes.push(format!(
                    "{table} is left out: it has no key, so its rows would be there twice after a \
                     second restore"
                ));
                before.insert(table);
                continue;
            }
            let late: Vec<&Reference> = table_facts
                .references
                .iter()
                .filter(|reference| !reference.deferrable)
                .filter(|reference| !before.contains(&reference.parent))
                .filter(|reference| facts.tables.contains_key(&reference.parent))
                .collect();
            let (columns, notes) = late_columns(&table, table_facts, &part.key, &late);
            plan.notes.extend(notes);
            if !columns.is_empty() {
                for column in &mut part.columns {
                    column.late = columns.contains(column.name.as_str());
                }
                again.push(part.clone());
                part.pass = Pass::First;
            }
        }
        before.insert(table);
        plan.parts.push(part);
    }
    plan.parts.extend(again);
    Ok(plan)
}

/// Advances the sequences behind the furthest value that each gave out or that a column holds, so
/// that none gives out a key that is in the file. A sequence that begins anew at its end is left as
/// it is, and so is an unused one that begins behind all values anyway.
pub fn furthest(sequences: &[Sequence]) -> Vec<SequenceStep> {
    let step = |sequence: &Sequence| {
        let descends = sequence.increment < 0;
        let known = sequence.last.into_iter().chain(sequence.reached);
        let to = if descends { known.min() } else { known.max() }?;
        let is_before = |first: i64| if descends { to > first } else { to < first };
        let begins_behind = sequence.last.is_none() && sequence.first.is_some_and(is_before);
        let takes_it = !sequence.cycles && (sequence.min..=sequence.max).contains(&to);
        let name = sequence.name.clone();
        let step = SequenceStep { sequence: name, from: None, to, descends };
        (takes_it && !begins_behind).then_some(step)
    };
    sequences.iter().filter_map(step).collect()
}

/// The tables that each table comes after. In a circle these are only the ones that it needs at
/// once: the others can wait, or are written later.
fn parents(facts: &Facts) -> BTreeMap<TableName, Vec<TableName>> {
    let all = |facts: &TableFacts| {
        facts.references.iter().map(|reference| reference.parent.clone()).collect()
    };
    let all: BTreeMap<_, Vec<_>> =
        facts.tables.iter().map(|(table, facts)| (table.clone(), all(facts))).collect();
    let circles = order::in_cycles(&all);
    let before = |(table, facts): (&TableName, &TableFacts)| {
        let in_circle = |parent: &TableName| circles.contains(table) && circles.contains(parent);
        let outside = all[table].iter().filter(|parent| !in_circle(parent));
        (table.clone(), facts.needed_at_once().chain(outside).cloned().collect())
    };
    facts.tables.iter().map(before).collect()
}

fn part(rule: Option<&TableRule>, rules: Rules, table: &TableName, facts: &TableFacts) -> Part {
    let chosen = rule.and_then(|rule| rule.key.clone());
    let of_source = rule.filter(|_| rules == Rules::All);
    let only = of_source.and_then(|rule| rule.columns.as_ref());
    let key = chosen.or_else(|| facts.keys.first().cloned()).unwrap_or_default();
    let moved = |name: &String| only.is_none_or(|only| only.contains(name) || key.contains(name));
    let columns = facts.columns.iter().filter(|column| !column.generated && moved(&column.name));
    Part {
        table: table.clone(),
        relation: facts.relation,
        columns: columns
            .map(|column| PartColumn {
                name: column.name.clone(),
                serial: column.serial,
                identity_always: column.identity_always,
                late: false,
            })
            .collect(),
        filter: of_source.and_then(|rule| rule.filter.clone()),
        pass: Pass::Whole,
        expected: facts.estimated_rows,
        key,
    }
}

/// Says whether `on conflict` takes these columns, in any order. A view has no keys, and is
/// restored into a table that has: there the operator's word counts.
fn is_key(named: &[String], facts: &TableFacts) -> bool {
    let is_it = |key: &Vec<String>| {
        key.len() == named.len() && key.iter().all(|column| named.contains(column))
    };
    let is_of_it = named.iter().all(|name| facts.column(name).is_some());
    facts.keys.iter().any(is_it) || !facts.relation.is_table() && is_of_it
}

/// The columns that are NULL in a first pass so that no row has to wait, and notes on the foreign
/// keys for which there is none.
fn late_columns<'a>(
    table: &TableName,
    facts: &'a TableFacts,
    key: &[String],
    late: &[&'a Reference],
) -> (BTreeSet<&'a str>, Vec<String>) {
    let (mut columns, mut notes) = (BTreeSet::new(), Vec::new());
    for reference in late {
        let takes_null = |name: &&String| {
            let column = facts.column(name);
            column.is_some_and(|column| !column.not_null && !column.generated)
                && !key.contains(name)
        };
        let free: Vec<&str> =
            reference.columns.iter().filter(takes_null).map(String::as_str).collect();
        if free.is_empty() {
            notes.push(format!(
                "{table} points to {parent} by ({columns}), whose rows may come later: the restore \
                 fails at such a row unless that foreign key is made deferrable, or \
                 session_replication_role is replica",
                parent = reference.parent,
                columns = reference.columns.join(", "),
            ));
        }
        columns.extend(free);
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

fn named_no_key(table: &TableName, named: &[String]) -> Fault {
    Fault::new(
        Step::Plan,
        FaultCode::NoKey,
        format!("The key ({}) has no unique index over non-null columns", named.join(", ")),
        "create that index, choose another `key` in syncline.toml, or take --format csv or jsonl",
    )
    .of_table(table)
}
