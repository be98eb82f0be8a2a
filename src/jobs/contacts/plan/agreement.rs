//! The state that both sides agree on once a person's changes are made, and the changes of the row.

use std::collections::BTreeSet;

use super::person::{Person, PersonPlan};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::mapping::{ContactMapping, StatusColumn};
use crate::engine::model::contacts::shadow::{Agreed, AgreedState};
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::jobs::contacts::ports::ColumnChange;

/// Takes out of a plan what the direction does not allow, and a status that the row cannot hold.
/// Returns the keys of fields, and `email`, on which the sides do not agree therefore. An opt-out
/// goes both ways.
pub fn restrict(
    mapping: &ContactMapping,
    plan: &mut PersonPlan,
    direction: SyncDirection,
) -> BTreeSet<String> {
    let mut withheld = BTreeSet::new();
    if !direction.writes_a() {
        let is_written = |column: &str| plan.to_a.iter().any(|(name, _)| name == column);
        let rules = mapping.fields.iter().filter(|rule| is_written(&rule.column));
        withheld.extend(rules.map(|rule| rule.field.clone()));
        plan.to_a.clear();
        plan.memberships_to_a.clear();
        withheld.extend(plan.email_to_a.take().map(|_| "email".to_owned()));
    }
    if !direction.writes_b() {
        withheld.extend(plan.to_b.drain(..).map(|(field, _)| field));
        withheld.extend(plan.email_to_b.take().map(|_| "email".to_owned()));
        plan.joins.clear();
        plan.leaves.clear();
    }
    plan.status_to_a = plan.status_to_a.filter(|status| {
        mapping.status.as_ref().is_some_and(|column| consent(column, *status).is_some())
    });
    withheld
}

/// The text of a status in the column of the consent, and the status that it is read as.
pub fn consent(column: &StatusColumn, status: MailStatus) -> Option<(&str, MailStatus)> {
    let unsubscribed = Some((&column.unsubscribed[..], MailStatus::Unsubscribed));
    match status {
        MailStatus::Active => column.active.as_deref().map(|text| (text, status)),
        MailStatus::Unconfirmed => None,
        MailStatus::Unsubscribed => unsubscribed,
        MailStatus::Bounced => column.bounced.as_deref().map(|text| (text, status)),
        MailStatus::Junk => column.junk.as_deref().map(|text| (text, status)).or(unsubscribed),
    }
}

/// The changes of the row, each with the value that it was decided on.
pub fn row_changes(
    mapping: &ContactMapping,
    row: &Contact,
    plan: &PersonPlan,
) -> Vec<ColumnChange> {
    let mut changes = Vec::new();
    let mut change = |column: &str, was: Option<String>, value: Option<String>| {
        changes.push(ColumnChange { column: column.to_owned(), value, was });
    };
    for (rule, was) in mapping.fields.iter().zip(&row.values) {
        if let Some((column, value)) = plan.to_a.iter().find(|(name, _)| *name == rule.column) {
            change(column, was.clone(), value.clone());
        }
    }
    for (rule, was) in mapping.groups.iter().zip(&row.members) {
        let is_of_rule = |name: &str| rule.member.column() == Some(name);
        if let Some((column, value)) =
            plan.memberships_to_a.iter().find(|(name, _)| is_of_rule(name))
        {
            change(column, Some(was.to_string()), Some(value.to_string()));
        }
    }
    if let Some(email) = &plan.email_to_a {
        change(&mapping.email, row.email.clone(), Some(email.clone()));
    }
    if let (Some(status), Some(column)) = (plan.status_to_a, &mapping.status)
        && let Some((text, _)) = consent(column, status)
    {
        change(&column.column, row.consent.clone(), Some(text.to_owned()));
    }
    changes
}

/// The state after the changes. `answer` is the subscriber as MailerLite gave it back: a written
/// value counts as it came back, and every other one as it was decided on.
pub fn agreed(
    mapping: &ContactMapping,
    groups: &[Option<MailerLiteId>],
    person: &Person<'_>,
    plan: &PersonPlan,
    withheld: &BTreeSet<String>,
    answer: Option<&Subscriber>,
) -> AgreedState {
    let base = person.shadow.map(|shadow| shadow.agreed.clone()).unwrap_or_default();
    let mut state = AgreedState { is_gone: false, ..base };
    let answer = answer.unwrap_or(person.b);
    let is_open = |subject: &str| {
        withheld.contains(subject)
            || plan.conflicts.iter().any(|conflict| conflict.subject == subject)
            || plan.set_apart.iter().any(|(field, _)| field == subject)
    };
    let email = plan.email_to_a.as_ref().or(person.a.email.as_ref());
    if let Some(a) = email.filter(|_| !is_open("email")) {
        let b = if plan.email_to_b.is_some() { &answer.email } else { &person.b.email };
        state.email = Some(Agreed { a: a.clone(), b: b.clone() });
    }
    if !is_open("status") {
        let written = plan.status_to_a.zip(mapping.status.as_ref());
        let written = written.and_then(|(status, column)| consent(column, status));
        let a = written.map_or(person.a.status, |(_, status)| status);
        let b = match plan.unsubscribe {
            true => answer.status.max(MailStatus::Unsubscribed),
            false => person.b.status.max(answer.status),
        };
        state.status = Some(Agreed { a, b });
    }
    for (rule, value) in mapping.fields.iter().zip(&person.a.values) {
        if is_open(&rule.field) {
            continue;
        }
        let to_a = plan.to_a.iter().find(|(column, _)| *column == rule.column);
        let to_b = plan.to_b.iter().find(|(field, _)| *field == rule.field);
        let b = match to_b {
            Some(_) => answer.field(&rule.field),
            None => person.b.field(&rule.field),
        };
        let a = to_a.map_or_else(|| value.clone(), |(_, value)| value.clone());
        state.fields.insert(rule.field.clone(), Agreed { a, b: b.map(str::to_owned) });
    }
    agree_on_groups(&mut state, mapping, groups, person, plan);
    state
}

fn agree_on_groups(
    state: &mut AgreedState,
    mapping: &ContactMapping,
    groups: &[Option<MailerLiteId>],
    person: &Person<'_>,
    plan: &PersonPlan,
) {
    let Some(memberships) = &person.b.groups else { return };
    for ((rule, group), member) in mapping.groups.iter().zip(groups).zip(&person.a.members) {
        let Some(group) = group else { continue };
        let to_a =
            plan.memberships_to_a.iter().find(|(name, _)| rule.member.column() == Some(name));
        let a = to_a.map_or(*member, |(_, value)| *value);
        let b = !plan.leaves.contains(group)
            && (plan.joins.contains(group) || memberships.contains(group));
        if a == b {
            state.groups.insert(rule.group.clone(), a);
        }
    }
}
