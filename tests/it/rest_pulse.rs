//! Between two projects a run that has nothing to do is told so by the source's pulse, in a call of
//! each. Whatever else changes, the run after it does what it would do if no pulse were kept.

use futures_util::future::join_all;
use serde_json::{Value, json};
use syncline::edge::http::SYNC_PATH;

use crate::world::over_api::OverApi;
use crate::world::pair::{Answer, Pair, call};
use crate::world::queued::{Queued, SIX_HOURS};

const TABLES: &str = "create table items (id bigint primary key, name text, note text, updated_at timestamptz); \
    create index on items (updated_at); \
    create table whole (id bigint primary key, name text); \
    create table counted (id bigserial primary key, name text);";

const ROWS: &str = "insert into items select n, 'item ' || n, null, timestamptz '2026-01-01' + n * interval '1 minute' \
        from generate_series(1, 20) n; \
    insert into whole select n, 'whole ' || n from generate_series(1, 5) n; \
    insert into counted (name) select 'counted ' || n from generate_series(1, 5) n;";

/// Two projects with the same rows, and as many calls as a run makes there that finds nothing.
async fn settled(rows: &str, settings: &[(&str, &str)]) -> Pair {
    let mut pair = Pair::with(TABLES).await.over_api(OverApi::Both).await;
    for (name, value) in settings {
        pair = pair.set(name, *value);
    }
    pair.sql_source(rows).await;
    pair.sync().await.success();
    pair
}

fn counted(pair: &Pair) -> (usize, usize) {
    (pair.source_api().calls().len(), pair.target_api().calls().len())
}

/// One run, and its calls of each side.
async fn run(pair: &Pair, set: &[(&str, &str)]) -> (Answer, (usize, usize)) {
    let before = counted(pair);
    let answer = pair.sync_with(set).await;
    let after = counted(pair);
    (answer, (after.0 - before.0, after.1 - before.1))
}

/// The pulse is kept, and is found again: soon, since what stands in for an API has transactions of
/// its own that may be open when a run looks.
async fn assert_quiet(pair: &Pair) {
    let mut calls = (0, 0);
    for _ in 0..5 {
        let (answer, of_run) = run(pair, &[]).await;
        answer.success();
        if of_run == (1, 1) {
            return;
        }
        calls = of_run;
    }
    panic!("it is never quiet: {calls:?}");
}

