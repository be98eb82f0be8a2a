//! Deliveries as they really are: at least once, late, at the same time, retried, cut short, and
//! signed by a clock and with keys that change.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde_json::json;
use syncline::demo::qstash::{Attempt, Courier, DeliveryOutcome, HttpCourier, LogState};

use crate::world::door::status_and_json;
use crate::world::pair::{Pair, SYNC_PATH, TOKEN};
use crate::world::qstash::queued::{Queued, SIX_HOURS};
use crate::world::tables::items;

/// Rows that take the target a while for each page, so that a budget of a second cuts them.
const SLOW_PAGES: &str = "create function slow() returns trigger language plpgsql as \
    $$ begin perform pg_sleep(0.2); return null; end $$; \
    create trigger slow after insert on items execute function slow();";

/// So many rows in the source, which a slice moves by fives.
async fn backlog(rows: u32) -> Pair {
    let pair = items(rows).await.set("SYNC_PAGE_ROWS", "5").set("SYNC_BUDGET_SECONDS", "1");
    pair.sql_target(SLOW_PAGES).await;
    pair
}

#[tokio::test]
async fn a_tick_syncs_and_is_recorded_with_its_message() {
    let queued = Queued::over(items(10).await, &[]).await;
    queued.schedule().await;

    queued.qstash.advance(SIX_HOURS).await;

    assert_eq!(queued.answers(), [200]);
    assert_eq!(queued.history().await, "scheduled success");
    let logs = queued.qstash.logs();
    let message = &logs.first().unwrap().message.id;
    let recorded = "select concat_ws(' ', message_id, retried, schedule_id, chain, slice) \
        from sync_metadata";
    let expected = format!("{message} 0 syncline-slave-to-prod {message} 0");
    assert_eq!(queued.pair.text_target(recorded).await, expected);
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_backlog_drains_by_continuation_within_minutes() {
    let queued = Queued::over(backlog(40).await, &[]).await;
    queued.schedule().await;

    queued.qstash.advance(SIX_HOURS).await;

    let slices = queued.answers();
    assert!(slices.len() > 2 && slices.iter().all(|status| *status == 200), "{slices:?}");
    let history = queued.history().await;
    assert!(history.starts_with("scheduled partial, continuation partial"), "{history}");
    assert!(history.ends_with("continuation success"), "{history}");
    let logs = queued.qstash.logs();
    let took = logs.last().unwrap().time - logs.first().unwrap().time;
    assert!(took < 60_000, "{took} ms of QStash's time");
    let chain = "select string_agg(distinct chain, ' ') || ' ' || string_agg(slice::text, ' ' \
        order by id) from sync_metadata";
    let numbers: Vec<String> = (0..slices.len()).map(|slice| slice.to_string()).collect();
    let expected = format!("{} {}", logs[0].message.id, numbers.join(" "));
    assert_eq!(queued.pair.text_target(chain).await, expected);
    assert_eq!(queued.pair.recorded("public.items").await, (40, 0));
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_manual_call_is_continued_too_and_says_so() {
    let queued = Queued::over(backlog(40).await, &[]).await;

    let (status, body) = queued.manual().await;

    assert_eq!((status, &body["done"]), (200, &json!(false)), "{body}");
    assert_eq!(body["continuation"]["published"], true, "{body}");
    let waiting = queued.qstash.messages();
    assert_eq!(body["continuation"]["message_id"], waiting[0].id.as_str());
    assert_eq!(waiting[0].url, format!("{}{SYNC_PATH}", queued.url));
    queued.qstash.advance(Duration::from_secs(60)).await;
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn without_a_token_the_answer_says_that_nobody_goes_on() {
    let pair = backlog(40).await;
    let answer = pair.sync().await.success();
    assert_eq!(answer.body["done"], false);
    assert_eq!(answer.body["continuation"]["published"], false);
    let reason = answer.body["continuation"]["reason"].as_str().unwrap();
    assert!(reason.contains("set QSTASH_TOKEN"), "{reason}");
}

#[tokio::test]
async fn ten_deliveries_of_one_message_at_once_are_one_run() {
    let pair = items(10).await;
    pair.sql_target(SLOW_PAGES).await;
    let queued = Queued::over(pair, &[]).await;
    let deliver = async || {
        let call = queued.delivery(SYNC_PATH, "msg_tenfold", "{}");
        status_and_json(call.send().await.unwrap()).await
    };

    let answers = join_all((0..10).map(|_| deliver())).await;

    let first: Vec<_> = answers
        .iter()
        .filter(|(status, body)| *status == 200 && body["repeated"] != true)
        .collect();
    assert_eq!(first.len(), 1, "{answers:?}");
    for (status, body) in &answers {
        let later = *status == 429 && body["error"]["code"] == "busy";
        assert!(later || body["run_id"] == first[0].1["run_id"], "{status} {body}");
    }
    // QStash brings those that were too early again, and each is told of the one run.
    let (status, body) = deliver().await;
    assert_eq!((status, &body["repeated"]), (200, &json!(true)), "{body}");
    assert_eq!(body["run_id"], first[0].1["run_id"]);
    assert_eq!(body["statistics"]["tables"], first[0].1["statistics"]["tables"]);
    assert_eq!(queued.history().await, "scheduled success");
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_message_that_failed_is_worked_when_it_comes_again() {
    let pair = items(10).await;
    pair.sql_target("alter table items rename to away").await;
    let queued = Queued::over(pair, &[]).await;
    let deliver = async || {
        let call = queued.delivery(SYNC_PATH, "msg_again", "{}");
        status_and_json(call.send().await.unwrap()).await
    };
    assert_eq!(deliver().await.0, 489);
    queued.pair.sql_target("alter table away rename to items").await;

    let (status, body) = deliver().await;

    assert_eq!((status, &body["statistics"]["total_records"]), (200, &json!(10)), "{body}");
    assert!(body.get("repeated").is_none(), "{body}");
    assert_eq!(queued.history().await, "scheduled failed, scheduled success");
}

#[tokio::test]
async fn a_continuation_that_comes_again_does_not_fork_the_chain() {
    let queued = Queued::over(backlog(40).await, &[]).await;
    let deliver = async || {
        let call = queued.delivery(SYNC_PATH, "msg_first", r#"{"type":"scheduled"}"#);
        status_and_json(call.send().await.unwrap()).await
    };
    assert_eq!(deliver().await.1["continuation"]["published"], true);

    let (status, body) = deliver().await;

    assert_eq!((status, &body["repeated"], &body["done"]), (200, &json!(true), &json!(false)));
    assert_eq!(body["continuation"]["published"], true, "{body}");
    assert_eq!(queued.qstash.pending(), 1, "the second continuation was a duplicate");
    queued.qstash.advance(Duration::from_secs(3600)).await;
    assert_eq!(deliver().await.0, 200);
    queued.qstash.advance(Duration::from_secs(60)).await;
    let pieces = "select (count(*) = count(distinct slice))::text from sync_metadata";
    assert_eq!(queued.pair.text_target(pieces).await, "true", "no slice was worked twice");
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn when_the_continuation_cannot_be_published_the_answer_says_so_and_the_next_tick_goes_on() {
    let queued = Queued::over(backlog(30).await, &[]).await;
    queued.schedule().await;
    queued.qstash.faults().set_down(true);

    let (status, body) = queued.manual().await;

    assert_eq!((status, &body["success"]), (503, &json!(false)), "{body}");
    assert_eq!(body["error"]["code"], "qstash_unavailable", "{body}");
    assert_eq!(body["continuation"]["published"], false);
    assert_eq!(body["statistics"]["tables"]["public.items"]["inserted"].as_u64().unwrap() % 5, 0);
    // A tick meets the same; its retries ask again for what could not be asked for.
    let next = queued.qstash.schedules()[0].next.unwrap();
    let now = queued.qstash.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    queued.qstash.advance(Duration::from_millis(next) - now).await;
    assert_eq!(queued.answers(), [503]);
    queued.qstash.faults().set_down(false);
    queued.qstash.advance(Duration::from_secs(60)).await;
    let answers = queued.answers();
    assert_eq!(answers[..2], [503, 200], "the retry publishes it");
    assert!(answers[2..].iter().all(|status| *status == 200), "{answers:?}");
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_tick_after_a_lost_chain_goes_on_where_it_stopped() {
    let queued = Queued::over(backlog(20).await, &[]).await;
    queued.schedule().await;
    queued.qstash.faults().set_down(true);
    queued.qstash.advance(SIX_HOURS).await;
    queued.qstash.faults().set_down(false);
    let lost = queued.qstash.dead_letters();
    let is_tick = |url: &str| url.ends_with(SYNC_PATH);
    assert_eq!(lost.iter().filter(|lost| is_tick(&lost.message.url)).count(), 1);

    queued.qstash.advance(SIX_HOURS).await;

    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_busy_qstash_is_asked_again_when_it_says() {
    let queued = Queued::over(backlog(40).await, &[]).await;
    queued.qstash.faults().refuse(1, 429, &[("Retry-After", "1")]);
    let (status, body) = queued.manual().await;
    assert_eq!((status, &body["continuation"]["published"]), (200, &json!(true)), "{body}");

    queued.qstash.faults().refuse(1, 500, &[]);
    queued.qstash.advance(Duration::from_secs(60)).await;
    assert!(queued.answers().iter().all(|status| *status == 200), "{:?}", queued.answers());
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_used_up_quota_and_a_wrong_token_are_told_and_not_retried() {
    for (status, headers, code) in [
        (429, &[("RateLimit-Limit", "1000"), ("RateLimit-Remaining", "0")][..], "qstash_quota"),
        (401, &[], "qstash_token"),
    ] {
        let queued = Queued::over(backlog(40).await, &[]).await;
        queued.qstash.faults().refuse(4, status, headers);
        let (status, body) = queued.manual().await;
        assert_eq!((status, &body["error"]["code"]), (489, &json!(code)), "{body}");
        assert!(!body.to_string().contains(queued.qstash.token()), "{body}");
    }
}

#[tokio::test]
async fn an_answer_of_qstash_that_is_lost_publishes_once() {
    let queued = Queued::over(backlog(40).await, &[]).await;
    queued.qstash.faults().lose_answers(1);
    let (status, body) = queued.manual().await;
    assert_eq!((status, &body["continuation"]["published"]), (200, &json!(true)), "{body}");
    assert_eq!(queued.qstash.pending(), 1);
}

#[tokio::test]
async fn a_signing_clock_that_is_five_minutes_fast_is_let_in_and_a_slow_one_is_not() {
    let queued = Queued::over(items(1).await, &[]).await;
    queued.schedule().await;
    queued.qstash.faults().set_skew(290);
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(queued.answers(), [200]);

    queued.qstash.faults().set_skew(-310);
    queued.qstash.advance(SIX_HOURS).await;
    let refused = queued.answers();
    assert!(refused[1..].iter().all(|status| *status == 401), "{refused:?}");

    queued.qstash.faults().set_skew(0);
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(queued.answers().last(), Some(&200), "once it is right, all is well");
}

#[tokio::test]
async fn a_rotation_of_the_keys_in_a_chain_does_not_end_it() {
    let queued = Queued::over(backlog(40).await, &[]).await;
    assert_eq!(queued.manual().await.1["continuation"]["published"], true);

    queued.qstash.rotate();
    queued.qstash.advance(Duration::from_secs(60)).await;

    assert!(queued.answers().iter().all(|status| *status == 200), "{:?}", queued.answers());
    queued.pair.assert_settled(&["items"]).await;
    queued.schedule().await;
    queued.qstash.rotate();
    queued.qstash.advance(SIX_HOURS).await;
    assert!(queued.answers().contains(&401), "two rotations with the old pair lock QStash out");
}

#[tokio::test]
async fn a_body_over_a_megabyte_is_refused_on_every_path_but_the_callbacks() {
    let queued = Queued::over(items(1).await, &[]).await;
    let large = "x".repeat((1 << 20) + 1);
    for path in [SYNC_PATH, "/api/background/sync/schedule"] {
        let (status, body) =
            status_and_json(queued.delivery(path, "msg_large", &large).send().await.unwrap()).await;
        assert_eq!((status, &body["error"]["code"]), (413, &json!("too_large")), "{body}");
    }
    let callback = queued.delivery("/api/background/sync/failure", "msg_large", &large);
    assert_eq!(callback.send().await.unwrap().status(), 489, "read, and no callback");
    assert_eq!(queued.history_or_none().await, "");
}

#[tokio::test]
async fn an_unknown_pipeline_is_told_to_those_who_may_know() {
    let queued = Queued::over(items(1).await, &[]).await;
    let path = "/api/background/sync/no-such";
    let unsigned = queued.request("POST", path).send().await.unwrap();
    assert_eq!(unsigned.status(), 401);
    let (status, body) =
        status_and_json(queued.delivery(path, "msg_1", "{}").send().await.unwrap()).await;
    assert_eq!((status, &body["error"]["code"]), (489, &json!("no_pipeline")), "{body}");
}

/// Carries each delivery for two and a half minutes of QStash's clock.
struct Slow(HttpCourier);

#[async_trait]
impl Courier for Slow {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        let then = Box::new(self.0.deliver(attempt).await);
        DeliveryOutcome::Late { after: Duration::from_secs(150), then }
    }
}

#[tokio::test]
async fn ticks_wait_for_the_run_before_them() {
    let slow: Arc<dyn Courier> = Arc::new(Slow(HttpCourier::new().unwrap()));
    let every_minute = [("SYNC_CRON", "* * * * *")];
    let queued = Queued::with_courier(items(40).await, &every_minute, Some(slow)).await;
    queued.schedule().await;

    queued.qstash.advance(Duration::from_secs(15 * 60)).await;

    let mut under_way = 0;
    for entry in queued.qstash.logs() {
        match entry.state {
            LogState::Active => under_way += 1,
            LogState::Delivered | LogState::Error => under_way -= 1,
            _ => {}
        }
        assert!(under_way <= 1, "a tick did not wait at {}", entry.time);
    }
    assert!(queued.answers().len() > 3, "{:?}", queued.answers());
    assert!(queued.answers().iter().all(|status| *status == 200), "{:?}", queued.answers());
    queued.pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn the_list_tells_the_last_run_and_what_became_of_it() {
    let queued = Queued::over(items(10).await, &[]).await;
    queued.schedule().await;
    let listed = async || {
        let call = queued.request("GET", "/api/background/sync/schedule").bearer_auth(TOKEN);
        let (status, body) = status_and_json(call.send().await.unwrap()).await;
        assert_eq!(status, 200, "{body}");
        body["schedules"][0].clone()
    };
    let before = listed().await;
    assert!(before["lastRun"].is_null() && before["lastOutcome"].is_null(), "{before}");
    let next = before["nextRun"].as_str().unwrap().to_owned();

    queued.qstash.advance(SIX_HOURS).await;
    let after = listed().await;
    assert_eq!(
        (after["lastRun"].as_str(), &after["lastOutcome"]),
        (Some(&*next), &json!("success"))
    );

    queued.pair.sql_target("alter table items add column needed int not null default 0").await;
    queued.pair.sql_target("alter table items alter column needed drop default").await;
    queued.qstash.advance(SIX_HOURS).await;
    assert_eq!(listed().await["lastOutcome"], "fail");
}
