//! One subscriber: made, read, written, deleted and forgotten.

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, Status};

use super::account::{Account, lacks, text};

#[tokio::test]
async fn a_subscriber_is_told_as_mailerlite_tells_one() {
    let account = Account::open().await;
    let body = json!({ "email": "Ann@X.io", "fields": { "name": "Ann", "z_i_p": "01067" } });
    let (status, answer) = account.post("subscribers", body).await;
    let id = text(&answer["data"]["id"]);
    let expected = json!({ "data": {
        "id": id,
        "email": "ann@x.io",
        "status": "active",
        "source": "api",
        "sent": 0,
        "opens_count": 0,
        "clicks_count": 0,
        "open_rate": 0,
        "click_rate": 0,
        "ip_address": null,
        "subscribed_at": "2026-03-01 00:00:00",
        "unsubscribed_at": null,
        "created_at": "2026-03-01 00:00:00",
        "updated_at": "2026-03-01 00:00:00",
        "fields": {
            "name": "Ann",
            "last_name": null,
            "company": null,
            "country": null,
            "city": null,
            "phone": null,
            "state": null,
            "z_i_p": "01067",
        },
        "groups": [],
        "opted_in_at": null,
        "optin_ip": null,
    }});
    assert_eq!((status, &answer), (201, &expected));
    for address in [&id, "ann@x.io", "ANN@x.io", "ann%40x.io"] {
        assert_eq!(account.get(&format!("subscribers/{address}")).await, (200, expected.clone()));
    }
}

#[tokio::test]
async fn neighbouring_ids_are_one_number_as_doubles() {
    let account = Account::open().await;
    let ids = [account.add("a@x.io").await, account.add("b@x.io").await];
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].parse::<f64>(), ids[1].parse::<f64>());
    assert_eq!(ids[0].len(), 18);
}

#[tokio::test]
async fn a_second_post_writes_what_it_names_and_nothing_else() {
    let account = Account::open().await;
    let fields = json!({ "name": "Ann", "city": "Ulm" });
    let (_, first) =
        account.post("subscribers", json!({ "email": "ann@x.io", "fields": fields })).await;
    let body = json!({ "email": "ANN@x.io", "fields": { "city": "Bonn", "name": null } });
    let (status, second) = account.post("subscribers", body).await;
    assert_eq!((status, &second["data"]["id"]), (200, &first["data"]["id"]));
    assert_eq!(second["data"]["fields"]["city"], "Bonn");
    assert_eq!(second["data"]["fields"]["name"], Value::Null);
    let (_, third) = account.post("subscribers", json!({ "email": "ann@x.io" })).await;
    assert_eq!(third["data"]["fields"], second["data"]["fields"]);
}

#[tokio::test]
async fn updated_at_moves_with_a_change_and_with_a_group_and_not_otherwise() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    let id = account.add("ann@x.io").await;
    let path = format!("subscribers/{id}");
    let moved = async |seconds, call: (&str, &str, Value)| {
        account.seconds(seconds).await;
        account.call(call.0, call.1, call.2).await;
        account.mailerlite.person("ann@x.io").unwrap().updated_at
    };
    let name = json!({ "fields": { "name": "Ann" } });
    assert_eq!(moved(10, ("PUT", &path, name.clone())).await, "2026-03-01 00:00:10");
    assert_eq!(moved(10, ("PUT", &path, name)).await, "2026-03-01 00:00:10");
    let member = format!("{path}/groups/{group}");
    assert_eq!(moved(10, ("POST", &member, Value::Null)).await, "2026-03-01 00:00:30");
    assert_eq!(moved(10, ("POST", &member, Value::Null)).await, "2026-03-01 00:00:30");
    assert_eq!(moved(10, ("DELETE", &member, Value::Null)).await, "2026-03-01 00:00:50");
}

#[tokio::test]
async fn a_put_may_change_the_address_and_keeps_the_person() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    let id = account.add("old@x.io").await;
    account.add("taken@x.io").await;
    account.act("old@x.io", Act::Join(group));
    let path = format!("subscribers/{id}");
    let (status, answer) = account.put(&path, json!({ "email": "New@x.io" })).await;
    assert_eq!((status, &answer["data"]["email"]), (200, &json!("new@x.io")));
    assert_eq!(answer["data"]["groups"][0]["id"], group.to_string());
    assert_eq!(account.get("subscribers/new@x.io").await.1["data"]["id"], id);
    assert_eq!(account.get("subscribers/old@x.io").await.0, 404);
    let (status, answer) = account.put(&path, json!({ "email": "taken@x.io" })).await;
    assert_eq!((status, answer["errors"]["email"].is_array()), (422, true));
    assert_eq!(account.id("new@x.io"), id);
}

