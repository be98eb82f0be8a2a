//! The list of subscribers: pages, cursors, filters and counts.

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Act, Seed, Status};

use super::account::{Account, emails, lacks, text};

fn numbered(count: usize) -> impl Iterator<Item = Seed> {
    (1..=count).map(|number| Seed::new(format!("p{number}@x.io")))
}

#[tokio::test]
async fn the_newest_come_first_and_the_cursor_goes_on_after_them() {
    let account = Account::open().await;
    account.mailerlite.seed(numbered(5));
    let (status, first) = account.get("subscribers?limit=2").await;
    assert_eq!((status, emails(&first)), (200, vec!["p5@x.io", "p4@x.io"]));
    assert_eq!(first["meta"]["per_page"], 2);
    assert_eq!(first["meta"]["prev_cursor"], Value::Null);
    let second = format!("subscribers?limit=2&cursor={}", text(&first["meta"]["next_cursor"]));
    let (_, second) = account.get(&second).await;
    assert_eq!(emails(&second), ["p3@x.io", "p2@x.io"]);
    let third = format!("subscribers?limit=2&cursor={}", text(&second["meta"]["next_cursor"]));
    let (_, third) = account.get(&third).await;
    assert_eq!((emails(&third), &third["meta"]["next_cursor"]), (vec!["p1@x.io"], &Value::Null));
    let back = format!("subscribers?limit=2&cursor={}", text(&third["meta"]["prev_cursor"]));
    let (_, back) = account.get(&back).await;
    assert_eq!(emails(&back), ["p3@x.io", "p2@x.io"]);
}

#[tokio::test]
async fn a_cursor_survives_those_who_come_and_go() {
    let account = Account::open().await;
    account.mailerlite.seed(numbered(4));
    let (_, first) = account.get("subscribers?limit=2").await;
    account.act("p3@x.io", Act::Delete);
    account.act("p2@x.io", Act::Delete);
    account.seed(&["new@x.io"]);
    let next = format!("subscribers?limit=2&cursor={}", text(&first["meta"]["next_cursor"]));
    assert_eq!(emails(&account.get(&next).await.1), ["p1@x.io"]);
}

#[tokio::test]
async fn the_link_to_the_next_page_has_the_cursor_alone() {
    let account = Account::open().await;
    let group = account.mailerlite.add_group("All");
    account.mailerlite.seed(numbered(30).map(|seed| seed.with_group(group)));
    let (_, first) = account.get("subscribers?limit=2&include=groups&filter[status]=active").await;
    let cursor = text(&first["meta"]["next_cursor"]);
    let link = format!("{}/api/subscribers?cursor={cursor}", account.mailerlite.url());
    assert_eq!(first["links"]["next"], link);
    assert_eq!(first["data"][0]["groups"][0]["name"], "All");
    // A client that follows it gets 25 a page, and no groups.
    let (_, followed) = account.get(&format!("subscribers?cursor={cursor}")).await;
    assert_eq!((emails(&followed).len(), &followed["data"][0]["groups"]), (25, &Value::Null));
}

#[tokio::test]
async fn a_status_filters_the_list_and_the_count() {
    let account = Account::open().await;
    account.seed(&["a@x.io", "b@x.io"]);
    account.mailerlite.seed([Seed::new("c@x.io").with_status(Status::Bounced)]);
    let (_, page) = account.get("subscribers?filter[status]=bounced").await;
    assert_eq!(emails(&page), ["c@x.io"]);
    assert_eq!(emails(&account.get("subscribers").await.1), ["c@x.io", "b@x.io", "a@x.io"]);
    for (path, total) in [("limit=0", 3), ("limit=0&filter[status]=active", 2)] {
        let counted = account.get(&format!("subscribers?{path}")).await;
        assert_eq!(counted, (200, json!({ "total": total })), "{path}");
    }
}

#[tokio::test]
async fn a_page_has_at_most_a_thousand() {
    let account = Account::open().await;
    account.mailerlite.seed(numbered(1001));
    assert_eq!(emails(&account.get("subscribers?limit=1000").await.1).len(), 1000);
    assert_eq!(account.get("subscribers?limit=1001").await.0, 422);
}

#[tokio::test]
async fn what_a_list_does_not_know_is_refused_and_the_page_number_ignored() {
    let account = Account::open().await;
    account.seed(&["a@x.io"]);
    assert_eq!(emails(&account.get("subscribers?page=7").await.1), ["a@x.io"]);
    for (query, errors) in [
        ("include=fields", "include"),
        ("filter[status]=gone", "filter.status"),
        ("limit=x", "limit"),
    ] {
        let (status, answer) = account.get(&format!("subscribers?{query}")).await;
        assert_eq!((status, answer["errors"][errors].is_array()), (422, true), "{query}");
    }
    for (query, what) in [
        ("filter[email]=a@x.io", "filter[email] in a query of this path"),
        ("sort=email", "sort in a query of this path"),
        ("cursor=abc", "cursor that it did not give out"),
    ] {
        assert_eq!(account.get(&format!("subscribers?{query}")).await, (400, lacks(what)));
    }
}
