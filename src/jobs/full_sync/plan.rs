//! Decides which tables a full sync copies, and whether the other side can take them. A copy is
//! whole or it is none: so each problem of a table is a problem of all.

use std::collections::BTreeMap;
use std::time::Duration;

use super::condition;
use super::ports::{Description, ExportTable};
use crate::engine::model::cron::Cron;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::{Column, Facts, TableFacts};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::{CopiedTable, Manifest};
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::{Pipeline, TableRule, TargetTriggers};
use crate::engine::model::session::CopyOptions;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::{OWN_TABLES, TableName};
use crate::engine::plan::note::{Note, Weight};
use crate::engine::plan::tables;

/// The tables of a copy, and the notes on them.
#[derive(Debug, Default)]
pub struct CopyPlan {
    /// The tables, parents first.
    pub shapes: Vec<Shape>,
    /// The notes. With a problem among them nothing is copied.
    pub notes: Vec<Note>,
    /// The reason why one of the databases has no room for the copy.
    pub lack_of_room: Option<Fault>,
    /// The time that the copy will take, if a like one was measured.
    pub time: Option<Duration>,
}

/// Plans a copy from the facts of both sides.
pub fn plan(options: &CopyOptions, from: &Facts, into: &Description) -> Result<CopyPlan, Fault> {
    let to = &into.facts;
    tables::refuse(from, to)?;
    tables::refuse_to_write(to)?;
    refuse_api(to)?;
    let tables::TablesPlan { mut shapes, mut notes, references: _ } =
        tables::plan(&pipeline(options, into.triggers), from, to);
    notes.retain(|note| !note.is_on_changes || note.weight == Weight::Problem);
    for shape in &mut shapes {
        shape.encoding = encoding(shape, from, to);
        let sides = (from.tables.get(&shape.table), to.tables.get(&shape.table));
        let (Some(from), Some(to)) = sides else { continue };
        let differences = differences(shape, from, to);
        // A sync works around them, and warns. Here each is a problem, which says more.
        if !differences.is_empty() {
            notes.retain(|note| note.table != shape.table || note.weight != Weight::Warning);
        }
        notes.extend(differences);
    }
    notes.extend(unknown_filters(options, &shapes));
    Ok(CopyPlan { shapes, notes, ..CopyPlan::default() })
}

/// Refuses to write over a project's API: the transaction of a copy needs a connection of its own.
fn refuse_api(to: &Facts) -> Result<(), Fault> {
    if !to.json_alone {
        return Ok(());
    }
    let message = "The receiving deployment knows its database as a project behind an API, which \
                   takes no copy";
    let hint = "set FULL_SYNC_DATABASE_URL of that deployment to the postgres:// URL of the \
                database";
    Err(Fault::new(Step::Plan, FaultCode::NoConnection, message, hint))
}

/// The options with the conditions on rows that the pipelines into this database have, and notes on
/// those. A person's own condition takes the place of a pipeline's. One with SQL of its own is not
/// applied, since it may not run on a peer.
pub fn with_filters(
    options: &CopyOptions,
    filters: &BTreeMap<TableName, String>,
    from: &Facts,
) -> (CopyOptions, Vec<Note>) {
    let (mut options, mut notes) = (options.clone(), Vec::new());
    for (name, filter) in filters {
        let is_named = options.tables.as_ref().is_none_or(|tables| tables.contains(name));
        let table = from.tables.get(name).filter(|_| is_named);
        let Some(table) = table.filter(|_| !options.filters.contains_key(name)) else { continue };
        let (weight, text) = match condition::check(filter, table) {
            Ok(()) => {
                options.filters.insert(name.clone(), filter.clone());
                (Weight::Info, "the pipeline's `where` chooses its rows".to_owned())
            }
            Err(bad) => (Weight::Warning, format!("the pipeline's `where` is not applied: {bad}")),
        };
        let remedy = "give another condition with --where, or `true` for all rows";
        notes.push(Note::new(weight, name, text, remedy));
    }
    (options, notes)
}

/// The tables without a key. A copy of all tables leaves them out, since their rows cannot be told
/// apart.
pub fn keyless(from: &Facts) -> Vec<TableName> {
    let keyless = from.tables.iter().filter(|(_, table)| table.keys.is_empty());
    keyless.map(|(name, _)| name.clone()).collect()
}

