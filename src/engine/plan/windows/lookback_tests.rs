//! The rows that a look-back reads, case by case.

use std::time::Duration;

use super::*;
use crate::engine::model::checkpoint::{Reached, Start};
use crate::engine::model::cursor::{CursorKind, CursorValue};
use crate::engine::model::facts::Relation;
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::{MovedColumn, Origin};
use crate::engine::model::trigger::Firing;

const DAY: Duration = Duration::from_secs(86_400);

fn column(name: &str, kind: CursorKind, nullable: bool) -> Cursor {
    let (name, type_name) = (name.to_owned(), "date".to_owned());
    Cursor::Column { name, type_name, kind, nullable, indexed: true }
}

fn shape(lookback: Option<Duration>) -> Shape {
    let moved = |name: &str| MovedColumn {
        name: name.to_owned(),
        source_type: "date".to_owned(),
        target_type: "timestamp".to_owned(),
        target_base: None,
        fixed: false,
        merges: false,
    };
    Shape {
        table: TableName::new("public", "items"),
        origin: Origin::default(),
        columns: vec![moved("id"), moved("at")],
        key: vec!["id".to_owned()],
        cursor: column("at", CursorKind::Day, false),
        filter: None,
        policy: Policy::SourceWins,
        encoding: Encoding::Text,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback,
        triggers: Firing::Fire,
    }
}

fn value(text: &str) -> CursorValue {
    CursorValue::new(text)
}

fn start(from: &str) -> Option<Start> {
    Some(Start { from: value(from), lookback: 7 * DAY })
}

/// A table that was read from there on.
fn stored(start: Option<Start>) -> Checkpoint {
    let reached = Reached { kept: Some(value("9")), start, ..Reached::default() };
    window::settled(&shape(None), reached)
}

#[test]
fn a_start_is_chosen_once_and_lowered_by_a_longer_look_back_alone() {
    let begun = || stored(start("5"));
    let nothing_read = window::settled(&shape(None), Reached::default());
    for (lookback, stored, expected) in [
        (None, None, Floor::None),
        (Some(DAY), None, Floor::Back(DAY)),
        (Some(DAY), Some(nothing_read), Floor::Back(DAY)),
        (Some(DAY), Some(stored(None)), Floor::None),
        (Some(DAY), Some(begun()), Floor::Chosen(value("5"))),
        (Some(7 * DAY), Some(begun()), Floor::Chosen(value("5"))),
        (Some(8 * DAY), Some(begun()), Floor::Lower(value("5"), 8 * DAY)),
        (None, Some(begun()), Floor::None),
    ] {
        assert_eq!(floor(&shape(lookback), stored.as_ref()), expected, "{lookback:?} {stored:?}");
    }
}

#[test]
fn a_table_that_changed_keeps_its_start_and_one_with_another_cursor_is_read_whole() {
    let changed = Shape { filter: Some("true".to_owned()), ..shape(Some(DAY)) };
    let stored = stored(start("5"));
    assert_eq!(window::usable(&changed, Some(&stored)), None);
    assert_eq!(floor(&changed, Some(&stored)), Floor::Chosen(value("5")));
    let other = Shape { cursor: column("id", CursorKind::Day, false), ..shape(Some(DAY)) };
    assert_eq!(floor(&other, Some(&stored)), Floor::None);
}

#[test]
fn a_checkpoint_of_a_limited_table_is_of_no_use_once_nothing_limits_it() {
    let stored = stored(start("5"));
    assert!(window::usable(&shape(Some(DAY)), Some(&stored)).is_some());
    assert_eq!(window::usable(&shape(None), Some(&stored)), None);
}

#[test]
fn who_compares_is_told_of_what_was_read_to_its_end() {
    let limited = shape(Some(DAY));
    let from = |stored: &Checkpoint| filled_from(&limited, Some(stored)).map(|start| start.from);
    let begun = stored(start("5"));
    assert_eq!(from(&begun).as_deref(), Some("5"));
    assert_eq!(from(&stored(None)), None);
    // A scan from further back is on its way.
    let survey = crate::engine::model::survey::TableSurvey {
        max: Some(value("9")),
        start: Some(value("2")),
        ..Default::default()
    };
    let window::Move::Scan(scan) =
        window::decide(&limited, Some(&begun), &survey, &Default::default())
    else {
        panic!("it is to be read anew");
    };
    assert_eq!(
        (scan.from.clone(), scan.goal.start.clone().map(|start| start.from)),
        (None, Some(value("2")))
    );
    let under_way = Checkpoint { scan: Some(scan.clone()), ..begun };
    assert_eq!(from(&under_way).as_deref(), Some("5"));
    let first = Checkpoint { reached: Reached::default(), ..under_way };
    assert_eq!(from(&first).as_deref(), Some("2"));
    assert_eq!(
        window::decide(&limited, Some(&first), &survey, &Default::default()),
        window::Move::Resume(scan),
        "the start that it has is the one that is asked for"
    );
}

#[test]
fn what_is_not_limited_is_named() {
    let name = TableName::new("public", "items");
    let said = |cursor: &Cursor| remark(&name, cursor).map(|note| note.text);
    for (cursor, limits, text) in [
        (Cursor::Whole, false, Some("it has no cursor")),
        (column("n", CursorKind::Sequence, false), false, Some("its cursor n is no time")),
        (column("at", CursorKind::Instant, true), true, Some("rows without at")),
        (column("at", CursorKind::WallClock, false), true, None),
    ] {
        assert_eq!(applies(&cursor), limits);
        let said = said(&cursor);
        assert_eq!(said.is_some(), text.is_some(), "{cursor:?}");
        assert!(said.unwrap_or_default().contains(text.unwrap_or_default()), "{cursor:?}");
    }
}
