//! Every move, promise and step, case by case; how they work together over time is in the model.

use bytes::Bytes;

use super::*;
use crate::engine::model::cursor::{CursorKind, CursorValue, Position};
use crate::engine::model::facts::Relation;
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::{MovedColumn, Origin};
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::Firing;

#[path = "window_model_tests.rs"]
mod model;
#[path = "window_shape_tests.rs"]
mod shape_mark;

fn value(text: &str) -> CursorValue {
    CursorValue::new(text)
}

fn writers(names: &[&str]) -> BTreeSet<Writer> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn column(name: &str, source_type: &str) -> MovedColumn {
    let (source_type, target_type) = (source_type.to_owned(), source_type.to_owned());
    MovedColumn {
        name: name.to_owned(),
        source_type,
        target_type,
        target_base: None,
        fixed: false,
        merges: false,
    }
}

fn shape_by(cursor: Cursor) -> Shape {
    Shape {
        table: TableName::new("public", "items"),
        origin: Origin::default(),
        columns: vec![column("id", "integer"), column("at", "bigint")],
        key: vec!["id".to_owned()],
        cursor,
        filter: None,
        policy: Policy::SourceWins,
        encoding: Encoding::Binary,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback: None,
        triggers: Firing::Fire,
    }
}

fn cursor(indexed: bool) -> Cursor {
    let (name, type_name) = ("at".to_owned(), "bigint".to_owned());
    Cursor::Column { name, type_name, kind: CursorKind::Sequence, nullable: true, indexed }
}

fn shape() -> Shape {
    shape_by(cursor(true))
}

fn whole() -> Shape {
    shape_by(Cursor::Whole)
}

/// A look: the greatest cursor and the two digests, `""` for none.
fn look(max: &str, tail: &str, next: &str) -> TableSurvey {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    TableSurvey {
        max: some(max).map(CursorValue::new),
        tail: some(tail),
        next: some(next),
        beyond: false,
        nulls: false,
        start: None,
    }
}

fn seen(max: &str, digest: &str) -> Option<Seen> {
    let TableSurvey { max, tail, .. } = look(max, digest, "");
    Some(Seen { max, digest: tail })
}

fn kept(cursor: &str, seen: Option<Seen>) -> Reached {
    Reached { kept: Some(value(cursor)), pending: None, seen, start: None }
}

fn pending(watermark: &str, names: &[&str]) -> Option<Pending> {
    Some(Pending { watermark: value(watermark), writers: writers(names) })
}

fn saved(shape: &Shape, reached: Reached) -> Checkpoint {
    settled(shape, reached)
}

/// A scan of a pass, with the others still to come.
fn scan(pass: Pass, then: &[Pass]) -> Scan {
    Scan {
        pass,
        then: then.to_vec(),
        after: None,
        from: Some(value("10")),
        watermark: Some(value("20")),
        fresh: true,
        goal: kept("20", seen("20", "new")),
    }
}

fn position(key: &str) -> Position {
    Position { cursor: Some(value("15")), key: vec![value(key)] }
}

fn page(last: Option<Position>, complete: bool) -> Page {
    Page { bytes: Bytes::new(), rows: u64::from(last.is_some()), last, complete }
}

