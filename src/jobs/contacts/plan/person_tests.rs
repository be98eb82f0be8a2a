//! Whole people: what each side gets, and what waits for somebody.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::*;
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::mapping::{ConflictPolicy, ImportPolicy, Membership};
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::table::TableName;

fn mapping() -> ContactMapping {
    let group = |group: &str, member| GroupRule { group: group.into(), member, create: false };
    ContactMapping {
        table: TableName::new("public", "clients"),
        email: "email".into(),
        filter: None,
        import: ImportPolicy::Hold,
        create: true,
        status: None,
        erased: None,
        updated: None,
        accept_resubscribe: false,
        fields: vec![FieldRule::plain("first_name", "name"), FieldRule::plain("town", "city")],
        groups: vec![group("Partners", Membership::When("is_partner".into()))],
    }
}

fn id(text: &str) -> MailerLiteId {
    MailerLiteId::parse(text).unwrap()
}

fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn contact(email: &str, values: [&str; 2]) -> Contact {
    Contact {
        id: ContactId::parse("6f9619ff-8b86-d011-b42d-00cf4fc964ff").unwrap(),
        email: Some(email.into()),
        status: MailStatus::Active,
        values: values.map(|value| Some(value.to_owned())).to_vec(),
        members: vec![false],
        is_erased: false,
        updated_at: None,
    }
}

fn subscriber(email: &str, values: [&str; 2]) -> Subscriber {
    let fields = [("name", values[0]), ("city", values[1])];
    Subscriber {
        id: id("131234567890123456"),
        email: email.into(),
        status: MailStatus::Active,
        fields: fields.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).into(),
        groups: Some(BTreeSet::new()),
        subscribed_at: Some(time(0)),
        updated_at: time(0),
    }
}

fn shadow(email: &str, values: [&str; 2], status: MailStatus) -> Shadow {
    let agreed = |value: &str| Agreed { a: Some(value.to_owned()), b: Some(value.to_owned()) };
    let fields = [("name".to_owned(), agreed(values[0])), ("city".to_owned(), agreed(values[1]))];
    Shadow {
        contact: contact(email, values).id,
        subscriber: id("131234567890123456"),
        agreed: AgreedState {
            email: Some(Agreed { a: email.into(), b: email.into() }),
            status: Some(Agreed { a: status, b: status }),
            fields: fields.into(),
            groups: BTreeMap::from([("Partners".to_owned(), false)]),
        },
        agreed_at: time(10),
    }
}

fn planned(a: &Contact, b: &Subscriber, shadow: Option<&Shadow>) -> PersonPlan {
    plan(&mapping(), &[Some(id("7"))], &Person { a, b, shadow })
}

fn set(name: &str, value: &str) -> Vec<(String, Option<String>)> {
    vec![(name.to_owned(), Some(value.to_owned()))]
}

const ANN: &str = "ann@example.com";

#[test]
fn an_echo_of_our_own_write_changes_nothing() {
    let shadow = shadow(ANN, ["Ann", "Oslo"], MailStatus::Active);
    let b = Subscriber { updated_at: time(99), ..subscriber(ANN, ["Ann", "Oslo"]) };
    let plan = planned(&contact("Ann@Example.com", ["Ann", "Oslo"]), &b, Some(&shadow));
    assert_eq!(plan, PersonPlan::default());
}

#[test]
fn different_fields_that_both_sides_changed_go_both_ways() {
    let shadow = shadow(ANN, ["A", "X"], MailStatus::Active);
    let plan = planned(&contact(ANN, ["B", "X"]), &subscriber(ANN, ["A", "Y"]), Some(&shadow));
    assert_eq!((plan.to_b, plan.to_a), (set("name", "B"), set("town", "Y")));
    assert!(plan.conflicts.is_empty());
}

#[test]
fn one_conflict_holds_its_own_field_alone() {
    let shadow = shadow(ANN, ["A", "X"], MailStatus::Active);
    let plan = planned(&contact(ANN, ["B", "Y"]), &subscriber(ANN, ["C", "X"]), Some(&shadow));
    let conflict = Conflict {
        kind: ConflictKind::BothChanged,
        subject: "name".into(),
        base: Some("A".into()),
        a: Some("B".into()),
        b: Some("C".into()),
    };
    assert_eq!(plan.conflicts, [conflict]);
    assert_eq!((plan.to_b, plan.to_a), (set("city", "Y"), vec![]));
}

