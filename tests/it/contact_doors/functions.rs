//! The functions over HTTP, as the official client of Supabase and QStash call them.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use syncline::demo::qstash::LocalQStash;
use syncline::edge::calling::{BACKFILL_PATH, ENTERPRISE_PATH, SMART_PATH};

use super::business::Business;
use crate::world::deployment::{Deployment, account};
use crate::world::door::{ADMIN_TOKEN, Door, status_and_json};
use crate::world::fresh_database;

const ANN: &str = "ann@example.com";

/// A business whose function QStash reaches.
struct Served {
    business: Business,
    qstash: LocalQStash,
    door: Door,
}

impl Served {
    async fn open() -> Self {
        Self::with(&[]).await
    }

    async fn with(more: &[(&str, &str)]) -> Self {
        let business = Business::open().await;
        let qstash = account().await;
        let mut deployment = Deployment::over(business.settings().into_iter().collect(), &qstash);
        for (name, value) in more {
            deployment = deployment.set(name, *value);
        }
        let (_, door) = deployment.reachable().await;
        Self { business, qstash, door }
    }

    async fn call(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.door.request("POST", path).bearer_auth(ADMIN_TOKEN);
        let request = request.header("apikey", ADMIN_TOKEN).body(body.to_string());
        status_and_json(request.send().await.expect("an answer")).await
    }

    async fn signed(&self, path: &str, body: Value) -> (u16, Value) {
        let (url, body) = (format!("{}{path}", self.door.public_url), body.to_string());
        let token = self.door.signer.sign(&url, body.as_bytes(), SystemTime::now());
        let request = self.door.request("POST", path).header("Upstash-Signature", token);
        status_and_json(request.body(body).send().await.expect("an answer")).await
    }
}

#[tokio::test]
async fn a_smart_sync_answers_for_each_address() {
    let served = Served::open().await;
    let body = json!({"emails": ["Ann@Example.com", "nobody@example.com"], "dryRun": true});
    let (status, report) = served.call(SMART_PATH, body).await;
    assert_eq!(
        (status, &report["ok"], &report["count"]),
        (200, &json!(true), &json!(2)),
        "{report}"
    );
    assert_eq!(report["out"][0]["email"], ANN);
    assert!(report["out"][0]["b_id"].is_string(), "{report}");
    let nobody = json!({
        "email": "nobody@example.com", "changed": false, "b_id": null, "skipped": true,
        "reason": "nobody has this address",
    });
    assert_eq!(report["out"][1], nobody);
}

#[tokio::test]
async fn an_enterprise_sync_and_a_backfill_answer_as_their_callers_expect() {
    let served = Served::open().await;
    let (status, trial) = served.call(ENTERPRISE_PATH, json!({"dryRun": true})).await;
    assert_eq!((status, &trial["updatesApplied"]), (200, &json!(0)), "{trial}");
    for field in
        ["recordsProcessed", "conflictsDetected", "updatesApplied", "errors", "done", "message"]
    {
        assert!(!trial[field].is_null(), "{field} is not in {trial}");
    }
    assert!(served.business.mailerlite.person("bob@example.com").is_none());
    let (status, made) = served.call(ENTERPRISE_PATH, json!({"allow": {"create": "5"}})).await;
    assert_eq!((status, &made["done"], &made["nextCursor"]), (200, &json!(true), &json!(null)));
    assert!(served.business.mailerlite.person("bob@example.com").is_some(), "{made}");
    let (status, filled) = served.call(BACKFILL_PATH, json!({})).await;
    assert_eq!(
        (status, &filled["total"], &filled["done"]),
        (200, &json!(2), &json!(true)),
        "{filled}"
    );
}

#[tokio::test]
async fn a_call_without_the_token_or_with_a_wrong_body_is_an_error_that_says_why() {
    let served = Served::open().await;
    for path in [SMART_PATH, ENTERPRISE_PATH, BACKFILL_PATH] {
        let request = served.door.request("POST", path).bearer_auth("another").body("{}");
        let (status, body) = status_and_json(request.send().await.unwrap()).await;
        assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthorized")), "{path}");
    }
    for (path, body, part) in [
        (SMART_PATH, json!({"emails": []}), "1 to 100"),
        (SMART_PATH, json!({"emails": ["ann"]}), "Address 1"),
        (SMART_PATH, json!({"emails": [ANN], "mode": "sideways"}), "body"),
        (ENTERPRISE_PATH, json!({"direction": "sideways"}), "body"),
        (ENTERPRISE_PATH, json!({"maxrecords": 5}), "body"),
        (ENTERPRISE_PATH, json!({"allow": {"update": "many"}}), "update"),
        (ENTERPRISE_PATH, json!({"cursor": "another"}), "cursor"),
        (BACKFILL_PATH, json!(5), "body"),
    ] {
        let (status, answer) = served.call(path, body.clone()).await;
        let told = answer["error"].to_string();
        assert!((400..500).contains(&status) && told.contains(part), "{body}: {status} {answer}");
    }
}