/// The agreement on these tables of a copy, in its order, as the receiving side is now.
pub fn agreed(
    manifest: &Manifest,
    only: &[TableName],
    options: &CopyOptions,
    own: &Description,
) -> Result<Vec<Shape>, Fault> {
    let options = CopyOptions { tables: Some(only.to_vec()), ..options.clone() };
    let mut shapes = plan(&options, &manifest.facts, own)?.or_fault()?.shapes;
    let tables = manifest.tables.iter().filter(|table| only.contains(&table.table));
    let shape = |table: &CopiedTable| {
        let place = shapes.iter().position(|shape| shape.table == table.table);
        let shape = place.map(|place| shapes.swap_remove(place));
        let fits = |shape: &Shape| {
            shape.columns.iter().map(|column| &column.name).eq(&table.columns)
                && (table.encoding == Encoding::Text || table.encoding == shape.encoding)
        };
        let shape = shape.filter(fits).ok_or_else(|| changed(&table.table))?;
        Ok(Shape { encoding: table.encoding, ..shape })
    };
    tables.map(shape).collect()
}

/// A table of the plan, for the deployment that exports it.
pub fn export_table(shape: &Shape) -> ExportTable {
    ExportTable {
        table: shape.table.clone(),
        columns: shape.columns.iter().map(|column| column.name.clone()).collect(),
        filter: shape.filter.clone(),
        encoding: shape.encoding,
    }
}

/// The agreement on a table whose rows come in batches.
pub fn received(manifest: &Manifest, table: &TableName, own: &Description) -> Result<Shape, Fault> {
    let shapes = agreed(manifest, std::slice::from_ref(table), &CopyOptions::default(), own)?;
    let shape = shapes.into_iter().next().ok_or_else(|| changed(table))?;
    Ok(by_key(shape, &manifest.facts))
}

/// The agreement for reading and writing rows page by page in the order of the key.
pub fn by_key(shape: Shape, from: &Facts) -> Shape {
    let encoding = if from.json_alone { Encoding::Json } else { Encoding::Text };
    Shape { cursor: Cursor::Whole, encoding, ..shape }
}

/// The fault of a table that is not as it was agreed on.
pub fn changed(table: &TableName) -> Fault {
    let message = "Its columns are not those of the copy any more";
    let hint = "start the full sync again, which plans anew";
    Fault::new(Step::Plan, FaultCode::SchemaChanged, message, hint).of_table(table)
}

impl CopyPlan {
    /// Has all rows travel as text, which every release knows.
    pub fn as_text(&mut self) {
        self.shapes.iter_mut().for_each(|shape| shape.encoding = Encoding::Text);
    }

    /// Refuses the copy where a table has a problem, or room is lacking; the fault names all of them.
    pub fn or_fault(mut self) -> Result<Self, Fault> {
        let problems: Vec<String> = (self.notes.iter())
            .filter(|note| note.weight == Weight::Problem)
            .map(|note| match note.remedy.is_empty() {
                true => format!("{}: {}", note.table, note.text),
                false => format!("{}: {} ({})", note.table, note.text, note.remedy),
            })
            .collect();
        if problems.is_empty() && self.shapes.is_empty() {
            let hint = "name tables that both sides have and that have a key";
            let message = "There is no table to copy";
            return Err(Fault::new(Step::Plan, FaultCode::NoTable, message, hint));
        }
        match problems.is_empty() {
            true => self.lack_of_room.take().map_or(Ok(self), Err),
            false => Err(Fault::new(
                Step::Plan,
                FaultCode::PlanProblem,
                format!("The tables cannot be copied: {}", problems.join("; ")),
                "mend what is named, or leave those tables out with --table",
            )),
        }
    }
}

/// Refuses tables of the server's own and those that hold our state. The role may read them, and a
/// peer that may copy could have passwords and the copies of others with them.
pub fn refuse_system_tables<'a>(
    tables: impl IntoIterator<Item = &'a TableName>,
) -> Result<(), Fault> {
    let is_system = |table: &TableName| {
        table.schema().starts_with("pg_")
            || table.schema() == "information_schema"
            || OWN_TABLES.contains(&table.name())
    };
    match tables.into_iter().find(|table| is_system(table)) {
        None => Ok(()),
        Some(table) => Err(Fault::new(
            Step::Plan,
            FaultCode::NotAllowed,
            "A table of the server's own, or of Syncline's state, is not copied",
            "leave it out",
        )
        .of_table(table)),
    }
}

/// The encoding of a table's rows: binary where both servers are of one version and read each
/// other's, and text otherwise.
fn encoding(shape: &Shape, from: &Facts, to: &Facts) -> Encoding {
    let is_binary = shape.encoding == Encoding::Binary && from.major == to.major;
    if is_binary { Encoding::Binary } else { Encoding::Text }
}

