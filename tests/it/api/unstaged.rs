//! A page that one statement compares as it comes, without a stage: behind an API, where no row is
//! refused.

use crate::values::every_type;
use crate::values::own_types;
use crate::world::cluster;
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::servers::release;

/// Whoever makes a stage is refused.
const NO_STAGE: &str = "create function no_stage() returns event_trigger language plpgsql as \
        $$ begin raise exception 'a stage is made'; end $$; \
    create event trigger no_stage on ddl_command_start when tag in ('CREATE TABLE AS') \
        execute function no_stage();";

const REJECTS: &str =
    "select coalesce(string_agg(table_name || ': ' || reason, '; '), '') from sync_rejects";

/// All rows are read once more and compared, and none is written.
async fn assert_equal_ones_are_left_alone(pair: &Pair) {
    pair.sql_target("delete from sync_state where key like 'checkpoint:%'").await;
    let answer = pair.sync().await.success();
    let tables = answer.body["statistics"]["tables"].as_object().expect("there are tables");
    for name in tables.keys() {
        let [inserted, updated, unchanged] = answer.rows(name);
        assert_eq!([inserted, updated], [0, 0], "{name}");
        assert!(unchanged > 0, "{name}");
    }
}

#[tokio::test]
async fn a_value_of_every_type_goes_in_without_a_stage_and_is_left_alone() {
    let release = release(cluster());
    let pair = Pair::with(&every_type::schema(release)).await.over_api(OverApi::Both).await;
    pair.sql_target(NO_STAGE).await;
    every_type::arrives_and_is_left_alone(&pair, release).await;
    assert_equal_ones_are_left_alone(&pair).await;
    every_type::assert_same_bytes(&pair, release).await;
}

#[tokio::test]
async fn values_of_a_databases_own_types_go_in_without_a_stage_and_are_left_alone() {
    let (pair, columns) = own_types::both_sides().await;
    let pair = pair.over_api(OverApi::Both).await;
    pair.sql_target(NO_STAGE).await;
    pair.sql_source(&own_types::rows(&columns)).await;
    pair.sync().await.success();
    assert_eq!(pair.text_target(REJECTS).await, "");
    let names: Vec<&str> = columns.iter().map(|column| column.table.as_str()).collect();
    pair.assert_settled(&names).await;
    assert_equal_ones_are_left_alone(&pair).await;
    pair.assert_equal(&names).await;
}

/// Columns with their types on either side, a value that the target's type rounds, pads or takes as
/// it is, and one that it refuses.
const NARROW: [(&str, &str, &str, Option<&str>); 25] = [
    ("text", "varchar(5)", "'abcde'", Some("'abcdef'")),
    ("text", "char(5)", "'ab'", Some("'abcdef'")),
    ("text", "bit(3)", "'101'", Some("'1010'")),
    ("text", "varbit(3)", "'10'", Some("'1010'")),
    ("text", "\"char\"", "'ab'", None),
    ("text", "name", "repeat('n', 80)", None),
    ("text", "regclass", "'-'", None),
    ("text", "bytea", r"'\x00ff'", Some(r"'\x0'")),
    ("text", "mood", "'glad'", Some("'bad'")),
    ("numeric", "numeric(5,2)", "1.005", Some("1000")),
    ("numeric", "numeric(5,2)", "'NaN'", None),
    ("timestamp", "timestamp(3)", "'2026-01-01 00:00:00.1235'", None),
    ("timestamptz", "timestamptz(0)", "'2026-01-01 00:00:00.5+00'", None),
    ("time", "time(2)", "'12:00:00.126'", None),
    ("interval", "interval(1)", "'1 day 02:03:04.56'", None),
    ("text[]", "varchar(5)[]", "array['abcde', null]", Some("array['abcdef']")),
    ("numeric[]", "numeric(5,2)[]", "array[1.005, 2]", Some("array[1000]")),
    ("text", "short", "'a,\"b\\'", Some("'abcdef'")),
    ("text[]", "short[]", "array['abcde']", Some("array['abcdef']")),
    ("text", "filled", "'{NULL}'", Some("null")),
    ("jsonb", "document", "'{\"a\": \"\\\"\"}'", Some("'7'")),
    ("jsonb", "json", "'{\"a\": \"\\\"\"}'", None),
    ("text", "wide", "'(abcde,\"{\"\"a\"\": 1}\")'", Some("'(abcdef,)'")),
    ("text", "spoken", "'(a:b)'", None),
    ("text", "parted", r#"'a:b,{c "d\'"#, None),
];

/// The target's own types. A cast to `spoken` goes through a function, which its values do not go
/// through, and a colon parts the members of an array of `parted`.
const OWN: &str = "create type mood as enum ('glad', 'sad'); create domain short as varchar(5); \
    create domain filled as text not null; \
    create domain document as jsonb check (jsonb_typeof(value) = 'object'); \
    create type wide as (a varchar(5), b jsonb); create type spoken as (a text); \
    create function speak(text) returns spoken language sql as 'select row(upper($1))::spoken'; \
    create cast (text as spoken) with function speak(text); create type parted; \
    create function parted_in(cstring) returns parted language internal immutable strict as 'textin'; \
    create function parted_out(parted) returns cstring language internal immutable strict as 'textout'; \
    create type parted (input = parted_in, output = parted_out, delimiter = ':');";

/// Returns the target's rows after some that it takes, and the rows that it refuses.
async fn narrowed(over: Option<OverApi>) -> (String, String) {
    let columns = |side: fn(&(&'static str, &'static str)) -> &'static str| {
        let columns = NARROW.iter().enumerate();
        columns
            .map(|(at, (here, there, ..))| format!("c{at} {}, ", side(&(here, there))))
            .collect::<String>()
    };
    let table = |columns: String| {
        format!(
            "create table narrow (id int primary key, {columns} updated_at timestamptz not null);"
        )
    };
    let here = table(columns(|sides| sides.0));
    let there = format!("{OWN} {}", table(columns(|sides| sides.1)));
    let mut pair = Pair::of(&here, &there).await;
    if let Some(over) = over {
        pair = pair.over_api(over).await;
        pair.sql_target(NO_STAGE).await;
    }
    let values = |refused: Option<usize>| {
        let values = NARROW.iter().enumerate().map(|(at, (.., taken, not))| match refused {
            Some(place) if place == at => not.unwrap_or(taken),
            _ => taken,
        });
        values.collect::<Vec<_>>().join(", ")
    };
    pair.sql_source(&format!("insert into narrow values (100, {}, '2026-01-01')", values(None)))
        .await;
    pair.sync().await.success();
    assert_eq!(pair.text_target(REJECTS).await, "");
    assert_equal_ones_are_left_alone(&pair).await;

    if over.is_some() {
        pair.sql_target("drop event trigger no_stage").await;
    }
    for (at, _) in NARROW.iter().enumerate().filter(|(_, (.., not))| not.is_some()) {
        let row = format!("insert into narrow values ({at}, {}, '2026-01-02')", values(Some(at)));
        pair.sql_source(&row).await;
    }
    pair.sync().await.success();
    (
        pair.text_target("select string_agg(n::text, ';' order by id) from narrow n").await,
        pair.text_target(
            "select string_agg(key[1] || ' ' || code, ', ' order by key[1]::int) from sync_rejects",
        )
        .await,
    )
}

