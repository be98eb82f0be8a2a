//! A change that one person needs, before it is made.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::report::{ChangeExample, ValueChange};
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::limits::ChangeKind;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::model::contacts::shadow::Shadow;
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::jobs::contacts::plan::agreement::{agreed, restrict, row_changes};
use crate::jobs::contacts::plan::person::{Person, PersonPlan, plan};
use crate::jobs::contacts::ports::{
    ErasedPerson, HeldPerson, LoggedAction, OpenQuestion, PersonCommit, SubscriberWrite,
};

/// A change.
#[derive(Debug)]
pub enum Change {
    /// Somebody who is on both sides.
    Person(Box<PersonChange>),
    /// A link whose row or subscriber is gone.
    Record(PersonCommit),
    /// Somebody whom MailerLite does not know.
    Create(Contact),
    /// Somebody whom the database does not know.
    Import(Subscriber),
    /// Somebody who asked to be forgotten.
    Erase(ErasedPerson),
    /// A question about somebody without a link.
    Hold(HeldPerson),
    /// A question about somebody without a link, which nobody has to answer any more.
    Settle(OpenQuestion),
}

/// A person on both sides, with what is to be done.
#[derive(Debug, Serialize, Deserialize)]
pub struct PersonChange {
    /// The row.
    pub row: Contact,
    /// The subscriber, with the fields of the mapping alone.
    pub subscriber: Subscriber,
    /// The last agreement.
    pub shadow: Option<Shadow>,
    /// The changes.
    pub plan: PersonPlan,
    /// The values on which the sides do not agree.
    pub withheld: BTreeSet<String>,
    /// The person was created at MailerLite a moment ago.
    pub is_created: bool,
}

/// The mapping as a run needs it.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The mapping.
    pub mapping: &'a ContactMapping,
    /// The ids of its groups.
    pub groups: &'a [Option<MailerLiteId>],
    /// The way that values may take.
    pub direction: SyncDirection,
}

impl Rules<'_> {
    /// The kinds of the change by which a row gets a subscriber, who joins the row's groups.
    pub fn kinds_of_creation(&self, row: &Contact) -> Vec<ChangeKind> {
        let joins =
            self.groups.iter().zip(&row.members).any(|(group, is_in)| group.is_some() && *is_in);
        let kinds = [Some(ChangeKind::Create), joins.then_some(ChangeKind::JoinGroup)];
        kinds.into_iter().flatten().collect()
    }
}

impl PersonChange {
    /// Merges a person.
    pub fn new(
        rules: &Rules<'_>,
        row: Contact,
        mut subscriber: Subscriber,
        shadow: Option<Shadow>,
        open: &[Conflict],
    ) -> Self {
        let is_mapped = |key: &String| rules.mapping.fields.iter().any(|rule| rule.field == *key);
        subscriber.fields.retain(|key, _| is_mapped(key));
        let person = Person { a: &row, b: &subscriber, shadow: shadow.as_ref() };
        let mut plan = plan(rules.mapping, rules.groups, &person);
        hold_return(rules.mapping, &mut plan, (&row, &subscriber), open);
        let apart = plan.set_apart.iter().map(|(field, _)| Conflict {
            kind: ConflictKind::Rejected,
            subject: field.clone(),
            base: None,
            a: value_of(rules.mapping, &row, field),
            b: subscriber.field(field).map(str::to_owned),
        });
        let apart: Vec<Conflict> = apart.collect();
        plan.conflicts.extend(apart);
        plan.conflicts.sort_by(|one, other| one.subject.cmp(&other.subject));
        let withheld = restrict(rules.mapping, &mut plan, rules.direction);
        Self { row, subscriber, shadow, plan, withheld, is_created: false }
    }

    /// Says whether anything must be saved, where these questions are open.
    pub fn is_needed(&self, rules: &Rules<'_>, open: &[Conflict]) -> bool {
        let agreed = self.shadow.as_ref().map(|shadow| &shadow.agreed);
        !self.plan.is_quiet()
            || self.plan.conflicts != open
            || agreed != Some(&self.commit(rules, None).agreed)
    }

    /// The changes at MailerLite. An opt-out is a change of its own, and the first one: values that
    /// are refused do not take it with them.
    pub fn writes(&self) -> Vec<SubscriberWrite> {
        let id = || self.subscriber.id.clone();
        let update = |email: Option<String>, fields, unsubscribe| SubscriberWrite::Update {
            id: id(),
            email,
            fields,
            unsubscribe,
        };
        let plan = &self.plan;
        let mut writes = Vec::new();
        if plan.unsubscribe {
            writes.push(update(None, vec![], true));
        }
        if !plan.to_b.is_empty() || plan.email_to_b.is_some() {
            writes.push(update(plan.email_to_b.clone(), plan.to_b.clone(), false));
        }
        let leaves = plan.leaves.iter().cloned();
        writes.extend(leaves.map(|group| SubscriberWrite::Leave { id: id(), group }));
        let joins = plan.joins.iter().cloned();
        writes.extend(joins.map(|group| SubscriberWrite::Join { id: id(), group }));
        writes
    }

