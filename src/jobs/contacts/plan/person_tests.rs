//! Whole people: what each side gets, and what waits for somebody.

use std::collections::BTreeSet;

use super::super::samples::{contact, id, mapping, shadow, subscriber, time};
use super::*;
use crate::engine::model::contacts::mapping::ConflictPolicy;

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
