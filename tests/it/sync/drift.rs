//! Tables that are no longer what they were at the last run: dropped and made again, emptied,
//! rewritten, in another database, or with other columns and keys.

use std::time::Duration;

use syncline::demo::Cluster;

use crate::world::pair::Pair;
use crate::world::servers::options;
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
    pair.sql_source("alter table items alter name type text using upper(name)").await;
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
        let cluster = Cluster::start(&options()).expect("Postgres starts");
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

#[tokio::test]
async fn a_column_that_was_dropped_and_made_again_is_another_one() {
    let pair = synced().await;
    pair.sql_source("alter table items drop name; alter table items add name text default 'new'")
        .await;
    assert_eq!(pair.sync().await.success().rows("public.items"), [0, 100, 0]);
    pair.assert_settled(&["items"]).await;
}

const TABLES: &str = "create table items (id int primary key, other int not null, name text, \
    updated_at timestamptz not null); create index on items (updated_at, id); \
    create table more (id int primary key, updated_at timestamptz not null); \
    create index on more (updated_at, id);";

/// Two tables that were synced, a change, and a new row in each.
async fn changed(source: &str, target: &str) -> Pair {
    let pair = Pair::with(TABLES).await;
    let row = "insert into items (id, other, updated_at) select i, i, timestamptz '2026-01-01' + i \
        * interval '1 s' from generate_series(1, 9) i; insert into more select id, updated_at from items";
    pair.sql_source(row).await;
    pair.sync().await.success();
    pair.sql_source("insert into more values (10, '2026-02-01')").await;
    pair.sql_source(source).await;
    pair.sql_target(target).await;
    pair
}

#[tokio::test]
async fn a_type_that_changed_on_the_source_is_named_and_its_values_travel_as_text() {
    for (change, warned) in [
        ("alter items alter other type bigint", "other is bigint on the source and integer on"),
        (
            "alter items alter name type jsonb using '{\"a\": 1}'",
            "name is jsonb on the source and text",
        ),
    ] {
        let pair = changed(&change.replace("alter items", "alter table items"), "").await;
        let answer = pair.sync().await.success();
        assert!(answer.warnings().contains(warned), "{}", answer.warnings());
        assert_eq!(answer.rows("public.more")[0], 1, "{}", answer.body);
        let all = "select string_agg(concat_ws(' ', id, other, name), ',' order by id) from items";
        assert_eq!(pair.text_target(all).await, pair.text_source(all).await);
    }
}

/// Changes that leave a table out after it was synced, and the words for each.
const BROKEN: [(&str, &str, &str, &str); 7] = [
    (
        "alter table items drop constraint items_pkey, add primary key (other)",
        "",
        "public.items",
        "its key (other) is not a key on the target",
    ),
    (
        "",
        "alter table items drop constraint items_pkey, add primary key (other)",
        "public.items",
        "its key (id) is not a key on the target",
    ),
    ("", "alter table items drop id", "public.items", "its key (id) is not a key on the target"),
    (
        "",
        "alter table items add due date default now(); \
            alter table items alter due set not null, alter due drop default",
        "public.items",
        "the target's column due needs a value and gets none",
    ),
    ("", "drop table items", "public.items", "it does not exist on the target; create it on the"),
    (
        "alter table items rename to things",
        "",
        "public.things",
        "it does not exist on the target; create it on the target",
    ),
    (
        "alter table items drop constraint items_pkey, drop id, add primary key (other)",
        "",
        "public.items",
        "its key (other) is not a key on the target",
    ),
];

#[tokio::test]
async fn what_a_table_cannot_be_synced_with_any_more_is_named_and_the_others_go_on() {
    for (source, target, table, told) in BROKEN {
        let pair = changed(source, target).await;
        let answer = pair.sync().await;
        assert_eq!(answer.status, 489, "{source}{target}: {}", answer.body);
        assert_eq!(answer.body["error"]["table"], table, "{source}{target}: {}", answer.body);
        assert!(answer.warnings().contains(told), "{source}{target}: {}", answer.warnings());
        assert_eq!(answer.rows("public.more")[0], 1, "{source}{target}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_table_that_is_gone_from_the_source_is_named_as_long_as_the_target_has_it() {
    for change in ["alter table items rename to things", "drop table items"] {
        let pair = changed(change, "").await;
        let told = "public.items: it was synced before and does not exist on the source any more";
        let answer = pair.sync().await;
        assert!(answer.warnings().contains(told), "{change}: {}", answer.warnings());
        assert_eq!(answer.rows("public.more")[0], 1, "{change}: {}", answer.body);

        pair.sql_target(change).await;
        let answer = pair.sync().await.success();
        assert!(!answer.warnings().contains("public.items"), "{change}: {}", answer.warnings());
    }
}

#[tokio::test]
async fn a_column_renamed_on_the_source_is_one_that_the_target_lacks() {
    let pair = changed("alter table items rename name to label", "").await;
    let answer = pair.sync().await.success();
    let told = "the column label exists only on the source";
    assert!(answer.warnings().contains(told), "{}", answer.warnings());
    pair.sql_target("alter table items rename name to label").await;
    pair.sync().await.success();
    pair.assert_settled(&["items", "more"]).await;
}
