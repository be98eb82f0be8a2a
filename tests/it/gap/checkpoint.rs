//! Files that somebody vouches for: the import moves the checkpoints, and the next run goes on from
//! there.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::cluster;
use crate::world::folder::{Folder, counts, gap};
use crate::world::over_api::connects_to;
use crate::world::pair::Pair;
use crate::world::proxy::{Act, Proxy, Way};
use syncline::engine::model::range::Side;

const SHOP: &str = "create table people (id int primary key, name text, updated_at timestamptz); \
        create index on people (updated_at, id); \
    create table orders (id int primary key, person int not null references people (id), \
        updated_at timestamptz not null); create index on orders (updated_at, id); \
    create table notes (id uuid primary key, body text);";

const GONE: &str = "postgres://nobody:x@127.0.0.1:1/gone";

const VOUCHED: &[&str] = &["--checkpoint"];

/// A shop that was synced up to the first of January, and got a row an hour from then on.
async fn shop() -> Pair {
    gap_of(Pair::with(SHOP).await).await
}

async fn gap_of(pair: Pair) -> Pair {
    let pair = pair.set("SYNC_OVERLAP_SECONDS", "3600");
    pair.sql_source(
        "insert into people select i, 'old', timestamptz '2026-01-01' - i * interval '1 minute' \
             from generate_series(0, 499) i; \
         insert into orders select id, id, updated_at from people; \
         insert into notes values ('00000000-0000-0000-0000-000000000001', 'a')",
    )
    .await;
    pair.sync().await.success();
    let hourly = "timestamptz '2026-01-01' + (i - 499) * interval '1 hour'";
    pair.sql_source(&format!(
        "insert into people select i, 'new', {hourly} from generate_series(500, 599) i; \
         insert into orders select i, i, {hourly} from generate_series(500, 599) i;"
    ))
    .await;
    pair
}

/// The rows that came since, as psql writes them.
async fn exported(pair: &Pair) -> Folder {
    let folder = Folder::new();
    for table in ["people", "orders"] {
        let query = format!("select * from {table} where updated_at >= '2026-01-01'");
        folder.copy(&pair.source.url, &query, &format!("{table}.csv")).await;
    }
    folder
}

async fn kept(pair: &Pair, table: &str) -> String {
    pair.text_target(&format!(
        "select coalesce(value ->> 'kept', 'none') from sync_state \
         where key = 'checkpoint:slave-to-prod:public.{table}'"
    ))
    .await
}

async fn all_checkpoints(pair: &Pair) -> String {
    let all = "select coalesce(string_agg(key || value::text, ',' order by key), '') from sync_state \
        where key like 'checkpoint:%'";
    pair.text_target(all).await
}

fn checkpoint<'a>(said: &'a Value, table: &str) -> &'a Value {
    &said["tables"][format!("public.{table}")]["checkpoint"]
}

/// Returns the number of orders that were inserted.
fn inserted(said: &Value) -> u64 {
    counts(said, "public.orders")[0]
}

/// The reason why a table's checkpoint stays.
fn why<'a>(said: &'a Value, table: &str) -> &'a str {
    checkpoint(said, table)["why"].as_str().unwrap_or_else(|| panic!("{said}"))
}

/// The newest of the file.
const NEWEST: &str = "2026-01-05";

/// Imports while the source is gone, and lets it come back with two rows: a new one, and one that
/// was committed late, within the overlap. A run takes both and reads little else.
async fn goes_on_from_the_file(pair: Pair) {
    let folder = exported(&pair).await;
    let source = pair.settings()["SOURCE_DATABASE_URL"].clone();
    let pair = pair.set("SOURCE_DATABASE_URL", GONE);

    let (code, said) = folder.import(&pair, VOUCHED);

    assert_eq!((code, inserted(&said)), (0, 100), "{said}");
    for table in ["people", "orders"] {
        let moved = checkpoint(&said, table);
        assert_eq!(moved["moves"], true, "{said}");
        assert!(moved["from"].as_str().unwrap().starts_with("2026-01-01"), "{said}");
        assert!(moved["to"].as_str().unwrap().starts_with(NEWEST), "{said}");
        assert!(kept(&pair, table).await.starts_with(NEWEST));
    }
    let (code, again) = folder.import(&pair, VOUCHED);
    assert_eq!((code, inserted(&again)), (0, 0), "{again}");
    assert_eq!(why(&again, "orders"), "the file holds nothing newer");

    let pair = pair.set("SOURCE_DATABASE_URL", source);
    pair.sql_source(
        "insert into orders values \
             (700, 1, timestamptz '2026-01-05 04:00+00' - interval '59 minutes'), \
             (701, 1, '2026-01-06'); \
         insert into people values (702, 'without a cursor', null)",
    )
    .await;
    let next = pair.sync().await.success();
    let [inserted, updated, unchanged] = next.rows("public.orders");
    assert_eq!((inserted, updated), (2, 0), "{}", next.body);
    assert!(unchanged <= 20, "the gap was read again: {}", next.body);
    let [inserted, _, unchanged] = next.rows("public.people");
    assert!(inserted == 1 && unchanged <= 20, "{}", next.body);
    pair.assert_settled(&["people", "orders", "notes"]).await;
}

