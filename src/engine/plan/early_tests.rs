//! What a pulse tells of a table, case by case; what may happen between it and the run's work is in
//! the model of `window.rs`.

use std::collections::BTreeSet;

use super::*;
use crate::engine::model::checkpoint::{Checkpoint, Pending, Scan, Seen};
use crate::engine::model::cursor::{CursorKind, CursorValue, Pass};
use crate::engine::model::facts::Relation;
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::Shape;
use crate::engine::model::table::TableName;
use crate::engine::plan::window;

const OVERLAP: Duration = Duration::from_secs(600);

fn shape_by(cursor: Cursor) -> Shape {
    Shape {
        table: TableName::new("public", "items"),
        origin: String::new(),
        columns: Vec::new(),
        key: vec!["id".to_owned()],
        cursor,
        filter: None,
        policy: Policy::SourceWins,
        encoding: Encoding::Json,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback: None,
    }
}

fn shape() -> Shape {
    let (name, type_name) = ("at".to_owned(), "date".to_owned());
    let kind = CursorKind::Day;
    shape_by(Cursor::Column { name, type_name, kind, nullable: true, indexed: true })
}

fn value(text: &str) -> Option<CursorValue> {
    (!text.is_empty()).then(|| CursorValue::new(text))
}

fn pulse(cursor: &str, max: &str) -> Pulse {
    let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
    let digest = "d".to_owned();
    let beat = Beat { cursor, max: value(max), digest, beyond: true, nulls: true };
    let table = shape().table;
    let writers = Some(BTreeSet::from(["3/1".to_owned()]));
    Pulse { tables: [(table, beat)].into(), overlap: OVERLAP, writers }
}

fn reached(kept: &str, seen: &str) -> Checkpoint {
    let seen = Some(Seen { max: value(seen), digest: Some("d".to_owned()) });
    let reached = Reached { kept: value(kept), pending: None, seen, start: None };
    window::settled(&shape(), reached)
}

fn told(pulse: &Pulse, checkpoint: Option<&Checkpoint>) -> Option<TableSurvey> {
    let shape = &shape();
    let ask = SurveyAsk { shape, checkpoint, floor: Floor::None };
    survey(pulse, &[ask], OVERLAP).map(|survey| survey.tables[0].clone())
}

fn seen(max: &str, tail: Option<&str>) -> TableSurvey {
    TableSurvey {
        max: value(max),
        tail: tail.map(str::to_owned),
        next: Some("d".to_owned()),
        beyond: true,
        nulls: true,
        start: None,
    }
}

#[test]
fn the_tail_is_told_where_it_is_the_window_from_the_maximum_on_or_is_not_looked_at() {
    for (kept, before, now, expected) in [
        ("5", "5", "6", Some(None)),
        ("5", "5", "4", Some(None)),
        ("5", "5", "", Some(None)),
        ("5", "5", "5", Some(Some("d"))),
        ("", "", "", Some(Some("d"))),
        ("4", "5", "5", None),
        ("", "5", "5", None),
        // The table was emptied: all of it was seen, and what is kept begins later.
        ("5", "", "", None),
    ] {
        let look = told(&pulse("at", now), Some(&reached(kept, before)));
        let expected = expected.map(|tail| seen(now, tail));
        assert_eq!(look, expected, "kept {kept}, seen {before}, now {now}");
    }
    assert_eq!(told(&pulse("at", "5"), None), Some(seen("5", None)), "nothing was seen before");
}

#[test]
fn a_table_without_a_cursor_is_told_whole() {
    let shape = &shape_by(Cursor::Whole);
    let whole = TableSurvey { tail: Some("d".to_owned()), ..TableSurvey::default() };
    let ask = SurveyAsk { shape, checkpoint: None, floor: Floor::None };
    let told = survey(&pulse("", ""), &[ask], OVERLAP).expect("a survey");
    assert_eq!(told.tables, [whole]);
}

#[test]
fn nothing_is_told_over_what_is_pending_or_cut() {
    let pulse = pulse("at", "6");
    assert!(told(&pulse, Some(&reached("5", "5"))).is_some());

    let mut pending = reached("5", "5");
    let writers = ["3/2".to_owned()].into();
    pending.reached.pending = Some(Pending { watermark: CursorValue::new("6"), writers });
    assert_eq!(told(&pulse, Some(&pending)), None);

    let mut cut = reached("5", "5");
    let goal = cut.reached.clone();
    cut.scan = Some(Scan {
        pass: Pass::Window,
        then: Vec::new(),
        after: None,
        from: value("5"),
        watermark: value("6"),
        fresh: false,
        goal,
    });
    assert_eq!(told(&pulse, Some(&cut)), None);
}

#[test]
fn nothing_is_told_of_another_window_or_cursor_nor_without_the_writers_nor_of_some_tables_alone() {
    let shape = &shape();
    let ask = |floor: Floor| SurveyAsk { shape, checkpoint: None, floor };
    let whole = pulse("at", "5");
    assert!(survey(&whole, &[ask(Floor::None)], OVERLAP).is_some());

    assert!(survey(&whole, &[ask(Floor::Back(OVERLAP))], OVERLAP).is_none());
    assert!(survey(&whole, &[ask(Floor::None)], OVERLAP * 2).is_none());
    assert!(survey(&pulse("made", "5"), &[ask(Floor::None)], OVERLAP).is_none());
    assert!(survey(&pulse("", ""), &[ask(Floor::None)], OVERLAP).is_none());
    let unknown = Pulse { writers: None, ..whole.clone() };
    assert!(survey(&unknown, &[ask(Floor::None)], OVERLAP).is_none());
    let other = Shape { table: TableName::new("public", "others"), ..shape.clone() };
    let asks = [ask(Floor::None), SurveyAsk { shape: &other, ..ask(Floor::None) }];
    assert!(survey(&whole, &asks, OVERLAP).is_none());
}

#[test]
fn who_is_open_when_the_scan_begins_is_one_of_those_that_the_pulse_saw() {
    let shape = &shape();
    let ask = SurveyAsk { shape, checkpoint: None, floor: Floor::None };
    let told = survey(&pulse("at", "5"), &[ask], OVERLAP).expect("a survey");
    assert_eq!(told.writers_after, BTreeSet::from(["3/1".to_owned()]));
}
