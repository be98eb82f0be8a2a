use super::*;
use crate::engine::model::checkpoint::Reached;
use crate::engine::model::cursor::CursorValue;
use crate::engine::model::facts::{Column, Reference};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::pipeline::TableRule;
use crate::engine::model::shape_mark::ShapeMark;

const STAMP: &str = "timestamp with time zone";

fn job(since: Option<&str>) -> ExportGap {
    let pipeline = Pipeline { overlap: Duration::from_secs(300), ..Pipeline::plain() };
    ExportGap { pipeline: Arc::new(pipeline), tables: Vec::new(), since: since.map(str::to_owned) }
}

fn table(columns: &[(&str, &str)]) -> TableFacts {
    let column = |(name, type_name): &(&str, &str)| Column {
        name: (*name).into(),
        type_name: (*type_name).into(),
        not_null: true,
        ..Column::default()
    };
    TableFacts {
        columns: columns.iter().map(column).collect(),
        keys: vec![vec!["id".into()]],
        ..TableFacts::default()
    }
}

fn checkpoint(cursor: &str) -> Checkpoint {
    let reached = Reached { kept: Some(CursorValue::new("2026-01-02")), ..Reached::default() };
    let text = format!(
        "[\"id\", \"created_at\", \"updated_at\"] [\"id\"] {cursor:?} None \"; : 0,0,0; : 0,0,0\""
    );
    Checkpoint { shape: ShapeMark::from_text(&text).unwrap(), reached, scan: None }
}

fn orders() -> TableFacts {
    table(&[("id", "bigint"), ("a \"b\"", "text[]"), ("updated_at", STAMP)])
}

#[test]
fn a_table_that_was_synced_is_exported_from_where_a_run_would_go_on() {
    let name = TableName::new("public", "orders");
    let export =
        job(None).export(&orders(), Some(&checkpoint(&format!("updated_at {STAMP}"))), name);
    let rest = "from public.orders where \"updated_at\" >= '2026-01-02'::timestamp with time zone \
        - interval '300 seconds' order by \"updated_at\", \"id\"";
    let columns = "\"id\"::text as \"id\", \"a \"\"b\"\"\"::text as \"a \"\"b\"\"\", \
        \"updated_at\"::text as \"updated_at\"";
    assert_eq!(export.query(), format!("select {columns} {rest}"));
    let plain = "\"id\", \"a \"\"b\"\"\", \"updated_at\"";
    let copy = format!("\\copy (select {plain} {rest}) to 'orders.csv' with (format csv, header)");
    assert_eq!(export.psql_line().unwrap(), copy);
}

#[test]
fn without_a_history_by_the_same_cursor_everything_is_exported() {
    for checkpoint in [None, Some(checkpoint("created_at date"))] {
        let name = TableName::new("app", "orders");
        let export = job(None).export(&orders(), checkpoint.as_ref(), name);
        assert!(!export.query().contains("where"), "{}", export.query());
        assert_eq!(export.file, "app.orders.csv");
    }
}

#[test]
fn a_span_wins_over_the_checkpoint_and_rows_without_a_stamp_come_along() {
    let mut facts = orders();
    facts.columns[2].not_null = false;
    let known = checkpoint(&format!("updated_at {STAMP}"));
    let name = TableName::new("public", "orders");
    let query = job(Some("2025-12-24T00:00:00Z")).export(&facts, Some(&known), name).query();
    let condition = "where (\"updated_at\" >= '2025-12-24T00:00:00Z'::timestamp with time zone \
        or \"updated_at\" is null) order by";
    assert!(query.contains(condition), "{query}");
}

#[test]
fn parents_come_before_their_children() {
    let mut facts = Facts::default();
    let mut child = orders();
    let parent = TableName::new("public", "people");
    child.references = vec![Reference {
        columns: vec!["id".into()],
        parent: parent.clone(),
        referenced: vec!["id".into()],
        deferrable: false,
    }];
    facts.tables.insert(TableName::new("public", "orders"), child);
    facts.tables.insert(parent, table(&[("id", "integer")]));
    let files: Vec<String> = job(None)
        .exports(&facts, &Checkpoints::new())
        .into_iter()
        .map(|export| export.file)
        .collect();
    assert_eq!(files, ["people.csv", "orders.csv"]);
}

#[test]
fn a_condition_keeps_its_spaces_and_ends_its_comment() {
    let filtered = |filter: &str| {
        let mut job = job(None);
        let table = TableName::new("public", "orders");
        let rule = TableRule { filter: Some(filter.into()), ..TableRule::new(table.clone()) };
        Arc::make_mut(&mut job.pipeline).rules = vec![rule];
        job.export(&orders(), None, table)
    };
    let spaced = filtered("note <> 'a  b'\nand id > 1");
    let query = spaced.query();
    assert!(query.contains(" where (note <> 'a  b'\nand id > 1) order by"), "{query}");
    let line = spaced.psql_line().unwrap();
    assert!(line.contains(" where (note <> 'a  b' and id > 1) order by"), "{line}");
    let commented = filtered("id > 1 -- the first is a test");
    let query = commented.query();
    assert!(query.contains(" where (id > 1 -- the first is a test\n) order by"), "{query}");
    assert_eq!(commented.psql_line().unwrap_err().code, FaultCode::NoLine);
}
