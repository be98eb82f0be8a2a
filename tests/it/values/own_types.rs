//! Types of a database's own: enums, domains, composites, ranges, and those that extensions bring,
//! whichever schema they lie in on either side.

use std::fmt::Write as _;

use crate::verify::comparison::verify;
use crate::world::pair::Pair;
use crate::world::servers::{has, not_tested};

/// Types made by hand, of odd names and labels, in a schema of their own.
const OWN: &str = r#"
create schema "My Types";
create type "My Types"."Mood" as enum ('glad', 'it''s, "so" so', ' ', 'é');
create domain "My Types".short as text collate "C" check (length(value) < 50);
create domain "My Types".grid as int[];
create type "My Types".pair as (a int, b text, "C,c" numeric[]);
create type "My Types".nested as (p "My Types".pair, m "My Types"."Mood"[], s "My Types".short);
create domain "My Types".whole as "My Types".pair check ((value).a is distinct from 0);
create type "My Types".span as range (subtype = float8);
create type "My Types".textual as range (subtype = text, collation = "C");
"#;

/// Types that are made besides if the server has multiranges.
const OWN_MULTIRANGE: &str = r#"
create type "My Types".part as range (subtype = float8, multirange_type_name = "My Types".parts);
"#;
const OWN_MULTIRANGE_KIND: (&str, &[&str]) =
    (r#""My Types".parts"#, &["'{}'", "'{[-0,0.1),[5,Infinity]}'"]);

/// Declared types and their values.
const OWN_KINDS: &[(&str, &[&str])] = &[
    (r#""My Types"."Mood""#, &["'glad'", r#"'it''s, "so" so'"#, "' '", "'é'"]),
    (r#""My Types".short"#, &["''", "'NULL'", r#"'a,(b)"c"\'"#]),
    (r#""My Types".grid"#, &["'{}'", "'[5:6]={1,NULL}'", "'{{1,2},{3,4}}'"]),
    (
        r#""My Types".pair"#,
        &[
            "row(null, null, null)",
            "row(1, '', '{1.0,1.00,NaN}')",
            r#"row(2, E'a,(b)"c"\\ \t\n', '{}')"#,
        ],
    ),
    (
        r#""My Types".nested"#,
        &[r#"row(row(1, 'x,"y"', null), array['glad', 'é'], 'z')"#, "row(null, '{}', '')"],
    ),
    (r#""My Types".whole"#, &["row(1, null, null)"]),
    (r#""My Types".span"#, &["'empty'", "'[-0,0.1)'", "'(-Infinity,NaN]'", "'(,)'"]),
    (r#""My Types".textual"#, &["'[\"\",\"a,b\")'", r#"'["\"","\\"]'"#]),
];

/// Types that extensions bring; one that the server lacks is left out.
const EXTENSIONS: &[(&str, &str, &[&str])] = &[
    ("citext", "citext", &["'Bob'", "''", "'ärger'"]),
    ("hstore", "hstore", &["''", r#"'"a b"=>"1,2", c=>NULL, "q\""=>"=>"'"#]),
    ("ltree", "ltree", &["''", "'Top.Science.Astronomy'"]),
    ("ltree", "lquery", &["'Top.*{1,2}.!a|b%@'"]),
    ("cube", "cube", &["'(0)'", "'(1,2.5),(-0,1e-300)'"]),
    ("seg", "seg", &["'1.50'", "'<7.0 .. ~8.10'", "'5 .. '"]),
    ("isn", "isbn13", &["'978-0-306-40615-7'", "'978-0-306-40615-7!'"]),
    ("intarray", "query_int", &["'1&(2|!3)'"]),
    ("vector", "vector(3)", &["'[1,2.5,-0]'"]),
    ("vector", "halfvec(3)", &["'[1,2.5,-0]'"]),
    ("postgis", "geometry", &["'POINT(1 2)'", "'SRID=4326;LINESTRING(0 0,1 1)'", "'POINT EMPTY'"]),
    ("postgis", "geography", &["'POINT(1 2)'"]),
];

/// A table with a column of a type.
pub struct Column {
    /// The table's name.
    pub table: String,
    declared: String,
    values: Vec<String>,
}

/// Makes a table for each type, with `prefix` before the types of extensions.
async fn tables(pair: &Pair, prefix: [&str; 2]) -> Vec<Column> {
    let mut columns = Vec::new();
    let installed = "select coalesce(string_agg(name, ','), '') from pg_available_extensions";
    let installed = pair.text_source(installed).await;
    let mut kinds: Vec<(&str, [String; 2], &[&str])> = Vec::new();
    let multirange = has_multiranges().then_some(&OWN_MULTIRANGE_KIND);
    for (declared, values) in OWN_KINDS.iter().chain(multirange) {
        kinds.push(("", [(*declared).to_owned(), (*declared).to_owned()], values));
    }
    for (extension, declared, values) in EXTENSIONS {
        if !installed.split(',').any(|name| name == *extension) {
            not_tested(&format!("{declared}, since the server lacks the extension {extension}"));
            continue;
        }
        kinds.push((extension, prefix.map(|schema| format!("{schema}.{declared}")), values));
    }
    for (at, (extension, [here, there], values)) in kinds.iter().enumerate() {
        let table = format!("own_{at}");
        let create = |declared: &str| {
            format!(
                "create table {table} (id int primary key, v {declared}, list {declared}[], n int default 0, \
                 updated_at timestamptz not null default '2026-01-01');"
            )
        };
        if !extension.is_empty() {
            for (side, schema) in [true, false].into_iter().zip(prefix) {
                let make = format!("create extension if not exists {extension} schema {schema}");
                if side { pair.sql_source(&make).await } else { pair.sql_target(&make).await }
            }
        }
        pair.sql_source(&create(here)).await;
        pair.sql_target(&create(there)).await;
        let values = values.iter().map(|value| format!("({value})::{here}")).collect();
        columns.push(Column { table, declared: here.clone(), values });
    }
    columns
}

fn has_multiranges() -> bool {
    has(14, "multiranges")
}

/// A table a type, without rows, on both sides; the types of extensions lie in another schema on
/// each.
pub async fn both_sides() -> (Pair, Vec<Column>) {
    let more = if has_multiranges() { OWN_MULTIRANGE } else { "" };
    let pair = Pair::with(&format!("create schema extensions; {OWN} {more}")).await;
    let columns = tables(&pair, ["public", "extensions"]).await;
    (pair, columns)
}

/// Their rows, of the source: each value alone and in an array.
pub fn rows(columns: &[Column]) -> String {
    let mut rows = String::new();
    for Column { table, declared, values } in columns {
        for (id, value) in values.iter().enumerate() {
            // An array constructor takes no domain over arrays.
            let list = match declared.contains("grid") {
                true => "null".to_owned(),
                false => format!("array[{value}, null]"),
            };
            let _ = write!(rows, "insert into {table} values ({id}, {value}, {list});");
        }
    }
    rows
}

#[tokio::test]
async fn types_of_a_databases_own_arrive_as_they_are_from_any_schema_into_any() {
    let (pair, columns) = both_sides().await;
    pair.sql_source(&rows(&columns)).await;
    pair.sync().await.success();
    let refused =
        "select coalesce(string_agg(table_name || ': ' || reason, '; '), '') from sync_rejects";
    assert_eq!(pair.text_target(refused).await, "");
    let names: Vec<&str> = columns.iter().map(|column| column.table.as_str()).collect();
    pair.assert_settled(&names).await;

    let touch: String = names
        .iter()
        .map(|name| format!("update {name} set n = 1, updated_at = '2026-01-02';"))
        .collect();
    pair.sql_source(&touch).await;
    let second = pair.sync().await.success();
    for Column { table, declared, values } in &columns {
        let updated = second.rows(&format!("public.{table}"));
        assert_eq!(updated, [0, values.len() as u64, 0], "{declared}");
    }
    pair.assert_settled(&names).await;
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(exit, 0, "{answer}");
}

#[tokio::test]
async fn a_key_of_a_databases_own_type_finds_its_row_again() {
    let (pair, columns) = both_sides().await;
    let pair = pair.set("SYNC_PAGE_ROWS", "1");
    let writer = pair.writer().await;
    let mut keyed = Vec::new();
    for Column { table, declared, values } in &columns {
        let key = format!("alter table {table} drop id, drop list, add primary key (v)");
        // A type without an order is no key, and its table has one by its number.
        if writer.batch_execute(&key).await.is_ok() {
            pair.sql_target(&key).await;
            let rows = values.iter().map(|value| format!("insert into {table} values ({value});"));
            pair.sql_source(&rows.collect::<String>()).await;
            keyed.push((table.as_str(), declared.as_str()));
        }
    }
    let names: Vec<&str> = keyed.iter().map(|(table, _)| *table).collect();
    assert!(names.len() >= OWN_KINDS.len(), "only {names:?}");
    pair.sync().await.success();
    pair.assert_settled(&names).await;

    let touch =
        |n| move |name: &&str| format!("update {name} set n = {n}, updated_at = '2026-01-0{n}';");
    pair.sql_source(&names.iter().map(touch(2)).collect::<String>()).await;
    let second = pair.sync().await.success();
    for (table, declared) in &keyed {
        assert_eq!(second.rows(&format!("public.{table}"))[0], 0, "{declared}");
    }
    pair.assert_settled(&names).await;

    let damage =
        |name: &&str| format!("delete from {name} where ctid = (select min(ctid) from {name});");
    pair.sql_target(&names.iter().map(damage).collect::<String>()).await;
    let (exit, answer) = verify(&pair, &["--repair"]);
    assert_eq!(exit, 0, "{answer}");
    pair.assert_equal(&names).await;
}

#[tokio::test]
async fn a_key_that_ignores_case_is_the_same_key_whatever_schema_its_type_lies_in() {
    let table = |schema: &str| {
        format!(
            "create schema {schema}; create extension citext schema {schema}; create table people \
             (name {schema}.citext primary key, updated_at timestamptz not null);"
        )
    };
    let pair = Pair::of(&table("here"), &table("there")).await;
    pair.sql_source("insert into people values ('Bob', '2026-01-01'), ('Eve', '2026-01-01')").await;
    pair.sync().await.success();
    pair.sql_source(
        "update people set name = 'BOB', updated_at = '2026-01-02' where name::text = 'Bob'",
    )
    .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.people")[..2], [0, 1], "{}", answer.body);
    pair.assert_settled(&["people"]).await;
}

#[tokio::test]
async fn keys_that_only_the_target_calls_the_same_are_refused_and_not_written_over() {
    let table = |kind: &str| {
        format!(
            "create extension citext; create collation blind (provider = icu, \
             locale = 'und-u-ks-level2', deterministic = false); \
             create table people (name {kind} primary key, n int, updated_at timestamptz not null);"
        )
    };
    for there in ["citext", "text collate blind", "varchar(9) collate blind"] {
        let pair = Pair::of(&table("text"), &table(there)).await.set("SYNC_PAGE_ROWS", "2");
        pair.sql_source(
            "insert into people select name, 1, '2026-01-01' from unnest(array['BOB', 'Bob', 'bob', 'eve']) name",
        )
        .await;
        let people = "select string_agg(name || n, ',' order by name) from people";
        let refused =
            "select string_agg(key[1] || ' ' || code, ', ' order by key) from sync_rejects";
        for n in 1..=3 {
            pair.sql_source(&format!("update people set n = {n}, updated_at = '2026-01-0{n}'"))
                .await;
            pair.sync().await.success();
            let one = pair.text_target(people).await;
            assert_eq!(one.split(',').count(), 2, "{there}: {one}");
            assert!(one.ends_with(&format!(",eve{n}")), "{there}: {one}");
            let refused = pair.text_target(refused).await;
            assert_eq!(refused.matches("23505").count(), 2, "{there}: {one}, {refused}");
        }
    }
}

#[tokio::test]
async fn a_value_that_the_targets_stricter_domain_refuses_is_a_refused_row() {
    let table = |check: &str| {
        format!(
            "create domain age as int check (value >= {check}); create table people (id int primary key, \
             age age, ages age[], updated_at timestamptz not null default '2026-01-01');"
        )
    };
    let pair = Pair::of(&table("0"), &table("18")).await;
    pair.sql_source("insert into people values (1, 17, null), (2, 18, '{}'), (3, 20, '{18,17}')")
        .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.people"), [1, 0, 0], "{}", answer.body);
    let refused = "select string_agg(key[1] || ' ' || code, ', ' order by key) from sync_rejects";
    assert_eq!(pair.text_target(refused).await, "1 23514, 3 23514");
}

/// As PostGIS brings `spatial_ref_sys`.
#[tokio::test]
async fn a_table_that_an_extension_brought_is_synced_only_where_it_is_named() {
    let brought = "create table brought (id int primary key, updated_at timestamptz not null);";
    let own = "create table own (id int primary key, updated_at timestamptz not null);";
    let pair = Pair::of(
        &format!(
            "{brought}{own} create extension citext; alter extension citext add table brought;"
        ),
        own,
    )
    .await;
    pair.sql_source("insert into own values (1, now()); insert into brought values (1, now())")
        .await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.own"), [1, 0, 0]);
    assert!(!answer.body.to_string().contains("public.brought"), "{}", answer.body);
    assert_eq!(verify(&pair, &[]).0, 0);
    pair.sql_target(brought).await;
    let named = pair.sync_with(&[("SYNC_TABLES", "brought")]).await.success();
    assert_eq!(named.rows("public.brought"), [1, 0, 0]);
}

#[tokio::test]
async fn labels_of_an_enum_arrive_by_name_whatever_their_order() {
    let table = |labels: &str| {
        format!(
            "create type size as enum ({labels}); create table shirts (size size primary key, \
             others size[], updated_at timestamptz not null);"
        )
    };
    let pair = Pair::of(&table("'s', 'm', 'l'"), &table("'l', 'xl', 'm', 's'")).await;
    let pair = pair.set("SYNC_PAGE_ROWS", "1");
    pair.sql_source(
        "insert into shirts select s, enum_range(null::size), '2026-01-01' from unnest(enum_range(null::size)) s",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.shirts"), [3, 0, 0]);
    pair.sql_source("update shirts set others = '{l}', updated_at = '2026-01-02'").await;
    assert_eq!(pair.sync().await.success().rows("public.shirts"), [0, 3, 0]);
    pair.assert_settled(&["shirts"]).await;
    let (exit, answer) = verify(&pair, &[]);
    assert_eq!(exit, 0, "{answer}");
}
