//! Notices to people: of runs that fail and recover, and of rejected rows; each when it is news.

use std::time::{Duration, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::{Value, json};
use syncline::engine::model::notice::SentNotices;
use syncline::wiring::App;

use crate::world::deployment::Deployment;
use crate::world::pair::Pair;
use crate::world::qstash::queued::{Queued, SIX_HOURS};
use crate::world::qstash::receiver::Receiver;
use crate::world::tables::ITEMS;

const BREAK: &str = "alter table items add column needed int not null default 1; \
    alter table items alter needed drop default";

const MEND: &str = "alter table items drop column needed";

async fn items(people: &Receiver) -> Pair {
    let pair = Pair::with(ITEMS).await.set("SYNC_NOTIFY_URL", &people.url);
    pair.sql_source("insert into items values (1, 'hunter2', '2026-01-01')").await;
    pair
}

/// The objects that people's service was sent.
fn told(people: &Receiver) -> Vec<Value> {
    let arrived = people.arrived();
    arrived.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

fn states(people: &Receiver) -> Vec<String> {
    let state = |notice: &Value| notice["state"].as_str().expect("a state").to_owned();
    told(people).iter().map(state).collect()
}

#[tokio::test]
async fn a_failure_is_told_once_and_so_is_its_end() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    pair.sync().await.success();
    assert!(told(&people).is_empty(), "nobody wants to hear that all is well");

    pair.sql_target(BREAK).await;
    let failed = pair.sync().await;
    pair.sync().await;
    pair.sync().await;

    let heard = told(&people);
    assert_eq!(heard.len(), 1, "{heard:?}");
    let fields = ["pipeline", "state", "run_id"].map(|name| heard[0][name].clone());
    assert_eq!(fields, [json!("slave-to-prod"), json!("failed"), failed.body["run_id"].clone()]);
    let text = heard[0]["text"].as_str().unwrap();
    assert!(text.contains("public.items: ") && !text.contains("hunter2"), "{text}");
    assert!(heard[0]["timestamp"].as_str().unwrap().ends_with('Z'));

    pair.sql_target(MEND).await;
    pair.sync().await.success();
    pair.sync().await.success();
    assert_eq!(states(&people), ["failed", "recovered"]);
}

#[tokio::test]
async fn a_failure_that_stays_is_told_again_after_a_day() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    pair.sql_target(BREAK).await;
    pair.sync().await;
    pair.sql_target(
        "update sync_state set value = jsonb_set(value, '{failing_told_ms}', \
             to_jsonb((value ->> 'failing_told_ms')::int8 - 86400000)) \
         where key = 'notified:slave-to-prod'",
    )
    .await;

    pair.sync().await;
    pair.sync().await;

    assert_eq!(states(&people), ["failed", "failed"]);
    assert!(told(&people)[1]["text"].as_str().unwrap().contains("still fails"));
}

#[tokio::test]
async fn rows_are_told_when_they_are_refused_first_and_never_again() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    pair.sql_target("alter table items add check (name <> 'hunter2')").await;

    pair.sync().await.success();
    pair.sync().await.success();
    assert_eq!(states(&people), ["rejected"]);
    let text = told(&people)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("public.items (1)") && !text.contains("hunter2"), "{text}");

    pair.sql_source("insert into items values (2, 'hunter2', '2026-01-02')").await;
    pair.sync().await.success();
    pair.sync().await.success();
    assert_eq!(states(&people), ["rejected", "rejected"]);
    assert!(told(&people)[1]["text"].as_str().unwrap().contains("public.items (1)"));
}

#[tokio::test]
async fn whoever_cannot_be_told_fails_no_run_and_is_told_by_the_next() {
    let people = Receiver::open().await;
    people.answer_next(&[(500, &[])]);
    let pair = items(&people).await;
    pair.sql_target("alter table items add check (name <> 'hunter2')").await;

    pair.sync().await.success();
    pair.sync().await.success();
    pair.sync().await.success();

    assert_eq!(states(&people), ["rejected", "rejected"], "the first was not heard");
}

#[tokio::test]
async fn of_several_instances_that_find_the_same_news_one_may_tell_it() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    pair.sync().await.success();
    let settings = |name: &str| pair.settings().get(name).cloned();
    let instances: Vec<App> = (0..8).map(|_| App::function(&settings).unwrap()).collect();
    let failing = SentNotices {
        failing: Some(UNIX_EPOCH + Duration::from_millis(7)),
        ..SentNotices::default()
    };
    let later = SentNotices {
        rejects: Some("2026-01-01 00:00:00+00".to_owned()),
        ..SentNotices::default()
    };
    for (before, after) in [
        (None, Some(&failing)),
        (Some(&failing), Some(&later)),
        (Some(&later), None),
        (None, Some(&later)),
    ] {
        let swaps = instances.iter().map(async |app| {
            let ledger = &app.only().unwrap().ports.ledger;
            ledger.replace_sent_notices("slave-to-prod", before, after).await.unwrap()
        });
        let won = join_all(swaps).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1, "from {before:?} to {after:?}");
        let facts = instances[0].only().unwrap().ports.ledger.notice_facts("slave-to-prod").await;
        assert_eq!(facts.unwrap().sent.as_ref(), after);
    }
}

#[tokio::test]
async fn a_failure_that_the_queues_first_retry_mends_is_not_told() {
    let people = Receiver::open().await;
    let queued = Queued::over(items(&people).await, &[]).await;
    queued.schedule().await;
    // A function that raises what a retry can mend, as often as it is told.
    queued
        .pair
        .sql_target(
            "create sequence attempts; create function refuse() returns trigger language plpgsql as \
             $$ begin if nextval('attempts') <= 1 then raise exception using errcode = '53300', \
             message = 'too many connections'; end if; return new; end $$; \
             create trigger refuse before insert on items for each row execute function refuse()",
        )
        .await;

    queued.qstash.advance(SIX_HOURS).await;

    assert_eq!(queued.answers(), [503, 200]);
    assert!(told(&people).is_empty(), "{:?}", told(&people));
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn the_terminal_tells_and_shares_what_people_know() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    pair.sql_target(BREAK).await;
    let deployment = Deployment(pair.settings().clone());

    let ran = deployment.terminal(&["run"]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    pair.sync().await;
    assert_eq!(states(&people), ["failed"]);
}

#[tokio::test]
async fn runs_callbacks_and_people_share_what_was_told() {
    let people = Receiver::open().await;
    let pair = items(&people).await;
    let queued = Queued::over(pair, &[]).await;
    queued.schedule().await;
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!((queued.answers(), told(&people).len()), (vec![200], 0));

    queued.pair.sql_target(BREAK).await;
    queued.qstash.advance(SIX_HOURS).await;
    queued.qstash.advance(SIX_HOURS).await;
    // Two attempts and two failure callbacks, and a person besides.
    queued.manual().await;
    assert_eq!(states(&people), ["failed"]);

    queued.pair.sql_target(MEND).await;
    assert_eq!(queued.manual().await.0, 200);
    assert_eq!(states(&people), ["failed", "recovered"]);
}