    /// Gives up the values for MailerLite.
    pub fn withhold_values(&mut self) {
        self.withheld.extend(self.plan.to_b.drain(..).map(|(field, _)| field));
        self.withheld.extend(self.plan.email_to_b.take().map(|_| "email".to_owned()));
    }

    /// Gives up the values for the row.
    pub fn withhold_row(&mut self, rules: &Rules<'_>) {
        let to_b = SyncDirection::DatabaseToMailerLite;
        self.withheld.extend(restrict(rules.mapping, &mut self.plan, to_b));
        self.withheld.extend(self.plan.status_to_a.take().map(|_| "status".to_owned()));
    }

    /// The person as it is saved after the changes at MailerLite.
    pub fn commit(&self, rules: &Rules<'_>, answer: Option<&Subscriber>) -> PersonCommit {
        let Self { row, subscriber, shadow, plan, withheld, is_created } = self;
        let person = Person { a: row, b: subscriber, shadow: shadow.as_ref() };
        let details = self.details(rules);
        let is_logged = *is_created || !plan.is_quiet();
        let name = if *is_created { "create" } else { "update" };
        let action = LoggedAction { name: name.to_owned(), details };
        PersonCommit {
            contact: row.id.clone(),
            subscriber: subscriber.id.clone(),
            decided: Some(Box::new(row.clone())),
            row: row_changes(rules.mapping, row, plan),
            agreed: agreed(rules.mapping, rules.groups, &person, plan, withheld, answer),
            conflicts: plan.conflicts.clone(),
            actions: if is_logged { vec![action] } else { vec![] },
        }
    }

    /// The kinds of the change; none if neither side is written.
    pub fn kinds(&self, rules: &Rules<'_>) -> Vec<ChangeKind> {
        let plan = &self.plan;
        let updates = !plan.to_a.is_empty()
            || !plan.to_b.is_empty()
            || !plan.memberships_to_a.is_empty()
            || plan.email_to_a.is_some()
            || plan.email_to_b.is_some();
        let created = match self.is_created {
            true => rules.kinds_of_creation(&self.row),
            false => vec![],
        };
        let own = [
            (ChangeKind::Update, updates),
            (ChangeKind::Unsubscribe, plan.unsubscribe || plan.status_to_a.is_some()),
            (ChangeKind::JoinGroup, !plan.joins.is_empty()),
            (ChangeKind::LeaveGroup, !plan.leaves.is_empty()),
        ];
        let own = own.into_iter().filter_map(|(kind, is_of_it)| is_of_it.then_some(kind));
        created.iter().copied().chain(own.filter(|kind| !created.contains(kind))).collect()
    }

    /// The values before and after, as the log keeps them.
    fn details(&self, rules: &Rules<'_>) -> Value {
        let mut details = Map::new();
        for change in self.values(rules) {
            let name = format!("{}.{}", change.side, change.name);
            details.insert(name, json!([change.before, change.after]));
        }
        Value::Object(details)
    }

