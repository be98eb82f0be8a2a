//! Parts of a batch: what is sent, and what each answer means.

use serde_json::json;

use super::*;

fn id(text: &str) -> MailerLiteId {
    MailerLiteId::parse(text).unwrap()
}

fn create() -> SubscriberWrite {
    SubscriberWrite::Create { email: "ann@example.com".into(), fields: vec![] }
}

fn update() -> SubscriberWrite {
    SubscriberWrite::Update { id: id("1"), email: None, fields: vec![], unsubscribe: false }
}

fn join() -> SubscriberWrite {
    SubscriberWrite::Join { id: id("1"), group: id("7") }
}

fn leave() -> SubscriberWrite {
    SubscriberWrite::Leave { id: id("1"), group: id("7") }
}

fn response(code: u16, body: Value) -> Response {
    Response(Some(Part { code, body }))
}

fn ann() -> Value {
    json!({"data": {
        "id": "1", "email": "ann@example.com", "status": "active", "fields": {}, "groups": [],
        "updated_at": "2024-05-28 10:30:29",
    }})
}

#[test]
fn each_answer_is_judged_by_its_own_status() {
    let unsubscribed = json!({
        "message": "…", "subscriber": "9",
        "errors": {"email": ["This subscriber is unsubscribed and cannot be imported"]},
    });
    let invalid = json!({"message": "Invalid", "errors": {"fields.age": ["must be a number"]}});
    let cases = [
        (create(), 422, unsubscribed, Verdict::Unsubscribed(Some(id("9")))),
        (update(), 422, invalid, Verdict::Rejected("fields.age: must be a number".into())),
        (update(), 404, json!({"message": "gone"}), Verdict::Missing),
        (update(), 200, json!({"data": {}}), Verdict::Unknown),
        (update(), 429, json!(null), Verdict::Later),
        (update(), 503, json!(null), Verdict::Later),
        (update(), 302, json!(null), Verdict::Unknown),
        (join(), 201, json!({"data": {}}), Verdict::Done),
        (join(), 422, json!({"message": "no such group"}), Verdict::Missing),
        (leave(), 204, json!(null), Verdict::Done),
        (leave(), 404, json!({"message": ""}), Verdict::Done),
        (SubscriberWrite::Forget { id: id("1") }, 404, json!(null), Verdict::Done),
    ];
    for (write, code, body, verdict) in cases {
        assert_eq!(response(code, body).verdict(&write), verdict, "{write:?} {code}");
    }
    let saved = response(201, ann()).verdict(&create());
    assert!(matches!(saved, Verdict::Saved(found) if found.id == id("1")));
}

#[test]
fn an_answer_of_another_length_or_form_is_no_verdict() {
    let two = br#"{"total":2,"responses":[{"code":200,"body":{}},{"code":204,"body":null}]}"#;
    let verdicts = |body: &[u8], count| -> Vec<Verdict> {
        responses(body, count).into_iter().map(|answer| answer.verdict(&leave())).collect()
    };
    assert_eq!(verdicts(two, 2), [Verdict::Done, Verdict::Done]);
    assert_eq!(verdicts(two, 3), [Verdict::Unknown, Verdict::Unknown, Verdict::Unknown]);
    assert_eq!(verdicts(br#"{"import_progress_url":"/7"}"#, 1), [Verdict::Unknown]);
    assert_eq!(verdicts(br#"{"responses":[{"status":204}]}"#, 1), [Verdict::Unknown]);
}

#[test]
fn neither_groups_nor_a_status_are_sent_that_nobody_asked_for() {
    let body = |write: &SubscriberWrite| writing(write)["body"].clone();
    assert_eq!(body(&create()), json!({"email": "ann@example.com", "fields": {}}));
    assert_eq!(body(&update()), json!({}));
    let unsubscribe = SubscriberWrite::Update {
        id: id("1"),
        email: Some("new@example.com".into()),
        fields: vec![("name".into(), Some("Ann".into())), ("city".into(), None)],
        unsubscribe: true,
    };
    let expected = json!({
        "email": "new@example.com", "fields": {"name": "Ann", "city": null},
        "status": "unsubscribed",
    });
    assert_eq!(body(&unsubscribe), expected);
}

#[test]
fn an_address_is_one_part_of_a_path_whatever_it_holds() {
    let email = SubscriberName::Email(Email::parse("a+b/../c?d@example.com").unwrap());
    assert_eq!(finding(&email)["path"], "api/subscribers/a%2Bb%2F%2E%2E%2Fc%3Fd%40example%2Ecom");
}

#[test]
fn a_subscriber_who_was_not_asked_for_is_not_believed() {
    let name = |email: &str| SubscriberName::Email(Email::parse(email).unwrap());
    let read = |response: Response, name| response.subscriber(&name).unwrap();
    assert!(matches!(read(response(200, ann()), name("ANN@example.com")), Ok(Some(_))));
    assert!(read(response(200, ann()), name("bob@example.com")).is_err());
    assert!(read(response(200, ann()), SubscriberName::Id(id("2"))).is_err());
    assert_eq!(read(response(404, json!(null)), name("ann@example.com")), Ok(None));
    assert!(read(response(500, json!(null)), name("ann@example.com")).is_err());
}

#[test]
fn a_list_that_takes_no_calls_or_answers_no_part_is_everybodys_fault() {
    let name = SubscriberName::Id(id("2"));
    assert!(response(429, json!(null)).subscriber(&name).is_err());
    assert!(Response(None).subscriber(&name).is_err());
}