#[tokio::test]
async fn a_value_means_to_its_column_what_it_would_mean_in_a_copy() {
    let copied = narrowed(None).await;
    assert_eq!(copied.0.matches(';').count(), 0, "{}", copied.0);
    assert_eq!(narrowed(Some(OverApi::Target)).await, copied);
}

/// The column's collation is not that of its type, and no comparison knows which one is meant.
#[tokio::test]
async fn a_key_whose_type_has_a_collation_of_its_own_finds_its_row_again() {
    let schema = r#"create domain word as text collate "C";
        create table words (word word collate "und-x-icu" primary key, n int, updated_at timestamptz not null);
        create table names (name name collate "und-x-icu" primary key, n int, updated_at timestamptz not null);"#;
    let pair = Pair::with(schema).await.over_api(OverApi::Target).await;
    for (n, expected) in [(1, [4, 0]), (2, [0, 4])] {
        for table in ["words", "names"] {
            pair.sql_source(&format!(
                "insert into {table} select w, {n}, '2026-01-0{n}' from unnest(array['a', 'B', 'c', 'É']) w \
                 on conflict ({}) do update set n = excluded.n, updated_at = excluded.updated_at",
                &table[..4]
            ))
            .await;
        }
        let before = pair.target_api().calls().len();
        let answer = pair.sync().await.success();
        for table in ["public.words", "public.names"] {
            assert_eq!(answer.rows(table)[..2], expected, "{}", answer.body);
        }
        assert_eq!(pair.target_api().calls().len() - before, 4, "to begin, a page each, to end");
    }
    pair.assert_settled(&["words", "names"]).await;
}

/// Two writers meet in the same order, whichever way they write.
#[tokio::test]
async fn rows_are_written_in_the_order_of_the_tables_own_collation() {
    let schema = r#"create table words (word text collate "und-x-icu" primary key, other text,
        updated_at timestamptz not null);"#;
    let pair = Pair::with(schema).await.over_api(OverApi::Target).await;
    pair.sql_target(NO_STAGE).await;
    pair.sql_source(
        "insert into words select w, null, '2026-01-01' from unnest(array['É', 'c', 'B', 'a']) w",
    )
    .await;
    let lie = "select string_agg(word, ' ' order by ctid) from words";
    for other in ["", ", other = 'new'"] {
        pair.sql_source(&format!("update words set updated_at = updated_at + '1 s'{other}")).await;
        pair.sync().await.success();
        assert_eq!(pair.text_target(lie).await, "a B c É");
    }
    pair.assert_settled(&["words"]).await;
}

/// To the target two keys of the page are one. MERGE refuses to write a row twice, and is no judge
/// of which it is.
#[tokio::test]
async fn two_rows_that_are_one_to_the_target_do_not_stop_the_table() {
    let schema =
        "create table rates (rate numeric primary key, n int, updated_at timestamptz not null)";
    let pair = Pair::with(schema).await.over_api(OverApi::Target).await;
    pair.sql_target("alter table rates alter rate type numeric(4, 1)").await;
    pair.sql_source("insert into rates values (1.01, 1, '2026-01-01'), (1.02, 1, '2026-01-01')")
        .await;
    pair.sync().await.success();
    pair.sql_source("update rates set n = 2, updated_at = '2026-01-02'").await;
    pair.sql_source("insert into rates values (7, 2, '2026-01-02')").await;
    pair.sync().await.success();
    let rates = "select string_agg(concat_ws(' ', rate, n), ', ' order by rate) from rates";
    assert_eq!(pair.text_target(rates).await, "1.0 2, 7.0 2");
}
