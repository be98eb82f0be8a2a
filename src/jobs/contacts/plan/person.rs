//! The merge of one person who is known on both sides: all values, the status and the groups.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::field::{self, ContactSide, FieldMove, SetApart};
use super::membership::{self, MembershipMove};
use super::status::{self, StatusPlan};
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::mapping::{ContactMapping, FieldRule, GroupRule};
use crate::engine::model::contacts::shadow::{Agreed, Shadow};
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};

/// A person on both sides.
pub struct Person<'a> {
    /// The row.
    pub a: &'a Contact,
    /// The subscriber.
    pub b: &'a Subscriber,
    /// The last agreement.
    pub shadow: Option<&'a Shadow>,
}

/// The changes that one person needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonPlan {
    /// The columns that get a value.
    pub to_a: Vec<(String, Option<String>)>,
    /// The columns of memberships that get a value.
    pub memberships_to_a: Vec<(String, bool)>,
    /// The status that the database gets.
    pub status_to_a: Option<MailStatus>,
    /// The fields that get a value.
    pub to_b: Vec<(String, Option<String>)>,
    /// The address that the subscriber gets.
    pub email_to_b: Option<String>,
    /// The address that the row gets.
    pub email_to_a: Option<String>,
    /// The person is unsubscribed at MailerLite, before anything else is written there.
    pub unsubscribe: bool,
    /// The groups that the person joins.
    pub joins: Vec<MailerLiteId>,
    /// The groups that the person leaves.
    pub leaves: Vec<MailerLiteId>,
    /// The questions that a person must answer.
    pub conflicts: Vec<Conflict>,
    /// The keys of fields whose values cannot go to the other side.
    pub set_apart: Vec<(String, SetApart)>,
}

impl PersonPlan {
    /// Says whether neither side is written.
    pub fn is_quiet(&self) -> bool {
        !self.writes_a() && !self.writes_b()
    }

    /// Says whether the row is written.
    pub fn writes_a(&self) -> bool {
        !self.to_a.is_empty()
            || !self.memberships_to_a.is_empty()
            || self.status_to_a.is_some()
            || self.email_to_a.is_some()
    }

    /// Says whether MailerLite is written.
    pub fn writes_b(&self) -> bool {
        !self.to_b.is_empty()
            || self.email_to_b.is_some()
            || self.unsubscribe
            || !self.joins.is_empty()
            || !self.leaves.is_empty()
    }
}

/// Merges a person. `groups` are the ids of the mapping's groups, in its order; a group that
/// MailerLite lacks has none, and is left out.
pub fn plan(
    mapping: &ContactMapping,
    groups: &[Option<MailerLiteId>],
    person: &Person<'_>,
) -> PersonPlan {
    let mut plan = PersonPlan::default();
    let status = plan.merge_status(mapping, person);
    plan.merge_email(person);
    for (rule, a) in mapping.fields.iter().zip(&person.a.values) {
        plan.merge_field(rule, a, person);
    }
    let Some(memberships) = &person.b.groups else { return plan };
    for ((rule, group), a) in mapping.groups.iter().zip(groups).zip(&person.a.members) {
        if let Some(group) = group {
            plan.merge_group(rule, group, *a, memberships, person, status.refuses_mail);
        }
    }
    plan
}

impl PersonPlan {
    fn merge_status(&mut self, mapping: &ContactMapping, person: &Person<'_>) -> StatusPlan {
        let (a, b) = (person.a.status, person.b.status);
        let base = person.shadow.and_then(|shadow| shadow.agreed.status.as_ref());
        let came_back = match (person.shadow, person.b.subscribed_at) {
            (Some(shadow), Some(at)) => at > shadow.agreed_at,
            _ => false,
        };
        let status = status::merge(base, a, b, came_back, mapping.accept_resubscribe);
        self.unsubscribe = status.unsubscribe;
        self.status_to_a = status.to_a;
        if status.hold {
            let base = base.map(|base| base.b.name());
            let values = [base, Some(a.name()), Some(b.name())];
            self.hold(ConflictKind::Resubscribed, "status", values);
        }
        status
    }

