//! The switches for what MailerLite does not document: each in its other position.

use serde_json::json;
use syncline::demo::mailerlite::{Act, Oversize, Seed, Status, UnconfirmedActive, UpsertBatch};

use super::account::{Account, emails};
use super::imports::progress;

#[tokio::test]
async fn a_page_may_have_a_hundred_at_most_and_a_larger_one_be_cut() {
    for (oversize, expected) in [(Oversize::Refused, 422), (Oversize::Clamped, 200)] {
        let account = Account::with_variants(|variants| {
            (variants.largest_page, variants.oversize) = (100, oversize);
        });
        let account = account.await;
        account.mailerlite.seed((0..101).map(|number| Seed::new(format!("p{number}@x.io"))));
        assert_eq!(emails(&account.get("subscribers?limit=100").await.1).len(), 100);
        let (status, page) = account.get("subscribers?limit=1000").await;
        assert_eq!(status, expected);
        if status == 200 {
            assert_eq!((emails(&page).len(), &page["meta"]["per_page"]), (100, &json!(100)));
        }
    }
}

#[tokio::test]
async fn a_list_may_have_the_active_alone_and_the_count_not() {
    let account = Account::with_variants(|variants| variants.lists_active_only = true).await;
    account.seed(&["a@x.io", "b@x.io"]);
    account.act("b@x.io", Act::Unsubscribe);
    assert_eq!(emails(&account.get("subscribers").await.1), ["a@x.io"]);
    assert_eq!(account.get("subscribers?limit=0").await.1, json!({ "total": 2 }));
}

#[tokio::test]
async fn a_batch_of_upserts_may_become_an_import() {
    let choose =
        |v: &mut syncline::demo::mailerlite::Variants| v.upsert_batch = UpsertBatch::ImportLink;
    let account = Account::with_variants(choose).await;
    account.seed(&["left@x.io"]);
    account.act("left@x.io", Act::Unsubscribe);
    let add = |email: &str| json!({ "method": "POST", "path": "api/subscribers", "body": { "email": email } });
    let requests = json!({ "requests": [add("new@x.io"), add("left@x.io")] });
    let (status, answer) = account.post("batch", requests).await;
    assert_eq!((status, account.mailerlite.person("new@x.io")), (200, None));
    account.seconds(1).await;
    let (_, answer) = account.get(&progress(&account, &answer)).await;
    let counts =
        ["total", "imported", "unsubscribed_count"].map(|name| answer["data"][name].clone());
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(account.status("new@x.io"), Status::Active);
}

#[tokio::test]
async fn a_post_for_somebody_who_left_may_pass_and_the_status_stays() {
    let account =
        Account::with_variants(|variants| variants.post_refuses_unsubscribed = false).await;
    account.seed(&["ann@x.io"]);
    account.act("ann@x.io", Act::Unsubscribe);
    let body = json!({ "email": "ann@x.io", "status": "active", "fields": { "name": "Ann" } });
    let (status, answer) = account.post("subscribers", body).await;
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("unsubscribed")));
    assert_eq!(answer["data"]["fields"]["name"], "Ann");
}

#[tokio::test]
async fn a_put_for_somebody_who_left_passes_or_is_refused() {
    for (refuses, expected) in [(false, 200), (true, 422)] {
        let account = Account::with_variants(|v| v.put_refuses_unsubscribed = refuses).await;
        account.seed(&["ann@x.io"]);
        account.act("ann@x.io", Act::Unsubscribe);
        let path = format!("subscribers/{}", account.id("ann@x.io"));
        let (status, answer) = account.put(&path, json!({ "fields": { "name": "Ann" } })).await;
        assert_eq!(status, expected, "{answer}");
        assert_eq!(
            account.mailerlite.person("ann@x.io").unwrap().fields.len(),
            usize::from(!refuses)
        );
    }
}

#[tokio::test]
async fn with_double_opt_in_people_begin_unconfirmed_and_confirm_by_themselves() {
    let account = Account::with_variants(|variants| variants.double_opt_in = true).await;
    let (_, answer) = account.post("subscribers", json!({ "email": "ann@x.io" })).await;
    assert_eq!(answer["data"]["status"], "unconfirmed");
    assert_eq!(answer["data"]["subscribed_at"], json!(null));
    let path = format!("subscribers/{}", account.id("ann@x.io"));
    account.put(&path, json!({ "status": "active" })).await;
    assert_eq!(account.status("ann@x.io"), Status::Unconfirmed);
    account.seconds(7).await;
    account.act("ann@x.io", Act::Subscribe);
    let (_, answer) = account.get(&path).await;
    assert_eq!(answer["data"]["subscribed_at"], "2026-03-01 00:00:07");
}

#[tokio::test]
async fn an_explicit_active_may_override_double_opt_in() {
    let account = Account::with_variants(|variants| {
        variants.double_opt_in = true;
        variants.unconfirmed_active = UnconfirmedActive::Obeyed;
    });
    let account = account.await;
    account.post("subscribers", json!({ "email": "a@x.io" })).await;
    account.post("subscribers", json!({ "email": "b@x.io", "status": "active" })).await;
    assert_eq!(account.status("a@x.io"), Status::Unconfirmed);
    assert_eq!(account.status("b@x.io"), Status::Active);
    account.post("subscribers", json!({ "email": "a@x.io", "status": "active" })).await;
    assert_eq!(account.status("a@x.io"), Status::Active);
}

#[tokio::test]
async fn an_unknown_field_is_ignored_or_refused() {
    for (refuses, expected) in [(false, 201), (true, 422)] {
        let account = Account::with_variants(|v| v.refuses_unknown_fields = refuses).await;
        let body = json!({ "email": "ann@x.io", "fields": { "shoe_size": 42, "name": "Ann" } });
        let (status, answer) = account.post("subscribers", body).await;
        assert_eq!(status, expected, "{answer}");
        let fields = &answer["data"]["fields"];
        assert!(refuses || fields["name"] == "Ann" && fields["shoe_size"].is_null(), "{answer}");
    }
}

#[tokio::test]
async fn the_path_of_a_call_in_a_batch_may_have_a_query_or_not() {
    for (may_have, expected) in [(true, 200), (false, 422)] {
        let account = Account::with_variants(|v| v.batch_paths_have_queries = may_have).await;
        let request = json!({ "method": "GET", "path": "api/subscribers?limit=0" });
        let (status, answer) = account.post("batch", json!({ "requests": [request] })).await;
        assert_eq!(status, expected, "{answer}");
        assert!(!may_have || answer["responses"][0]["body"] == json!({ "total": 0 }), "{answer}");
    }
}
