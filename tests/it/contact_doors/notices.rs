//! Notices to people about syncs of contacts: each when it is news, and once.

use serde_json::{Value, json};
use syncline::edge::calling::{ENTERPRISE_PATH, SMART_PATH};

use super::business::Business;
use crate::world::deployment::{Deployment, account};
use crate::world::door::{ADMIN_TOKEN, Door, status_and_json};
use crate::world::qstash::receiver::Receiver;

/// A business whose people are notified.
struct Notified {
    business: Business,
    people: Receiver,
    door: Door,
}

impl Notified {
    async fn open() -> Self {
        let (business, people) = (Business::open().await, Receiver::open().await);
        let deployment =
            Deployment::over(business.settings().into_iter().collect(), &account().await)
                .set("SYNC_NOTIFY_URL", &people.url);
        let (_, door) = deployment.reachable().await;
        Self { business, people, door }
    }

    async fn call(&self, path: &str, body: Value) -> u16 {
        let request = self.door.request("POST", path).bearer_auth(ADMIN_TOKEN);
        status_and_json(request.body(body.to_string()).send().await.expect("an answer")).await.0
    }

    /// Brings all people in step.
    async fn sync(&self) -> u16 {
        self.call(ENTERPRISE_PATH, json!({"allow": {"create": "5", "update": "100%"}})).await
    }

    /// The states and the texts of the notices.
    fn notices(&self) -> Vec<(String, String)> {
        let read = |body: &[u8]| -> Value { serde_json::from_slice(body).expect("JSON") };
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let arrived = self.people.arrived();
        let notices = arrived.iter().map(|request| read(&request.body));
        notices.map(|notice| (text(&notice["state"]), text(&notice["text"]))).collect()
    }

    fn states(&self) -> Vec<String> {
        self.notices().into_iter().map(|(state, _)| state).collect()
    }
}

#[tokio::test]
async fn a_sync_that_is_held_or_fails_is_told_once_and_so_is_its_end() {
    let notified = Notified::open().await;
    notified.call(ENTERPRISE_PATH, json!({"dryRun": true, "allow": {"create": "0"}})).await;
    assert!(notified.states().is_empty(), "a trial is no news");
    for _ in 0..2 {
        notified.call(ENTERPRISE_PATH, json!({"allow": {"create": "0"}})).await;
    }
    assert_eq!(notified.states(), ["failed"]);
    assert!(notified.notices()[0].1.contains("the contacts fails.\nHeld: create of 1"));

    notified.business.sql("alter table clients rename city to town").await;
    for _ in 0..2 {
        assert_ne!(notified.sync().await, 200);
    }
    assert_eq!(notified.states(), ["failed", "failed"], "another cause is another notice");

    notified.business.sql("alter table clients rename town to city").await;
    for _ in 0..2 {
        assert_eq!(notified.sync().await, 200);
    }
    assert_eq!(notified.states(), ["failed", "failed", "recovered"]);
    assert!(notified.notices().iter().all(|(_, text)| !text.contains("example.com")));

    notified.business.sql("update clients set deleted_at = now()").await;
    for _ in 0..2 {
        notified.sync().await;
    }
    let (state, text) = notified.notices().pop().unwrap();
    assert!(state == "failed" && text.contains("count deviates"), "{text}");
    assert_eq!(notified.states().len(), 4);
}

#[tokio::test]
async fn people_whom_a_side_refuses_are_told_when_they_are_refused_first() {
    let notified = Notified::open().await;
    notified.sync().await;
    let long = "update clients set city = repeat('x', 2000) where first_name = 'Bob'";
    notified.business.sql(long).await;
    for _ in 0..2 {
        notified.sync().await;
    }
    assert_eq!(notified.states(), ["rejected"]);
    let text = &notified.notices()[0].1;
    assert!(text.contains("rejected people: 1."), "{text}");
}

#[tokio::test]
async fn a_pause_of_smart_syncs_is_told_once_and_so_is_its_end() {
    let notified = Notified::open().await;
    let smart = || notified.call(SMART_PATH, json!({"emails": ["ann@example.com"]}));
    for failures in 1..=3 {
        notified.business.sql("alter table clients rename city to town").await;
        assert_ne!(smart().await, 200);
        notified.business.sql("alter table clients rename town to city").await;
        assert!(notified.states().is_empty(), "{failures} failures are no pause");
    }
    for _ in 0..2 {
        assert_ne!(smart().await, 200);
    }
    assert_eq!(notified.states(), ["failed"]);
    assert!(notified.notices()[0].1.contains("Smart syncs pause"), "{:?}", notified.notices());
    // Ten minutes later.
    notified.business.sql("delete from token_bucket_state").await;
    for _ in 0..2 {
        assert_eq!(smart().await, 200);
    }
    assert_eq!(notified.states(), ["failed", "recovered"]);
}
