//! From the facts of both sides to what is moved: the plan of a run before any row is looked at.

use std::collections::BTreeMap;

use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::{Column, Facts, TableFacts, Unfit};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::shape::{MovedColumn, Origin, OriginSide, Shape};
use crate::engine::model::table::TableName;

use super::choose::{self, Obstacle};
use super::{drift, encoding, order, remarks};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::{deletes, lookback};

/// The tables that are moved, in the order they are worked, and the notes on them.
#[derive(Clone, Debug, Default)]
pub struct TablesPlan {
    /// The tables that can be worked, parents first.
    pub shapes: Vec<Shape>,
    /// The notes, problems included.
    pub notes: Vec<Note>,
}

impl TablesPlan {
    /// The tables that are left out until somebody acts.
    pub fn problems(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|note| note.weight == Weight::Problem)
    }
}

/// Plans the pipeline's tables from what both sides have. A table with a problem is named and
/// left out; the others go on. Without a list, a table without a key is passed over with a note:
/// it was not asked for by name.
pub fn plan(pipeline: &Pipeline, source: &Facts, target: &Facts) -> TablesPlan {
    let mut plan = TablesPlan::default();
    let mut shapes = BTreeMap::new();
    let mut parents = BTreeMap::new();
    let mut needed = BTreeMap::new();
    for name in wanted(pipeline, source) {
        let sides = (source.tables.get(&name), target.tables.get(&name));
        // The target need not have what is passed over anyway.
        if pipeline.tables.is_none() && sides.0.is_some_and(|table| table.keys.is_empty()) {
            plan.notes.push(Note::new(
                Weight::Info,
                &name,
                "it has no key and is passed over",
                "add a primary key to sync it",
            ));
            continue;
        }
        let (Some(at_source), Some(at_target)) = sides else {
            plan.notes.push(missing(&name, sides.0.is_none()));
            continue;
        };
        if let Some(mut shape) = shape(pipeline, &name, at_source, at_target, &mut plan.notes) {
            shape.origin = origin(&source.history, &shape, at_source, at_target);
            shape.encoding = encoding::between([source, target], shape.encoding);
            plan.notes.extend(source.standby.then(|| remarks::blind_spot(&shape)).flatten());
            let references = at_target.references.iter().map(|reference| reference.parent.clone());
            parents.insert(name.clone(), references.collect());
            needed.insert(name.clone(), at_target.needed_at_once().cloned().collect());
            shapes.insert(name, shape);
        }
    }
    plan.notes.extend(order::in_circles(&needed).iter().map(remarks::closed_circle));
    let ordered = order::parents_first(&parents);
    plan.shapes = ordered.iter().filter_map(|name| shapes.remove(name)).collect();
    plan
}

/// Two databases that no plan can be made for. Syncing a database with itself would at best do
/// nothing and at worst mark its rows as synced.
pub fn refuse(source: &Facts, target: &Facts) -> Result<(), Fault> {
    match source.identity == target.identity {
        true => Err(refusal(Unfit::SameDatabase)),
        false => Ok(()),
    }
}

/// A target that cannot be written by the role, whatever the table.
pub fn refuse_to_write(target: &Facts) -> Result<(), Fault> {
    target.unfit_to_write().map_or(Ok(()), |unfit| Err(refusal(unfit)))
}

/// Says of a database that cannot be the target why, and what to do.
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
            "grant set on parameter session_replication_role to it (from Postgres 15 on), or leave \
             `triggers` out of syncline.toml",
        ),
    };
    Fault::new(Step::Plan, code, message, hint)
}

/// The tables that a run is about.
pub(super) fn wanted(pipeline: &Pipeline, source: &Facts) -> Vec<TableName> {
    match &pipeline.tables {
        Some(listed) => listed.clone(),
        None => source.tables.keys().cloned().collect(),
    }
}

/// Tables that were synced before, and that the target has while the source has not. Where tables
/// are listed, one that is missing is named by the plan.
pub fn gone<'a>(
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

fn missing(name: &TableName, on_source: bool) -> Note {
    let side = if on_source { "source" } else { "target" };
    Note::new(
        Weight::Problem,
        name,
        format!("it does not exist on the {side}"),
        format!("create it on the {side}, or leave it out of SYNC_TABLES"),
    )
}

