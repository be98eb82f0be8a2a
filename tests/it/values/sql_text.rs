//! Whatever a name or a value holds, the server reads it as it was; and whatever a key or a cursor
//! holds, the next page starts right after it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use syncline::adapters::postgres::sql::{ident, literal};
use tokio::runtime::Runtime;

use crate::world::pair::Pair;
use crate::world::{connect, fresh_database};

/// Each case is a few round trips or two databases.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// The most bytes that Postgres keeps of a name, on a character's border.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(63)]
}

/// Any characters but NUL, and often the ones that quoting is about.
fn texts() -> impl Strategy<Value = String> {
    let letter = prop_oneof![
        2 => proptest::char::any().prop_filter("Postgres has no NUL", |letter| *letter != '\0'),
        1 => proptest::sample::select(vec!['"', '\'', '\\', '$', '%', '\n', ';', '-', 'é', '😀']),
    ];
    proptest::collection::vec(letter, 1..40).prop_map(|letters| letters.into_iter().collect())
}

#[test]
fn any_name_and_any_value_reach_the_server_as_they_were() {
    let runtime = runtime();
    let client = runtime.block_on(async {
        let database = fresh_database("sql_text").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute("set standard_conforming_strings = on").await.unwrap();
        client
    });
    let all = runner(200).run(&(texts(), texts()), |(name, value)| {
        let name = cut(&name);
        let query = format!(
            "select {value} as {name}, r.{name} from (select {value} as {name}) as r",
            name = ident(name),
            value = literal(&value)
        );
        let row = runtime.block_on(client.query_one(&query, &[]));
        let row = row.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(row.columns()[0].name(), name);
        prop_assert_eq!(row.get::<_, String>(0), value.clone());
        prop_assert_eq!(row.get::<_, String>(1), value);
        Ok(())
    });
    all.unwrap();
}

/// A stamp as SQL; from few moments, so that many are equal, and from the ends of what there is.
fn stamps() -> impl Strategy<Value = String> {
    let microseconds = (0_u32..3, 0_u32..1_000_000)
        .prop_map(|(second, micros)| format!("'2024-02-29 23:59:5{second}.{micros:06}+00'"));
    let fixed = proptest::sample::select(vec![
        "'4713-01-01 00:00:00+00 BC'",
        "'0001-12-31 23:59:59.999999+00 BC'",
        "'0001-01-01 00:00:00+00'",
        "'1969-12-31 23:59:59.999999+00'",
        "'2000-01-01 00:00:00+00'",
        "'2024-02-29 12:00:00.000001+00'",
        "'2024-02-29 12:00:00.000001+00'",
        "'294276-12-31 23:59:59.999999+00'",
        "'infinity'",
        "'-infinity'",
        "null",
    ]);
    prop_oneof![3 => fixed.prop_map(str::to_owned), 1 => microseconds]
}

/// A key's type and distinct values of it, as SQL.
fn keys() -> impl Strategy<Value = (&'static str, Vec<String>)> {
    let quoted = |text: String| literal(&text);
    let numbers = any::<i32>().prop_map(|number| format!("'{number}'"));
    let uuids = any::<u128>().prop_map(|bits| format!("'{bits:032x}'"));
    let days = || stamps().prop_filter("a key is not null", |stamp| stamp != "null");
    let many = |name: &'static str, values: BoxedStrategy<String>| {
        proptest::collection::btree_set(values, 1..8)
            .prop_map(move |values| (name, values.into_iter().collect::<Vec<_>>()))
            .boxed()
    };
    prop_oneof![
        many("int", numbers.boxed()),
        many("bigint", any::<i64>().prop_map(|number| format!("'{number}'")).boxed()),
        many("numeric", (any::<i32>(), 0_u8..9).prop_map(|(n, e)| format!("'{n}e-{e}'")).boxed()),
        many("uuid", uuids.boxed()),
        many("text", texts().prop_map(quoted).boxed()),
        many("date", days().boxed()),
        many("timestamp", days().boxed()),
        many("timestamptz", days().boxed()),
    ]
}

/// A table with such a key, rows of any stamps, and perhaps an index on them, as SQL.
fn tables() -> impl Strategy<Value = (String, String)> {
    let cursors = proptest::sample::select(vec!["timestamptz", "timestamp", "date"]);
    let parts = (keys(), cursors, proptest::collection::vec(stamps(), 8), any::<bool>());
    parts.prop_map(|((key, keys), cursor, stamps, indexed)| {
        let index = if indexed { "create index on T (at, id);" } else { "" };
        let schema = format!("create table T (id {key} primary key, at {cursor}); {index}");
        // Two texts may be one date: the first is the row.
        let rows = keys.iter().zip(&stamps).map(|(id, stamp)| format!("({id}, {stamp})"));
        let rows = rows.collect::<Vec<_>>().join(", ");
        (schema, format!("insert into T values {rows} on conflict do nothing;"))
    })
}

#[test]
fn a_page_border_at_any_key_or_cursor_loses_nothing() {
    let runtime = runtime();
    // A case is a pair of databases with many tables: a pair costs more than they do.
    let cases =
        (proptest::collection::vec(tables(), 4..8), proptest::sample::select(vec!["1", "3"]));
    let all = runner(3).run(&cases, |(tables, page_rows)| {
        runtime.block_on(async {
            let names: Vec<String> = (0..tables.len()).map(|at| format!("t{at}")).collect();
            let (mut schema, mut rows) = (String::new(), String::new());
            for ((create, insert), name) in tables.iter().zip(&names) {
                schema.push_str(&create.replacen(" T (", &format!(" {name} ("), 2));
                rows.push_str(&insert.replacen(" T ", &format!(" {name} "), 1));
            }
            let pair = Pair::with(&schema).await.set("SYNC_PAGE_ROWS", page_rows);
            pair.sql_source(&rows).await;
            pair.sync_until_done(&[]).await;
            pair.assert_settled(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        });
        Ok(())
    });
    all.unwrap();
}
