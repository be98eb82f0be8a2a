//! State that an older release wrote goes on as it was: nothing is read again as if it were new.
//! Each numbered file in `infra/sql` made a version of the state tables, and up to 0.1 the shape of
//! a checkpoint was stored as text.

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

/// The files that made the versions of the state tables, in order. Released files never change.
const VERSIONS: [&str; 7] = [
    include_str!("../../../infra/sql/0001_state.sql"),
    include_str!("../../../infra/sql/0002_deliveries.sql"),
    include_str!("../../../infra/sql/0003_rejects.sql"),
    include_str!("../../../infra/sql/0004_history.sql"),
    include_str!("../../../infra/sql/0005_full_sync.sql"),
    include_str!("../../../infra/sql/0006_contacts.sql"),
    include_str!("../../../infra/sql/0007_contact_quotas.sql"),
];

/// Keeps the checkpoints and the rejected rows of a pipeline while its state tables are replaced.
const KEEP_STATE: &str = "create schema kept; \
    create table kept.checkpoints as select * from sync_state where key like 'checkpoint:%'; \
    create table kept.rejects as select * from sync_rejects";

const DROP_STATE: &str = "do $$ declare name text; begin \
    for name in select relname from pg_class where relkind = 'r' \
        and relnamespace = 'public'::regnamespace and relname <> 'items' loop \
        execute format('drop table %I cascade', name); end loop; end $$";

/// Replaces the state tables by those of an earlier version, with a run in their history, the
/// checkpoints, and the rejected rows if the version had a table for them.
async fn downgrade(pair: &Pair, version: usize) {
    pair.sql_target(DROP_STATE).await;
    for file in &VERSIONS[..version] {
        pair.sql_target(file).await;
    }
    pair.sql_target(&format!(
        "insert into sync_state select * from kept.checkpoints; \
         insert into sync_state values ('version', '{{\"version\": {version}}}')"
    ))
    .await;
    let (columns, values) = match version {
        ..4 => ("sync_type", "'scheduled'"),
        _ => ("sync_type, trigger", "'incremental', 'scheduled'"),
    };
    pair.sql_target(&format!(
        "insert into sync_metadata (run_id, pipeline, sync_status, {columns}) \
         values ('old', 'slave-to-prod', 'success', {values})"
    ))
    .await;
    if version >= 3 {
        pair.sql_target("insert into sync_rejects select * from kept.rejects").await;
    }
    // The release with the fifth version was the first that stored shapes as marks.
    if version < 5 {
        age(pair).await;
    }
}

#[tokio::test]
async fn state_of_every_version_is_upgraded_and_goes_on_as_it_was() {
    let table = "create table items (id bigint primary key, name text, updated_at timestamptz)";
    let index = "create index on items (updated_at, id)";
    let rule = "alter table items add check (name <> 'bad')";
    let source = format!("{table}; {index}");
    let pair = Pair::of(&source, &format!("{source}; {rule}")).await;
    pair.sql_source(
        "insert into items select i, case i when 1 then 'bad' else 'x' end, \
         timestamptz '2026-01-01' + i * interval '1 h' from generate_series(1, 20) i",
    )
    .await;
    pair.sync().await;
    pair.sql_target(KEEP_STATE).await;
    let rejects = "select coalesce(sum(attempts), 0)::text from sync_rejects";
    assert_eq!(pair.text_target(rejects).await, "2", "the page's attempt and the run's last one");

    let columns = "select string_agg(concat_ws('.', table_name, column_name), ' ') \
        from (select table_name, column_name from information_schema.columns \
            where table_schema = 'public' order by 1, 2) c";
    let present = pair.text_target(columns).await;

    for version in 1..=VERSIONS.len() {
        downgrade(&pair, version).await;

        let [inserted, updated, unchanged] = pair.sync().await.rows("public.items");

        assert_eq!((inserted, updated), (0, 0), "version {version}");
        assert!(unchanged <= 1, "version {version}: {unchanged} rows were read again");
        let upgraded = "select value ->> 'version' from sync_state where key = 'version'";
        assert_eq!(pair.text_target(upgraded).await, VERSIONS.len().to_string());
        assert_eq!(pair.text_target(columns).await, present, "version {version}");
        let history = "select concat_ws(' ', sync_type, trigger, sync_status) \
            from sync_metadata where run_id = 'old'";
        assert_eq!(pair.text_target(history).await, "incremental scheduled success");
        let attempts = if version < 3 { "0" } else { "3" };
        assert_eq!(pair.text_target(rejects).await, attempts, "version {version}");
    }
}
