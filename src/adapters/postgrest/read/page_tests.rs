//! The requests for a page of each pass.

use std::time::Duration;

use super::*;
use crate::engine::model::checkpoint::{Reached, Scan};
use crate::engine::model::cursor::CursorKind;
use crate::engine::model::facts::Relation;
use crate::engine::model::page::{Encoding, PageLimit};
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::{MovedColumn, Origin};
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::Firing;

const STAMP: &str = "timestamp with time zone";

fn shape() -> Shape {
    let column = |name: &str, type_name: &str| MovedColumn {
        name: name.into(),
        source_type: type_name.into(),
        target_type: type_name.into(),
        target_base: None,
        fixed: false,
        merges: false,
    };
    Shape {
        table: TableName::new("public", "jobs"),
        origin: Origin::default(),
        columns: vec![column("id", "uuid"), column("odd.name", "jsonb"), column("at", STAMP)],
        key: vec!["id".into()],
        cursor: Cursor::Column {
            name: "at".into(),
            type_name: STAMP.into(),
            kind: CursorKind::Instant,
            nullable: true,
            indexed: true,
        },
        filter: None,
        policy: Policy::SourceWins,
        encoding: Encoding::Json,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback: None,
        triggers: Firing::Fire,
    }
}

fn value(text: &str) -> CursorValue {
    CursorValue::new(text)
}

fn asked(pass: Pass, after: Option<Position>) -> String {
    let shape = shape();
    let scan = Scan {
        pass,
        then: Vec::new(),
        after: after.clone(),
        from: Some(value("2026-01-01T00:10:00+00:00")),
        watermark: Some(value("2026-01-02T00:00:00+00:00")),
        fresh: false,
        goal: Reached::default(),
    };
    let limit = PageLimit { rows: 5, bytes: 100 };
    let read = ReadPage { shape: &shape, scan: &scan, overlap: Duration::ZERO, limit };
    let text = scan_query(&read, after.as_ref()).as_str().to_owned();
    percent_encoding::percent_decode_str(&text).decode_utf8().unwrap().into_owned()
}

#[test]
fn each_pass_asks_for_its_rows_after_the_last_one() {
    let at =
        |cursor: Option<&str>| Some(Position { cursor: cursor.map(value), key: vec![value("k")] });
    assert_eq!(
        asked(Pass::Window, None),
        "at=gte.2026-01-01T00:00:00Z&at=lte.2026-01-02T00:00:00+00:00&order=at.asc,id.asc"
    );
    assert_eq!(
        asked(Pass::Window, at(Some("x"))),
        "at=lte.2026-01-02T00:00:00+00:00&at=gte.x&or=(at.gt.\"x\",and(at.eq.\"x\",id.gt.\"k\"))\
         &order=at.asc,id.asc"
    );
    assert_eq!(asked(Pass::Beyond, None), "at=gt.2026-01-02T00:00:00+00:00&order=at.asc,id.asc");
    assert_eq!(asked(Pass::Nulls, at(None)), "at=is.null&id=gt.k&order=id.asc");
    assert_eq!(asked(Pass::ByKey, at(None)), "id=gt.k&order=id.asc");
}

#[test]
fn columns_are_named_and_cast_in_their_order() {
    assert_eq!(query::select_all(&shape()), "id,\"odd.name\"::text,at");
}