    /// The changed values.
    pub fn values(&self, rules: &Rules<'_>) -> Vec<ValueChange> {
        let plan = &self.plan;
        let there = |name: &str, before: Option<&str>, after: Option<&str>| ValueChange {
            name: name.to_owned(),
            side: "mailerlite",
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let rows = row_changes(rules.mapping, &self.row, plan).into_iter();
        let mut values: Vec<ValueChange> = rows
            .map(|change| ValueChange {
                name: change.column,
                side: "database",
                before: change.was,
                after: change.value,
            })
            .collect();
        for (field, value) in &plan.to_b {
            values.push(there(field, self.subscriber.field(field), value.as_deref()));
        }
        if let Some(email) = &plan.email_to_b {
            values.push(there("email", Some(&self.subscriber.email), Some(email)));
        }
        if plan.unsubscribe {
            let before = self.subscriber.status.name();
            values.push(there("status", Some(before), Some("unsubscribed")));
        }
        for (rule, group) in rules.mapping.groups.iter().zip(rules.groups) {
            let Some(group) = group else { continue };
            if plan.joins.contains(group) {
                values.push(there(&rule.group, None, Some("member")));
            }
            if plan.leaves.contains(group) {
                values.push(there(&rule.group, Some("member"), None));
            }
        }
        values
    }
}

/// Keeps the question about a person who came back: a later agreement about other values makes the
/// return look old, and would unsubscribe the person again before anybody has answered. Where the
/// mapping has no value for `active`, it is a question, too.
fn hold_return(
    mapping: &ContactMapping,
    plan: &mut PersonPlan,
    (row, there): (&Contact, &Subscriber),
    open: &[Conflict],
) {
    let asked = open.iter().find(|conflict| conflict.kind == ConflictKind::Resubscribed);
    let is_refusal = |name: &str| MailStatus::named(name).is_some_and(MailStatus::refuses_mail);
    let was_active = asked.is_some_and(|asked| !asked.a.as_deref().is_some_and(is_refusal));
    if was_active && row.status.refuses_mail() {
        // The person opted out here after the question: that is the answer.
        plan.unsubscribe = !there.status.refuses_mail();
        plan.conflicts.retain(|conflict| conflict.kind != ConflictKind::Resubscribed);
        plan.joins.clear();
        return;
    }
    let is_kept = asked.is_some() && plan.unsubscribe && there.status == MailStatus::Active;
    let has_active = mapping.status.as_ref().is_some_and(|status| status.active.is_some());
    let is_unwritable = plan.status_to_a == Some(MailStatus::Active) && !has_active;
    if is_kept || is_unwritable {
        plan.unsubscribe = false;
        plan.status_to_a = None;
        // Nobody joins a group, which may send mail, before there is an answer.
        plan.joins.clear();
        plan.conflicts.push(Conflict {
            kind: ConflictKind::Resubscribed,
            subject: "status".to_owned(),
            base: open
                .iter()
                .find(|conflict| conflict.subject == "status")
                .and_then(|conflict| conflict.base.clone()),
            a: Some(row.status.name().to_owned()),
            b: Some(there.status.name().to_owned()),
        });
    }
}

fn value_of(mapping: &ContactMapping, row: &Contact, field: &str) -> Option<String> {
    let mut pairs = mapping.fields.iter().zip(&row.values);
    pairs.find(|(rule, _)| rule.field == field).and_then(|(_, value)| value.clone())
}

/// The kinds of change by which somebody is forgotten; none if MailerLite never had them.
pub fn forgetting(person: &ErasedPerson) -> &'static [ChangeKind] {
    match person.subscribers.is_empty() {
        true => &[],
        false => &[ChangeKind::Unsubscribe],
    }
}

impl Change {
    /// The kinds of the change; none if neither side is written.
    pub fn kinds(&self, rules: &Rules<'_>) -> Vec<ChangeKind> {
        match self {
            Self::Person(person) => person.kinds(rules),
            Self::Create(row) => rules.kinds_of_creation(row),
            Self::Import(_) => vec![ChangeKind::Create],
            Self::Erase(person) => forgetting(person).to_vec(),
            Self::Record(_) | Self::Hold(_) | Self::Settle(_) => vec![],
        }
    }

    /// The person of a question about somebody without a link that the change is about.
    pub fn stranger(&self) -> Option<String> {
        match self {
            Self::Person(person) => Some(person.row.id.to_string()),
            Self::Create(row) => Some(row.id.to_string()),
            Self::Import(subscriber) => Some(format!("b:{}", subscriber.id)),
            Self::Erase(person) => Some(person.contact.to_string()),
            Self::Hold(person) => Some(person.person()),
            Self::Record(_) | Self::Settle(_) => None,
        }
    }

    /// The number of questions.
    pub fn conflicts(&self) -> u64 {
        match self {
            Self::Person(person) => person.plan.conflicts.len() as u64,
            Self::Record(commit) => commit.conflicts.len() as u64,
            Self::Hold(_) => 1,
            Self::Create(_) | Self::Import(_) | Self::Erase(_) | Self::Settle(_) => 0,
        }
    }

    /// The change as an example.
    pub fn example(&self, rules: &Rules<'_>) -> ChangeExample {
        let (email, values) = match self {
            Self::Person(person) => (person.subscriber.email.clone(), person.values(rules)),
            Self::Create(row) => (row.email.clone().unwrap_or_default(), vec![]),
            Self::Import(subscriber) => (subscriber.email.clone(), vec![]),
            Self::Erase(person) => {
                let email = person.emails.first().map(ToString::to_string);
                (email.unwrap_or_default(), vec![])
            }
            Self::Record(_) | Self::Hold(_) | Self::Settle(_) => (String::new(), vec![]),
        };
        ChangeExample { email, kinds: self.kinds(rules), values }
    }
}

/// The question about a person whose values a side refused.
pub fn rejection(reason: String) -> Conflict {
    Conflict {
        kind: ConflictKind::Rejected,
        subject: "person".to_owned(),
        base: None,
        a: None,
        b: Some(reason),
    }
}