fn begun(moved: Move) -> Scan {
    match moved {
        Move::Scan(scan) => scan,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_first_run_scans_everything() {
    let scan = begun(decide(&shape(), None, &look("20", "", "t"), &writers(&["a"])));
    assert_eq!(scan.from, None);
    assert_eq!(scan.watermark, Some(value("20")));
    assert_eq!(scan.goal, Reached::default());
}

#[test]
fn a_cut_scan_is_resumed_exactly_where_it_was_whatever_the_look() {
    let cut = Scan { after: Some(position("3")), ..scan(Pass::Window, &[Pass::Nulls]) };
    let reached = kept("10", seen("20", "d"));
    let checkpoint = Checkpoint { scan: Some(cut.clone()), ..saved(&shape(), reached) };
    for look in [look("20", "d", ""), look("30", "", "e"), look("", "", "")] {
        let moved = decide(&shape(), Some(&checkpoint), &look, &writers(&["a"]));
        assert_eq!(moved, Move::Resume(cut.clone()), "{look:?}");
    }
}

#[test]
fn only_the_same_maximum_and_the_same_digest_are_a_quiet_table() {
    for (before, now, quiet) in [
        (seen("20", "d"), look("20", "d", ""), true),
        (seen("", "d"), look("", "d", ""), true),
        (seen("20", "d"), look("20", "e", ""), false),
        (seen("20", "d"), look("21", "d", ""), false),
        (seen("20", "d"), look("", "d", ""), false),
        (seen("20", "d"), look("20", "", "d"), false),
        (seen("20", ""), look("20", "", ""), false),
        (seen("20", ""), look("20", "d", ""), false),
        (None, look("20", "d", ""), false),
        (None, look("", "", ""), false),
    ] {
        let reached = kept("10", before);
        let moved = decide(&shape(), Some(&saved(&shape(), reached.clone())), &now, &writers(&[]));
        if quiet {
            assert_eq!(moved, Move::Quiet, "{reached:?} {now:?}");
        } else {
            let scan = begun(moved);
            assert_eq!((scan.from, scan.watermark), (Some(value("10")), now.max), "{reached:?}");
            assert_eq!(scan.goal, reached, "until it is promised, the goal is what holds");
        }
    }
}

#[test]
fn a_quiet_table_settles_once_every_writer_had_ended_before_the_look() {
    for (names, before, settles) in [
        (&["a", "b"][..], &[][..], true),
        (&["a", "b"], &["c"], true),
        (&["a", "b"], &["b", "c"], false),
        (&["a"], &["a"], false),
    ] {
        let reached = Reached { pending: pending("20", names), ..kept("10", seen("20", "d")) };
        let checkpoint = saved(&shape(), reached);
        let moved = decide(&shape(), Some(&checkpoint), &look("20", "d", "n"), &writers(before));
        let expected = match settles {
            true => Move::Settle(kept("20", seen("20", "n"))),
            false => Move::Quiet,
        };
        assert_eq!(moved, expected, "{names:?} {before:?}");
    }
}

#[test]
fn a_table_that_settles_below_its_maximum_is_scanned_next() {
    let reached = Reached { pending: pending("20", &["a"]), ..kept("10", seen("30", "d")) };
    let now = look("30", "d", "n");
    let moved = decide(&shape(), Some(&saved(&shape(), reached)), &now, &writers(&[]));
    let expected = kept("20", seen("30", ""));
    assert_eq!(moved, Move::Settle(expected.clone()), "the digest from 30 on is not that from 20");
    let next = decide(&shape(), Some(&saved(&shape(), expected)), &now, &writers(&[]));
    assert_eq!(begun(next).from, Some(value("20")));
}

#[test]
fn a_changed_table_is_scanned_from_the_kept_cursor_though_its_writers_have_ended() {
    let reached = Reached { pending: pending("20", &["a"]), ..kept("10", seen("20", "d")) };
    let checkpoint = saved(&shape(), reached);
    let moved = decide(&shape(), Some(&checkpoint), &look("20", "e", "n"), &writers(&[]));
    assert_eq!(begun(moved).from, Some(value("10")));
}

#[test]
fn the_passes_are_those_that_have_rows() {
    use Pass::{Beyond, ByKey, Nulls, Window};
    for (cursor, max, beyond, nulls, passes) in [
        (cursor(true), "20", false, false, &[Window][..]),
        (cursor(true), "20", true, false, &[Window, Beyond]),
        (cursor(true), "20", false, true, &[Window, Nulls]),
        (cursor(true), "20", true, true, &[Window, Beyond, Nulls]),
        (cursor(true), "", true, false, &[Beyond]),
        (cursor(true), "", true, true, &[Beyond, Nulls]),
        (cursor(true), "", false, true, &[Nulls]),
        (cursor(true), "", false, false, &[Nulls]),
        (cursor(false), "20", true, true, &[ByKey]),
        (cursor(false), "", false, false, &[ByKey]),
        (Cursor::Whole, "", false, false, &[ByKey]),
    ] {
        let look = TableSurvey { beyond, nulls, ..look(max, "", "") };
        let scan = begun(decide(&shape_by(cursor), None, &look, &writers(&[])));
        let all: Vec<Pass> = [scan.pass].into_iter().chain(scan.then).collect();
        assert_eq!(all, passes, "{look:?}");
    }
}

fn promised(shape: &Shape, reached: &Reached, look: &TableSurvey, open: &[&str]) -> Reached {
    let before = scan(Pass::Window, &[Pass::Nulls]);
    let after = promise(before.clone(), shape, reached, look, &writers(open));
    assert_eq!(Scan { goal: before.goal.clone(), ..after.clone() }, before, "only the goal is set");
    after.goal
}

#[test]
fn with_no_writer_the_greatest_cursor_is_kept() {
    for before in [
        Reached::default(),
        kept("10", None),
        Reached { pending: pending("15", &["a"]), ..kept("10", seen("15", "d")) },
    ] {
        let goal = promised(&shape(), &before, &look("20", "t", "n"), &[]);
        assert_eq!(goal, kept("20", seen("20", "n")), "{before:?}");
    }
}

#[test]
fn an_open_writer_holds_the_kept_cursor_back() {
    for before in [Reached::default(), kept("10", seen("15", "d"))] {
        let goal = promised(&shape(), &before, &look("20", "t", "n"), &["a", "b"]);
        let expected = Reached {
            kept: before.kept.clone(),
            pending: pending("20", &["a", "b"]),
            seen: seen("20", "t"),
            start: None,
        };
        assert_eq!(goal, expected);
    }
}

#[test]
fn a_pending_watermark_is_kept_when_its_own_writers_have_ended() {
    let before = Reached { pending: pending("15", &["a"]), ..kept("10", seen("15", "d")) };
    let goal = promised(&shape(), &before, &look("20", "t", "n"), &["b"]);
    let expected = Reached { pending: pending("20", &["b"]), ..kept("15", seen("20", "")) };
    assert_eq!(goal, expected, "the look was taken from 10 on and says nothing of 15");
}

#[test]
fn the_kept_cursor_and_what_it_waits_for_stay_while_one_of_its_writers_is_open() {
    let before = Reached { pending: pending("15", &["a", "b"]), ..kept("10", seen("15", "d")) };
    for open in [&["b"][..], &["a", "b"], &["b", "c"]] {
        let goal = promised(&shape(), &before, &look("20", "t", "n"), open);
        let expected = Reached { seen: seen("20", "t"), ..before.clone() };
        assert_eq!(goal, expected, "{open:?}");
    }
}

#[test]
fn what_a_server_of_another_kind_waits_for_begins_anew() {
    let (primary, standby) = (["3/1"], ["numbers 740 to 743"]);
    for (asked, now) in [(&primary, &standby), (&standby, &primary)] {
        let before = Reached { pending: pending("15", asked), ..kept("10", seen("15", "d")) };
        let goal = promised(&shape(), &before, &look("20", "t", "n"), now);
        let expected = Reached { pending: pending("20", now), ..kept("10", seen("20", "t")) };
        assert_eq!(goal, expected, "{now:?}");
    }
}

#[test]
fn a_standby_on_which_every_number_has_ended_holds_nothing_back() {
    let before = Reached { pending: pending("15", &["3/1"]), ..kept("10", seen("15", "d")) };
    let goal = promised(&shape(), &before, &look("20", "t", "n"), &["numbers 743 to 743"]);
    assert_eq!(goal, kept("20", seen("20", "n")));
}

#[test]
fn a_table_without_a_past_row_keeps_its_cursor_and_what_it_waits_for() {
    let waiting = Reached { pending: pending("15", &["a"]), ..kept("10", seen("15", "d")) };
    for (before, look, digest) in [
        (Reached::default(), look("", "", "all"), "all"),
        (Reached::default(), look("", "t", "all"), "t"),
        (Reached::default(), look("", "", ""), ""),
        (waiting.clone(), look("", "t", "all"), "t"),
        (waiting, look("", "", "all"), ""),
    ] {
        for open in [&[][..], &["a"]] {
            let goal = promised(&shape(), &before, &look, open);
            assert_eq!(goal, Reached { seen: seen("", digest), ..before.clone() }, "{look:?}");
        }
    }
}

#[test]
fn a_table_without_a_cursor_is_quiet_until_its_digest_changes() {
    let shape = whole();
    let before = Reached { pending: pending("15", &["a"]), ..kept("10", None) };
    let goal = promised(&shape, &before, &look("", "t", ""), &["a"]);
    assert_eq!(goal, Reached { seen: seen("", "t"), ..Reached::default() });
    let checkpoint = saved(&shape, goal);
    let open = writers(&["a"]);
    assert_eq!(decide(&shape, Some(&checkpoint), &look("", "t", ""), &open), Move::Quiet);
    assert_eq!(begun(decide(&shape, Some(&checkpoint), &look("", "u", ""), &open)).from, None);
}

#[test]
fn a_scan_goes_on_after_the_last_row_then_with_the_next_pass_until_none_is_left() {
    let all = scan(Pass::Window, &[Pass::Beyond, Pass::Nulls]);
    let second = after_page(&all, &page(Some(position("1")), false)).unwrap();
    assert_eq!(second, Scan { after: Some(position("1")), ..all });
    let third = after_page(&second, &page(Some(position("2")), true)).unwrap();
    assert_eq!(third, scan(Pass::Beyond, &[Pass::Nulls]), "a pass begins at its first row");
    let fourth = after_page(&third, &page(None, true)).unwrap();
    assert_eq!(fourth, scan(Pass::Nulls, &[]));
    assert_eq!(after_page(&fourth, &page(Some(position("9")), true)), None);
}

#[test]
fn what_a_scan_promised_holds_only_with_its_last_page() {
    let (shape, before) = (shape(), kept("10", seen("15", "d")));
    let scan_of_two = scan(Pass::Window, &[Pass::Nulls]);
    let left = Scan { after: Some(position("1")), ..scan_of_two.clone() };
    let cut = checkpoint(&shape, &before, &scan_of_two, Some(&left));
    assert_eq!((&cut.reached, &cut.scan), (&before, &Some(left)));
    let done = checkpoint(&shape, &before, &scan_of_two, None);
    assert_eq!((&done.reached, &done.scan), (&scan_of_two.goal, &None));
    for made in [cut, done, settled(&shape, before)] {
        assert_eq!(made.shape, ShapeMark::new(&shape));
    }
}

#[test]
fn a_settled_table_has_no_scan_left() {
    let reached = kept("20", seen("20", "n"));
    let made = settled(&shape(), reached.clone());
    assert_eq!((made.reached, made.scan), (reached, None));
}