#[tokio::test]
async fn groups_are_added_by_a_post_and_replaced_by_a_put() {
    let account = Account::open().await;
    let groups: Vec<u64> = ["A", "B", "C"].map(|name| account.mailerlite.add_group(name)).into();
    let groups_of = || account.mailerlite.person("ann@x.io").unwrap().groups;
    let body = |groups: Value| json!({ "email": "ann@x.io", "groups": groups });
    // An id is a number or its text.
    account.post("subscribers", body(json!([groups[0].to_string()]))).await;
    account.post("subscribers", body(json!([groups[1]]))).await;
    assert_eq!(groups_of(), groups[..2]);
    let path = format!("subscribers/{}", account.id("ann@x.io"));
    account.put(&path, json!({ "fields": { "city": "Ulm" } })).await;
    assert_eq!(groups_of(), groups[..2]);
    account.put(&path, json!({ "groups": [groups[2]] })).await;
    assert_eq!(groups_of(), groups[2..]);
    account.put(&path, json!({ "groups": [] })).await;
    assert!(groups_of().is_empty());
}

#[tokio::test]
async fn what_is_wrong_in_a_subscriber_is_named_by_its_path() {
    let account = Account::open().await;
    account.mailerlite.add_field("Visits", syncline::demo::mailerlite::FieldKind::Number);
    let cases = [
        (json!({ "fields": {} }), "email"),
        (json!({ "email": "ann" }), "email"),
        (json!({ "email": "ann@x" }), "email"),
        (json!({ "email": "a b@x.io" }), "email"),
        (json!({ "email": 7 }), "email"),
        (json!({ "email": "a@x.io", "fields": "name" }), "fields"),
        (json!({ "email": "a@x.io", "fields": { "visits": "many" } }), "fields.visits"),
        (json!({ "email": "a@x.io", "fields": { "name": "x".repeat(1025) } }), "fields.name"),
        (json!({ "email": "a@x.io", "groups": "1" }), "groups"),
        (json!({ "email": "a@x.io", "groups": [{ "id": "1" }] }), "groups.0"),
        (json!({ "email": "a@x.io", "groups": ["1"] }), "groups.0"),
        (json!({ "email": "a@x.io", "status": "gone" }), "status"),
        (json!({ "email": "a@x.io", "subscribed_at": "2026-03-01" }), "subscribed_at"),
        (json!({ "email": "a@x.io", "ip_address": "here" }), "ip_address"),
    ];
    for (body, path) in cases {
        let (status, answer) = account.post("subscribers", body.clone()).await;
        let text = &answer["errors"][path][0];
        assert_eq!((status, text.is_string(), text), (422, true, &answer["message"]), "{body}");
    }
    assert_eq!(account.mailerlite.total(), 0);
}

#[tokio::test]
async fn a_post_for_somebody_who_left_is_refused_with_the_id() {
    let account = Account::open().await;
    let id = account.add("ann@x.io").await;
    account.act("ann@x.io", Act::Unsubscribe);
    let text = "This subscriber is unsubscribed and cannot be imported";
    let expected = json!({ "message": text, "errors": { "email": [text] }, "subscriber": id });
    for more in [json!({}), json!({ "fields": { "name": "Ann" } }), json!({ "status": "active" })] {
        let mut body = more;
        body["email"] = "ann@x.io".into();
        assert_eq!(account.post("subscribers", body).await, (422, expected.clone()));
    }
    let person = account.mailerlite.person("ann@x.io").unwrap();
    assert_eq!((person.status, person.fields.len()), (Status::Unsubscribed, 0));
}

#[tokio::test]
async fn nobody_is_made_active_by_the_api_who_left_bounced_or_complained() {
    let account = Account::open().await;
    let acts = [
        ("left@x.io", Act::Unsubscribe, Status::Unsubscribed),
        ("bounced@x.io", Act::Bounce, Status::Bounced),
        ("spam@x.io", Act::ReportSpam, Status::Junk),
    ];
    for (email, act, expected) in acts {
        let path = format!("subscribers/{}", account.add(email).await);
        account.act(email, act);
        for status in ["active", "unconfirmed"] {
            let (code, answer) = account.put(&path, json!({ "status": status })).await;
            assert_eq!((code, &answer["data"]["status"]), (200, &json!(expected.name())));
            account.post("subscribers", json!({ "email": email, "status": status })).await;
        }
        assert_eq!(account.status(email), expected);
    }
}

