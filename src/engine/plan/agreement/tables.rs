//! Plans the tables of a run from the facts of both sides, before any row is read.

use std::collections::BTreeMap;

use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::{Column, Facts, Reference, TableFacts, Unfit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::{MovedColumn, Origin, OriginSide, Shape};
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::Firing;

use super::choose::{self, Obstacle};
use super::triggers::{self, Sides};
use super::{drift, encoding, order, remarks};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::{deletes, lookback};

/// The tables that can be synced, and the notes on all tables.
#[derive(Clone, Debug, Default)]
pub struct TablesPlan {
    /// The tables that can be synced, in the order of the work: parents first.
    pub shapes: Vec<Shape>,
    /// The notes, problems included.
    pub notes: Vec<Note>,
    /// The foreign keys of those tables in the target.
    pub references: References,
}

/// Foreign keys by the table that points.
pub type References = BTreeMap<TableName, Vec<Reference>>;

impl TablesPlan {
    /// The notes on tables that are left out until a person acts.
    pub fn problems(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.weight == Weight::Problem)
    }
}

/// Plans the pipeline's tables from the facts of both sides. A table with a problem is left out,
/// with a note. A table without a key is a problem only if the pipeline lists it by name.
pub fn plan(pipeline: &Pipeline, source: &Facts, target: &Facts) -> TablesPlan {
    let mut plan = TablesPlan::default();
    let mut shapes = BTreeMap::new();
    let mut parents = BTreeMap::new();
    let mut strict_parents = BTreeMap::new();
    for name in names(pipeline, source) {
        let sides = (source.tables.get(&name), target.tables.get(&name));
        // Such a table is left out whether or not the target has it.
        if pipeline.tables.is_none() && sides.0.is_some_and(|table| table.keys.is_empty()) {
            plan.notes.push(Note::new(
                Weight::Info,
                &name,
                "it has no key and is passed over",
                "add a primary key to sync it",
            ));
            continue;
        }
        let (Some(source_table), Some(target_table)) = sides else {
            plan.notes.push(missing(&name, sides.0.is_none()));
            continue;
        };
        if let Some(mut shape) = shape(pipeline, &name, source_table, target_table, &mut plan.notes)
        {
            let table = Sides {
                name: &name,
                key: &shape.key,
                source: source_table,
                target: target_table,
                may_suppress: target.may_suppress_triggers,
            };
            let (firing, note) = triggers::decide(pipeline.triggers, table);
            plan.notes.extend(note);
            shape.triggers = firing;
            shape.origin = origin(source, &shape, (source_table, target_table));
            shape.encoding = encoding::agree([source, target], shape.encoding);
            let blind_spot = source.standby.then(|| remarks::blind_spot(&shape)).flatten();
            plan.notes.extend(blind_spot.map(Note::on_changes));
            let keys = target_table.references.iter().map(|reference| reference.parent.clone());
            parents.insert(name.clone(), keys.collect());
            plan.references.insert(name.clone(), target_table.references.clone());
            strict_parents.insert(name.clone(), target_table.needed_at_once().cloned().collect());
            shapes.insert(name, shape);
        }
    }
    plan.notes.extend(order::in_cycles(&strict_parents).iter().map(remarks::closed_cycle));
    let ordered = order::parents_first(&parents);
    plan.shapes = ordered.iter().filter_map(|name| shapes.remove(name)).collect();
    plan
}

/// Refuses a source and a target that are one database. A sync of it with itself would at best do
/// nothing, and at worst save checkpoints for rows that never moved.
pub fn refuse(source: &Facts, target: &Facts) -> Result<(), Fault> {
    match source.identity == target.identity {
        true => Err(refusal(Unfit::SameDatabase)),
        false => Ok(()),
    }
}

/// Refuses a target in which the role cannot write any table.
pub fn refuse_to_write(target: &Facts) -> Result<(), Fault> {
    target.unfit_to_write().map_or(Ok(()), |unfit| Err(refusal(unfit)))
}

/// The fault for a database that cannot be the target.
pub fn refusal(unfit: Unfit) -> Fault {
    let (code, message, hint) = match unfit {
        Unfit::SameDatabase => (
            FaultCode::SameDatabase,
            "Source and target are the same database",
            "set SOURCE_DATABASE_URL and TARGET_DATABASE_URL to two different databases",
        ),
        Unfit::Standby => (
            FaultCode::ReadOnly,
            "The target is a standby, which takes no writes",
            "set TARGET_DATABASE_URL to the primary",
        ),
        Unfit::ReadOnly => (
            FaultCode::ReadOnly,
            "The target's server is set read-only",
            "make room on its disk, or whatever else it was set so for, and set it read-write; \
             it is not overridden",
        ),
        Unfit::NoTemporaryTables => (
            FaultCode::NoPrivilege,
            "The target's role may not make temporary tables, which pages are staged in",
            "grant temporary on that database to that role",
        ),
        Unfit::KeepsTriggers => (
            FaultCode::NoPrivilege,
            "The target's role may not suppress triggers",
            "grant set on parameter session_replication_role to it (from Postgres 15 on), run what \
             `syncline project-sql target --suppress-triggers` prints, or leave `triggers` out of \
             syncline.toml",
        ),
    };
    Fault::new(Step::Plan, code, message, hint)
}

