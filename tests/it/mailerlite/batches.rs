//! Batches: calls in one call, each with a status of its own.

use serde_json::{Value, json};

use super::account::{Account, emails};

#[tokio::test]
async fn a_batch_answers_for_each_call_and_a_failure_stops_no_other() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    let ids = [account.add("a@x.io").await, account.add("b@x.io").await];
    let city = |city: &str| json!({ "fields": { "city": city } });
    let requests = json!([
        { "method": "PUT", "path": format!("api/subscribers/{}", ids[0]), "body": city("Ulm") },
        { "method": "PUT", "path": "api/subscribers/1", "body": city("Ulm") },
        { "method": "post", "path": "/api/subscribers", "body": { "email": "ann" } },
        { "method": "POST", "path": format!("api/subscribers/{}/groups/{group}", ids[1]) },
        { "method": "DELETE", "path": format!("api/subscribers/{}", ids[1]) },
        { "method": "GET", "path": "api/subscribers/a@x.io" },
    ]);
    let (status, answer) = account.post("batch", json!({ "requests": requests })).await;
    let counts = [&answer["total"], &answer["successful"], &answer["failed"]];
    assert_eq!((status, counts), (200, [&json!(6), &json!(4), &json!(2)]));
    let responses = answer["responses"].as_array().unwrap();
    let codes: Vec<u64> = responses.iter().map(|item| item["code"].as_u64().unwrap()).collect();
    assert_eq!(codes, [200, 404, 422, 201, 204, 200]);
    assert!(responses[2]["body"]["errors"]["email"].is_array(), "{answer}");
    assert_eq!(responses[4]["body"], Value::Null);
    assert_eq!(responses[5]["body"]["data"]["fields"]["city"], "Ulm");
}

#[tokio::test]
async fn the_parameters_of_a_get_may_stand_in_its_body() {
    let account = Account::open().await;
    account.seed(&["a@x.io", "b@x.io"]);
    let parameters = json!({ "limit": 1, "filter": { "status": "active" } });
    let requests = json!([{ "method": "GET", "path": "api/subscribers", "body": parameters }]);
    let (_, answer) = account.post("batch", json!({ "requests": requests })).await;
    assert_eq!(emails(&answer["responses"][0]["body"]), ["b@x.io"]);
}

#[tokio::test]
async fn a_malformed_batch_is_refused_as_a_whole() {
    let account = Account::open().await;
    let add = json!({ "method": "POST", "path": "api/subscribers", "body": { "email": "a@x.io" } });
    let get = |count| vec![json!({ "method": "GET", "path": "api/fields" }); count];
    let cases = [
        (json!({}), "requests"),
        (json!({ "requests": [] }), "requests"),
        (json!({ "requests": get(51) }), "requests"),
        (json!({ "requests": [add, { "path": "api/fields" }] }), "requests.1.method"),
        (
            json!({ "requests": [add, { "method": "HEAD", "path": "api/fields" }] }),
            "requests.1.method",
        ),
        (json!({ "requests": [add, { "method": "GET", "path": "fields" }] }), "requests.1.path"),
    ];
    for (body, path) in cases {
        let (status, answer) = account.post("batch", body).await;
        assert_eq!((status, answer["errors"][path].is_array()), (422, true), "{path}: {answer}");
    }
    assert_eq!(account.mailerlite.total(), 0);
    assert_eq!(account.post("batch", json!({ "requests": get(50) })).await.0, 200);
}

#[tokio::test]
async fn webhooks_and_batches_are_not_in_a_batch() {
    let account = Account::open().await;
    let requests = json!([
        { "method": "GET", "path": "api/webhooks" },
        { "method": "POST", "path": "api/batch", "body": { "requests": [] } },
    ]);
    let (status, answer) = account.post("batch", json!({ "requests": requests })).await;
    assert_eq!((status, &answer["failed"]), (200, &json!(2)));
}
