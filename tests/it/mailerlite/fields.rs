//! The fields of the account.

use serde_json::{Value, json};

use super::account::{Account, lacks, text};

#[tokio::test]
async fn an_account_begins_with_eight_fields() {
    let account = Account::open().await;
    let (_, page) = account.get("fields").await;
    let fields = page["data"].as_array().unwrap();
    let keys: Vec<&str> = fields.iter().map(|field| field["key"].as_str().unwrap()).collect();
    let expected = ["name", "last_name", "company", "country", "city", "phone", "state", "z_i_p"];
    assert_eq!(keys, expected);
    assert!(fields.iter().all(|field| field["is_default"] == true && field["type"] == "text"));
}

#[tokio::test]
async fn a_field_keeps_its_key_when_it_is_renamed() {
    let account = Account::open().await;
    let body = json!({ "name": "Loyalty tier", "type": "number" });
    let (status, answer) = account.post("fields", body).await;
    let id = text(&answer["data"]["id"]);
    let field = |name: &str| json!({ "id": id, "name": name, "key": "loyalty_tier", "type": "number", "is_default": false });
    assert_eq!((status, &answer["data"]), (201, &field("Loyalty tier")));
    let path = format!("fields/{id}");
    let (status, answer) = account.put(&path, json!({ "name": "Tier" })).await;
    assert_eq!((status, &answer["data"]), (200, &field("Tier")));
    account
        .post("subscribers", json!({ "email": "ann@x.io", "fields": { "loyalty_tier": "3" } }))
        .await;
    let (_, ann) = account.get("subscribers/ann@x.io").await;
    assert_eq!(ann["data"]["fields"]["loyalty_tier"], 3);
}

#[tokio::test]
async fn the_name_of_a_field_is_unique() {
    let account = Account::open().await;
    account.post("fields", json!({ "name": "Plan", "type": "text" })).await;
    for name in ["Plan", "plan", "PLAN", "City"] {
        let (status, answer) =
            account.post("fields", json!({ "name": name, "type": "text" })).await;
        assert_eq!(
            (status, &answer["message"]),
            (422, &json!("Field name must be unique")),
            "{name}"
        );
    }
    let (status, answer) = account.post("fields", json!({ "name": "Age", "type": "age" })).await;
    assert_eq!((status, answer["errors"]["type"].is_array()), (422, true));
}

#[tokio::test]
async fn a_deleted_field_takes_its_values_along() {
    let account = Account::open().await;
    let (_, answer) = account.post("fields", json!({ "name": "Plan", "type": "text" })).await;
    account.post("subscribers", json!({ "email": "ann@x.io", "fields": { "plan": "pro" } })).await;
    let path = format!("fields/{}", text(&answer["data"]["id"]));
    assert_eq!(account.call("DELETE", &path, Value::Null).await.0, 204);
    account.post("fields", json!({ "name": "Plan", "type": "text" })).await;
    let (_, ann) = account.get("subscribers/ann@x.io").await;
    assert_eq!(ann["data"]["fields"]["plan"], Value::Null);
    assert_eq!(account.call("DELETE", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_default_fields_are_not_changed() {
    let account = Account::open().await;
    let id = text(&account.get("fields").await.1["data"][0]["id"]);
    let refused = (400, lacks("change of a default field"));
    assert_eq!(account.put(&format!("fields/{id}"), json!({ "name": "X" })).await, refused);
    assert_eq!(account.call("DELETE", &format!("fields/{id}"), Value::Null).await, refused);
}
