//! Roles and databases with defaults of their own, none of which is what we need: each transaction
//! pins what its text depends on.

use crate::verify::comparison::verify;
use crate::world::pair::Pair;
use crate::world::text;

const THINGS: &str = "create table things (id int primary key, day date, at timestamp, \
        zoned timestamptz, hour timetz, spell interval, ratio float8, small float4, exact numeric, \
        raw bytea, paid money, doc xml, parts text[], days date[], flags bit varying, note text, \
        updated_at timestamptz not null); \
    create index on things (updated_at, id);";

/// Values whose text depends on the session: a day that reads as another one, floats that need all
/// their digits, bytes with a backslash, a fragment that is no document, the text NULL in an array.
const ROWS: &str = "insert into things select i, date '2026-03-04' + i, timestamp '2026-03-04 05:06:07.000001', \
        '2026-03-04 05:06:07+05:45', '05:06:07-08', interval '-1 mon 2 days -03:04:05.678901', \
        1.0 / 3 + i, 1.0 / 3, 1.10, decode('5c00ff' || lpad(to_hex(i % 256), 2, '0'), 'hex'), 12.34 * i, \
        xmlparse(content 'a<b/>c'), array['NULL', null, 'a\"b', 'c\\d', ''], \
        array[date '2026-12-01', 'infinity'], B'0101', 'it''s a \\ or ä €', \
        timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, 500) i";

const DEFAULTS: [(&str, &str); 27] = [
    ("datestyle", "'German'"),
    ("intervalstyle", "'iso_8601'"),
    ("timezone", "'Asia/Kathmandu'"),
    ("search_path", "'nowhere'"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_read_only", "on"),
    ("default_transaction_deferrable", "on"),
    ("bytea_output", "'escape'"),
    ("extra_float_digits", "-15"),
    ("statement_timeout", "'20s'"),
    ("lock_timeout", "'20s'"),
    ("idle_in_transaction_session_timeout", "'20s'"),
    ("client_encoding", "'LATIN1'"),
    ("row_security", "on"),
    ("standard_conforming_strings", "off"),
    ("escape_string_warning", "on"),
    ("backslash_quote", "off"),
    ("array_nulls", "off"),
    ("xmloption", "'document'"),
    ("xmlbinary", "'hex'"),
    ("quote_all_identifiers", "on"),
    ("transform_null_equals", "on"),
    ("check_function_bodies", "off"),
    ("enable_indexscan", "off"),
    ("enable_nestloop", "off"),
    ("max_parallel_workers_per_gather", "8"),
    ("cursor_tuple_fraction", "0"),
];

/// Defaults for a database, taken by every connection that comes later.
async fn set(url: &str, defaults: &[(&str, &str)]) {
    let database = text(url, "select current_database()::text").await;
    let client = crate::world::connect(url).await.unwrap();
    for (name, value) in defaults {
        let alter = format!("alter database {database} set {name} = {value}");
        client.batch_execute(&alter).await.unwrap();
    }
}

#[tokio::test]
async fn defaults_of_the_source_change_no_value() {
    let pair = Pair::with(THINGS).await;
    pair.sql_source(ROWS).await;
    set(&pair.source.url, &DEFAULTS).await;
    assert_all_well(&pair).await;
}

#[tokio::test]
async fn defaults_of_the_target_change_no_value() {
    let pair = Pair::with(THINGS).await;
    pair.sql_source(ROWS).await;
    set(&pair.target.url, &DEFAULTS).await;
    assert_all_well(&pair).await;
}

#[tokio::test]
async fn defaults_of_both_sides_change_no_value_of_text_pages() {
    let odd =
        THINGS.replace("note text", "note varchar(99)").replace("exact numeric", "exact text");
    let pair = Pair::of(THINGS, &odd).await;
    pair.sql_source(ROWS).await;
    set(&pair.source.url, &DEFAULTS).await;
    set(&pair.target.url, &DEFAULTS).await;
    assert_all_well(&pair).await;
}

/// A first load, a changed row, and a comparison.
async fn assert_all_well(pair: &Pair) {
    let loaded = pair.sync().await.success();
    assert_eq!(loaded.rows("public.things"), [500, 0, 0]);
    pair.sql_source("update things set spell = '1 day', updated_at = now() where id = 7").await;
    let changed = pair.sync().await.success();
    assert_eq!(changed.rows("public.things")[1], 1, "{}", changed.body);
    pair.assert_settled(&["public.things"]).await;
    assert_eq!(verify(pair, &[]).0, 0);
}
