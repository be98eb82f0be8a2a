//! MailerLite's webhooks, from MailerLite to the row.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, Options, Seed};
use syncline::demo::qstash::LocalQStash;
use syncline::edge::calling::{ENTERPRISE_PATH, WEBHOOK_PATH};

use super::business::Business;
use crate::world::deployment::{Deployment, account};
use crate::world::door::{ADMIN_TOKEN, Door, client, status_and_json};

fn sign(secret: &str, body: &str) -> String {
    use hmac::{KeyInit, Mac};
    let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let mac = mac.chain_update(body).finalize().into_bytes();
    mac.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A business whose MailerLite calls our function, and the function the queue.
struct Hooked {
    business: Business,
    qstash: LocalQStash,
    door: Door,
    secret: String,
}

impl Hooked {
    /// `batchable` is how MailerLite delivers.
    async fn open(batchable: bool) -> Self {
        let business = Business::with(Options::stepped(SystemTime::now())).await;
        let qstash = account().await;
        let deployment = Deployment::over(business.settings().into_iter().collect(), &qstash);
        let port = crate::world::door::Port::free().await;
        // MailerLite tells of deletions in batches alone.
        let events = ["subscriber.updated", "subscriber.unsubscribed", "subscriber.deleted"];
        let hook = json!({
            "name": "syncline",
            "url": format!("{}{WEBHOOK_PATH}", port.url),
            "batchable": batchable,
            "events": if batchable { &events[..] } else { &events[..2] },
        });
        let request = client().post(format!("{}/api/webhooks", business.mailerlite.url()));
        let request = request.bearer_auth(business.mailerlite.token()).body(hook.to_string());
        let request = request.header("Content-Type", "application/json");
        let (status, made) = status_and_json(request.send().await.unwrap()).await;
        assert_eq!(status, 201, "{made}");
        let secret = made["data"]["secret"].as_str().expect("a secret").to_owned();
        let deployment =
            deployment.set("APP_URL", &port.url).set("MAILERLITE_WEBHOOK_SECRET", &secret);
        let door = Door::with(port, &deployment.0).await;
        let hooked = Self { business, qstash, door, secret };
        let (status, synced) = hooked.call(ENTERPRISE_PATH, json!({}).to_string(), None).await;
        assert_eq!(status, 200, "{synced}");
        hooked
    }

    async fn call(&self, path: &str, body: String, signature: Option<&str>) -> (u16, Value) {
        let request = self.door.request("POST", path);
        let request = match signature {
            Some(signature) => request.header("Signature", signature),
            None => request.bearer_auth(ADMIN_TOKEN),
        };
        status_and_json(request.body(body).send().await.expect("an answer")).await
    }

    fn sign(&self, body: &str) -> String {
        sign(&self.secret, body)
    }

    async fn let_queue_work(&self) {
        for _ in 0..3 {
            self.qstash.advance(Duration::from_secs(15)).await;
            self.qstash.settle().await;
        }
    }

    async fn status_of_ann(&self) -> String {
        let status = "select coalesce(email_status, '') from clients where first_name like 'Ann%'";
        self.business.text(status).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_unsubscribes_is_opted_out_here_by_either_form_of_the_hook() {
    for batchable in [false, true] {
        let hooked = Hooked::open(batchable).await;
        hooked.business.mailerlite.act("ann@example.com", Act::Unsubscribe).unwrap();
        hooked.business.mailerlite.advance(Duration::from_secs(120)).await;
        hooked.business.mailerlite.settle().await;
        hooked.let_queue_work().await;
        assert_eq!(hooked.status_of_ann().await, "unsubscribed", "batchable: {batchable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_hooks_for_one_person_become_two_syncs_at_most() {
    let hooked = Hooked::open(false).await;
    let body = json!({"event": "subscriber.updated", "email": "ann@example.com"}).to_string();
    let signature = hooked.sign(&body);
    let calls = (0..200).map(|_| hooked.call(WEBHOOK_PATH, body.clone(), Some(&signature)));
    let answers = futures_util::future::join_all(calls).await;
    for (status, answer) in answers {
        assert_eq!((status, &answer["received"]), (200, &json!(1)), "{answer}");
    }
    let before = hooked.business.mailerlite.requests();
    hooked.let_queue_work().await;
    // The hooks may lie in two spans; the answers of a busy machine in more.
    let requests = hooked.business.mailerlite.requests() - before;
    assert!((1..=8).contains(&requests), "{requests} requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_hook_is_refused_and_costs_nothing() {
    let hooked = Hooked::open(false).await;
    let body = json!({"event": "subscriber.updated", "email": "ann@example.com"}).to_string();
    let right = hooked.sign(&body);
    let changed = body.replace("ann", "bob");
    let upper = right.to_uppercase();
    for (body, signature) in [
        (&changed, &right),
        (&body, &upper),
        (&body, &String::new()),
        (&body, &right[1..].to_owned()),
    ] {
        let (status, answer) = hooked.call(WEBHOOK_PATH, body.clone(), Some(signature)).await;
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthorized")));
    }
    let (status, _) = hooked.call(WEBHOOK_PATH, body.clone(), None).await;
    assert_eq!(status, 401, "the admin token signs no hook");
    assert_eq!(hooked.qstash.pending(), 0);
    let (status, _) = hooked.call(WEBHOOK_PATH, body, Some(&right)).await;
    assert_eq!((status, hooked.qstash.pending()), (200, 1));
}

const WEBHOOK_SECRET: &str = "the-invented-secret-of-a-webhook";

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_meets_another_sync_of_the_person_is_not_lost_without_a_queue() {
    let business = Business::open().await;
    business.mailerlite.seed([Seed::new("bob@example.com")]);
    business.out(&["sync"]).await;
    let port = crate::world::door::Port::free().await;
    let mut settings: std::collections::BTreeMap<_, _> = business.settings().into_iter().collect();
    settings.insert("MAILERLITE_WEBHOOK_SECRET".into(), WEBHOOK_SECRET.into());
    settings.insert("SYNC_ADMIN_TOKEN".into(), ADMIN_TOKEN.into());
    let door = Door::with(port, &settings).await;
    for email in ["ann@example.com", "bob@example.com"] {
        business.mailerlite.act(email, Act::Unsubscribe).unwrap();
    }
    business
        .sql(
            "insert into contact_leases (name, holder, expires_at) \
             values ('ann@example.com', 'other', now() + interval '1 hour')",
        )
        .await;
    let event = |email| json!({"event": "subscriber.unsubscribed", "email": email});
    let events = ["ann@example.com", "bob@example.com"].map(event);
    let body = json!({ "events": events }).to_string();
    let request =
        door.request("POST", WEBHOOK_PATH).header("Signature", sign(WEBHOOK_SECRET, &body));
    let (status, answer) = status_and_json(request.body(body).send().await.unwrap()).await;
    assert_eq!((status, &answer["received"]), (200, &json!(2)), "{answer}");
    let status = |name: &'static str| {
        let query = format!(
            "select coalesce(email_status, '') from clients where first_name like '{name}%'"
        );
        let business = &business;
        async move { business.text(&query).await }
    };
    let opted_out = |name| async move {
        while status(name).await != "unsubscribed" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opted_out("Bob")).await.expect("Bob is free");
    assert_eq!(status("Ann").await, "", "another sync holds Ann");
    business.sql("delete from contact_leases where holder = 'other'").await;
    tokio::time::timeout(Duration::from_secs(30), opted_out("Ann"))
        .await
        .expect("Ann is tried again");
}
