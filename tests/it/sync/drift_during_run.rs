//! Tables that somebody alters while a run is at work on them. A lock holds the run where the test
//! wants it, and the change is made before the lock is let go.

use std::time::Duration;

use tokio_postgres::Client;

use crate::world::connect;
use crate::world::pair::{Answer, Pair, call};

const TABLES: &str = "create table items (id int primary key, n int, name text, updated_at timestamptz not null); \
    create index on items (updated_at, id); \
    create table more (id int primary key, updated_at timestamptz not null); \
    create index on more (updated_at, id);";

/// Rows of both tables with the ids from `from` to `to`.
fn rows(from: u32, to: u32) -> String {
    let each = format!("from generate_series({from}, {to}) i;");
    let stamp = "timestamptz '2026-01-01' + i * interval '1 s'";
    format!(
        "insert into items select i, 1094861600 + i % 64, 'item ' || i, {stamp} {each} \
         insert into more select i, {stamp} {each}"
    )
}

/// Two tables that were synced, with rows that were not.
async fn pair() -> Pair {
    let pair = Pair::with(TABLES).await.set("SYNC_PAGE_ROWS", "20");
    pair.sql_source(&rows(1, 100)).await;
    pair.sync().await.success();
    pair.sql_source(&rows(101, 300)).await;
    pair
}

/// A call in whose middle, when it waits for a lock of `holder`, something is done.
async fn call_meanwhile(pair: &Pair, holder: &Client, then: impl Future<Output = ()>) -> Answer {
    let waits = "select exists (select from pg_locks where not granted and database = \
        (select oid from pg_database where datname = current_database()))";
    let change = async {
        while !holder.query_one(waits, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        then.await;
        holder.batch_execute("commit").await.unwrap();
    };
    tokio::join!(call(pair.function(&[])), change).0
}

/// A call that finds the source's items changed behind its first pages.
async fn source_altered(pair: &Pair, change: &str) -> Answer {
    let holder = connect(&pair.target.url).await.unwrap();
    holder.batch_execute("begin; lock table items in access exclusive mode").await.unwrap();
    call_meanwhile(pair, &holder, pair.sql_source(change)).await
}

fn failed_alone(answer: &Answer, what: &str) {
    assert_eq!(answer.error().0, "schema_changed", "{what}: {}", answer.body);
    assert_eq!(answer.body["error"]["table"], "public.items", "{what}: {}", answer.body);
    assert_eq!(answer.rows("public.more")[0], 200, "{what}: {}", answer.body);
}

#[tokio::test]
async fn a_source_table_altered_between_two_pages_fails_alone() {
    for change in [
        "alter table items drop column name",
        "alter table items rename column name to label",
        "alter table items alter column n type bigint",
        "alter table items alter column n type float4",
        "alter table items rename to things",
        "drop table items",
    ] {
        let pair = pair().await;
        let answer = source_altered(&pair, change).await;
        failed_alone(&answer, change);
        pair.assert_closed().await;
    }
}

#[tokio::test]
async fn the_run_after_one_that_met_an_altered_table_reads_it_as_it_is() {
    let pair = pair().await;
    source_altered(&pair, "alter table items alter column n type text using 'n ' || n").await;
    pair.sql_target("alter table items alter column n type text").await;

    pair.sync_until_done(&[]).await;

    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_column_added_in_the_middle_of_a_scan_is_filled_in_every_row() {
    let pair = pair().await;
    let answer = source_altered(&pair, "alter table items add column extra int default 7").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    pair.sql_target("alter table items add column extra int").await;
    pair.sync_until_done(&[]).await;
    pair.assert_settled(&["items", "more"]).await;
}

#[tokio::test]
async fn a_target_table_altered_in_front_of_a_page_takes_no_bytes_of_another_type() {
    for change in [
        // The numbers' four bytes are letters.
        "alter table items alter column n type text",
        "alter table items alter column n type float4",
        "alter table items drop column name",
    ] {
        let pair = pair().await;
        let holder = connect(&pair.target.url).await.unwrap();
        holder.batch_execute(&format!("begin; {change}")).await.unwrap();

        let answer = call_meanwhile(&pair, &holder, async {}).await;

        failed_alone(&answer, change);
        let there = "select concat_ws(' ', count(*), max(id)) from items";
        assert_eq!(pair.text_target(there).await, "100 100", "{change}: nothing was saved");
        pair.sync_until_done(&[]).await;
        let same = "select string_agg(concat_ws(' ', id, n), ',' order by id) from items";
        let compared = (pair.text_source(same).await, pair.text_target(same).await);
        if change.ends_with("float4") {
            let floats = same.replace("n)", "n::float4)");
            assert_eq!(compared.1, pair.text_source(&floats).await);
        } else {
            assert_eq!(compared.1, compared.0, "{change}");
        }
    }
}

#[tokio::test]
async fn a_first_load_into_a_table_that_is_altered_takes_no_bytes_of_another_type() {
    let pair = Pair::with(TABLES).await;
    pair.sql_source(&rows(1, 200)).await;
    let holder = connect(&pair.target.url).await.unwrap();
    holder.batch_execute("begin; alter table items alter column n type text").await.unwrap();

    let answer = call_meanwhile(&pair, &holder, async {}).await;
    pair.sync_until_done(&[]).await;

    assert_eq!(answer.rows("public.items"), [0, 0, 0], "{}", answer.body);
    let same = "select string_agg(concat_ws(' ', id, n), ',' order by id) from items";
    assert_eq!(pair.text_target(same).await, pair.text_source(same).await);
}

#[tokio::test]
async fn a_table_altered_between_the_catalog_and_the_rows_does_not_stop_the_run() {
    for change in ["alter table items rename column updated_at to changed_at", "drop table items"] {
        let pair = pair().await;
        let holder = pair.writer().await;
        holder.batch_execute(&format!("begin; {change}")).await.unwrap();

        let answer = call_meanwhile(&pair, &holder, async {}).await;

        assert_eq!(answer.rows("public.more")[0], 200, "{change}: {}", answer.body);
        assert_ne!(answer.error().0, "schema_changed", "{change}: it was looked at again");
    }
}