/// The differences between the columns of both sides. A sync may work around them; a copy that is
/// called whole may not.
fn differences(shape: &Shape, from: &TableFacts, to: &TableFacts) -> Vec<Note> {
    let note = |text: String, remedy: &str| Note::new(Weight::Problem, &shape.table, text, remedy);
    let columns = from.columns.iter().filter(|column| !column.generated);
    let difference = |column: &Column| {
        let Some(other) = to.column(&column.name) else {
            let text = format!("the column {} does not exist on the receiving side", column.name);
            return Some(note(text, "add it there"));
        };
        if other.generated || other.type_name == column.type_name || from.told_by_api {
            return None;
        }
        let text = format!(
            "the column {} is {} on one side and {} on the receiving one",
            column.name, column.type_name, other.type_name
        );
        Some(note(text, "give it one type on both sides"))
    };
    columns.filter_map(difference).collect()
}

fn unknown_filters(options: &CopyOptions, shapes: &[Shape]) -> Vec<Note> {
    let is_copied = |table: &TableName| shapes.iter().any(|shape| shape.table == *table);
    let unknown = options.filters.keys().filter(|table| !is_copied(table));
    let text = "it has a condition and is not copied";
    unknown
        .map(|table| Note::new(Weight::Problem, table, text, "take the condition away"))
        .collect()
}