/// One table's agreement, or none with the problem added to the notes.
fn shape(
    pipeline: &Pipeline,
    name: &TableName,
    source: &TableFacts,
    target: &TableFacts,
    notes: &mut Vec<Note>,
) -> Option<Shape> {
    let rule = pipeline.rule(name);
    let drift = drift::compare(name, source, target, rule);
    let mut found = drift.notes;
    let deletes = pipeline.deletes(name);
    found.extend(remarks::privileges(name, source, target, deletes));
    let shared: Vec<&str> = drift.shared.iter().map(|(column, _)| column.name.as_str()).collect();
    let decided = choose::key(source, target, rule)
        .and_then(|key| key_travels(&shared, key))
        .and_then(|key| Ok((choose::cursor(source, &shared, &key, rule)?, key)))
        .and_then(|(cursor, key)| match deletes {
            Deletes::Mark(column) => {
                Ok((cursor, key, Some(deletes::mark(column, &shared, target)?)))
            }
            Deletes::Off | Deletes::Mirror => Ok((cursor, key, None)),
        });
    let shape = match decided {
        Err(Obstacle { text, remedy }) => {
            found.push(Note::new(Weight::Problem, name, text, remedy));
            None
        }
        Ok((cursor, key, mark)) => {
            found.extend(remarks::remark(name, source, &cursor, &key));
            if source.told_by_api {
                found.extend(remarks::over_api(name, rule, &cursor));
            }
            let policy = rule.map(|rule| rule.policy).unwrap_or_default();
            found.extend(remarks::compares(name, policy, &cursor, target));
            let lookback = pipeline.lookback(name);
            found.extend(lookback.and_then(|_| lookback::remark(name, &cursor)));
            let lookback = lookback.filter(|_| lookback::applies(&cursor));
            let encoding = encoding::choose(drift.shared.iter().copied(), &key, &cursor);
            Some(Shape {
                table: name.clone(),
                origin: Origin::default(),
                columns: drift
                    .shared
                    .iter()
                    .map(|(source, target)| moved(source, target))
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
            })
        }
    };
    let refused = found.iter().any(|note| note.weight == Weight::Problem);
    notes.append(&mut found);
    shape.filter(|_| !refused)
}

fn origin(history: &str, shape: &Shape, source: &TableFacts, target: &TableFacts) -> Origin {
    let names = || shape.columns.iter().map(|column| column.name.as_str());
    Origin {
        history: history.to_owned(),
        source: OriginSide::new(source, names()),
        target: OriginSide::new(target, names()),
    }
}

fn moved(source: &Column, target: &Column) -> MovedColumn {
    MovedColumn {
        name: source.name.clone(),
        source_type: source.type_name.clone(),
        target_type: target.type_name.clone(),
        fixed: target.identity_always,
        merges: target.folds && !source.folds,
    }
}

