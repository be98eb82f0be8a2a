//! Tables that are no longer what they were at the last run: dropped and made again, emptied,
//! rewritten, in another database, or with other columns and keys.

use std::time::Duration;

use syncline::demo::{Cluster, ClusterOptions};

use crate::world::pair::Pair;
use crate::world::{Database, cluster, connect, copy_of, fresh_database, text};

const ITEMS: &str = "create table items (id bigserial primary key, name text);";

/// Items 1 to `rows`, named after `what`; their key is the cursor.
fn rows(what: &str, rows: u32) -> String {
    format!("insert into items (name) select '{what} ' || i from generate_series(1, {rows}) i;")
}

async fn synced() -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(&rows("first", 100)).await;
    pair.sync().await.success();
    pair
}

#[tokio::test]
async fn a_table_that_was_dropped_and_made_again_is_read_from_the_start() {
    let pair = synced().await;
    pair.sql_source(&format!("drop table items; {ITEMS} {}", rows("second", 50))).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items"), [0, 50, 0]);
    let names =
        "select string_agg(distinct split_part(name, ' ', 1), ' ') from items where id <= 50";
    assert_eq!(pair.text_target(names).await, "second");
    assert_eq!(pair.sync().await.success().body["message"], "Nothing had changed");
}

#[tokio::test]
async fn a_table_that_was_truncated_and_filled_again_is_read_from_the_start() {
    let pair = synced().await;
    pair.sql_source(&format!("truncate items restart identity; {}", rows("second", 50))).await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [0, 50, 0]);
}

#[tokio::test]
async fn values_that_a_change_of_type_rewrote_are_read_again() {
    let pair = synced().await;
    pair.sql_source("alter table items alter name type text using upper(name), alter id type int")
        .await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [0, 100, 0]);
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_target_that_was_emptied_or_made_again_is_filled_again() {
    let pair = synced().await;
    for emptied in ["truncate items", &format!("drop table items; {ITEMS}")] {
        pair.sql_target(emptied).await;
        assert_eq!(pair.sync().await.success().rows("public.items"), [100, 0, 0], "{emptied}");
        pair.assert_settled(&["items"]).await;
    }
}

#[tokio::test]
async fn another_source_is_read_from_the_start() {
    let pair = Pair::with("").await;
    pair.sql_target(ITEMS).await;
    let template = fresh_database("template").await;
    connect(&template.url).await.unwrap().batch_execute(ITEMS).await.unwrap();
    // Copies of one database have the same tables under the same object ids.
    let (one, other) = (copied(&template, "one").await, copied(&template, "other").await);
    for (database, what) in [(&one, "one"), (&other, "other")] {
        connect(&database.url).await.unwrap().batch_execute(&rows(what, 30)).await.unwrap();
    }

    let first = pair.sync_with(&[("SOURCE_DATABASE_URL", &one.url)]).await.success();
    let second = pair.sync_with(&[("SOURCE_DATABASE_URL", &other.url)]).await.success();

    assert_eq!(first.rows("public.items"), [30, 0, 0]);
    assert_eq!(second.rows("public.items"), [0, 30, 0]);
}

/// A copy, made as soon as nobody is connected to the template.
async fn copied(template: &Database, prefix: &str) -> Database {
    let connected =
        format!("select count(*)::text from pg_stat_activity where datname = '{}'", template.name);
    while text(&cluster().url("postgres"), &connected).await != "0" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    copy_of(template, prefix).await
}

#[tokio::test]
async fn another_server_is_read_from_the_start_although_all_its_object_ids_are_the_same() {
    let pair = Pair::with("").await;
    pair.sql_target(ITEMS).await;
    let mut oids = Vec::new();
    for what in ["one", "other"] {
        let cluster = Cluster::start(&ClusterOptions::default()).expect("Postgres starts");
        cluster.create_database("app").await.expect("an empty database is created");
        let url = cluster.url("app");
        let client = connect(&url).await.unwrap();
        client.batch_execute(&format!("{ITEMS} {}", rows(what, 30))).await.unwrap();
        oids.push(
            text(
                &url,
                "select concat_ws(' ', d.oid, c.oid, c.relfilenode) from pg_class c, \
            pg_database d where relname = 'items' and datname = 'app'",
            )
            .await,
        );

        let answer = pair.sync_with(&[("SOURCE_DATABASE_URL", &url)]).await.success();

        let [inserted, updated, _] = answer.rows("public.items");
        assert_eq!(inserted + updated, 30, "{what}: {}", answer.body);
    }
    assert_eq!(oids[0], oids[1], "or it would not take the server to tell them apart");
}
