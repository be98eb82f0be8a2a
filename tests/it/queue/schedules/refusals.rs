//! Refusals of QStash and of the route, and answers that are lost on their way.

use serde_json::json;
use syncline::adapters::qstash::QStash;
use syncline::edge::calling::SCHEDULE_PATH;
use syncline::engine::model::delivery::QueueId;
use syncline::engine::model::secret::SecretText;
use syncline::jobs::schedules::ports::Schedules;

use super::{code, create, deployed, on};
use crate::world::deployment::{HOME, ID};
use crate::world::door::{ADMIN_TOKEN, status_and_json};

#[tokio::test]
async fn what_qstash_refuses_is_told_and_nothing_is_half_made() {
    let (qstash, deployment) = deployed().await;
    qstash.faults().set_down(true);
    assert_eq!(code(&deployment.change_schedules(create()).await), (503, "qstash_unavailable"));
    qstash.faults().set_down(false);
    for (attempts, status, headers, expected) in [
        (4, 500, &[][..], (503, "qstash_unavailable")),
        (1, 429, &[("Retry-After", "3600")], (503, "qstash_busy")),
        (4, 429, &[("RateLimit-Limit", "1000")], (489, "qstash_quota")),
        (1, 412, &[], (489, "qstash_limit")),
        (1, 400, &[], (489, "qstash_refused")),
    ] {
        qstash.faults().refuse(attempts, status, headers);
        let refused = deployment.change_schedules(create()).await;
        assert_eq!(code(&refused), expected, "{status}: {}", refused.1);
        assert!(!refused.1["error"]["hint"].as_str().unwrap().is_empty(), "{}", refused.1);
    }
    let token = "a-token-of-another-region";
    let refused = deployment.clone().set("QSTASH_TOKEN", token).change_schedules(create()).await;
    assert_eq!(code(&refused), (489, "qstash_token"));
    assert!(!refused.1.to_string().contains(token));
    assert!(qstash.schedules().is_empty(), "{:?}", qstash.schedules());
}

#[tokio::test]
async fn a_call_that_fails_once_is_made_again() {
    let (qstash, deployment) = deployed().await;
    qstash.faults().refuse(1, 503, &[]);
    assert_eq!(deployment.change_schedules(create()).await.0, 200);
    qstash.faults().refuse(1, 429, &[("Retry-After", "0")]);
    assert_eq!(deployment.change_schedules(on("pause", ID)).await.0, 200);
}

#[tokio::test]
async fn a_delete_whose_answer_is_lost_is_done() {
    let (qstash, deployment) = deployed().await;
    deployment.change_schedules(create()).await;
    let api = QStash::new(qstash.url(), SecretText::new(qstash.token()));
    qstash.faults().lose_answers(1);
    api.delete(&QueueId::parse(ID).unwrap()).await.unwrap();
    assert!(qstash.schedules().is_empty());
}

#[tokio::test]
async fn what_is_not_set_is_named() {
    let (_qstash, deployment) = deployed().await;
    for (name, expected) in [("QSTASH_TOKEN", "no_queue"), ("APP_URL", "no_app_url")] {
        let deployment = deployment.clone().set(name, "");
        let deployment = deployment.set("QSTASH_CURRENT_SIGNING_KEY", "");
        let deployment = deployment.set("QSTASH_NEXT_SIGNING_KEY", "");
        for answer in
            [deployment.change_schedules(create()).await, deployment.list_schedules().await]
        {
            assert_eq!(code(&answer), (489, expected), "{}", answer.1);
            assert!(answer.1["error"]["hint"].as_str().unwrap().contains(name), "{}", answer.1);
        }
    }
}

#[tokio::test]
async fn what_no_action_is_says_what_one_would_be() {
    let (qstash, deployment) = deployed().await;
    let door = deployment.door().await;
    for body in [
        "",
        "nonsense",
        "{}",
        r#"{"action":"walk"}"#,
        r#"{"action":"pause"}"#,
        r#"{"action":"delete","scheduleId":7}"#,
        r#"["create", null]"#,
        r#"["delete", "syncline-slave-to-prod"]"#,
    ] {
        let request = door.request("POST", SCHEDULE_PATH).bearer_auth(ADMIN_TOKEN);
        let answer = status_and_json(request.body(body).send().await.unwrap()).await;
        assert_eq!(code(&answer), (400, "bad_action"), "{body}");
    }
    for (body, expected) in [
        (on("delete", ""), "bad_id"),
        (on("pause", "a/b"), "bad_id"),
        (json!({ "action": "create", "pipeline": "other" }), "no_pipeline"),
        (json!({ "action": "trigger-manual", "pipeline": "other" }), "no_pipeline"),
    ] {
        let answer = deployment.change_schedules(body.clone()).await;
        assert_eq!(code(&answer), (400, expected), "{body}");
    }
    assert!(qstash.schedules().is_empty());
    assert_eq!(door.request("PUT", SCHEDULE_PATH).send().await.unwrap().status(), 405);
}

#[tokio::test]
async fn only_a_person_with_the_token_may() {
    let (qstash, deployment) = deployed().await;
    let door = deployment.door().await;
    let body = create().to_string();
    let signed = door.signer.sign(
        &format!("{HOME}{SCHEDULE_PATH}"),
        body.as_bytes(),
        std::time::SystemTime::now(),
    );
    let post = || door.request("POST", SCHEDULE_PATH).body(body.clone());
    for request in [
        post(),
        post().bearer_auth("another-token-of-the-same-kind"),
        post().header("x-manual-trigger", "true"),
        post().header("Upstash-Signature", signed),
        door.request("GET", SCHEDULE_PATH),
    ] {
        let sent = format!("{request:?}");
        assert_eq!(request.send().await.unwrap().status(), 401, "{sent}");
    }
    let tokenless = deployment.set("SYNC_ADMIN_TOKEN", "");
    assert_eq!(tokenless.change_schedules(create()).await.0, 401);
    assert!(qstash.schedules().is_empty());
}

#[tokio::test]
async fn a_trigger_whose_answer_is_lost_is_published_once() {
    let (qstash, deployment) = deployed().await;
    qstash.faults().lose_answers(1);
    assert_eq!(deployment.change_schedules(json!({ "action": "trigger-manual" })).await.0, 200);
    assert_eq!(qstash.pending(), 1);
    assert_eq!(deployment.change_schedules(json!({ "action": "trigger-manual" })).await.0, 200);
    assert_eq!(qstash.pending(), 2, "one that is asked for again is another");
}