/// Something that happens between two runs.
#[derive(Clone, Copy, Default)]
struct Change {
    name: &'static str,
    source: &'static str,
    target: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

const CHANGES: &[Change] = &[
    Change {
        name: "a row comes",
        source: "insert into items values (21, 'new', null, '2026-02-01')",
        ..NOTHING
    },
    Change {
        name: "a row changes with its stamp",
        source: "update items set name = 'other', updated_at = '2026-02-01' where id = 3",
        ..NOTHING
    },
    Change {
        name: "a row changes within the overlap, and its stamp does not",
        source: "update items set name = 'other' where id = 18",
        ..NOTHING
    },
    Change {
        name: "a row of the past comes within the overlap",
        source: "insert into items values (21, 'late', null, '2026-01-01 00:15:00')",
        ..NOTHING
    },
    Change { name: "a row goes", source: "delete from items where id = 20", ..NOTHING },
    Change { name: "all rows go", source: "delete from items", ..NOTHING },
    Change {
        name: "a row without a stamp comes",
        source: "insert into items values (21, 'none', null, null)",
        ..NOTHING
    },
    Change {
        name: "a row without a stamp changes",
        source: "update items set name = 'none' where updated_at is null",
        ..NOTHING
    },
    Change {
        name: "a row of the future comes",
        source: "insert into items values (21, 'future', null, '2099-01-01')",
        ..NOTHING
    },
    Change {
        name: "a row of a table without a cursor changes",
        source: "update whole set name = 'other' where id = 2",
        ..NOTHING
    },
    Change {
        name: "a row comes behind a number",
        source: "insert into counted (name) values ('new')",
        ..NOTHING
    },
    Change {
        name: "the source gets a column",
        source: "alter table items add extra text default 'x'",
        ..NOTHING
    },
    Change {
        name: "both get a column",
        source: "alter table items add extra text default 'x'",
        target: "alter table items add extra text; notify pgrst, 'reload schema'",
        ..NOTHING
    },
    Change { name: "the target loses a column", target: "alter table items drop note", ..NOTHING },
    Change {
        name: "the target's column gets another type",
        target: "alter table items alter name type varchar(100)",
        ..NOTHING
    },
    Change { name: "the target loses a table", target: "drop table whole", ..NOTHING },
    Change {
        name: "the source's table is made anew",
        source: "create table again (like items including all); insert into again select * from items; \
            drop table items; alter table again rename to items; update items set name = 'anew'",
        ..NOTHING
    },
    Change { name: "the target is emptied", target: "truncate items, whole, counted", ..NOTHING },
    Change {
        name: "the checkpoints are gone",
        target: "delete from sync_state where key like 'checkpoint:%'; delete from items where id = 3",
        ..NOTHING
    },
    Change {
        name: "a row is set aside",
        target: "delete from items where id = 3; \
            insert into sync_rejects (pipeline, table_name, key, code, reason) \
            select pipeline, 'public.items', '{3}', '23514', 'x' from sync_metadata limit 1",
        ..NOTHING
    },
    Change {
        name: "fewer tables are asked for",
        settings: &[("SYNC_TABLES", "items,whole")],
        ..NOTHING
    },
    Change {
        name: "the overlap is wider",
        target: "delete from items where id = 3",
        settings: &[("SYNC_OVERLAP_SECONDS", "7200")],
        ..NOTHING
    },
];

const NOTHING: Change = Change { name: "", source: "", target: "", settings: &[] };

/// What came of a run, and what the target holds then.
async fn what_came(change: &Change, keeps: bool) -> (Value, (usize, usize)) {
    let rows = format!("{ROWS} insert into items values (0, 'zero', null, null)");
    let pair = settled(&rows, &[("SYNC_OVERLAP_SECONDS", "600")]).await;
    assert_quiet(&pair).await;
    pair.sql_source(change.source).await;
    pair.sql_target(change.target).await;
    if !keeps {
        pair.sql_target("delete from sync_state where key like 'pulse:%'").await;
    }
    let (answer, calls) = run(&pair, change.settings).await;
    let mut held = Vec::new();
    for table in ["items", "whole", "counted"] {
        let there = format!("select (to_regclass('{table}') is not null)::text");
        if pair.text_target(&there).await == "true" {
            let all =
                format!("select coalesce(string_agg(t::text, ' ' order by id), '') from {table} t");
            held.push(pair.text_target(&all).await);
        }
    }
    let aside = pair.text_target("select count(*)::text from sync_rejects").await;
    let Answer { status, body, .. } = answer;
    let told = json!({
        "status": status, "error": body["error"], "warnings": body["warnings"], "done": body["done"],
        "tables": body["statistics"]["tables"], "held": held, "aside": aside,
    });
    (told, calls)
}

#[tokio::test]
async fn no_change_is_hidden_by_a_pulse() {
    let mut hidden = String::new();
    for some in CHANGES.chunks(6) {
        let came = some.iter().map(async |change| {
            let (with, without) = (what_came(change, true).await, what_came(change, false).await);
            let is_seen = with.0 == without.0 && with.1 != (1, 1);
            (!is_seen).then(|| format!("{}:\n  {with:?}\n  {without:?}\n", change.name))
        });
        hidden.extend(join_all(came).await.into_iter().flatten());
    }
    assert!(hidden.is_empty(), "{hidden}");
}

#[tokio::test]
async fn a_quiet_run_is_recorded_as_any_other_and_says_what_any_other_says() {
    let pair = settled(ROWS, &[]).await;
    pair.sql_source("create table keyless (n int); alter table items add extra text").await;
    pair.sql_target("create table keyless (n int)").await;
    let before = pair.sync().await.success();
    assert_quiet(&pair).await;

    let (quiet, calls) = run(&pair, &[]).await;

    assert_eq!(calls, (1, 1));
    let quiet = quiet.success();
    assert!(quiet.warnings().contains("extra"), "{}", quiet.body);
    assert_eq!(quiet.warnings(), before.warnings());
    assert_eq!(quiet.body["statistics"]["api_calls"], 2);
    assert_eq!(quiet.body["statistics"]["total_records"], 0);
    let recorded = "select concat_ws(' ', run_id, sync_type, trigger, sync_status, records_synced, tables, api_calls, \
        error is null, ended_at >= created_at, last_sync_timestamp >= created_at) from sync_metadata order by id desc limit 1";
    let run = quiet.body["run_id"].as_str().expect("a run");
    let expected = format!("{run} incremental manual success 0 {{}} 2 t t t");
    assert_eq!(pair.text_target(recorded).await, expected);
}

#[tokio::test]
async fn what_a_transaction_commits_late_is_not_hidden() {
    let pair = settled(ROWS, &[]).await;
    assert_quiet(&pair).await;
    let writer = pair.writer().await;
    let insert = "begin; insert into items values (21, 'late', null, '2026-02-01')";
    writer.batch_execute(insert).await.unwrap();
    // It is open, and nothing of it is to be seen.
    assert_quiet(&pair).await;
    // Somebody overtakes it: what is read now may not be taken for all.
    pair.sql_source("insert into items values (22, 'first', null, '2026-02-02')").await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    let (_, calls) = run(&pair, &[]).await;
    assert_ne!(calls, (1, 1), "a pulse was kept over an open transaction");

    writer.batch_execute("commit").await.unwrap();

    pair.sync().await.success();
    pair.assert_equal(&["items"]).await;
    pair.sync().await.success();
    assert_quiet(&pair).await;
}

#[tokio::test]
async fn a_row_of_the_future_that_becomes_due_is_not_hidden() {
    let pair = settled(ROWS, &[]).await;
    pair.sql_source("insert into items values (21, 'soon', null, now() + interval '8 s')").await;
    pair.sync().await.success();
    assert_quiet(&pair).await;
    while pair.text_source("select (max(updated_at) > now())::text from items").await == "true" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    let (_, calls) = run(&pair, &[]).await;

    assert_ne!(calls, (1, 1));
    assert_quiet(&pair).await;
}

#[tokio::test]
async fn rows_that_are_set_aside_are_tried_by_every_run() {
    let refusing = "alter table items add check (name <> 'bad')";
    let pair = settled(ROWS, &[]).await;
    pair.sql_target(refusing).await;
    pair.sql_source("update items set name = 'bad', updated_at = '2026-02-01' where id = 3").await;
    pair.sync().await;
    pair.sync().await;
    pair.sql_target("alter table items drop constraint items_name_check").await;
    pair.sync().await;
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_view_and_a_table_that_takes_its_time_are_left_to_the_survey() {
    let pair = settled(ROWS, &[]).await;
    assert_quiet(&pair).await;
    pair.sql_source("update pg_class set reltuples = 5e6 where relname = 'whole'").await;
    for _ in 0..2 {
        assert_eq!(run(&pair, &[]).await.1, (2, 2), "five million rows are looked at twice");
    }
    pair.sql_source("update pg_class set reltuples = 5e6 where relname = 'items'").await;
    pair.sql_source("update pg_class set reltuples = 5 where relname = 'whole'").await;
    assert_quiet(&pair).await;

    pair.sql_source("create view seen as select * from whole").await;
    pair.sql_target("create table seen (id bigint primary key, name text)").await;
    let listed = [("SYNC_TABLES", "whole,seen")];
    pair.sync_with(&listed).await.success();
    for _ in 0..2 {
        assert_eq!(run(&pair, &listed).await.1, (2, 2));
    }
}

#[tokio::test]
async fn keys_are_compared_by_every_run_where_rows_are_to_go() {
    let pair = settled(ROWS, &[]).await.pipeline("deletes = \"mirror\"");
    pair.sync().await.success();
    pair.sync().await.success();
    let (_, calls) = run(&pair, &[]).await;
    assert_ne!(calls, (1, 1));
    pair.sql_target("insert into items values (99, 'extra', null, '2026-01-01')").await;
    pair.sync().await.success();
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_column_that_was_added_and_is_gone_again_is_added_once_more() {
    let pair = settled(ROWS, &[]).await.pipeline("add_columns = true");
    assert_ne!(run(&pair, &[]).await.1, (1, 1), "the settings are others");
    assert_quiet(&pair).await;
    pair.sql_target("alter table items owner to service_role").await;
    pair.sql_source("alter table items add extra text default 'x'").await;
    pair.sync().await.success();
    pair.sql_target("alter table items drop extra").await;
    pair.sync().await.success();
    assert_eq!(pair.text_target("select string_agg(distinct extra, '') from items").await, "x");
}

#[tokio::test]
async fn another_run_at_work_is_told_of_though_nothing_changed() {
    let pair = settled(ROWS, &[]).await;
    assert_quiet(&pair).await;
    let lease = |expires: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {expires}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&lease("now() + interval '1 minute'")).await;
    let answer = call(pair.function(&[])).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (429, "busy"));
    pair.sql_target(&lease("now()")).await;
    assert_quiet(&pair).await;
}

#[tokio::test]
async fn a_delivery_that_found_nothing_is_answered_the_same_when_it_comes_again() {
    let queued = Queued::over(settled(ROWS, &[]).await, &[]).await;
    assert_quiet(&queued.pair).await;
    queued.schedule().await;
    queued.qstash.advance(SIX_HOURS).await;
    let before = counted(&queued.pair);
    queued.qstash.advance(SIX_HOURS).await;
    let after = counted(&queued.pair);
    assert_eq!((after.0 - before.0, after.1 - before.1), (1, 1));
    assert_eq!(queued.answers(), [200, 200]);

    let logs = queued.qstash.logs();
    let message = logs.last().unwrap().message.id.to_string();
    let again = queued.delivery(SYNC_PATH, &message, "").send().await.unwrap();
    assert_eq!(again.status(), 200);
    let body: Value = again.json().await.unwrap();
    assert_eq!(body["repeated"], true, "{body}");
}

#[tokio::test]
async fn a_function_that_is_made_meanwhile_is_found_by_the_next_run() {
    let pair = settled(ROWS, &[]).await;
    let function = pair.function(&[]);
    let text = pair.text_source("select pg_get_functiondef('syncline_run'::regproc)").await;
    pair.sql_source("drop function syncline_run; notify pgrst, 'reload schema'").await;
    pair.source_api().reload().await;
    let by_tables = call(function.clone()).await.success();
    assert!(by_tables.body["statistics"]["api_calls"].as_u64().unwrap() > 2);

    pair.sql_source(&text).await;
    pair.sql_source("notify pgrst, 'reload schema'").await;
    pair.source_api().reload().await;
    let calls = async || {
        let answer = call(function.clone()).await.success();
        answer.body["statistics"]["api_calls"].as_u64().unwrap_or(0)
    };
    for _ in 0..5 {
        if calls().await == 2 {
            return;
        }
    }
    panic!("it is still read by its tables");
}
