//! Another's work between a run's description of the source and its lease: between two projects,
//! others may have done all of theirs by the time that it begins.

use std::sync::Arc;

use crate::world::over_api::OverApi;
use crate::world::pair::{Answer, Pair, call};
use crate::world::postgrest::Trouble;
use crate::world::postgrest::gateway::trouble::Gate;

const ITEMS: &str = "create table items (id bigint primary key, name text, updated_at timestamptz); \
    create index on items (updated_at);";

const ROWS: &str = "insert into items select n, 'item ' || n, timestamptz '2026-01-01' + n * interval '1 minute' \
    from generate_series(1, 20) n;";

/// Two projects with the same rows.
async fn same() -> Pair {
    let pair = Pair::with(ITEMS).await.over_api(OverApi::Both).await;
    pair.sql_source(ROWS).await;
    pair.sync().await.success();
    pair
}

/// Two projects of which the source has one row more.
async fn pair() -> Pair {
    let pair = same().await;
    pair.sql_source(&insert(21, "now()")).await;
    pair
}

fn insert(id: u32, stamp: &str) -> String {
    format!("insert into items values ({id}, 'new', {stamp})")
}

/// A run that has described the source, and what is done before it goes on.
async fn held_behind_its_description(pair: &Pair, meanwhile: impl Future<Output = ()>) -> Answer {
    let gate = Arc::new(Gate::default());
    pair.source_api().fail_next("POST /rpc/", Trouble::Held(gate.clone()));
    let then = async {
        gate.reached().await;
        meanwhile.await;
        gate.open();
    };
    tokio::join!(call(pair.function(&[])), then).0
}

/// Nobody has anything open, and two runs later both sides are the same and nothing is left to do.
async fn assert_nothing_was_lost(pair: &Pair, what: &str) {
    pair.sync().await.success();
    pair.sync().await.success();
    let rows = "select string_agg(i::text, ' ' order by id) from items i";
    assert_eq!(pair.text_target(rows).await, pair.text_source(rows).await, "{what}");
    pair.assert_settled(&["items"]).await;
}

/// The moment at which a transaction that is open for a while commits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Commits {
    BeforeTheOtherRun,
    BehindIt,
    AfterBoth,
}

#[tokio::test]
async fn what_others_do_before_a_run_has_its_lease_is_not_lost() {
    for commits in [Commits::BeforeTheOtherRun, Commits::BehindIt, Commits::AfterBoth] {
        for began_before in [true, false] {
            for others in 1..=2 {
                let what = format!("{commits:?}, began before: {began_before}, {others} others");
                let pair = same().await;
                let writer = pair.writer().await;
                let begin = format!("begin; {}", insert(30, "now()"));
                if began_before {
                    writer.batch_execute(&begin).await.unwrap();
                }
                // It is overtaken at once.
                pair.sql_source(&insert(21, "now()")).await;

                let meanwhile = async {
                    if !began_before {
                        writer.batch_execute(&begin).await.unwrap();
                    }
                    pair.sql_source(&insert(40, "now()")).await;
                    if commits == Commits::BeforeTheOtherRun {
                        writer.batch_execute("commit").await.unwrap();
                    }
                    for _ in 0..others {
                        assert!(pair.sync_moving().await, "{what}");
                    }
                    pair.sql_source(&insert(50, "now()")).await;
                    if commits == Commits::BehindIt {
                        writer.batch_execute("commit").await.unwrap();
                    }
                };
                let answer = held_behind_its_description(&pair, meanwhile).await;

                answer.success();
                pair.assert_closed().await;
                if commits == Commits::AfterBoth {
                    writer.batch_execute("commit").await.unwrap();
                }
                assert_nothing_was_lost(&pair, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn what_is_written_before_a_run_has_its_lease_is_found() {
    for change in [
        "delete from items where id = 21",
        "delete from items",
        "update items set name = 'other' where id = 21",
        "update items set updated_at = '2026-01-01 00:20:30' where id = 21; \
            insert into items values (22, 'late', now())",
        "insert into items values (22, 'none', null), (23, 'future', '2099-01-01')",
        "truncate items; insert into items values (7, 'anew', '2025-01-01')",
        "create table again (like items including all); insert into again select id, 'anew', updated_at from items; \
            drop table items; alter table again rename to items",
    ] {
        let pair = pair().await;
        held_behind_its_description(&pair, pair.sql_source(change)).await;
        pair.sync().await.success();
        let rows = "select coalesce(string_agg(i::text, ' ' order by id), '') from items i";
        let (source, target) = (pair.text_source(rows).await, pair.text_target(rows).await);
        // No cursor finds a row that is gone.
        for row in source.split(" (") {
            assert!(target.contains(row), "{change}: {row} of {target}");
        }
    }
}
