//! Tables of every shape: the widest, the longest, partitions and children on either side, names
//! that are ours, columns in another order, keys that look alike.

use serde_json::json;

use crate::verify::comparison::verify;
use crate::world::pair::Pair;

const STAMP: &str = "updated_at timestamptz not null default '2026-01-01'";

async fn settled_and_verified(pair: &Pair, tables: &[&str]) {
    pair.assert_settled(tables).await;
    let (exit, answer) = verify(pair, &[]);
    assert_eq!((exit, &answer["equal"]), (0, &json!(true)), "{answer}");
}

/// The widest table there can be: a key, a stamp and 1,598 numbers.
fn widest(name: &str, partitions: bool) -> String {
    let columns: String = (1..=1_598).map(|at| format!("column_number_{at} int, ")).collect();
    let (by, part) = match partitions {
        true => (
            " partition by range (id)",
            format!("create table {name}_all partition of {name} default;"),
        ),
        false => ("", String::new()),
    };
    format!("create table {name} (id int primary key, {columns} {STAMP}){by}; {part}")
}

#[tokio::test]
async fn a_table_of_1600_columns_is_synced_and_compared() {
    let schema = [widest("plain", false), widest("parted", true)].concat();
    let pair = Pair::with(&schema).await;
    for table in ["plain", "parted"] {
        pair.sql_source(&format!(
            "insert into {table} (id, column_number_1, column_number_1598) \
             select i, i, i from generate_series(1, 20) i"
        ))
        .await;
    }
    pair.sync().await.success();
    for table in ["plain", "parted"] {
        pair.sql_source(&format!(
            "update {table} set column_number_1597 = 5, updated_at = '2026-01-02' where id < 4; \
             insert into {table} (id, updated_at) values (21, '2026-01-02')"
        ))
        .await;
    }
    let answer = pair.sync().await.success();
    for table in ["public.plain", "public.parted"] {
        assert_eq!(answer.rows(table)[..2], [1, 3], "{table}");
    }
    settled_and_verified(&pair, &["plain", "parted"]).await;
}

#[tokio::test]
async fn rows_of_ten_megabytes_pass_one_by_one_in_either_form() {
    let schema = format!(
        "create type mood as enum ('glad'); \
         create table long (id int primary key, v text, b bytea, {STAMP}); \
         create table long_text (id int primary key, v text, b bytea, mood mood, {STAMP});"
    );
    let pair = Pair::with(&schema).await;
    for table in ["long", "long_text"] {
        pair.sql_source(&format!(
            "insert into {table} select i, repeat('é\\', 2500000), \
             decode(repeat('00ff5c0a', 625000), 'hex') from generate_series(1, 5) i"
        ))
        .await;
    }
    pair.sync().await.success();
    pair.sql_source("update long set v = v || 'x', updated_at = '2026-01-02' where id = 3").await;
    pair.sync().await.success();
    settled_and_verified(&pair, &["long", "long_text"]).await;
}

#[tokio::test]
async fn names_that_are_ours_are_names() {
    let columns = "known text, known_ text, r text, s text, t text, d text, w text, asked text, place text, \
        number text, numbered text, key text, row_number text, syncline_key_0 text, syncline_page text, \
        staged text, \"select\" text, \"a\nb\" text, \"it's\" text, \"%s $1 {}\" text, part text, m text";
    let longest = "ü".repeat(31) + "x";
    let schema = format!(
        "create table syncline_page (id int primary key, {columns}, {STAMP}); \
         create table known (s int, t int, {columns2}, {STAMP}, primary key (t, s)) partition by list (s); \
         create table known_all partition of known default; \
         create table \"new\nline \"\"; drop\" (\"{longest}\" int primary key, {STAMP});",
        columns2 = columns.replace(" s text,", "").replace(" t text,", ""),
    );
    let tables = ["syncline_page", "known", "\"new\nline \"\"; drop\""];
    let pair = Pair::with(&schema).await.set("SYNC_TABLES", tables.join(", "));
    pair.sql_source(&format!(
        "insert into syncline_page (id, known, d) select i, 'k', 'd' from generate_series(1, 9) i; \
         insert into known (s, t, known, d) select i % 3, i, 'k', 'd' from generate_series(1, 9) i; \
         insert into {} select i from generate_series(1, 9) i",
        tables[2]
    ))
    .await;
    pair.sync_until_done(&[("SYNC_PAGE_ROWS", "4")]).await;
    for table in tables {
        pair.sql_source(&format!("update {table} set updated_at = '2026-01-02'")).await;
    }
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["statistics"]["total_records"], 27, "{}", answer.body);
    settled_and_verified(&pair, &tables).await;
}