#[tokio::test]
async fn a_sync_without_time_goes_on_through_the_queue_until_it_is_done() {
    let served = Served::open().await;
    let body = json!({"autoContinue": true, "maxDurationMs": 0, "allow": {"create": "5"}});
    let (status, first) = served.call(ENTERPRISE_PATH, body).await;
    assert_eq!((status, &first["done"]), (200, &json!(false)), "{first}");
    assert_eq!(first["continuation"]["published"], true, "{first}");
    // Each slice has no time, too, so the chain ends by itself.
    for _ in 0..20 {
        served.qstash.advance(Duration::from_secs(60)).await;
        served.qstash.settle().await;
    }
    assert_eq!(served.qstash.pending(), 0, "no chain goes on for ever");
    assert_eq!(served.qstash.dead_letters().len(), 1, "the last slice says that it is stuck");

    let (status, whole) = served.signed(ENTERPRISE_PATH, json!({"autoContinue": true})).await;
    assert_eq!((status, &whole["done"]), (200, &json!(true)), "{whole}");
    let (status, begun) =
        served.call(BACKFILL_PATH, json!({"autoContinue": true, "maxDurationMs": 0})).await;
    assert_eq!((status, &begun["done"]), (200, &json!(false)), "{begun}");
    assert_eq!(begun["continuation"]["published"], true, "{begun}");
}

#[tokio::test]
async fn the_number_of_people_holds_for_all_calls_of_a_chain() {
    let served = Served::open().await;
    let more = "insert into clients (email) select format('p%s@example.com', n) \
        from generate_series(1, 4) as n";
    served.business.sql(more).await;
    let body = json!({"autoContinue": true, "maxRecords": 3, "allow": {"create": "9"}});
    let (status, first) = served.call(ENTERPRISE_PATH, body).await;
    assert_eq!((status, &first["updatesApplied"]), (200, &json!(3)), "{first}");
    served.qstash.advance(Duration::from_secs(60)).await;
    served.qstash.settle().await;
    assert_eq!((served.business.mailerlite.total(), served.qstash.pending()), (4, 0));
}

#[tokio::test]
async fn a_queued_sync_of_somebody_whom_another_sync_has_is_tried_again() {
    let served = Served::open().await;
    served.call(ENTERPRISE_PATH, json!({})).await;
    let hold =
        format!("insert into contact_leases values ('{ANN}', 'other', now() + interval '1 hour')");
    served.business.sql(&hold).await;
    let body = || json!({"emails": [ANN]});
    let (status, report) = served.signed(SMART_PATH, body()).await;
    assert_eq!((status, &report["out"][0]["reason"]), (503, &json!("in progress")), "{report}");
    let (status, _) = served.call(SMART_PATH, body()).await;
    assert_eq!(status, 200, "a person reads the answer");
}

#[tokio::test]
async fn a_second_sync_of_all_people_says_that_it_is_busy_at_every_door() {
    let served = Served::open().await;
    served.call(ENTERPRISE_PATH, json!({"allow": {"create": "5"}})).await;
    let hold = "insert into contact_leases values \
        ('enterprise-sync', 'other', now() + interval '1 hour')";
    served.business.sql(hold).await;
    let body = || json!({"autoContinue": true});
    let (status, report) = served.call(ENTERPRISE_PATH, body()).await;
    assert_eq!((status, &report["busy"]), (200, &json!(true)), "a person reads it: {report}");
    let (status, report) = served.signed(ENTERPRISE_PATH, body()).await;
    assert_eq!((status, &report["busy"]), (503, &json!(true)), "the queue calls again: {report}");
    assert_eq!(served.qstash.pending(), 0);
    let (code, _, errors) = served.business.run(&["sync"]).await;
    assert_eq!(code, 75, "{errors}");
    assert!(errors.contains("In progress"), "{errors}");
}

#[tokio::test]
async fn a_page_of_a_listed_origin_may_call_and_no_other() {
    let served = Served::with(&[("SYNC_ALLOWED_ORIGINS", "https://app.example.com")]).await;
    let preflight = |origin: &'static str, path: &'static str| {
        let request = served.door.request("OPTIONS", path).header("Origin", origin);
        let request = request.header("Access-Control-Request-Method", "POST");
        request.header("Access-Control-Request-Headers", "authorization, apikey").send()
    };
    let allowed = |answer: &reqwest::Response| {
        let header = answer.headers().get("access-control-allow-origin");
        header.map(|value| value.to_str().unwrap().to_owned())
    };
    for path in [SMART_PATH, ENTERPRISE_PATH, BACKFILL_PATH] {
        let answer = preflight("https://app.example.com", path).await.unwrap();
        assert_eq!(allowed(&answer).as_deref(), Some("https://app.example.com"), "{path}");
        let headers = &answer.headers()["access-control-allow-headers"];
        assert!(headers.to_str().unwrap().contains("apikey"));
        let answer = preflight("https://evil.example.com", path).await.unwrap();
        assert_eq!(allowed(&answer), None, "{path}");
    }
    let call = served.door.request("POST", SMART_PATH).header("Origin", "https://app.example.com");
    let answer = call.bearer_auth(ADMIN_TOKEN).body("{}").send().await.unwrap();
    assert_eq!(allowed(&answer).as_deref(), Some("https://app.example.com"), "errors are readable");
    let other = preflight("https://app.example.com", "/api/contacts/mailerlite").await.unwrap();
    assert_eq!(allowed(&other), None, "no page receives webhooks");
}

#[tokio::test]
async fn a_deployment_without_contacts_says_what_to_set() {
    let business = Business::open().await;
    let (qstash, other) = (account().await, fresh_database("source").await);
    let mut settings: std::collections::BTreeMap<_, _> = business.settings().into_iter().collect();
    settings.remove("SYNC_CONFIG");
    settings.insert("SOURCE_DATABASE_URL".into(), other.url.clone());
    let door = Deployment::over(settings, &qstash).door().await;
    let request = door.request("POST", SMART_PATH).bearer_auth(ADMIN_TOKEN);
    let request = request.body(json!({"emails": [ANN]}).to_string());
    let (_, answer) = status_and_json(request.send().await.unwrap()).await;
    assert_eq!(answer["error"]["code"], "no_contacts", "{answer}");
}
