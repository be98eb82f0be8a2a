//! Clients in a project that its API alone reaches.

use serde_json::json;
use syncline::demo::mailerlite::Act;

use super::business::{Business, MAPPING};

/// 1. The mapping is proposed, and the crosswalk filled.
/// 2. Each side changes: values, a new person here, an opt-out on either side.
/// 3. A conflict is answered, and named people are synced.
#[tokio::test]
async fn a_project_behind_its_api_is_kept_in_step_as_a_database_is() {
    let business = Business::open().await.over_api().await;
    let (code, proposal, errors) = business.run_without("SYNC_CONFIG", &["init"]).await;
    assert!(code == 0 && proposal.contains("table = \"public.clients\""), "{proposal}{errors}");
    let plan = business.out(&["plan"]).await;
    assert!(plan.contains("create  1"), "{plan}");

    // Ann has another name on each side, and nobody knows which is right.
    business.out(&["sync"]).await;
    assert_eq!(business.text("select count(*)::text from integration_crosswalk").await, "2");
    let conflicts = business.json(&["conflicts", "list"]).await;
    let number = conflicts["conflicts"][0]["id"].to_string();
    business.out(&["conflicts", "resolve", &number, "database"]).await;
    let name = |email: &str| {
        let person = business.mailerlite.person(email).expect("a subscriber");
        person.fields.get("name").cloned()
    };
    assert_eq!(name("ann@example.com").as_deref(), Some("Ann"));

    business.sql("update clients set first_name = 'Robert' where first_name = 'Bob'").await;
    business.mailerlite.act("ann@example.com", Act::Unsubscribe).expect("she is there");
    let report = business.json(&["sync"]).await;
    assert_eq!(report["updatesApplied"], 2, "{report}");
    assert_eq!(name("bob@example.com").as_deref(), Some("Robert"));
    let status = "select email_status from clients where first_name = 'Ann'";
    assert_eq!(business.text(status).await, "unsubscribed");
    assert_eq!(business.json(&["sync"]).await["updatesApplied"], 0);

    business.sql("update clients set city = 'Bonn' where first_name = 'Robert'").await;
    let smart = business.json(&["smart", "bob@example.com"]).await;
    assert_eq!(
        (&smart["ok"], &smart["out"][0]["changed"]),
        (&json!(true), &json!(true)),
        "{smart}"
    );
    let log = business.out(&["log", "bob@example.com"]).await;
    assert!(log.contains("Bonn"), "{log}");
    let status = business.out(&["status"]).await;
    assert!(status.contains("2 rows in public.clients"), "{status}");
}

#[tokio::test]
async fn a_crosswalk_in_a_project_behind_its_api_gets_its_shadows() {
    let business = Business::open().await.over_api().await;
    business.configure(MAPPING);
    business.out(&["backfill"]).await;
    let ann = business.mailerlite.person("ann@example.com").expect("a subscriber").id;
    business
        .sql(&format!(
            "insert into integration_crosswalk (a_id, b_id) \
             values ('00000000-0000-0000-0000-000000000001', '{ann}')"
        ))
        .await;
    let report = business.json(&["backfill"]).await;
    assert_eq!(report["created"], 1, "{report}");
}