#[tokio::test]
async fn partitions_on_either_side_hold_the_rows_of_one_table() {
    let plain = |name: &str| {
        format!(
            "create table {name} (id int, region text, n int, {STAMP}, primary key (id, region));"
        )
    };
    let parted = |name: &str| {
        format!(
            "create table {name} (id int, region text, n int, {STAMP}, primary key (id, region)) partition by list (region); \
             create table {name}_eu partition of {name} for values in ('eu'); \
             create table {name}_rest partition of {name} default;"
        )
    };
    let pair = Pair::of(
        &[plain("x_gathers"), parted("x_spreads"), parted("parts")].concat(),
        &[parted("x_gathers"), plain("x_spreads"), parted("parts")].concat(),
    )
    .await;
    let pair = pair.set("SYNC_TABLES", "x_gathers, x_spreads, parts").set("SYNC_PAGE_ROWS", "7");
    let tables = ["x_gathers", "x_spreads", "parts"];
    for table in tables {
        pair.sql_source(&format!(
            "insert into {table} select i, case when i % 2 = 0 then 'eu' else 'us' end, i from generate_series(1, 30) i"
        ))
        .await;
    }
    pair.sync().await.success();
    pair.assert_settled(&tables).await;
    for table in tables {
        pair.sql_source(&format!(
            "update {table} set n = 0, updated_at = '2026-01-02' where id < 5"
        ))
        .await;
    }
    let answer = pair.sync().await.success();
    for table in tables {
        assert_eq!(answer.rows(&format!("public.{table}"))[..2], [0, 4], "{table}");
    }
    settled_and_verified(&pair, &tables).await;
}

#[tokio::test]
async fn a_row_that_moves_to_another_partition_moves_there_too() {
    // The key of a partitioned table holds what it is partitioned by; a unique index of a plain
    // target does not have to.
    let parted = format!(
        "create table t (id int not null, region text not null, {STAMP}, primary key (id, region)) \
         partition by list (region); create table t_eu partition of t for values in ('eu'); \
         create table t_rest partition of t default;"
    );
    let pair = Pair::with(&parted).await;
    pair.sql_source("insert into t values (1, 'eu'), (2, 'us')").await;
    pair.sync().await.success();
    pair.sql_source("update t set region = 'us', updated_at = '2026-01-02' where id = 1").await;

    pair.sync().await.success();

    // Its key has changed: the old one is a row that the source has no more.
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(
        (exit, &answer["tables"][0]["rows"]),
        (5, &json!([{ "difference": "extra", "key": { "id": "1", "region": "eu" } }]))
    );
    assert_eq!(
        pair.text_target("select string_agg(id || region, ',' order by id, region) from t_rest")
            .await,
        "1us,2us"
    );
}

#[tokio::test]
async fn a_parents_rows_and_its_childrens_rows_are_kept_apart_on_both_sides() {
    let schema = format!(
        "create table cities (id int primary key, name text, {STAMP}); \
         create table capitals (primary key (id)) inherits (cities);"
    );
    let pair = Pair::with(&schema).await;
    pair.sql_source("insert into cities values (1, 'Lyon'), (2, 'Bonn'); insert into capitals values (1, 'Rome')")
        .await;
    pair.sql_target("insert into capitals values (2, 'Old Bonn')").await;
    pair.sync().await.success();
    pair.sql_source("update only cities set name = 'new', updated_at = '2026-01-02'").await;
    pair.sync().await.success();

    let rows = "select string_agg(id || name, ',' order by id) from only";
    assert_eq!(pair.text_target(&format!("{rows} cities")).await, "1new,2new");
    assert_eq!(pair.text_target(&format!("{rows} capitals")).await, "1Rome,2Old Bonn");
    pair.sql_target("delete from capitals where id = 2").await;
    settled_and_verified(&pair, &["only cities", "capitals"]).await;
}

#[tokio::test]
async fn a_row_of_a_parent_is_not_held_up_by_its_namesake_in_a_child_table() {
    let schema = format!(
        "create table cities (id int primary key, name text, {STAMP}); \
         create table capitals (primary key (id)) inherits (cities);"
    );
    let looks = "create function looks() returns trigger language plpgsql as $$ begin return new; end $$; \
        create trigger looks before insert or update on cities for each row execute function looks();";
    let pair = Pair::of(&schema, &format!("{schema}{looks}")).await;
    pair.sql_source("insert into cities values (1, 'Lyon'), (2, 'Bonn')").await;
    pair.sql_target("insert into capitals values (1, 'Rome'), (2, 'Oslo')").await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.cities"), [2, 0, 0], "{}", answer.body);
    pair.sql_source("update only cities set name = 'new', updated_at = '2026-01-02'").await;
    assert_eq!(pair.sync().await.success().rows("public.cities"), [0, 2, 0]);
    assert_eq!(pair.text_target("select count(*)::text from sync_rejects").await, "0");
}

