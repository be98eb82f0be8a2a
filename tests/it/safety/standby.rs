//! A hot standby as the source: its primary is written, it is read.

use syncline::demo::Cluster;

use crate::verify::comparison::verify;
use crate::world::pair::{Pair, call};
use crate::world::servers::{makes_standbys, options, options_with};
use crate::world::tables::ITEMS;
use crate::world::{Database, connect, fresh_database, text};

/// A primary, the standby that follows it, and a pair that reads from the standby and whose
/// `sql_source` writes the primary.
pub struct Followed {
    pub pair: Pair,
    standby: Cluster,
    primary: Cluster,
}

impl Followed {
    /// None where the server's programs make no standby.
    pub async fn with(schema: &str) -> Option<Self> {
        if !makes_standbys() {
            return None;
        }
        let primary = Cluster::start(&options()).expect("Postgres starts");
        primary.create_database("app").await.expect("a database is created");
        // A query is in the way of what is replayed for no time at all.
        let options = options_with(&[("max_standby_streaming_delay", "0")]);
        let standby = primary.standby(&options).expect("a standby starts");
        let source = Database { name: "app".to_owned(), url: primary.url("app"), statements: None };
        let target = fresh_database("target").await;
        let pair = Pair::between(source, target, schema, schema).await;
        let pair = pair.set("SOURCE_DATABASE_URL", standby.url("app"));
        Some(Self { pair, standby, primary })
    }

