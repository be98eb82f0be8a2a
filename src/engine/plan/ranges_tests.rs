//! Two tables of invented rows are narrowed down as the job would, against a plain comparison.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::facts::Relation;
use crate::engine::model::page::Encoding;
use crate::engine::model::pipeline::Policy;
use crate::engine::model::shape::{MovedColumn, Origin};
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::Firing;

/// A side: the digest of each row by its key.
type Rows = BTreeMap<u32, i64>;

fn key(number: u32) -> RowKey {
    RowKey::new(vec![format!("{number:08}")])
}

fn number(key: &RowKey) -> u32 {
    key.values()[0].parse().unwrap()
}

fn of<'a>(rows: &'a Rows, range: &KeyRange) -> impl Iterator<Item = (u32, i64)> + 'a {
    let after = range.after.as_ref().map_or(0, |key| number(key) + 1);
    let upto = range.upto.as_ref().map_or(u32::MAX, number);
    let within = move |key: &u32| (after..=upto).contains(key);
    rows.iter().filter(move |(key, _)| within(key)).map(|(key, digest)| (*key, *digest))
}

fn digests(rows: &Rows, ranges: &[KeyRange]) -> Vec<RangeDigest> {
    let digest = |range| {
        of(rows, range).fold(RangeDigest::default(), |sum, (_, digest)| RangeDigest {
            rows: sum.rows + 1,
            sum: sum.sum + i128::from(digest),
        })
    };
    ranges.iter().map(digest).collect()
}

fn borders(rows: &Rows, ranges: &[KeyRange], every: u64) -> Vec<(usize, RowKey)> {
    let mut found = Vec::new();
    let mut seen = 0;
    for (place, range) in ranges.iter().enumerate() {
        for (at, _) in of(rows, range) {
            seen += 1;
            if seen % every == 0 {
                found.push((place, key(at)));
            }
        }
    }
    found
}

fn fetched(rows: &Rows, ranges: &[KeyRange]) -> Vec<RowDigest> {
    let row = |(at, digest)| RowDigest { key: key(at), digest };
    ranges.iter().flat_map(|range| of(rows, range)).map(row).collect()
}

/// The differences that were found, and their cost: rows fetched and steps.
fn narrowed(source: &Rows, target: &Rows) -> (Vec<u32>, usize, usize) {
    let mut suspects = Suspects::default();
    let all = vec![KeyRange::ALL];
    suspects.compare(all.clone(), &digests(source, &all), &digests(target, &all));
    let (mut found, mut moved, mut steps) = (Vec::new(), 0, 0);
    loop {
        steps += 1;
        assert!(steps < 10_000, "no end in sight");
        match suspects.next_step() {
            Step::Done => break,
            Step::Cut { ranges, side, every } => {
                let larger = if side == Side::Source { source } else { target };
                let pieces = pieces(&ranges, borders(larger, &ranges, every));
                let (at_source, at_target) = (digests(source, &pieces), digests(target, &pieces));
                suspects.compare(pieces, &at_source, &at_target);
            }
            Step::Fetch(ranges) => {
                let (at_source, at_target) = (fetched(source, &ranges), fetched(target, &ranges));
                moved += at_source.len() + at_target.len();
                found.extend(differing_keys(at_source, at_target).iter().map(number));
            }
        }
    }
    found.sort_unstable();
    (found, moved, steps)
}