/// The names of a pipeline's tables: those it lists, or all of the source.
pub(super) fn names(pipeline: &Pipeline, source: &Facts) -> Vec<TableName> {
    match &pipeline.tables {
        Some(tables) => tables.clone(),
        None => source.tables.keys().cloned().collect(),
    }
}

/// Notes the tables that were synced before and that only the target still has. If the pipeline
/// lists its tables, `plan` has noted them already.
pub fn note_gone<'a>(
    pipeline: &Pipeline,
    source: &Facts,
    target: &Facts,
    synced: impl Iterator<Item = &'a TableName>,
) -> Vec<Note> {
    let is_gone = |name: &&TableName| {
        pipeline.tables.is_none()
            && !source.tables.contains_key(*name)
            && target.tables.contains_key(*name)
    };
    let note = |name| {
        Note::new(
            Weight::Warning,
            name,
            "it was synced before and does not exist on the source any more",
            "rename it on the target if it was renamed, or drop it there too",
        )
    };
    synced.filter(is_gone).map(note).collect()
}

fn missing(name: &TableName, is_on_source: bool) -> Note {
    let side = if is_on_source { "source" } else { "target" };
    Note::new(
        Weight::Problem,
        name,
        format!("it does not exist on the {side}"),
        format!("create it on the {side}, or leave it out of SYNC_TABLES"),
    )
}

/// One table's agreement. If there is a problem, there is none, and the notes name the problem.
fn shape(
    pipeline: &Pipeline,
    name: &TableName,
    source: &TableFacts,
    target: &TableFacts,
    notes: &mut Vec<Note>,
) -> Option<Shape> {
    let rule = pipeline.rule(name);
    let drift = drift::compare(name, source, target, rule);
    let mut new_notes = drift.notes;
    let deletes = pipeline.deletes(name);
    new_notes.extend(remarks::privileges(name, source, target, deletes));
    let shared: Vec<&str> = drift.shared.iter().map(|(column, _)| column.name.as_str()).collect();
    let choice = choose::key(source, target, rule)
        .and_then(|key| check_key_is_shared(&shared, target, key))
        .and_then(|key| Ok((choose::cursor(source, &shared, &key, rule)?, key)))
        .and_then(|(cursor, key)| match deletes {
            Deletes::Mark(column) => {
                Ok((cursor, key, Some(deletes::mark(column, &shared, target)?)))
            }
            Deletes::Off | Deletes::Mirror => Ok((cursor, key, None)),
        });
    let shape = match choice {
        Err(Obstacle { text, remedy }) => {
            new_notes.push(Note::new(Weight::Problem, name, text, remedy));
            None
        }
        Ok((cursor, key, mark)) => {
            let remarks = remarks::cursor(name, source, &cursor, &key);
            new_notes.extend(remarks.into_iter().map(Note::on_changes));
            if source.told_by_api {
                let remarks = remarks::over_api(name, rule, &cursor);
                new_notes.extend(remarks.into_iter().map(Note::on_changes));
            }
            let policy = rule.map(|rule| rule.policy).unwrap_or_default();
            new_notes.extend(remarks::policy(name, policy, &cursor, target));
            let lookback = pipeline.lookback(name);
            new_notes.extend(lookback.and_then(|_| lookback::remark(name, &cursor)));
            let lookback = lookback.filter(|_| lookback::applies(&cursor));
            let encoding = encoding::choose(drift.shared.iter().copied(), &key, &cursor);
            Some(Shape {
                table: name.clone(),
                origin: Origin::default(),
                columns: drift
                    .shared
                    .iter()
                    .map(|(source, target)| moved_column(source, target))
                    .collect(),
                key,
                cursor,
                filter: rule.and_then(|rule| rule.filter.clone()),
                policy,
                encoding,
                source: source.relation,
                target: target.relation,
                estimated_rows: source.estimated_rows,
                mark,
                lookback,
                triggers: Firing::default(),
            })
        }
    };
    let has_problem = new_notes.iter().any(|note| note.weight == Weight::Problem);
    notes.append(&mut new_notes);
    shape.filter(|_| !has_problem)
}