#[tokio::test]
async fn columns_in_another_order_and_dropped_ones_meet_by_name() {
    let pair = Pair::of(
        &format!("create table t (gone int, b int, a int, v text, {STAMP}, primary key (b, a)); alter table t drop gone"),
        &format!("create table t ({STAMP}, v text, a int, was text, b int, primary key (a, b)); \
            alter table t drop was; alter table t add own text default 'mine'"),
    )
    .await;
    let pair = pair.set("SYNC_PAGE_ROWS", "3");
    pair.sql_source(
        "insert into t (b, a, v) select i / 4, i, 'v' || i from generate_series(1, 20) i",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.t"), [20, 0, 0]);
    pair.sql_source("update t set v = 'new', updated_at = '2026-01-02' where a = 7").await;
    assert_eq!(pair.sync().await.success().rows("public.t")[1], 1);
    let rows = "select md5(string_agg(concat_ws(',', a, b, v), ';' order by a, b)) from t";
    assert_eq!(pair.text_source(rows).await, pair.text_target(rows).await);
    let own = "select string_agg(distinct own, ',') from t";
    assert_eq!(pair.text_target(own).await, "mine");
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(exit, 0, "{answer}");
}

#[tokio::test]
async fn a_table_of_nothing_but_its_key_is_synced_and_one_without_common_columns_is_refused() {
    let keys = "create table keys (a int, b text, primary key (a, b));";
    let pair = Pair::of(
        &format!("{keys} create table apart (x int primary key);"),
        &format!("{keys} create table apart (y int primary key);"),
    )
    .await;
    pair.sql_source("insert into keys select i, 'k' || i from generate_series(1, 9) i").await;
    let answer = pair.sync().await;
    assert_eq!(
        (answer.status, answer.body["error"]["table"].as_str()),
        (489, Some("public.apart"))
    );
    pair.sql_source("insert into keys values (10, '')").await;
    assert_eq!(pair.sync().await.rows("public.keys"), [1, 0, 9]);
    pair.assert_equal(&["keys"]).await;
}

#[tokio::test]
async fn an_identity_on_one_side_alone_takes_the_values_of_the_other() {
    let plain = format!("create table a (id int primary key, n int, {STAMP});");
    let always = format!(
        "create table a (id int generated always as identity primary key, n int generated always as identity, {STAMP});"
    );
    let pair = Pair::of(
        &format!("{plain} {}", always.replace("table a", "table b")),
        &format!("{always} {}", plain.replace("table a", "table b")),
    )
    .await;
    pair.sql_source("insert into a values (7, 8); insert into b default values").await;
    pair.sync().await.success();
    pair.sql_source(
        "update a set updated_at = '2026-01-02'; update b set updated_at = '2026-01-02'",
    )
    .await;
    let answer = pair.sync().await.success();
    assert_eq!((answer.rows("public.a")[1], answer.rows("public.b")[1]), (1, 1));
    settled_and_verified(&pair, &["a", "b"]).await;
}

#[tokio::test]
async fn text_keys_that_look_alike_are_told_apart_whatever_the_collations() {
    let keys = "'a', 'A', ' a', 'a ', 'á', U&'a\\0301', '', '_a', '-a', 'ß', 'ss', 'SS', 'aa', 'Aa', 'å', 'z', 'Z', 'ｚ'";
    let table = |collation: &str| {
        format!(
            "create table words (k text collate \"{collation}\" primary key, n int default 0, {STAMP});"
        )
    };
    for (here, there) in [("C", "en-x-icu"), ("en-x-icu", "C"), ("sv-x-icu", "de-x-icu")] {
        let pair = Pair::of(&table(here), &table(there)).await.set("SYNC_PAGE_ROWS", "2");
        pair.sql_source(&format!("insert into words select unnest(array[{keys}])")).await;
        pair.sync().await.success();
        pair.sql_source("update words set n = 1, updated_at = '2026-01-02'").await;
        assert_eq!(pair.sync().await.success().rows("public.words"), [0, 18, 0], "{here} {there}");
        settled_and_verified(&pair, &["words"]).await;
    }
}

#[tokio::test]
async fn a_key_of_a_collation_that_ignores_case_finds_its_row_again() {
    let table = format!(
        "create collation blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
         create table words (k text collate blind primary key, n int default 0, {STAMP});"
    );
    let pair = Pair::with(&table).await.set("SYNC_PAGE_ROWS", "2");
    pair.sql_source("insert into words select unnest(array['Bob', 'eve', 'ZOE', 'é', 'x y'])")
        .await;
    pair.sync().await.success();
    pair.sql_source("update words set k = upper(k), updated_at = '2026-01-02'").await;
    assert_eq!(pair.sync().await.success().rows("public.words")[..2], [0, 5]);
    settled_and_verified(&pair, &["words"]).await;
}
