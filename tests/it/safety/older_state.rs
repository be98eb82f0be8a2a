//! State that an older release wrote goes on as it was: nothing is read again as if it were new. Up
//! to 0.1 the shape of a checkpoint was stored as text.

use serde_json::Value;

use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};

const SCHEMA: &str = r#"
create table items (id bigint primary key, name text, updated_at timestamptz not null);
create index on items (updated_at, id);
create table "odd; ""table" ("a "", ""b" int, "[x]; ]" text, "tab	back\slash" text, "é́ 🦀" text,
    "changed at" timestamp(3), primary key ("a "", ""b", "[x]; ]"));
create table filtered (a int, b text, created_at date not null, primary key (b, a));
create table wholes (word text primary key, v int);
create table newest (id int primary key, v numeric(10,2), updated_at timestamptz);
create table serials (id bigserial primary key, v int);"#;

const TABLES: [&str; 6] =
    ["filtered", "items", "newest", "public.\"odd; \"\"table\"", "serials", "wholes"];

const ROWS: &str = r#"
insert into items select i, 'x', timestamptz '2026-01-01' + i * interval '1 s'
    from generate_series(1, 20) i;
insert into "odd; ""table" select i, 'x', 'y', 'z', timestamp '2026-01-01' + i * interval '1 s'
    from generate_series(1, 20) i;
insert into filtered select i, 'x', date '2026-01-01' + i from generate_series(1, 20) i;
insert into wholes select 'w' || i, i from generate_series(1, 20) i;
insert into newest select i, i, timestamptz '2026-01-01' + i * interval '1 s'
    from generate_series(1, 20) i;
insert into serials (v) select i from generate_series(1, 20) i;"#;

const RULES: &str = r#"
[[pipeline.table]]
name = '"odd; ""table"'
cursor = "changed at"
[[pipeline.table]]
name = "filtered"
where = "b <> 'it''s \"\\'"
[[pipeline.table]]
name = "newest"
policy = "newest-wins""#;

/// Six tables of all kinds, synced, with state that an older release wrote.
async fn older() -> Pair {
    let pair = Pair::with(SCHEMA).await.pipeline(RULES);
    pair.sql_source(ROWS).await;
    pair.sync().await.success();
    age(&pair).await;
    pair
}

/// Writes the checkpoints anew, as an older release wrote them.
async fn age(pair: &Pair) {
    let rows = "select json_agg(json_build_array(key, value)) #>> '{}' from sync_state \
        where key like 'checkpoint:%' and jsonb_typeof(value -> 'shape') = 'object'";
    let rows: Vec<(String, Value)> = serde_json::from_str(&pair.text_target(rows).await).unwrap();
    assert!(!rows.is_empty());
    for (key, mut value) in rows {
        value["shape"] = text(&value["shape"]).into();
        let [key, value] = [key, value.to_string()].map(|text| text.replace('\'', "''"));
        let set = format!("update sync_state set value = '{value}' where key = '{key}'");
        pair.sql_target(&set).await;
    }
}

/// The text that stood for a shape, made by the code of then.
fn text(mark: &Value) -> String {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    let (names, key) = (texts(&mark["columns"]), texts(&mark["key"]));
    let cursor = match &mark["cursor"] {
        Value::Null => String::new(),
        cursor => {
            let part = |name: &str| cursor[name].as_str().unwrap();
            format!("{} {}", part("column"), part("type_name"))
        }
    };
    let filter = mark["filter"].as_str();
    let side = |side: &Value| {
        let numbers: Vec<String> =
            side["columns"].as_array().unwrap().iter().map(Value::to_string).collect();
        format!("{}: {}", side["storage"].as_str().unwrap(), numbers.join(","))
    };
    let origin = &mark["origin"];
    let history = origin["history"].as_str().unwrap();
    let origin = format!("{history}; {}; {}", side(&origin["source"]), side(&origin["target"]));
    let policy = if mark["newest_wins"] == true { " newest wins" } else { "" };
    format!("{names:?} {key:?} {cursor:?} {filter:?} {origin:?}{policy}")
}

