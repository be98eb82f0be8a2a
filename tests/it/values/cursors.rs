//! Cursors of every type, to the ends of their ranges; clocks and zones that are not ours; rows
//! that move while they are read.

use std::fmt::Write as _;

use crate::world::pair::Pair;
use crate::world::servers::has;

/// A type that can be a cursor, values of it in their order, and one that comes after those that
/// set the watermark.
const KINDS: &[(&str, &[&str], &str)] = &[
    (
        "timestamptz",
        &[
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "0001-01-01 00:00+00 BC",
            "2026-01-01 00:00:00.000001+00",
            "294276-12-31 23:59:59.999999+00",
            "infinity",
        ],
        "2026-01-01 00:00:00.000002+00",
    ),
    (
        "timestamptz(3)",
        &["2026-01-01 00:00:00.001+00", "2026-01-01 00:00:00.002+00"],
        "2026-01-01 00:00:00.003+00",
    ),
    (
        "timestamp",
        &[
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "0044-03-15 12:00 BC",
            "2026-01-01 00:00:00.000001",
            "294276-12-31 23:59:59.999999",
            "infinity",
        ],
        "2026-01-01 00:00:00.000002",
    ),
    (
        "date",
        &["-infinity", "4714-11-24 BC", "0001-12-31 BC", "2000-02-29", "5874897-12-31", "infinity"],
        "2026-01-01",
    ),
    ("smallint", &["-32768", "0"], "32767"),
    ("integer", &["-2147483648", "0"], "2147483647"),
    ("bigint", &["-9223372036854775808", "0"], "9223372036854775807"),
    (
        "numeric",
        &["-Infinity", "-1e-16383", "0", "1.0", "1.00", "Infinity", "NaN"],
        "1.000000000001",
    ),
    ("numeric(20,2)", &["-1.01", "0", "1.00", "NaN"], "1.01"),
];

/// Tables of each kind, with an index for the cursor and without one; rows of each value twice.
async fn tables() -> (Pair, Vec<String>) {
    let (mut schema, mut rows, mut rules, mut names) =
        (String::new(), String::new(), String::new(), Vec::new());
    let endless = has(14, "numbers without end");
    for (at, (kind, values, _)) in KINDS.iter().enumerate() {
        for form in ["sorted", "heap"] {
            let name = format!("{form}_{at}");
            let _ = write!(
                schema,
                "create table {name} (id int primary key, n int default 0, c {kind});"
            );
            if form == "sorted" {
                let _ = write!(schema, "create index on {name} (c, id);");
            }
            let values = values.iter().filter(|value| endless || !value.contains("Infinity"));
            for (id, value) in values.clone().chain(values).enumerate() {
                let _ = write!(rows, "insert into {name} values ({id}, 0, '{value}');");
            }
            let _ = write!(rules, "[[pipeline.table]]\nname = '{name}'\ncursor = 'c'\n");
            names.push(name);
        }
    }
    let rules = rules.trim_start_matches("[[pipeline.table]]\n");
    let pair = Pair::with(&schema).await.rules(rules).set("SYNC_PAGE_ROWS", "3");
    pair.sql_source(&rows).await;
    (pair, names)
}

#[tokio::test]
async fn a_cursor_at_any_end_of_its_range_does_not_end_the_sync() {
    let (pair, names) = tables().await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    pair.sync().await.success();
    pair.assert_settled(&names).await;
    for (at, (_, _, after)) in KINDS.iter().enumerate() {
        for form in ["sorted", "heap"] {
            pair.sql_source(&format!("update {form}_{at} set n = 1, c = '{after}' where id = 0"))
                .await;
        }
    }
    let answer = pair.sync().await.success();
    for (at, (kind, ..)) in KINDS.iter().enumerate() {
        for form in ["sorted", "heap"] {
            let updated = answer.rows(&format!("public.{form}_{at}"))[1];
            assert_eq!(updated, 1, "{kind} in {form}_{at}");
        }
    }
    pair.assert_settled(&names).await;
}