    /// The address is matched by its form, and each side's spelling stays. Where both changed it,
    /// nobody can tell which one is right. A row without an address keeps none, and its subscriber
    /// keeps theirs: somebody has taken it out of the row.
    fn merge_email(&mut self, person: &Person<'_>) {
        let rule = FieldRule::plain("email", "email");
        let fold = |text: &str| Some(text.trim().to_lowercase());
        let (a, b) = (person.a.email.as_deref().and_then(fold), fold(&person.b.email));
        if a.as_deref().is_none_or(str::is_empty) {
            return;
        }
        let base = person.shadow.and_then(|shadow| shadow.agreed.email.as_ref());
        let folded = base.map(|base| Agreed { a: fold(&base.a), b: fold(&base.b) });
        match field::merge(&rule, folded.as_ref(), &a, &b, None) {
            FieldMove::Keep | FieldMove::SetApart(_) => {}
            FieldMove::ToA(_) => self.email_to_a = Some(person.b.email.clone()),
            FieldMove::ToB(_) => self.email_to_b.clone_from(&person.a.email),
            FieldMove::Hold(kind) => {
                let base = base.map(|base| base.a.as_str());
                self.hold(kind, "email", [base, person.a.email.as_deref(), Some(&person.b.email)]);
            }
        }
    }

    fn merge_field(&mut self, rule: &FieldRule, a: &Option<String>, person: &Person<'_>) {
        let b = person.b.field(&rule.field).map(str::to_owned);
        let base = person.shadow.and_then(|shadow| shadow.agreed.fields.get(&rule.field));
        match field::merge(rule, base, a, &b, newer(person)) {
            FieldMove::Keep => {}
            FieldMove::ToA(value) => self.to_a.push((rule.column.clone(), value)),
            FieldMove::ToB(value) => self.to_b.push((rule.field.clone(), value)),
            FieldMove::SetApart(reason) => self.set_apart.push((rule.field.clone(), reason)),
            FieldMove::Hold(kind) => {
                let base = base.and_then(|base| base.a.as_deref());
                self.hold(kind, &rule.field, [base, a.as_deref(), b.as_deref()]);
            }
        }
    }

    fn merge_group(
        &mut self,
        rule: &GroupRule,
        group: &MailerLiteId,
        a: bool,
        memberships: &BTreeSet<MailerLiteId>,
        person: &Person<'_>,
        refuses_mail: bool,
    ) {
        let base = person.shadow.and_then(|shadow| shadow.agreed.groups.get(&rule.group).copied());
        let b = memberships.contains(group);
        match membership::merge(&rule.member, base, a, b, refuses_mail) {
            MembershipMove::Keep => {}
            MembershipMove::Join => self.joins.push(group.clone()),
            MembershipMove::Leave => self.leaves.push(group.clone()),
            MembershipMove::ToA(value) => {
                if let Some(column) = rule.member.column() {
                    self.memberships_to_a.push((column.to_owned(), value));
                }
            }
        }
    }

    fn hold(&mut self, kind: ConflictKind, subject: &str, values: [Option<&str>; 3]) {
        let [base, a, b] = values.map(|value| value.map(str::to_owned));
        self.conflicts.push(Conflict { kind, subject: subject.to_owned(), base, a, b });
    }
}

/// The side whose record changed last. A tie, or a row without a time, tells nothing.
fn newer(person: &Person<'_>) -> Option<ContactSide> {
    let (a, b) = (person.a.updated_at?, person.b.updated_at);
    match a.cmp(&b) {
        std::cmp::Ordering::Less => Some(ContactSide::B),
        std::cmp::Ordering::Greater => Some(ContactSide::A),
        std::cmp::Ordering::Equal => None,
    }
}

#[cfg(test)]
#[path = "person_tests.rs"]
mod tests;