const TEXTS: &str = "select coalesce(string_agg(value ->> 'table', ', ' order by key), 'none') \
    from sync_state where key like 'checkpoint:%' and jsonb_typeof(value -> 'shape') = 'string'";

#[tokio::test]
async fn quiet_tables_of_older_state_stay_quiet_and_are_stored_anew_with_their_next_rows() {
    let pair = older().await;
    let quiet = pair.sync().await.success();
    assert_eq!(quiet.body["message"], "Nothing had changed", "{}", quiet.body);

    pair.sql_source(
        r#"insert into items values (30, 'x', now()); insert into serials (v) values (30);
        insert into "odd; ""table" values (30, 'x', 'y', 'z', now() at time zone 'UTC');
        insert into filtered values (30, 'x', current_date); insert into wholes values ('w30');
        insert into newest values (30, 1, now());"#,
    )
    .await;
    let next = pair.sync().await.success();

    for table in TABLES {
        let name =
            if table.starts_with("public") { table.to_owned() } else { format!("public.{table}") };
        let [inserted, updated, unchanged] = next.rows(&name);
        // Without a cursor all is read, and a wall clock's overlap is more than a day.
        let reread = if table == "wholes" || table.contains("odd") { 20 } else { 1 };
        assert!((inserted, updated) == (1, 0) && unchanged <= reread, "{table}: {}", next.body);
    }
    assert_eq!(pair.text_target(TEXTS).await, "none");
    pair.assert_settled(&TABLES).await;
}

#[tokio::test]
async fn a_writer_that_older_state_waits_for_is_still_waited_for() {
    let pair = older().await;
    let writer = pair.writer().await;
    let late = "begin; insert into items values (100, 'late', '2026-01-01 00:01:00Z')";
    writer.batch_execute(late).await.unwrap();
    pair.sql_source("insert into items values (101, 'x', '2026-01-01 00:02:00Z')").await;
    pair.sync().await.success();
    age(&pair).await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 0);
    writer.batch_execute("commit").await.unwrap();

    assert_eq!(pair.sync().await.success().rows("public.items")[0], 1);
    pair.assert_settled(&TABLES).await;
}

#[tokio::test]
async fn a_table_that_an_older_release_began_within_a_look_back_keeps_its_start() {
    let pair = Pair::with(SCHEMA).await.pipeline(RULES).set("SYNC_LOOKBACK", "7d");
    pair.sql_source(
        "insert into items select i, 'x', now() - i * interval '1 d' from generate_series(1, 20) i",
    )
    .await;
    assert_eq!(pair.sync().await.success().rows("public.items")[0], 6);
    age(&pair).await;

    let again = pair.sync().await.success();

    assert_eq!(again.body["message"], "Nothing had changed", "{}", again.body);
    let longer = pair.sync_with(&[("SYNC_LOOKBACK", "9d")]).await.success();
    assert_eq!(longer.rows("public.items")[0], 2, "{}", longer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_that_was_cut_under_an_older_release_goes_on_where_it_stood() {
    const ROWS: i64 = 20_000;
    let pair = Pair::with(SCHEMA).await.set("SYNC_PAGE_ROWS", "1000");
    pair.sql_source(&format!(
        "insert into items select i, repeat(md5(i::text), 4), \
         timestamptz '2026-01-01' + i * interval '1 s' from generate_series(1, {ROWS}) i"
    ))
    .await;
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    let url = proxy.url(&pair.settings()["SOURCE_DATABASE_URL"], port);
    proxy.after(Way::ToClient, 1_500_001, Act::Cut);
    assert_eq!(pair.sync_with(&[("SOURCE_DATABASE_URL", &url)]).await.status, 503);
    let saved = pair.recorded("public.items").await.0;
    assert!(saved > 0 && saved < ROWS, "{saved}");
    age(&pair).await;

    let answer = pair.sync().await.success();

    assert_eq!(answer.rows("public.items"), [(ROWS - saved).unsigned_abs(), 0, 0]);
    pair.assert_settled(&["items"]).await;
}
