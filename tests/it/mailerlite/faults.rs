//! Faults that a test orders, each for one call.

use serde_json::{Value, json};
use syncline::demo::mailerlite::{Fault, Options};

use super::account::Account;

fn person(email: &str) -> Value {
    json!({ "email": email })
}

#[tokio::test]
async fn the_nth_call_is_lost_after_it_took_effect_and_no_other() {
    let account = Account::open().await;
    account.mailerlite.faults().order(2, Fault::LostAnswer);
    let mut arrived = Vec::new();
    for email in ["a@x.io", "b@x.io", "c@x.io"] {
        arrived.push(account.try_call("POST", "subscribers", person(email)).await.is_ok());
    }
    assert_eq!(arrived, [true, false, true]);
    assert_eq!((account.mailerlite.total(), account.mailerlite.requests()), (3, 3));
}

#[tokio::test]
async fn a_call_that_is_lost_on_its_way_does_nothing() {
    let account = Account::open().await;
    account.mailerlite.faults().order(1, Fault::LostCall);
    assert!(account.try_call("POST", "subscribers", person("a@x.io")).await.is_err());
    assert_eq!(account.mailerlite.total(), 0);
}

#[tokio::test]
async fn a_status_that_was_ordered_is_given_and_nothing_done() {
    let account = Account::open().await;
    account.mailerlite.faults().order(1, Fault::Status(503));
    account.mailerlite.faults().order(2, Fault::Throttled { retry_after: 119 });
    assert_eq!(account.post("subscribers", person("a@x.io")).await.0, 503);
    let answer = account.send("GET", "fields").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (429, &"119".parse().unwrap())
    );
    assert_eq!(account.mailerlite.total(), 0);
    assert_eq!(account.post("subscribers", person("a@x.io")).await.0, 201);
}

#[tokio::test]
async fn a_doubled_call_takes_effect_twice_and_its_second_answer_comes() {
    let account = Account::open().await;
    account.mailerlite.faults().order(1, Fault::Doubled);
    assert_eq!(account.post("subscribers", person("a@x.io")).await.0, 200);
    account.mailerlite.faults().order(1, Fault::Doubled);
    account.post("groups", json!({ "name": "Twins" })).await;
    assert_eq!(account.get("groups").await.1["meta"]["total"], 2);
    assert_eq!((account.mailerlite.total(), account.mailerlite.requests()), (1, 3));
}

#[tokio::test]
async fn orders_that_no_call_has_met_are_forgotten() {
    let account = Account::open().await;
    account.mailerlite.faults().order(1, Fault::Status(500));
    account.mailerlite.faults().clear();
    assert_eq!(account.post("subscribers", person("a@x.io")).await.0, 201);
}

#[tokio::test]
async fn calls_take_time_on_a_clock_that_stands() {
    let call_time = std::time::Duration::from_millis(200);
    let account = Account::with(Options { call_time, ..Account::options() }).await;
    let begin = account.mailerlite.now();
    for _ in 0..5 {
        account.send("GET", "fields").await;
    }
    let calls = account.mailerlite.calls();
    assert_eq!(account.mailerlite.now().duration_since(begin).unwrap().as_millis(), 1000);
    assert_eq!(calls[1].at.duration_since(calls[0].at).unwrap(), call_time);
    assert_eq!((calls[0].method.as_str(), calls[0].target.as_str()), ("GET", "/api/fields"));
}
