//! Between a server of the oldest release that is supported and one of the newest, both ways: their
//! settings differ, and so do the orders of their texts.

use std::fmt::Write as _;

use serde_json::{Value, json};
use syncline::demo::Cluster;

use crate::values::every_key::{finds_its_row_again, names_the_row_and_mends_it};
use crate::values::every_type::{arrives_and_is_left_alone, assert_same_bytes, each, rows, schema};
use crate::verify::comparison::{rows as differing, verify};
use crate::world::pair::Pair;
use crate::world::servers::{not_tested, oldest_and_newest, release};
use crate::world::{Database, connect, fresh_database_on};

/// The settings that change how a value is read and written, the same for both of the test's
/// sessions.
const PINNED: &str = "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; \
    set extra_float_digits = 3; set bytea_output = 'hex'; set xmloption = 'content'; \
    set quote_all_identifiers = off;";

/// A database in which texts have an order of their own, where the release can have that.
async fn database(cluster: &Cluster, prefix: &str) -> Database {
    let plain = fresh_database_on(cluster, prefix).await;
    if release(cluster) < 15 {
        return plain;
    }
    let name = format!("{}_icu", plain.name);
    let create = format!(
        "create database {name} template template0 locale_provider icu icu_locale 'de' locale 'C'"
    );
    let client = connect(&plain.url).await.unwrap();
    client.batch_execute(&create).await.unwrap();
    Database { url: plain.url.replace(&plain.name, &name), name, ..plain }
}

/// Two databases, one of each release.
async fn between(from: &Cluster, to: &Cluster, schema: &str) -> Pair {
    let (source, target) = (database(from, "source").await, database(to, "target").await);
    let schema = format!("{PINNED}{schema}");
    Pair::between(source, target, &schema, &schema).await
}