const ITEMS: &str = "create table items (id int primary key, name text, \
    updated_at timestamptz default now()); create index on items (updated_at, id);";

#[tokio::test]
async fn a_clock_that_is_set_back_within_the_overlap_loses_nothing() {
    let pair = Pair::with(ITEMS).await.set("SYNC_OVERLAP_SECONDS", "3600");
    pair.sql_source("insert into items values (1, 'before', now())").await;
    pair.sync().await.success();
    pair.sql_source("insert into items values (2, 'after', now() - interval '59 minutes')").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn rows_that_are_dated_ahead_of_a_clock_that_was_set_back_are_found_nevertheless() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items values (1, 'fast clock', now() + interval '2 hours')").await;
    pair.sync().await.success();
    for (id, ahead) in [(2, "1 hour"), (3, "0 hours"), (4, "3 hours")] {
        pair.sql_source(&format!(
            "insert into items values ({id}, 'x', now() + interval '{ahead}')"
        ))
        .await;
        assert_eq!(pair.sync().await.success().rows("public.items")[0], 1, "{ahead}");
    }
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn wall_clocks_of_any_zone_lose_nothing() {
    let table = "create table items (id int primary key, updated_at timestamp not null default now()); \
        create index on items (updated_at, id)";
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let pair = Pair::with(table).await;
        let zoned = format!("alter database {} set timezone = '{zone}'", pair.source.name);
        pair.sql_source(&zoned).await;
        let writer = pair.writer().await;
        for id in 1..=3 {
            writer.batch_execute(&format!("insert into items values ({id})")).await.unwrap();
            assert_eq!(pair.sync().await.success().rows("public.items")[0], 1, "{zone}");
        }
        pair.assert_settled(&["items"]).await;
    }
}

#[tokio::test]
async fn a_day_of_many_rows_is_read_again_while_it_lasts() {
    let table = "create table items (id int primary key, updated_at date not null); \
        create index on items (updated_at, id)";
    let pair = Pair::with(table).await.set("SYNC_PAGE_ROWS", "7");
    for from in [1, 101, 201] {
        let rows = format!(
            "insert into items select i, (now() at time zone 'UTC')::date from generate_series({from}, {from} + 99) i"
        );
        pair.sql_source(&rows).await;
        assert_eq!(pair.sync().await.success().rows("public.items")[0], 100);
    }
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn rows_that_are_updated_again_and_again_during_a_scan_arrive_as_they_are_last() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items select i, repeat('x', 300), timestamptz '2026-01-01' + i * interval '1 s' \
        from generate_series(1, 40000) i").await;
    let set = [("SYNC_BUDGET_SECONDS", "1"), ("SYNC_PAGE_ROWS", "100")];
    let mut slices = 0;
    loop {
        let answer = pair.sync_with(&set).await.success();
        slices += 1;
        if answer.body["done"] == true {
            break;
        }
        // Rows that were read, that are about to be read, and that are still far away.
        pair.sql_source(&format!(
            "update items set name = 'slice {slices}', updated_at = clock_timestamp() \
             where id in (1, 2, 20000, 39999, 40000) or id between {slices} * 500 and {slices} * 500 + 50"
        ))
        .await;
    }
    assert!(slices > 1, "one second was enough for 400 pages");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_cursor_that_the_targets_trigger_rewrites_loses_no_row() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_target(
        "create function touch() returns trigger language plpgsql as \
         $$ begin new.updated_at = now(); return new; end $$; \
         create trigger touch before insert or update on items for each row execute function touch()",
    )
    .await;
    let names = "select string_agg(id || name, ',' order by id) from items";
    for id in 1..=3 {
        pair.sql_source(&format!(
            "insert into items values ({id}, 'new', timestamptz '2026-01-0{id}'); \
             update items set name = name || '{id}', updated_at = '2026-01-0{id} 12:00+00' where id = 1"
        ))
        .await;
        pair.sync().await.success();
        assert_eq!(pair.text_source(names).await, pair.text_target(names).await);
    }
}