#[tokio::test]
async fn the_next_run_goes_on_from_a_file_that_is_vouched_for() {
    goes_on_from_the_file(shop().await).await;
}

#[tokio::test]
async fn without_the_word_for_it_the_gap_is_read_again() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    let before = all_checkpoints(&pair).await;
    let (code, said) = folder.import(&pair, &[]);
    assert_eq!((code, checkpoint(&said, "orders")), (0, &Value::Null), "{said}");
    assert_eq!(all_checkpoints(&pair).await, before);
    let next = pair.sync().await.success();
    assert!(next.rows("public.orders")[2] >= 100, "{}", next.body);
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn what_will_become_of_each_checkpoint_is_told_before_anything_is_written() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    folder.write("notes.csv", "id,body\n00000000-0000-0000-0000-000000000002,b\n");
    let before = all_checkpoints(&pair).await;
    let path = folder.path.to_string_lossy().into_owned();
    let (code, told, _) = gap(&pair, &["import", &path, "--checkpoint"]);
    assert_eq!(code, 2, "nobody is there to be asked");
    for line in [
        "orders.csv: the checkpoint moves from 2026-01-01 00:00:00+00 to 2026-01-05 04:00:00+00\n",
        "notes.csv: the checkpoint stays: no column tells which of its rows are new\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let (code, told, _) = gap(&pair, &["import", &path, "--checkpoint", "--dry-run"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("public.orders: the checkpoint would move from 2026-01-01"), "{told}");
    let (_, trial) = folder.import(&pair, &["--checkpoint", "--dry-run"]);
    assert_eq!(checkpoint(&trial, "orders")["to"], "2026-01-05 04:00:00+00", "{trial}");
    assert_eq!(all_checkpoints(&pair).await, before);
    let (code, told, said) = gap(&pair, &["import", &path, "--checkpoint", "--yes"]);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(told.contains("public.orders: the checkpoint moved from 2026-01-01"), "{told}");
    assert!(!told.contains("No cursor was moved"), "{told}");
}

#[tokio::test]
async fn a_file_moves_no_checkpoint_back_nor_into_the_future() {
    let pair = shop().await;
    let older = "id,person,updated_at\n9,9,2025-12-31 23:51:00+00\n";
    let folder = Folder::new().with("orders.csv", older);
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(why(&said, "orders"), "the file holds nothing newer");
    assert!(kept(&pair, "orders").await.starts_with("2026-01-01 00:00:00"));

    let from_there = "id,person,updated_at\n800,1,2999-01-01\n801,1,infinity\n";
    let folder = Folder::new().with("orders.csv", from_there);
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(why(&said, "orders"), "the newest rows of the file are dated in the future");
    folder.write("orders.csv", format!("{from_there}802,1,2026-01-01T01:00:00+01:00\n"));
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(why(&said, "orders"), "the file holds nothing newer", "the same point in time");
    folder.write("orders.csv", format!("{from_there}802,1,2026-01-01T02:00:00+01:00\n"));
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(checkpoint(&said, "orders")["moves"], true, "{said}");
    assert!(kept(&pair, "orders").await.starts_with("2026-01-01 01:00:00"));
}

