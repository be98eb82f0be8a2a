//! The promises of `Source`.

use std::time::Duration;

use syncline::engine::model::cursor::{CursorValue, Pass};
use syncline::engine::model::facts::Reference;
use syncline::engine::model::range::RowKey;
use syncline::engine::model::survey::{Floor, SurveyAsk};
use syncline::engine::ports::{Ancestors, Fetch, FetchParents};

use super::{Sides, all_sources, scan};

/// The keys at the ends of the pages, the rows, and whether each page but the last is incomplete.
async fn pages(sides: &Sides, pass: Pass) -> (Vec<i32>, u64) {
    let (mut scan, mut ends, mut rows) = (scan(), Vec::new(), 0);
    scan.pass = pass;
    scan.watermark = Some(CursorValue::new("2026-01-01T00:40:00+00:00"));
    loop {
        let page = sides.page(&sides.items, &scan, 7).await;
        assert!(page.rows <= 7, "{}: {} rows", sides.name, page.rows);
        rows += page.rows;
        if let Some(last) = &page.last {
            ends.push(last.key[0].as_str().parse().unwrap());
        }
        if page.complete {
            return (ends, rows);
        }
        scan.after = page.last;
        assert!(ends.len() < 20, "{}: no end in sight", sides.name);
    }
}

#[tokio::test]
async fn a_scan_gives_each_row_once_in_the_order_of_its_pass_and_at_most_a_page() {
    for sides in all_sources().await {
        let (ends, rows) = pages(&sides, Pass::ByKey).await;
        assert_eq!((rows, ends), (50, vec![7, 14, 21, 28, 35, 42, 49, 50]), "{}", sides.name);
        let (ends, rows) = pages(&sides, Pass::Window).await;
        assert_eq!((rows, ends), (40, vec![7, 14, 21, 28, 35, 40]), "{}", sides.name);
    }
}

#[tokio::test]
async fn a_fetch_gives_each_row_once_and_none_for_values_that_no_row_has() {
    for sides in all_sources().await {
        let values = ["30", "7", "999", "30"].map(|id| vec![id.to_owned()]);
        let columns = ["id".to_owned()];
        let fetch = Fetch { shape: &sides.items, columns: &columns, values: &values };
        let page = sides.source.fetch(&fetch).await.unwrap();
        assert_eq!((page.rows, page.complete), (2, true), "{}", sides.name);
    }
}

#[tokio::test]
async fn parents_are_given_once_however_many_rows_point_to_them() {
    for sides in all_sources().await {
        let (referenced, columns) = (["id".to_owned()], ["parent".to_owned()]);
        let keys = ["1", "6", "2"].map(|id| vec![id.to_owned()]);
        let fetch = FetchParents {
            parent: &sides.parents,
            referenced: &referenced,
            child: &sides.items,
            columns: &columns,
            keys: &keys,
        };
        let page = sides.source.parents(&fetch).await.unwrap();
        assert_eq!((page.rows, page.complete), (2, true), "{}", sides.name);
    }
}

#[tokio::test]
async fn the_rows_above_others_are_given_as_pairs_of_keys_at_any_height() {
    for sides in all_sources().await {
        sides.at_source.batch_execute("update items set v = id - 1").await.unwrap();
        let reference = Reference {
            columns: vec!["v".to_owned()],
            parent: sides.items.table.clone(),
            referenced: vec!["id".to_owned()],
            deferrable: false,
        };
        let keys = ["4", "2", "999"].map(|id| vec![id.to_owned()]);
        let (shape, references) = (&sides.items, &[reference]);
        let ask = Ancestors { shape, references, keys: &keys };
        let mut pairs = sides.source.ancestors(&ask).await.unwrap();
        pairs.sort();
        pairs.dedup();
        let key = |id: &str| RowKey::new(vec![id.to_owned()]);
        let expected = [("2", "1"), ("3", "2"), ("4", "3")].map(|(row, up)| (key(row), key(up)));
        assert_eq!(pairs, expected, "{}", sides.name);
    }
}

#[tokio::test]
async fn the_keys_of_a_page_are_read_from_its_bytes_in_its_order() {
    for sides in all_sources().await {
        let page = sides.page(&sides.items, &scan(), 3).await;
        let keys = sides.source.keys(&sides.items, &page).unwrap();
        let expected = ["1", "2", "3"].map(|id| RowKey::new(vec![id.to_owned()]));
        assert_eq!(keys, expected, "{}", sides.name);
    }
}

#[tokio::test]
async fn a_survey_answers_for_each_table_in_the_order_asked() {
    for sides in all_sources().await {
        let ask = |shape| SurveyAsk { shape, checkpoint: None, floor: Floor::None };
        let asks = [ask(&sides.items), ask(&sides.parents)];
        let survey = sides.source.survey(&asks, Duration::ZERO).await.unwrap();
        let newest = survey.tables.iter().map(|table| {
            let text = table.max.as_ref().map_or("none", CursorValue::as_str);
            text.replace('T', " ").chars().take("2026-01-01 00:50".len()).collect::<String>()
        });
        let expected = ["2026-01-01 00:50", "2026-01-01 00:05"];
        assert_eq!(newest.collect::<Vec<_>>(), expected, "{}", sides.name);
    }
}

/// An API shows no open transaction to whoever reads it by its tables; planning says so.
#[tokio::test]
async fn an_open_transaction_is_a_writer_until_it_has_ended() {
    for sides in all_sources().await {
        if sides.name.starts_with("Tables") {
            continue;
        }
        sides.at_source.batch_execute("begin; update items set v = 0 where id = 1").await.unwrap();
        let open = sides.source.writers().await.unwrap();
        sides.at_source.batch_execute("commit").await.unwrap();
        let left = sides.source.writers().await.unwrap();
        assert!(open.difference(&left).count() > 0, "{}: {open:?} {left:?}", sides.name);
    }
}