#[tokio::test]
async fn the_api_unsubscribes_and_the_person_comes_back() {
    let account = Account::open().await;
    let path = format!("subscribers/{}", account.add("ann@x.io").await);
    account.seconds(5).await;
    let (_, answer) = account.put(&path, json!({ "status": "unsubscribed" })).await;
    assert_eq!(answer["data"]["unsubscribed_at"], "2026-03-01 00:00:05");
    account.seconds(5).await;
    account.act("ann@x.io", Act::Subscribe);
    let (_, answer) = account.get(&path).await;
    assert_eq!(answer["data"]["status"], "active");
    assert_eq!(answer["data"]["unsubscribed_at"], Value::Null);
    assert_eq!(answer["data"]["subscribed_at"], "2026-03-01 00:00:10");
}

#[tokio::test]
async fn the_deleted_are_gone_and_come_back_under_their_id() {
    let account = Account::open().await;
    let id = account.add("ann@x.io").await;
    account.put(&format!("subscribers/{id}"), json!({ "fields": { "name": "Ann" } })).await;
    let path = format!("subscribers/{id}");
    assert_eq!(account.call("DELETE", &path, Value::Null).await, (204, Value::Null));
    let nobody =
        json!({ "message": "No query results for model [App\\Models\\Subscriber\\Subscriber]." });
    for (method, path) in
        [("DELETE", path.as_str()), ("GET", &path), ("GET", "subscribers/ann@x.io")]
    {
        assert_eq!(account.call(method, path, Value::Null).await, (404, nobody.clone()));
    }
    assert_eq!(account.get("subscribers?limit=0").await.1, json!({ "total": 0 }));
    let (status, answer) = account.post("subscribers", json!({ "email": "ann@x.io" })).await;
    assert_eq!((status, &answer["data"]["id"]), (200, &json!(id)));
    assert_eq!(answer["data"]["fields"]["name"], "Ann");
}

#[tokio::test]
async fn the_forgotten_are_somebody_else_after_thirty_days() {
    const DAY: u64 = 24 * 60 * 60;
    let account = Account::open().await;
    let id = account.add("ann@x.io").await;
    let (status, answer) = account.post(&format!("subscribers/{id}/forget"), Value::Null).await;
    assert_eq!((status, answer["message"].is_string()), (200, true));
    assert_eq!(answer["data"]["deleted_at"], "2026-03-01 00:00:00");
    assert_eq!(answer["data"]["forget_at"], "2026-03-31 00:00:00");
    account.seconds(30 * DAY - 1).await;
    assert!(account.mailerlite.person("ann@x.io").is_some());
    account.seconds(1).await;
    assert_eq!(account.mailerlite.person("ann@x.io"), None);
    assert_ne!(account.add("ann@x.io").await, id);
}

#[tokio::test]
async fn what_is_not_known_of_a_subscriber_is_refused_by_its_name() {
    let account = Account::open().await;
    let id = account.add("ann@x.io").await;
    let post = |more: Value| ("POST", "subscribers".to_owned(), more);
    let cases = [
        (post(json!({ "email": "a@x.io", "resubscribe": true })), "resubscribe in a subscriber"),
        (post(json!({ "email": "a@x.io", "tags": ["x"] })), "tags in a subscriber"),
        (("PUT", "subscribers/ann@x.io".into(), json!({})), "PUT of a subscriber by the address"),
        (
            ("GET", format!("subscribers/{id}?include=groups"), Value::Null),
            "include in a query of this path",
        ),
    ];
    for ((method, path, body), what) in cases {
        assert_eq!(account.call(method, &path, body).await, (400, lacks(what)));
    }
    let (status, answer) = account.get(&format!("subscribers/{id}/activity-log")).await;
    assert_eq!((status, answer), (404, lacks(&format!("GET /api/subscribers/{id}/activity-log"))));
}

#[tokio::test]
async fn nothing_is_told_or_done_without_the_token() {
    let account = Account::open().await;
    let person = json!({ "email": "ann@x.io" });
    for call in [
        account.stranger("POST", "subscribers"),
        account.stranger("POST", "subscribers").bearer_auth("x"),
    ] {
        let answer = call.json(&person).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers().get("x-ratelimit-limit")),
            (401, None)
        );
        assert_eq!(answer.json::<Value>().await.unwrap(), json!({ "message": "Unauthenticated." }));
    }
    assert_eq!(account.mailerlite.total(), 0);
}

#[tokio::test]
async fn any_version_is_served_and_a_body_without_meaning_is_passed_over() {
    let account = Account::open().await;
    let id = account.add("ann@x.io").await;
    let call = |method| {
        let call = account.stranger(method, &format!("subscribers/{id}"));
        call.bearer_auth(account.mailerlite.token()).header("X-Version", "2023-18-04").body("null")
    };
    assert_eq!(call("GET").send().await.unwrap().status(), 200);
    assert_eq!(call("DELETE").send().await.unwrap().status(), 204);
}