fn origin(facts: &Facts, shape: &Shape, (source, target): (&TableFacts, &TableFacts)) -> Origin {
    let names = || shape.columns.iter().map(|column| column.name.as_str());
    Origin {
        history: facts.history.clone(),
        project: facts.project.clone(),
        source: OriginSide::new(source, names()),
        target: OriginSide::new(target, names()),
    }
}

fn moved_column(source: &Column, target: &Column) -> MovedColumn {
    MovedColumn {
        name: source.name.clone(),
        source_type: source.type_name.clone(),
        target_type: target.type_name.clone(),
        target_base: target.base_type.clone(),
        fixed: target.identity_always,
        merges: target.folds && !source.folds,
    }
}

fn check_key_is_shared(
    shared: &[&str],
    target: &TableFacts,
    key: Vec<String>,
) -> Result<Vec<String>, Obstacle> {
    let Some(column) = key.iter().find(|column| !shared.contains(&column.as_str())) else {
        return Ok(key);
    };
    let is_generated = target.column(column).is_some_and(|column| column.generated);
    let (reason, remedy) = match is_generated {
        true => (
            "is generated by the target, so no row can be written with it",
            "name other columns that identify a row as its `key`, or leave the table out",
        ),
        false => {
            ("is not among the columns that are synced", "add it to `columns`, or to the target")
        }
    };
    Err(Obstacle { text: format!("its key column {column} {reason}"), remedy: remedy.into() })
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::engine::model::cursor::{Cursor, CursorKind};
    use crate::engine::model::facts::Privileges;

    fn all() -> Privileges {
        Privileges { select: true, insert: true, update: true, delete: true, rows_hidden: false }
    }

    #[test]
    fn a_key_that_the_target_generates_is_named_as_such() {
        let column = |generated| Column { name: "id".into(), generated, ..Column::default() };
        for (generated, expected) in [(true, "generated"), (false, "not among the columns")] {
            let target = TableFacts { columns: vec![column(generated)], ..TableFacts::default() };
            let obstacle = check_key_is_shared(&[], &target, vec!["id".into()]).unwrap_err();
            assert!(obstacle.text.contains(expected), "{}", obstacle.text);
        }
    }

    fn table(has_key: bool) -> TableFacts {
        let stamp = "timestamp with time zone";
        let column = |name: &str, type_name: &str| Column {
            name: name.into(),
            type_name: type_name.into(),
            not_null: true,
            ..Column::default()
        };
        TableFacts {
            columns: vec![column("id", "uuid"), column("updated_at", stamp)],
            keys: if has_key { vec![vec!["id".into()]] } else { Vec::new() },
            index_starts: vec!["updated_at".into()],
            privileges: all(),
            ..TableFacts::default()
        }
    }

    fn side(tables: &[(&str, TableFacts)]) -> Facts {
        let table =
            |(name, facts): &(&str, TableFacts)| (TableName::new("public", *name), facts.clone());
        Facts { tables: tables.iter().map(table).collect(), ..Facts::default() }
    }

    fn pipeline(tables: Option<&[&str]>) -> Pipeline {
        let table_name = |&name: &&str| TableName::new("public", name);
        let tables = tables.map(|names| names.iter().map(table_name).collect());
        Pipeline { tables, ..Pipeline::plain() }
    }

    fn shape_names(plan: &TablesPlan) -> Vec<&str> {
        plan.shapes.iter().map(|shape| shape.table.name()).collect()
    }

    fn weights(plan: &TablesPlan) -> Vec<(&str, Weight)> {
        plan.notes.iter().map(|note| (note.table.name(), note.weight)).collect()
    }

    #[test]
    fn a_table_without_a_key_is_passed_over_unless_it_is_listed_by_name() {
        let both = side(&[("keyed", table(true)), ("bare", table(false))]);
        let unlisted = plan(&pipeline(None), &both, &both);
        assert_eq!(
            (shape_names(&unlisted), weights(&unlisted)),
            (vec!["keyed"], vec![("bare", Weight::Info)])
        );
        let listed = plan(&pipeline(Some(&["keyed", "bare"])), &both, &both);
        assert_eq!(
            (shape_names(&listed), weights(&listed)),
            (vec!["keyed"], vec![("bare", Weight::Problem)])
        );
    }

    #[test]
    fn a_table_that_one_side_lacks_is_named_and_the_others_go_on() {
        let source = side(&[("a", table(true)), ("b", table(true))]);
        let target = side(&[("b", table(true))]);
        let plan = plan(&pipeline(Some(&["a", "b", "c"])), &source, &target);
        assert_eq!(shape_names(&plan), ["b"]);
        let texts: Vec<String> = plan.problems().map(ToString::to_string).collect();
        assert!(texts[0].contains("public.a") && texts[0].contains("on the target"), "{texts:?}");
        assert!(texts[1].contains("public.c") && texts[1].contains("on the source"), "{texts:?}");
    }

    #[test]
    fn privileges_that_are_missing_are_problems() {
        let with = |change: fn(&mut Privileges)| {
            let mut facts = table(true);
            change(&mut facts.privileges);
            side(&[("t", facts)])
        };
        let complete = || side(&[("t", table(true))]);
        for (source, target) in [
            (with(|table| table.select = false), complete()),
            (with(|table| table.rows_hidden = true), complete()),
            (complete(), with(|table| table.insert = false)),
            (complete(), with(|table| table.update = false)),
            (complete(), with(|table| table.select = false)),
            (complete(), with(|table| table.rows_hidden = true)),
        ] {
            let plan = plan(&pipeline(None), &source, &target);
            assert_eq!((plan.shapes.len(), plan.problems().count()), (0, 1), "{:?}", plan.notes);
        }
        let read_only = with(|table| (table.insert, table.update) = (false, false));
        assert!(plan(&pipeline(None), &read_only, &complete()).problems().next().is_none());
    }

    #[test]
    fn the_right_to_delete_is_needed_only_where_deletes_are_mirrored() {
        let mut facts = table(true);
        facts.privileges.delete = false;
        let both = side(&[("t", facts)]);
        for (deletes, problems) in [(Deletes::Off, 0), (Deletes::Mirror, 1)] {
            let plan = plan(&Pipeline { deletes, ..pipeline(None) }, &both, &both);
            assert_eq!(plan.problems().count(), problems, "{:?}", plan.notes);
        }
    }

    #[test]
    fn a_table_is_marked_in_its_column_or_refused_for_it() {
        let column = |name: &str, type_name: &str| Column {
            name: name.into(),
            type_name: type_name.into(),
            ..Column::default()
        };
        let mut marked = table(true);
        marked.columns.push(column("gone", "boolean"));
        marked.columns.push(column("name", "text"));
        let (source, target) = (side(&[("t", table(true))]), side(&[("t", marked)]));
        let plan_with_mark = |column: &str| {
            let deletes = Deletes::Mark(column.into());
            plan(&Pipeline { deletes, ..pipeline(None) }, &source, &target)
        };
        let shape = plan_with_mark("gone").shapes.remove(0);
        assert_eq!(shape.mark.map(|mark| mark.column).as_deref(), Some("gone"));
        assert_eq!(shape.columns.len(), 2, "a mark does not travel");
        for column in ["name", "updated_at", "nowhere"] {
            let plan = plan_with_mark(column);
            assert_eq!((plan.shapes.len(), plan.problems().count()), (0, 1), "{column}");
        }
    }

    #[test]
    fn a_cursor_without_an_index_names_the_index_to_create() {
        let mut facts = table(true);
        facts.index_starts.clear();
        let both = side(&[("t", facts)]);
        let plan = plan(&pipeline(None), &both, &both);
        assert_eq!(plan.notes[0].weight, Weight::Warning);
        let index = "create index concurrently on public.t (\"updated_at\", \"id\")";
        assert_eq!(plan.notes[0].remedy, index);
    }

    #[test]
    fn each_cursor_of_a_standby_has_a_note_on_rows_that_it_may_miss() {
        let mut whole = table(true);
        whole.columns.pop();
        let target = side(&[("stamped", table(true)), ("whole", whole)]);
        let source = Facts { standby: true, ..target.clone() };
        let standby_notes = |source: &Facts| {
            let plan = plan(&pipeline(None), source, &target);
            assert_eq!(plan.shapes.len(), 2);
            plan.notes.iter().filter(|note| note.text.contains("standby")).count()
        };
        assert_eq!((standby_notes(&source), standby_notes(&target)), (1, 0));
        let stamped = plan(&pipeline(None), &source, &target).shapes.remove(0);
        let text = |kind| {
            let (name, type_name) = ("n".to_owned(), "numeric".to_owned());
            let cursor = Cursor::Column { name, type_name, kind, nullable: false, indexed: true };
            remarks::blind_spot(&Shape { cursor, ..stamped.clone() }).unwrap().text
        };
        for kind in [CursorKind::Sequence, CursorKind::Decimal] {
            assert!(text(kind).contains("draws n"), "{kind:?}");
        }
        assert!(text(CursorKind::Day).contains("stamps n"));
    }
}