#[tokio::test]
async fn a_table_that_was_never_synced_or_for_something_else_keeps_what_it_has() {
    let never = "there is none, and only a run makes one";
    let pair = Pair::with(SHOP).await;
    let people = "id,name,updated_at\n1,a,2026-01-02\n";
    let folder = Folder::new().with("people.csv", people);
    for _ in 0..2 {
        let (code, said) = folder.import(&pair, VOUCHED);
        assert_eq!((code, why(&said, "people")), (0, never));
    }
    let pair = gap_of(pair).await;
    // A run would bring the names, and the file does not.
    let folder = Folder::new().with("people.csv", "id,updated_at\n1,2026-01-02\n");
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(why(&said, "people"), "the file lacks name, which a run brings");
    let before = all_checkpoints(&pair).await;
    let folder = Folder::new().with("people.csv", people);
    let other =
        "it was made for another cursor, other columns or another table, so a run reads all anew";
    let pair = pair.rules("name = \"people\"\ncursor = \"id\"");
    assert_eq!(why(&folder.import(&pair, VOUCHED).1, "people"), other, "another cursor");
    let pair = pair.rules("name = \"people\"\nwhere = \"id >= 0\"");
    assert_eq!(why(&folder.import(&pair, VOUCHED).1, "people"), other, "a condition");
    let pair = pair.rules("name = \"people\"");
    pair.sql_target("truncate people, orders").await;
    assert_eq!(why(&folder.import(&pair, VOUCHED).1, "people"), other, "another table");
    assert_eq!(all_checkpoints(&pair).await, before);
    pair.sync().await.success();
    pair.assert_settled(&["people", "orders"]).await;
}

#[tokio::test]
async fn a_scan_on_its_way_a_writer_and_a_start_hold_the_checkpoint() {
    let pair = shop().await;
    let folder = exported(&pair).await;
    let stands = |what: &str| {
        format!(
            "update sync_state set value = value || '{what}' \
             where key = 'checkpoint:slave-to-prod:public.orders'"
        )
    };
    let original = "update sync_state set value = value - 'pending' - 'scan' - 'start' \
        where key = 'checkpoint:slave-to-prod:public.orders'";
    let cut = "{\"scan\": {\"pass\": \"window\", \"then\": [], \"after\": null, \"from\": null, \
        \"watermark\": \"2026-01-02 00:00:00+00\", \"fresh\": false, \"goal\": {\"kept\": null}}}";
    for (what, expected) in [
        (cut, "a scan of the table was cut, and goes on where it was"),
        (
            "{\"pending\": {\"watermark\": \"2026-01-02 00:00:00+00\", \"writers\": [\"9/9\"]}}",
            "somebody was writing when the source was last looked at",
        ),
        (
            "{\"start\": {\"from\": \"2025-12-31 00:00:00+00\", \"lookback_seconds\": 9}}",
            "a look-back limited the table's first run",
        ),
    ] {
        pair.sql_target(&stands(what)).await;
        let before = all_checkpoints(&pair).await;
        let (_, said) = folder.import(&pair, &["--checkpoint", "--table", "orders"]);
        assert_eq!(why(&said, "orders"), expected, "{said}");
        assert_eq!(all_checkpoints(&pair).await, before);
        pair.sql_target(original).await;
    }
    let (_, said) = folder.import(&pair, VOUCHED);
    assert_eq!(checkpoint(&said, "orders")["moves"], true, "{said}");
}

#[tokio::test]
async fn refused_rows_do_not_hold_the_checkpoint_unless_the_source_cannot_be_asked_for_them() {
    let pair = shop().await;
    let header = "id,person,updated_at\n";
    let folder = Folder::new().with(
        "orders.csv",
        format!("{header}500,500,2026-01-02\n501,x,2026-01-03\n1.23E+15,1,2026-01-01\n"),
    );
    let (code, said) = folder.import(&pair, VOUCHED);
    assert_eq!(code, 4);
    assert!(why(&said, "orders").starts_with("the row of line 4 was refused"), "{said}");

    folder.write("orders.csv", format!("{header}500,500,2026-01-02\n501,x,2026-01-03\n"));
    let (code, said) = folder.import(&pair, VOUCHED);
    assert_eq!((code, counts(&said, "public.orders")), (4, [0, 0, 0, 2]), "{said}");
    assert!(checkpoint(&said, "orders")["to"].as_str().unwrap().starts_with("2026-01-03"));
    // They lie behind the checkpoint, and come in all the same.
    let next = pair.sync().await.success();
    let came = "select count(*)::text from orders where id in (500, 501)";
    assert_eq!(pair.text_target(came).await, "2", "{}", next.body);
    let left = "select count(*)::text from sync_rejects where key::text not like '%E+15%'";
    assert_eq!(pair.text_target(left).await, "0");
}

