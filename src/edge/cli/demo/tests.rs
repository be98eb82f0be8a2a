//! Outcomes that the demo must not believe.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::caller::HttpAnswer;
use super::contacts::comparison::{Disagreements, compare};
use super::steps::{check_equal, check_refused, check_written, expected};
use crate::demo::compare::ComparedTable;
use crate::demo::data::{ChangeKind, TABLES, TableChange};
use crate::demo::mailerlite::{PersonView, Status};
use crate::demo::people::Client;

fn response(status: StatusCode, body: &Value) -> HttpAnswer {
    HttpAnswer { status, body: body.to_string(), duration: Duration::ZERO }
}

/// An answer that says that 3 flights were inserted and 2 updated.
fn body() -> Value {
    let flights = json!({ "inserted": 3, "updated": 2, "unchanged": 7 });
    let planes = json!({ "inserted": 0, "updated": 0, "unchanged": 1 });
    json!({
        "success": true, "message": "Synced 5 rows", "type": "scheduled", "done": true, "duration_ms": 9,
        "statistics": {
            "total_records": 5,
            "tables": { "public.flights": flights, "public.planes": planes },
        },
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut body = body();
    body[key] = value;
    body
}

fn all_equal() -> Vec<ComparedTable> {
    let compared = |table: &str| ComparedTable {
        table: table.to_owned(),
        source_rows: 1,
        target_rows: 1,
        equal: true,
    };
    TABLES.map(compared).to_vec()
}

#[test]
fn equality_is_claimed_for_tables_that_are_all_there_and_equal_and_not_empty() {
    let broken = |with: fn(&mut Vec<ComparedTable>)| {
        let mut compared = all_equal();
        with(&mut compared);
        check_equal(&compared)
    };

    assert!(check_equal(&all_equal()).is_ok());
    assert!(broken(|found| found[4].equal = false).is_err());
    assert!(broken(|found| found[4].source_rows = 0).is_err());
    assert!(broken(|found| drop(found.pop())).is_err());
}

#[test]
fn a_sync_counts_as_done_if_status_and_body_say_so() {
    let cases = [
        (StatusCode::OK, body(), true),
        (StatusCode::OK, with("success", json!(false)), false),
        (StatusCode::OK, with("done", json!(false)), false),
        (StatusCode::OK, json!({ "status": "ok" }), false),
        (StatusCode::INTERNAL_SERVER_ERROR, body(), false),
    ];

    for (status, body, is_done) in cases {
        assert_eq!(response(status, &body).finished_sync().is_ok(), is_done, "{status} {body}");
    }
}

#[test]
fn the_answer_must_count_the_rows_that_were_changed_no_more_and_no_fewer() {
    let answer = response(StatusCode::OK, &body()).finished_sync().unwrap();
    let inserted = |rows| TableChange { table: "flights", kind: ChangeKind::Inserted, rows };
    let updated = TableChange { table: "flights", kind: ChangeKind::Updated, rows: 2 };
    let airline = TableChange { table: "airlines", kind: ChangeKind::Inserted, rows: 1 };
    let cases = [
        (vec![inserted(1), updated.clone(), inserted(2)], true),
        (vec![inserted(5)], false),
        (vec![inserted(2), updated.clone()], false),
        (vec![inserted(3), updated, airline], false),
        (vec![], false),
    ];

    for (changed, is_right) in cases {
        assert_eq!(
            check_written(&answer.statistics, expected(&changed)).is_ok(),
            is_right,
            "{changed:?}"
        );
    }
}

#[test]
fn the_sum_must_fit_the_tables() {
    let mut body = body();
    body["statistics"]["total_records"] = json!(6);
    let changed = [
        TableChange { table: "flights", kind: ChangeKind::Inserted, rows: 3 },
        TableChange { table: "flights", kind: ChangeKind::Updated, rows: 2 },
    ];

    let answer = response(StatusCode::OK, &body).finished_sync().unwrap();

    assert!(check_written(&answer.statistics, expected(&changed)).is_err());
}

#[test]
fn a_refusal_is_401_and_nothing_else() {
    let refusal = |status| check_refused(&response(status, &json!({})));

    assert!(refusal(StatusCode::UNAUTHORIZED).is_ok());
    assert!(refusal(StatusCode::OK).is_err());
    assert!(refusal(StatusCode::INTERNAL_SERVER_ERROR).is_err());
}

#[test]
fn people_are_in_step_if_values_and_consent_are_the_same_on_both_sides() {
    let found = |name: &str, consent: &str, status: Status| {
        let text = |text: &str| Some(text.to_owned());
        let email = "ann@example.com".to_owned();
        let person = PersonView {
            id: 1,
            email: email.clone(),
            status,
            fields: [("name".to_owned(), "Ann".to_owned())].into(),
            groups: vec![],
            updated_at: String::new(),
            is_deleted: false,
        };
        let client = Client { email, name: text(name), city: None, status: text(consent) };
        let Disagreements { values, consent } =
            compare(vec![client], &[("ann@example.com".to_owned(), person)].into());
        (values.len(), consent.len())
    };

    assert_eq!(found("Ann", "subscribed", Status::Active), (0, 0));
    assert_eq!(found("Ann", "unsubscribed", Status::Unsubscribed), (0, 0));
    assert_eq!(found("Anna", "subscribed", Status::Active), (1, 0));
    assert_eq!(found("Ann", "subscribed", Status::Unsubscribed), (0, 1));
    assert_eq!(found("Ann", "unsubscribed", Status::Active), (0, 1));
}