#[test]
fn a_person_who_unsubscribed_there_joins_no_group_and_is_opted_out_here() {
    let shadow = shadow(ANN, ["Ann", "Oslo"], MailStatus::Active);
    let a = Contact { members: vec![true], ..contact(ANN, ["Ann", "Oslo"]) };
    let b = Subscriber { status: MailStatus::Unsubscribed, ..subscriber(ANN, ["Ann", "Oslo"]) };
    let plan = planned(&a, &b, Some(&shadow));
    assert_eq!(plan.status_to_a, Some(MailStatus::Unsubscribed));
    assert!(!plan.writes_b(), "{plan:?}");
}

#[test]
fn a_person_who_opted_out_here_is_unsubscribed_there() {
    let shadow = shadow(ANN, ["Ann", "Oslo"], MailStatus::Active);
    let a = Contact { status: MailStatus::Unsubscribed, ..contact(ANN, ["Ann", "Oslo"]) };
    let plan = planned(&a, &subscriber(ANN, ["Ann", "Oslo"]), Some(&shadow));
    assert!(plan.unsubscribe && !plan.writes_a());
}

#[test]
fn a_person_who_came_back_there_waits_for_somebody() {
    let shadow = shadow(ANN, ["Ann", "Oslo"], MailStatus::Unsubscribed);
    let a = Contact { status: MailStatus::Unsubscribed, ..contact(ANN, ["Ann", "Oslo"]) };
    let b = Subscriber { subscribed_at: Some(time(11)), ..subscriber(ANN, ["Ann", "Oslo"]) };
    let plan = planned(&a, &b, Some(&shadow));
    assert_eq!(plan.conflicts[0].kind, ConflictKind::Resubscribed);
    assert!(plan.is_quiet());
    let stale = Subscriber { subscribed_at: Some(time(9)), ..b };
    assert!(planned(&a, &stale, Some(&shadow)).unsubscribe);
}

#[test]
fn a_new_address_here_goes_there_in_its_spelling() {
    let shadow = shadow(ANN, ["Ann", "Oslo"], MailStatus::Active);
    let a = contact("Ann.New@example.com", ["Ann", "Oslo"]);
    let plan = planned(&a, &subscriber(ANN, ["Ann", "Oslo"]), Some(&shadow));
    assert_eq!(plan.email_to_b.as_deref(), Some("Ann.New@example.com"));
    let plan = planned(&a, &subscriber("other@example.com", ["Ann", "Oslo"]), Some(&shadow));
    assert_eq!(plan.conflicts[0].subject, "email");
    assert!(plan.is_quiet());
}

#[test]
fn only_managed_groups_are_left_and_joined() {
    let mut b = subscriber(ANN, ["Ann", "Oslo"]);
    b.groups = Some(BTreeSet::from([id("7"), id("8")]));
    let plan = planned(&contact(ANN, ["Ann", "Oslo"]), &b, None);
    assert_eq!((plan.leaves, plan.joins), (vec![id("7")], vec![]));
    b.groups = None;
    let member = Contact { members: vec![true], ..contact(ANN, ["Ann", "Oslo"]) };
    assert!(planned(&member, &b, None).is_quiet(), "groups that were not told are not guessed");
}

#[test]
fn the_newest_record_wins_where_the_rule_says_so() {
    let mut mapping = mapping();
    mapping.fields[0].conflict = ConflictPolicy::Newest;
    let shadow = shadow(ANN, ["A", "X"], MailStatus::Active);
    let a = Contact { updated_at: Some(time(20)), ..contact(ANN, ["B", "X"]) };
    let b = Subscriber { updated_at: time(19), ..subscriber(ANN, ["C", "X"]) };
    let person = Person { a: &a, b: &b, shadow: Some(&shadow) };
    assert_eq!(plan(&mapping, &[None], &person).to_b, set("name", "B"));
    let tie = Contact { updated_at: Some(time(19)), ..a };
    let person = Person { a: &tie, b: &b, shadow: Some(&shadow) };
    assert_eq!(plan(&mapping, &[None], &person).conflicts.len(), 1);
}