fn plainly(source: &Rows, target: &Rows) -> Vec<u32> {
    let keys = source.keys().chain(target.keys());
    let mut keys: Vec<u32> =
        keys.copied().filter(|key| source.get(key) != target.get(key)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

proptest! {
    #[test]
    fn what_is_found_is_what_differs(
        rows in 0u32..3_000,
        gone in prop::collection::vec(0u32..3_000, 0..20),
        added in prop::collection::vec(0u32..9_000, 0..400),
        changed in prop::collection::vec(0u32..3_000, 0..20),
    ) {
        let source: Rows = (0..rows).map(|key| (key, i64::from(key) * 7_919)).collect();
        let mut target = source.clone();
        gone.iter().for_each(|key| { target.remove(key); });
        added.iter().for_each(|key| { target.insert(*key, 5); });
        changed.iter().for_each(|key| { target.entry(*key).and_modify(|digest| *digest += 1); });
        prop_assert_eq!(narrowed(&source, &target).0, plainly(&source, &target));
    }

    #[test]
    fn a_cut_loses_no_key_and_repeats_none(borders in prop::collection::btree_set(0u32..50, 0..9)) {
        let all: Rows = (0..50).map(|key| (key, 1)).collect();
        let range = KeyRange { after: Some(key(3)), upto: Some(key(40)) };
        let within = borders.into_iter().filter(|at| (4..=40).contains(at));
        let pieces = range.cut_at(within.map(key).collect());
        let kept: Vec<u32> = pieces.iter().flat_map(|piece| of(&all, piece)).map(|(at, _)| at).collect();
        prop_assert_eq!(kept, (4..=40).collect::<Vec<u32>>());
    }
}

#[test]
fn one_row_in_a_hundred_thousand_is_found_in_three_steps_and_few_rows() {
    let source: Rows = (0..100_000).map(|key| (key, 1)).collect();
    let mut target = source.clone();
    target.insert(70_000, 2);
    let (found, moved, steps) = narrowed(&source, &target);
    assert_eq!(found, [70_000]);
    assert!(moved <= 4 * FEW_ROWS as usize && steps <= 5, "{moved} rows in {steps} steps");
}

#[test]
fn a_side_without_rows_is_narrowed_by_the_other() {
    let full: Rows = (0..1_000).map(|key| (key, 1)).collect();
    let empty = Rows::new();
    assert_eq!(narrowed(&full, &empty).0, (0..1_000).collect::<Vec<u32>>());
    assert_eq!(narrowed(&empty, &full).0, (0..1_000).collect::<Vec<u32>>());
}

#[test]
fn the_same_sum_of_fewer_rows_is_a_difference() {
    let mut suspects = Suspects::default();
    let digest = |rows| [RangeDigest { rows, sum: 0 }];
    suspects.compare(vec![KeyRange::ALL], &digest(1), &digest(1));
    assert!(suspects.is_empty());
    suspects.compare(vec![KeyRange::ALL], &digest(1), &digest(2));
    assert!(!suspects.is_empty());
}

#[test]
fn only_a_table_too_large_for_one_statement_is_cut_before_it_is_asked() {
    assert_eq!(cut_first(1_000_000), None);
    assert_eq!(cut_first(STATEMENT_ROWS + 1), Some(STATEMENT_ROWS / 2));
}

fn shape() -> Shape {
    let column = |name: &str| MovedColumn {
        name: name.into(),
        source_type: "text".into(),
        target_type: "text".into(),
        target_base: None,
        fixed: false,
        merges: false,
    };
    Shape {
        table: TableName::new("public", "t"),
        origin: Origin::default(),
        columns: ["id", "a", "b"].map(column).to_vec(),
        key: vec!["id".into()],
        cursor: Cursor::Whole,
        filter: None,
        policy: Policy::SourceWins,
        encoding: Encoding::Text,
        source: Relation::Table,
        target: Relation::Table,
        estimated_rows: 0,
        mark: None,
        lookback: None,
        triggers: Firing::Fire,
    }
}

fn columns(at: u32, b: &str, settled: bool) -> ColumnDigests {
    ColumnDigests { key: key(at), columns: ["k", "a", b].map(str::to_owned).to_vec(), settled }
}

#[test]
fn what_the_next_sync_will_bring_is_no_difference() {
    let row = |settled, b| columns(1, b, settled);
    for (source, target, differs) in [
        (Some(row(true, "1")), Some(row(true, "1")), false),
        (Some(row(true, "1")), Some(row(true, "2")), true),
        (Some(row(true, "1")), Some(row(false, "2")), true),
        (Some(row(false, "1")), Some(row(true, "2")), false),
        (Some(row(true, "1")), None, true),
        (Some(row(false, "1")), None, false),
        (None, Some(row(true, "1")), true),
        (None, Some(row(false, "1")), false),
        (None, None, false),
    ] {
        let told = format!("{source:?} {target:?}");
        let (source, target) = (source.into_iter().collect(), target.into_iter().collect());
        assert_eq!(!differences(&shape(), &[key(1)], source, target).is_empty(), differs, "{told}");
    }
}

#[test]
fn a_row_is_told_by_the_columns_that_differ() {
    let row = |at, b| columns(at, b, true);
    let source = vec![row(1, "x"), row(2, "y"), row(3, "x")];
    let target = vec![row(1, "x"), row(2, "x"), row(4, "x")];
    let told = differences(&shape(), &[1, 2, 3, 4, 5].map(key), source, target);
    let told: Vec<(u32, Difference)> =
        told.into_iter().map(|row| (number(&row.key), row.difference)).collect();
    let expected = [
        (2, Difference::Different(vec!["b".into()])),
        (3, Difference::Missing),
        (4, Difference::Extra),
    ];
    assert_eq!(told, expected);
}