/// Both ways between the two servers, and the older of their releases.
fn ways() -> Option<([[&'static Cluster; 2]; 2], u32)> {
    let [oldest, newest] = oldest_and_newest()?;
    assert!(release(oldest) < release(newest), "the oldest server is not the older one");
    Some(([[oldest, newest], [newest, oldest]], release(oldest)))
}

#[tokio::test]
async fn a_value_of_every_type_goes_from_the_oldest_release_to_the_newest_and_back() {
    let Some((ways, release)) = ways() else { return };
    for [from, to] in ways {
        arrives_and_is_left_alone(&between(from, to, &schema(release)).await, release).await;
    }
}

/// No row is moved before they are compared, and the ranges around those that differ are compared,
/// too.
#[tokio::test]
async fn equal_values_of_every_type_have_equal_digests_in_both_releases() {
    let Some((ways, release)) = ways() else { return };
    for [from, to] in ways {
        let pair = between(from, to, &schema(release)).await;
        pair.sql_source(&rows(release)).await;
        pair.sql_target(&rows(release)).await;
        assert_same_bytes(&pair, release).await;
        let (exit, answer) = verify(&pair, &[]);
        assert_eq!((exit, &answer["equal"]), (0, &Value::Bool(true)), "{answer}");

        let mut damage = String::new();
        each(release, |table, _, _| {
            let _ = write!(
                damage,
                "delete from {table} where id = 0; update {table} set n = 7 where id = 103;"
            );
        });
        pair.sql_target(&damage).await;
        let (exit, answer) = verify(&pair, &["--repair"]);

        assert_eq!(exit, 0, "{answer}");
        for table in answer["tables"].as_array().unwrap() {
            let repaired = table["repaired"].as_array().unwrap();
            let told: Vec<Value> =
                repaired.iter().map(|row| json!([row["difference"], row["key"]["id"]])).collect();
            assert_eq!(told, [json!(["missing", "0"]), json!(["different", "103"])], "{table}");
        }
        assert_same_bytes(&pair, release).await;
    }
}

#[tokio::test]
async fn a_key_of_any_type_finds_its_row_in_the_other_release() {
    let Some((ways, release)) = ways() else { return };
    for [from, to] in ways {
        finds_its_row_again(between(from, to, "").await, release).await;
    }
}

#[tokio::test]
async fn a_key_of_any_type_names_the_row_that_differs_in_the_other_release() {
    let Some((ways, release)) = ways() else { return };
    for [from, to] in ways {
        names_the_row_and_mends_it(between(from, to, "").await, release).await;
    }
}

const PEOPLE: &str = "create table people (name text primary key, email text not null unique, \
        age int not null, updated_at timestamptz not null); \
    create index on people (updated_at, name); \
    create table pets (id bigint primary key, owner text references people, \
        updated_at timestamptz not null);";

const FILL: &str = "insert into people select 'Über ' || i, i || '@example.com', i % 90, \
        timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 400) i; \
    insert into pets select i, 'Über ' || i, '2026-01-01' from generate_series(1, 200) i;";

/// All in the second run: two unique values swapped, a row of each kind gone, a row that the target
/// refuses.
const CHANGE: &str = "update people set email = 'free' where name = 'Über 300'; \
    update people set email = '300@example.com', updated_at = now() where name = 'Über 301'; \
    update people set email = '301@example.com', updated_at = now() where name = 'Über 300'; \
    delete from pets where id <= 5; delete from people where name in ('Über 1', 'Über 399'); \
    insert into people values ('Ölaf', 'o@example.com', 200, now()), ('Zoë', 'z@example.com', 20, now()); \
    insert into pets values (900, 'Ölaf', now()), (901, 'Zoë', now());";

#[tokio::test]
async fn swaps_deletes_and_refused_rows_are_the_same_between_the_releases() {
    let Some((ways, _)) = ways() else { return };
    for [from, to] in ways {
        let pair = between(from, to, PEOPLE).await;
        let pair = pair.set("SYNC_DELETES", "mirror").set("SYNC_PAGE_ROWS", "50");
        pair.sql_target("alter table people add constraint young check (age < 100)").await;
        pair.sql_source(FILL).await;
        pair.sync().await.success();
        pair.assert_settled(&["people", "pets"]).await;

        pair.sql_source(CHANGE).await;
        pair.sync().await.success();

        let refused =
            "select string_agg(key[1] || ' ' || code, ', ' order by code) from sync_rejects";
        assert_eq!(pair.text_target(refused).await, "900 23503, Ölaf 23514");
        pair.sql_source("update people set age = 99 where name = 'Ölaf'").await;
        pair.sync().await.success();
        pair.assert_settled(&["people", "pets"]).await;
        let (exit, answer) = verify(&pair, &[]);
        assert_eq!(exit, 0, "{answer}");
    }
}

/// Numbers without end came with Postgres 14.
#[tokio::test]
async fn a_value_that_the_older_release_lacks_is_a_refused_row_there() {
    let Some(([_, [newest, oldest]], release)) = ways() else { return };
    if release > 13 {
        not_tested(&format!("infinite numbers, which Postgres {release} has"));
        return;
    }
    for declared in ["numeric", "numeric, mood mood default 'glad'"] {
        let pair = between(
            newest,
            oldest,
            &format!(
                "create type mood as enum ('glad'); \
                 create table sums (id int primary key, n {declared}, updated_at timestamptz default now());"
            ),
        )
        .await;
        let rows = "insert into sums (id, n) values (1, 1.50), (2, 'Infinity'), (3, 'NaN'), (4, '-Infinity')";
        pair.sql_source(rows).await;

        pair.sync().await.success();

        let taken = "select string_agg(id || '=' || n, ' ' order by id) from sums";
        assert_eq!(pair.text_target(taken).await, "1=1.50 3=NaN", "{declared}");
        let refused = "select string_agg(key[1], ' ' order by key) from sync_rejects";
        assert_eq!(pair.text_target(refused).await, "2 4", "{declared}");
        let (exit, answer) = verify(&pair, &[]);
        let missing = ["2", "4"].map(|id| json!({ "difference": "missing", "key": { "id": id } }));
        assert_eq!((exit, differing(&answer)), (5, &json!(missing)));
        pair.sql_source("update sums set n = 7 where id in (2, 4)").await;
        pair.sync().await.success();
        assert_eq!(pair.text_target(taken).await, "1=1.50 2=7 3=NaN 4=7", "{declared}");
    }
}
