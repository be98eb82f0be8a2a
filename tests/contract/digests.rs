//! The promises of `Digests`, of every source against a target with equal rows.

use syncline::engine::model::range::{Comparison, KeyRange, RowKey};
use syncline::engine::ports::{Digests, Target};

use super::{ROWS, Sides, all_sources, all_targets};

/// All pairs of implementations, with equal rows on both sides.
async fn equal_sides() -> Vec<Sides> {
    let mut all = all_sources().await;
    all.extend(all_targets().await.into_iter().filter(|sides| sides.name.ends_with("Function")));
    for sides in &all {
        sides.at_target.batch_execute(ROWS).await.unwrap();
    }
    all
}

impl Sides {
    fn digests(&self) -> (&dyn Digests, &dyn Digests) {
        (self.source.digests(), self.target.digests())
    }
}

fn comparison(sides: &Sides) -> Comparison<'_> {
    Comparison { shape: &sides.items, settled_to: None, filled_from: None }
}

fn key(id: i32) -> RowKey {
    RowKey::new(vec![id.to_string()])
}

fn spans() -> Vec<KeyRange> {
    KeyRange::ALL.cut_at(vec![key(20), key(40)])
}

#[tokio::test]
async fn equal_rows_have_equal_digests_and_a_row_that_differs_changes_that_of_its_span() {
    for sides in equal_sides().await {
        let (source, target) = sides.digests();
        let there = target.digest(comparison(&sides), &spans()).await.unwrap();
        assert_eq!(source.digest(comparison(&sides), &spans()).await.unwrap(), there);
        let rows: Vec<u64> = there.iter().map(|span| span.rows).collect();
        assert_eq!(rows, [20, 20, 10], "{}", sides.name);

        sides.at_target.batch_execute("update items set v = -1 where id = 30").await.unwrap();
        let changed = target.digest(comparison(&sides), &spans()).await.unwrap();
        let differs: Vec<bool> =
            there.iter().zip(&changed).map(|(one, other)| one != other).collect();
        assert_eq!(differs, [false, true, false], "{}", sides.name);
    }
}

#[tokio::test]
async fn borders_lie_about_so_many_rows_apart_in_the_order_of_keys() {
    for sides in equal_sides().await {
        let (source, target) = sides.digests();
        for side in [source, target] {
            let borders = side.borders(comparison(&sides), &spans(), 15).await.unwrap();
            let ids = borders.iter().map(|(span, key)| {
                let id: usize = key.values()[0].parse().unwrap();
                assert_eq!((id - 1) / 20, *span, "{}: {borders:?}", sides.name);
                id
            });
            let ids: Vec<usize> = ids.collect();
            assert_eq!(ids.len(), 3, "{}: {borders:?}", sides.name);
            assert!(ids.is_sorted_by(|one, other| one + 14 < *other), "{}: {ids:?}", sides.name);
        }
    }
}

#[tokio::test]
async fn rows_are_all_of_a_span_or_none_at_all() {
    for sides in equal_sides().await {
        let (source, target) = sides.digests();
        let span = &spans()[2..];
        let rows = target.rows(comparison(&sides), span, 10).await.unwrap().unwrap();
        let keys: Vec<&RowKey> = rows.iter().map(|row| &row.key).collect();
        assert_eq!(keys, (41..=50).map(key).collect::<Vec<_>>().iter().collect::<Vec<_>>());
        let at_source = source.rows(comparison(&sides), span, 10).await.unwrap();
        assert_eq!(at_source, Some(rows), "{}", sides.name);
        for side in [source, target] {
            assert_eq!(side.rows(comparison(&sides), span, 9).await.unwrap(), None);
        }
    }
}

#[tokio::test]
async fn columns_are_those_of_the_rows_that_exist_and_equal_on_both_sides() {
    for sides in equal_sides().await {
        let keys = [key(3), key(999)];
        let (source, target) = sides.digests();
        let source = source.columns(comparison(&sides), &keys).await.unwrap();
        let target = target.columns(comparison(&sides), &keys).await.unwrap();
        assert_eq!(source, target, "{}", sides.name);
        assert_eq!((source.len(), &source[0].key), (1, &key(3)), "{}", sides.name);
    }
}