    /// Returns when the standby has replayed all that the primary has written, committed or not.
    pub async fn caught_up(&self) {
        let primary = connect(&self.primary.url("app")).await.unwrap();
        primary.batch_execute("checkpoint").await.unwrap();
        let goal = text(&self.primary.url("app"), "select pg_current_wal_flush_lsn()::text").await;
        let reached = format!("select (pg_last_wal_replay_lsn() >= '{goal}')::text");
        while text(&self.standby.url("app"), &reached).await != "true" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    async fn there(&self) -> String {
        let names = "select coalesce(string_agg(name, ',' order by id), '') from items";
        self.pair.text_target(names).await
    }
}

fn item(id: u32, name: &str, minute: u32) -> String {
    format!("insert into items values ({id}, '{name}', '2026-01-01 12:{minute:02}:00Z')")
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_flow_from_a_standby_and_its_blind_spot_is_told() {
    let Some(followed) = Followed::with(ITEMS).await else { return };
    let pair = &followed.pair;
    pair.sql_source("insert into items select i, 'old', now() from generate_series(1, 1000) i")
        .await;
    followed.caught_up().await;

    let first = pair.sync().await.success();
    pair.sql_source("update items set name = 'new', updated_at = now() where id = 7").await;
    followed.caught_up().await;
    let second = pair.sync().await.success();

    assert_eq!(first.rows("public.items"), [1000, 0, 0]);
    assert_eq!(second.rows("public.items")[1], 1);
    assert!(first.warnings().contains("the source is a standby"), "{}", first.warnings());
    pair.assert_settled(&["items"]).await;
    assert_eq!(verify(pair, &[]).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_open_on_the_primary_is_waited_for() {
    let Some(followed) = Followed::with(ITEMS).await else { return };
    let pair = &followed.pair;
    let late = pair.writer().await;
    late.batch_execute(&format!("begin; {}", item(1, "late", 1))).await.unwrap();
    pair.sql_source(&item(2, "early", 5)).await;
    followed.caught_up().await;

    pair.sync().await.success();
    assert_eq!(followed.there().await, "early");
    late.batch_execute("commit").await.unwrap();
    followed.caught_up().await;
    pair.sync().await.success();

    assert_eq!(followed.there().await, "late,early");
    pair.assert_settled(&["items"]).await;
}

/// A snapshot of a standby ends with the last transaction that ended. Those that began after it are
/// open all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_younger_than_all_that_have_ended_is_waited_for_too() {
    let Some(followed) = Followed::with(ITEMS).await else { return };
    let pair = &followed.pair;
    pair.sql_source(&item(1, "done", 9)).await;
    let (older, younger) = (pair.writer().await, pair.writer().await);
    older.batch_execute(&format!("begin; {}", item(2, "older", 1))).await.unwrap();
    younger.batch_execute(&format!("begin; {}", item(3, "younger", 2))).await.unwrap();
    followed.caught_up().await;

    pair.sync().await.success();
    older.batch_execute("commit").await.unwrap();
    followed.caught_up().await;
    pair.sync().await.success();
    assert_eq!(followed.there().await, "done,older");
    younger.batch_execute("commit").await.unwrap();
    followed.caught_up().await;
    pair.sync().await.success();

    assert_eq!(followed.there().await, "done,older,younger");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_is_promoted_goes_on_as_a_primary() {
    let Some(followed) = Followed::with(ITEMS).await else { return };
    let pair = &followed.pair;
    let lost = pair.writer().await;
    lost.batch_execute(&format!("begin; {}", item(1, "lost", 1))).await.unwrap();
    pair.sql_source(&item(2, "kept", 2)).await;
    followed.caught_up().await;
    pair.sync().await.success();

    let promoted = connect(&followed.standby.url("app")).await.unwrap();
    promoted.query("select pg_promote()", &[]).await.unwrap();
    promoted.batch_execute(&item(3, "after", 3)).await.unwrap();
    let answer = pair.sync().await.success();

    assert!(answer.warnings().is_empty(), "{}", answer.warnings());
    assert_eq!(followed.there().await, "kept,after");
    let again = pair.sync().await.success();
    assert_eq!(again.body["statistics"]["total_records"], 0, "{}", again.body);
}

/// Returns when a session of ours sleeps on the standby.
async fn asleep(standby: &Cluster) {
    let sleeping = "select (count(*) > 0)::text from pg_stat_activity where wait_event = 'PgSleep'";
    while text(&standby.url("app"), sleeping).await != "true" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The filter falls asleep at a row, at the look or at the page, until the primary has opened the
/// gate. By then it has cleaned up what a sleeper's snapshot still sees.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_ends_for_its_primarys_sake_is_read_again() {
    for isolation in ["read committed", "repeatable read"] {
        let gate = "create table gate (open boolean not null); insert into gate values (false); \
            create function passes(id int) returns boolean language plpgsql as $$ begin \
                if id = 300 and current_setting('transaction_isolation') = 'ISOLATION' \
                    and not (select open from public.gate) then perform pg_sleep(600); end if; \
                return true; end $$; ";
        let schema = gate.replace("ISOLATION", isolation) + ITEMS;
        let Some(followed) = Followed::with(&schema).await else { return };
        let Followed { pair, standby, primary } = followed;
        pair.sql_source("insert into items select i, '', now() from generate_series(1, 1000) i")
            .await;
        let pair = pair.rules("name = \"items\"\nwhere = \"public.passes(id)\"");
        let followed = Followed { pair, standby, primary };
        followed.caught_up().await;

        let running = tokio::spawn(call(followed.pair.function(&[("SYNC_TABLES", "items")])));
        asleep(&followed.standby).await;
        followed.pair.sql_source("update gate set open = true").await;
        followed.pair.sql_source("vacuum gate").await;
        let answer = running.await.unwrap().success();

        assert_eq!(answer.rows("public.items"), [1000, 0, 0], "{isolation}");
        let ended = "select confl_snapshot::text from pg_stat_database_conflicts \
            where datname = current_database()";
        assert_ne!(text(&followed.standby.url("app"), ended).await, "0", "{isolation}");
        followed.pair.assert_equal(&["items"]).await;
    }
}

/// Nothing of an unlogged table is on a standby.
#[tokio::test(flavor = "multi_thread")]
async fn an_unlogged_table_is_named_on_a_standby_and_the_others_go_on() {
    let unlogged =
        ITEMS.replace("items", "queued").replace("create table", "create unlogged table");
    let schema = format!("{ITEMS}{unlogged}");
    let Some(followed) = Followed::with(&schema).await else { return };
    followed.pair.sql_source(&item(1, "one", 0)).await;
    followed.caught_up().await;
    let answer = followed.pair.sync().await;
    assert_eq!(answer.rows("public.items"), [1, 0, 0], "{}", answer.body);
    assert!(!answer.body["statistics"]["tables"]["public.queued"]["error"].is_null());
}