fn key_travels(shared: &[&str], key: Vec<String>) -> Result<Vec<String>, Obstacle> {
    match key.iter().find(|column| !shared.contains(&column.as_str())) {
        None => Ok(key),
        Some(column) => Err(Obstacle {
            text: format!("its key column {column} is not among the columns that are synced"),
            remedy: "add it to `columns`, or to the target".into(),
        }),
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::engine::model::facts::Privileges;

    fn all() -> Privileges {
        Privileges { select: true, insert: true, update: true, delete: true, rows_hidden: false }
    }

    fn table(keyed: bool) -> TableFacts {
        let stamp = "timestamp with time zone";
        let column = |name: &str, type_name: &str| Column {
            name: name.into(),
            type_name: type_name.into(),
            not_null: true,
            ..Column::default()
        };
        TableFacts {
            columns: vec![column("id", "uuid"), column("updated_at", stamp)],
            keys: if keyed { vec![vec!["id".into()]] } else { Vec::new() },
            index_starts: vec!["updated_at".into()],
            privileges: all(),
            ..TableFacts::default()
        }
    }

    fn side(tables: &[(&str, TableFacts)]) -> Facts {
        let named =
            |(name, facts): &(&str, TableFacts)| (TableName::new("public", *name), facts.clone());
        Facts { tables: tables.iter().map(named).collect(), ..Facts::default() }
    }

    fn pipeline(tables: Option<&[&str]>) -> Pipeline {
        let named = |&name: &&str| TableName::new("public", name);
        let tables = tables.map(|all| all.iter().map(named).collect());
        Pipeline { tables, ..Pipeline::plain() }
    }

    fn planned(plan: &TablesPlan) -> Vec<&str> {
        plan.shapes.iter().map(|shape| shape.table.name()).collect()
    }

    fn weights(plan: &TablesPlan) -> Vec<(&str, Weight)> {
        plan.notes.iter().map(|note| (note.table.name(), note.weight)).collect()
    }

    #[test]
    fn a_table_without_a_key_is_passed_over_unless_it_was_asked_for_by_name() {
        let both = side(&[("keyed", table(true)), ("bare", table(false))]);
        let unlisted = plan(&pipeline(None), &both, &both);
        assert_eq!(
            (planned(&unlisted), weights(&unlisted)),
            (vec!["keyed"], vec![("bare", Weight::Info)])
        );
        let listed = plan(&pipeline(Some(&["keyed", "bare"])), &both, &both);
        assert_eq!(
            (planned(&listed), weights(&listed)),
            (vec!["keyed"], vec![("bare", Weight::Problem)])
        );
    }

    #[test]
    fn a_table_that_one_side_lacks_is_named_and_the_others_go_on() {
        let source = side(&[("a", table(true)), ("b", table(true))]);
        let target = side(&[("b", table(true))]);
        let plan = plan(&pipeline(Some(&["a", "b", "c"])), &source, &target);
        assert_eq!(planned(&plan), ["b"]);
        let texts: Vec<String> = plan.problems().map(ToString::to_string).collect();
        assert!(texts[0].contains("public.a") && texts[0].contains("on the target"), "{texts:?}");
        assert!(texts[1].contains("public.c") && texts[1].contains("on the source"), "{texts:?}");
    }

    #[test]
    fn privileges_that_are_missing_are_problems() {
        let may = |change: fn(&mut Privileges)| {
            let mut facts = table(true);
            change(&mut facts.privileges);
            side(&[("t", facts)])
        };
        let fine = || side(&[("t", table(true))]);
        for (source, target) in [
            (may(|table| table.select = false), fine()),
            (may(|table| table.rows_hidden = true), fine()),
            (fine(), may(|table| table.insert = false)),
            (fine(), may(|table| table.update = false)),
            (fine(), may(|table| table.select = false)),
            (fine(), may(|table| table.rows_hidden = true)),
        ] {
            let plan = plan(&pipeline(None), &source, &target);
            assert_eq!((plan.shapes.len(), plan.problems().count()), (0, 1), "{:?}", plan.notes);
        }
        let read_only = may(|table| (table.insert, table.update) = (false, false));
        assert!(plan(&pipeline(None), &read_only, &fine()).problems().next().is_none());
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
        let marked = |by: &str| {
            let deletes = Deletes::Mark(by.into());
            plan(&Pipeline { deletes, ..pipeline(None) }, &source, &target)
        };
        let shape = marked("gone").shapes.remove(0);
        assert_eq!(shape.mark.map(|mark| mark.column).as_deref(), Some("gone"));
        assert_eq!(shape.columns.len(), 2, "a mark does not travel");
        for wrong in ["name", "updated_at", "nowhere"] {
            let plan = marked(wrong);
            assert_eq!((plan.shapes.len(), plan.problems().count()), (0, 1), "{wrong}");
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
    fn a_standby_says_of_each_cursor_what_it_cannot_see() {
        let mut whole = table(true);
        whole.columns.pop();
        let target = side(&[("stamped", table(true)), ("whole", whole)]);
        let source = Facts { standby: true, ..target.clone() };
        let told = |source: &Facts| {
            let plan = plan(&pipeline(None), source, &target);
            assert_eq!(plan.shapes.len(), 2);
            plan.notes.iter().filter(|note| note.text.contains("standby")).count()
        };
        assert_eq!((told(&source), told(&target)), (1, 0));
    }
}