#[tokio::test]
async fn a_file_that_does_not_go_in_whole_moves_nothing() {
    let broken = "create or replace function refuse() returns trigger language plpgsql as \
        $$ begin raise exception 'no'; end $$; create trigger refuse before insert on orders \
        for each row execute function refuse();";
    let pair = shop().await.set("SYNC_PAGE_ROWS", "1500");
    let rows: String = (2_000..4_000).map(|id| format!("{id},1,2026-01-02\n")).collect();
    let folder = Folder::new().with("orders.csv", format!("id,person,updated_at\n{rows}"));
    pair.sql_target(broken).await;
    let before = all_checkpoints(&pair).await;
    let (code, said) = folder.import(&pair, VOUCHED);
    assert_eq!((code, why(&said, "orders")), (1, "not all of the file went in"), "{said}");
    assert_eq!(all_checkpoints(&pair).await, before);
}

#[tokio::test]
async fn numbers_are_cursors_too_and_are_compared_as_numbers() {
    let table =
        "create table events (id bigint generated by default as identity primary key, what text)";
    let pair = Pair::with(table).await;
    if !connects_to(Side::Target, "a key that grows by itself") {
        return;
    }
    pair.sql_source("insert into events (what) select 'a' from generate_series(1, 99)").await;
    pair.sync().await.success();
    pair.sql_source("insert into events (what) select 'b' from generate_series(100, 1200)").await;
    let folder = Folder::new();
    folder.copy(&pair.source.url, "select * from events where id > 99", "events.csv").await;
    let (code, said) = folder.import(&pair, VOUCHED);
    let moved = checkpoint(&said, "events");
    assert_eq!((code, &moved["from"], &moved["to"]), (0, &"99".into(), &"1200".into()), "{said}");
    pair.sql_source("insert into events (what) values ('c')").await;
    let next = pair.sync().await.success();
    let [inserted, _, unchanged] = next.rows("public.events");
    assert_eq!(inserted, 1, "{}", next.body);
    assert!(unchanged <= 1_001, "{}", next.body);
    pair.assert_settled(&["events"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_has_moved_nothing_and_moves_it_when_it_is_repeated() {
    if !connects_to(Side::Target, "a connection that is held") {
        return;
    }
    let table = "create table items (id int primary key, name text, updated_at timestamptz not null); \
        create index on items (updated_at, id)";
    let pair = Pair::with(table).await.set("SYNC_PAGE_ROWS", "500");
    let rows = |from: u32, to: u32| {
        format!(
            "insert into items select i, repeat('x', 200), timestamptz '2026-01-01' + i * interval '1 second' \
             from generate_series({from}, {to}) i"
        )
    };
    pair.sql_source(&rows(1, 10)).await;
    pair.sync().await.success();
    pair.sql_source(&rows(11, 9_000)).await;
    let folder = Folder::new();
    folder.copy(&pair.source.url, "select * from items", "items.csv").await;
    let before = kept(&pair, "items").await;
    let port = cluster().port();
    let proxy = Proxy::before(port).await;
    proxy.after(Way::ToServer, 900_000, Act::Hold);
    let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(["gap", "import", &folder.path.to_string_lossy(), "--yes", "--checkpoint"])
        .env_clear()
        .envs(pair.settings())
        .env("TARGET_DATABASE_URL", proxy.url(&pair.target.url, port))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    proxy.holds().await;
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.resume();
    assert_eq!(kept(&pair, "items").await, before, "killed in the middle");
    pair.sql_target(
        "update sync_state set value = value || jsonb_build_object('expires_at', \
         clock_timestamp()) where key like 'lease:%'",
    )
    .await;

    let (code, said) = folder.import(&pair, VOUCHED);

    let [inserted, _, unchanged, _] = counts(&said, "public.items");
    assert_eq!((code, inserted + unchanged), (0, 9_000), "{said}");
    assert!(inserted > 0 && unchanged > 0, "it was killed in the middle: {said}");
    assert_eq!(kept(&pair, "items").await, "2026-01-01 02:30:00+00");
    let next = pair.sync().await.success();
    assert!(next.rows("public.items")[2] <= 1, "{}", next.body);
    pair.assert_settled(&["items"]).await;
}
