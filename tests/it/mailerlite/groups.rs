//! Groups and their members.

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, Seed, Status};

use super::account::{Account, emails, lacks, text};

#[tokio::test]
async fn a_group_is_told_with_its_members_by_status() {
    let account = Account::open().await;
    let (status, answer) = account.post("groups", json!({ "name": "Partners" })).await;
    let id = text(&answer["data"]["id"]);
    let group: u64 = id.parse().unwrap();
    let rate = json!({ "float": 0, "string": "0%" });
    let mut expected = json!({
        "id": id,
        "name": "Partners",
        "active_count": 0,
        "sent_count": 0,
        "opens_count": 0,
        "open_rate": rate,
        "clicks_count": 0,
        "click_rate": rate,
        "unsubscribed_count": 0,
        "unconfirmed_count": 0,
        "bounced_count": 0,
        "junk_count": 0,
        "created_at": "2026-03-01 00:00:00",
    });
    assert_eq!((status, &answer["data"]), (201, &expected));
    let names = ["a@x.io", "b@x.io", "c@x.io"];
    account.mailerlite.seed(names.map(|name| Seed::new(name).with_group(group)));
    account.act("b@x.io", Act::Bounce);
    account.act("c@x.io", Act::Delete);
    (expected["active_count"], expected["bounced_count"]) = (1.into(), 1.into());
    assert_eq!(account.get("groups").await.1["data"], json!([expected]));
}

#[tokio::test]
async fn groups_are_found_by_a_part_of_their_name_and_come_in_pages() {
    let account = Account::open().await;
    for name in ["Partners", "Newsletter", "Former partners"] {
        account.mailerlite.add_group(name);
    }
    let names = async |query: &str| {
        let (_, page) = account.get(&format!("groups?{query}")).await;
        let rows = page["data"].as_array().unwrap().clone();
        rows.iter().map(|row| text(&row["name"])).collect::<Vec<_>>()
    };
    assert_eq!(names("filter[name]=PARTNER").await, ["Partners", "Former partners"]);
    assert_eq!(names("sort=name").await, ["Former partners", "Newsletter", "Partners"]);
    assert_eq!(names("limit=2&page=2").await, ["Former partners"]);
    let (_, page) = account.get("groups?limit=2&page=2").await;
    let meta = &page["meta"];
    let place = [&meta["current_page"], &meta["last_page"], &meta["from"], &meta["total"]];
    assert_eq!(place, [2, 2, 3, 3]);
    assert_eq!(page["links"]["prev"], format!("{}/api/groups?page=1", account.mailerlite.url()));
}

#[tokio::test]
async fn two_groups_may_have_one_name_and_a_name_has_a_length() {
    let account = Account::open().await;
    for expected in [201, 201] {
        assert_eq!(account.post("groups", json!({ "name": "Twins" })).await.0, expected);
    }
    for name in [json!("x".repeat(256)), json!(""), Value::Null] {
        let (status, answer) = account.post("groups", json!({ "name": name })).await;
        assert_eq!((status, answer["errors"]["name"].is_array()), (422, true), "{name}");
    }
}

#[tokio::test]
async fn a_group_is_renamed_and_deleted_and_its_members_stay() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Old");
    account.mailerlite.seed([Seed::new("ann@x.io").with_group(group)]);
    let path = format!("groups/{group}");
    let (status, answer) = account.put(&path, json!({ "name": "New" })).await;
    assert_eq!((status, &answer["data"]["name"]), (200, &json!("New")));
    assert_eq!(account.call("DELETE", &path, Value::Null).await.0, 204);
    assert!(account.mailerlite.person("ann@x.io").unwrap().groups.is_empty());
    for method in ["PUT", "DELETE"] {
        assert_eq!(account.call(method, &path, json!({ "name": "X" })).await.0, 404);
    }
}

#[tokio::test]
async fn people_join_and_leave_groups() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    let id = account.add("ann@x.io").await;
    let path = format!("subscribers/{id}/groups/{group}");
    let (status, answer) = account.post(&path, Value::Null).await;
    // The counts of the answer lag.
    assert_eq!((status, &answer["data"]["active_count"]), (201, &json!(0)));
    let (status, answer) = account.post(&path, Value::Null).await;
    assert_eq!((status, &answer["data"]["active_count"]), (200, &json!(1)));
    assert_eq!(account.call("DELETE", &path, Value::Null).await, (204, Value::Null));
    let absent = (404, json!({ "message": "" }));
    assert_eq!(account.call("DELETE", &path, Value::Null).await, absent);
    let unknown = account.post(&format!("subscribers/{id}/groups/1"), Value::Null).await;
    assert_eq!((unknown.0, unknown.1["errors"]["id"].is_array()), (422, true));
    assert_eq!(account.post(&format!("subscribers/1/groups/{group}"), Value::Null).await.0, 404);
}

#[tokio::test]
async fn the_members_of_a_group_are_the_active_ones_unless_asked() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("Partners");
    let member = |email: &str| Seed::new(email).with_group(group);
    account.mailerlite.seed([member("a@x.io"), member("b@x.io"), Seed::new("c@x.io")]);
    account.mailerlite.seed([member("d@x.io").with_status(Status::Unsubscribed)]);
    let path = format!("groups/{group}/subscribers");
    let (_, page) = account.get(&format!("{path}?limit=1")).await;
    assert_eq!((emails(&page), &page["meta"]["per_page"]), (vec!["b@x.io"], &json!(1)));
    let next = format!("{path}?cursor={}", text(&page["meta"]["next_cursor"]));
    assert_eq!(emails(&account.get(&next).await.1), ["a@x.io"]);
    let left = format!("{path}?filter[status]=unsubscribed");
    assert_eq!(emails(&account.get(&left).await.1), ["d@x.io"]);
    assert_eq!(account.get("groups/1/subscribers").await.0, 404);
    let count = account.get(&format!("{path}?limit=0")).await;
    assert_eq!(count, (400, lacks("limit=0 for the members of a group")));
}