/// The options as a pipeline, for the rules that a sync's tables are planned by.
fn pipeline(options: &CopyOptions, triggers: TargetTriggers) -> Pipeline {
    let rule = |(table, filter): (&_, &String)| TableRule {
        filter: Some(filter.clone()),
        ..TableRule::new(Clone::clone(table))
    };
    Pipeline {
        name: "full-sync".to_owned(),
        cron: Cron::parse("0 0 1 1 *", "UTC").expect("it is an expression"),
        tables: options.tables.clone(),
        rules: options.filters.iter().map(rule).collect(),
        page_rows: u32::MAX,
        overlap: Duration::ZERO,
        lease: Duration::ZERO,
        deletes: Deletes::Off,
        add_columns: false,
        lookback: None,
        triggers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::facts::Privileges;

    fn side(identity: &str, columns: &[(&str, &str)]) -> Facts {
        let column = |(name, type_name): &(&str, &str)| Column {
            name: (*name).to_owned(),
            type_name: (*type_name).to_owned(),
            ..Column::default()
        };
        let privileges =
            Privileges { select: true, insert: true, update: true, ..Privileges::default() };
        let table = TableFacts {
            columns: columns.iter().map(column).collect(),
            keys: vec![vec!["id".to_owned()]],
            privileges,
            ..TableFacts::default()
        };
        let tables = [(TableName::new("public", "t"), table)].into();
        Facts { identity: identity.to_owned(), tables, ..Facts::default() }
    }

    fn into(facts: Facts) -> Description {
        Description { facts, ..Description::default() }
    }

    fn problems(from: &[(&str, &str)], to: &[(&str, &str)]) -> String {
        let planned = plan(&CopyOptions::default(), &side("a", from), &into(side("b", to)));
        planned.and_then(CopyPlan::or_fault).map_or_else(|fault| fault.message, |_| String::new())
    }

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_named_before_a_row_is_read() {
        let from = [("id", "integer"), ("price", "numeric(10,2)"), ("name", "text")];
        assert_eq!(problems(&from, &from), "");
        let message = problems(&from, &[("id", "integer"), ("price", "numeric(10,4)")]);
        assert!(message.contains("the column name does not exist"), "{message}");
        assert!(message.contains("the column price is numeric(10,2)"), "{message}");
    }

    #[test]
    fn a_condition_on_a_table_that_is_not_copied_is_a_problem() {
        let both = [("id", "integer")];
        let filters = [(TableName::new("public", "u"), "true".to_owned())].into();
        let options = CopyOptions { filters, ..CopyOptions::default() };
        let planned =
            plan(&options, &side("a", &both), &into(side("b", &both))).expect("two sides");
        let fault = planned.or_fault().expect_err("a problem");
        assert!(fault.message.contains("public.u: it has a condition"), "{}", fault.message);
    }

    #[test]
    fn the_pipelines_conditions_choose_rows_unless_they_are_sql_of_ones_own() {
        let from = side("a", &[("id", "integer")]);
        let table = TableName::new("public", "t");
        let plan = |filter: &str, own: Option<&str>| {
            let own = own.map(|own| (table.clone(), own.to_owned()));
            let options =
                CopyOptions { filters: own.into_iter().collect(), ..CopyOptions::default() };
            let filters = [(table.clone(), filter.to_owned())].into();
            let (options, notes) = with_filters(&options, &filters, &from);
            let notes = notes.iter().map(ToString::to_string).collect::<String>();
            (options.filters.get(&table).cloned().unwrap_or_default(), notes)
        };
        let (applied, notes) = plan("id > 7", None);
        assert!(applied == "id > 7" && notes.contains("chooses its rows"), "{notes}");
        assert_eq!(plan("id > 7", Some("true")), ("true".to_owned(), String::new()));
        let (applied, notes) = plan("id in (select 1)", None);
        assert!(applied.is_empty() && notes.contains("is not applied"), "{notes}");
        assert!(notes.contains("--where"), "{notes}");
    }

    #[test]
    fn tables_of_the_server_and_of_our_state_are_not_copied() {
        let check = |schema: &str, name: &str| {
            refuse_system_tables([&TableName::new(schema, name)]).map_err(|fault| fault.code)
        };
        for (schema, name) in [
            ("pg_catalog", "pg_authid"),
            ("information_schema", "tables"),
            ("public", "full_sync_parts"),
            ("state", "sync_state"),
        ] {
            assert_eq!(check(schema, name), Err(FaultCode::NotAllowed), "{schema}.{name}");
        }
        assert_eq!(check("public", "orders"), Ok(()));
    }

    fn sides(type_oid: u32, versions: [u32; 2]) -> [Facts; 2] {
        let facts = |identity, major| {
            let mut facts = Facts { major, ..side(identity, &[("id", "integer")]) };
            let tables = facts.tables.values_mut();
            tables.for_each(|table| table.columns[0].type_oid = type_oid);
            facts
        };
        [facts("a", versions[0]), facts("b", versions[1])]
    }

    #[test]
    fn rows_are_binary_between_servers_of_one_version_that_have_the_same_types() {
        let own_type = 16_400;
        for (type_oid, versions, expected) in [
            (23, [17, 17], Encoding::Binary),
            (23, [17, 18], Encoding::Text),
            (own_type, [17, 17], Encoding::Text),
        ] {
            let [from, to] = sides(type_oid, versions);
            let plan = plan(&CopyOptions::default(), &from, &into(to)).expect("two sides");
            assert_eq!(plan.shapes[0].encoding, expected, "{type_oid} {versions:?}");
        }
    }

    #[test]
    fn a_copy_whose_bytes_the_receiving_side_reads_otherwise_is_not_restored() {
        for (type_oid, encoding, is_restored) in [
            (23, Encoding::Binary, true),
            (16_400, Encoding::Binary, false),
            (16_400, Encoding::Text, true),
        ] {
            let [facts, own] = sides(type_oid, [17, 17]);
            let table = TableName::new("public", "t");
            let columns = vec!["id".to_owned()];
            let copied = CopiedTable { table: table.clone(), columns, rows: 0, encoding };
            let manifest = Manifest { facts, tables: vec![copied], ..Manifest::default() };
            let agreed = agreed(&manifest, &[table], &CopyOptions::default(), &into(own));
            let agreed = agreed.map(|shapes| shapes[0].encoding).map_err(|fault| fault.code);
            let expected = if is_restored { Ok(encoding) } else { Err(FaultCode::SchemaChanged) };
            assert_eq!(agreed, expected, "{type_oid} {encoding:?}");
        }
    }

    #[test]
    fn a_project_behind_an_api_is_refused_as_the_receiving_side_alone() {
        let project = |identity| Facts { json_alone: true, ..side(identity, &[("id", "integer")]) };
        let database = |identity| side(identity, &[("id", "integer")]);
        let planned = |from, to| plan(&CopyOptions::default(), &from, &into(to));
        let fault = planned(database("a"), project("b")).expect_err("nothing can be written");
        assert_eq!(fault.code, FaultCode::NoConnection);
        assert!(fault.hint.contains("FULL_SYNC_DATABASE_URL"), "{}", fault.hint);
        assert!(planned(project("a"), database("b")).is_ok());
    }

    #[test]
    fn a_database_is_not_copied_into_itself() {
        let both = side("a", &[("id", "integer")]);
        let fault =
            plan(&CopyOptions::default(), &both, &into(both.clone())).expect_err("one database");
        assert_eq!(fault.code, FaultCode::SameDatabase);
    }
}
