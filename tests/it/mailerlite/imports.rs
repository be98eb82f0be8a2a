//! Imports into a group, and their progress.

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, Options};

use super::account::{Account, lacks, text};

/// The path of the progress behind `/api/`, from the answer to an import.
pub fn progress(account: &Account, answer: &Value) -> String {
    let url = text(&answer["import_progress_url"]);
    url.strip_prefix(&format!("{}/api/", account.mailerlite.url())).unwrap().to_owned()
}

#[tokio::test]
async fn an_import_goes_on_by_the_clock() {
    let account = Account::with(Options { import_speed: 2, ..Account::options() }).await;
    let group = account.mailerlite.add_group("New");
    let rows: Vec<Value> = (1..=4).map(|n| json!({ "email": format!("p{n}@x.io") })).collect();
    let path = format!("groups/{group}/import-subscribers");
    let (status, answer) = account.post(&path, json!({ "subscribers": rows })).await;
    let progress = progress(&account, &answer);
    assert_eq!((status, account.mailerlite.total()), (200, 0));
    account.seconds(1).await;
    let (_, answer) = account.get(&progress).await;
    let place = ["total", "processed", "percent", "done"].map(|name| answer["data"][name].clone());
    assert_eq!(place, [json!(4), json!(2), json!(50), json!(false)]);
    assert_eq!((account.mailerlite.total(), &answer["data"]["finished_at"]), (2, &Value::Null));
    account.seconds(1).await;
    let (_, answer) = account.get(&progress).await;
    assert_eq!((&answer["data"]["done"], &answer["data"]["imported"]), (&json!(true), &json!(4)));
    assert_eq!(account.mailerlite.person("p4@x.io").unwrap().groups, [group]);
}

#[tokio::test]
async fn an_import_counts_what_became_of_its_rows() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("New");
    account.seed(&["same@x.io", "other@x.io", "left@x.io"]);
    account.act("same@x.io", Act::Join(group));
    account.act("left@x.io", Act::Unsubscribe);
    let rows = json!([
        { "email": "new@x.io", "fields": { "name": "New" } },
        { "email": "same@x.io" },
        { "email": "other@x.io", "fields": { "name": "Other" } },
        { "email": "left@x.io" },
        { "email": "nowhere" },
        { "email": "NEW@x.io" },
    ]);
    let path = format!("groups/{group}/import-subscribers");
    let (_, answer) = account.post(&path, json!({ "subscribers": rows })).await;
    account.seconds(1).await;
    let (_, answer) = account.get(&progress(&account, &answer)).await;
    let count = |name: &str| answer["data"][name].as_u64().unwrap();
    let names = ["imported", "updated", "errored", "invalid_count", "changed_count"];
    assert_eq!(names.map(count), [1, 1, 1, 1, 1]);
    let names = ["unchanged_count", "unsubscribed_count", "duplicate_count", "mistyped_count"];
    assert_eq!(names.map(count), [1, 1, 1, 0]);
    assert!(account.mailerlite.person("left@x.io").unwrap().groups.is_empty());
}

#[tokio::test]
async fn an_import_takes_addresses_and_fields_and_nothing_else() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("New");
    let path = format!("groups/{group}/import-subscribers");
    let row = json!([{ "email": "a@x.io", "status": "active" }]);
    let refused = account.post(&path, json!({ "subscribers": row })).await;
    assert_eq!(refused, (400, lacks("status in a row of an import")));
    let refused = account.post(&path, json!({ "subscribers": [], "resubscribe": true })).await;
    assert_eq!(refused, (400, lacks("resubscribe in an import")));
    assert_eq!(account.post(&path, json!({ "subscribers": [] })).await.0, 422);
    assert_eq!(account.post("groups/1/import-subscribers", json!({})).await.0, 404);
    // The Python client's path has no recorded success.
    let path = format!("groups/{group}/subscribers/import");
    assert_eq!(account.post(&path, json!({})).await.0, 404);
}
