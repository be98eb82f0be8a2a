//! The answer of a person to a conflict. It writes the value of the winning side to the other one,
//! if both sides still have the values that the person saw.

use serde_json::json;

use super::ports::{ContactDesk, RecordedConflict};
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind, ConflictState, Winner};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::mapping::{ConflictPolicy, ContactMapping, FieldRule};
use crate::engine::model::contacts::shadow::{Agreed, AgreedState};
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::plan::field::{self, FieldMove, Value};
use crate::jobs::contacts::ports::{
    ColumnChange, ContactStore, IdRange, LoggedAction, MailingList, PersonCommit, SubscriberName,
    SubscriberWrite, Verdict,
};

/// A change of one subscriber.
enum Change {
    /// A field gets a value.
    Field(String, Value),
    /// The address changes.
    Email(String),
    /// The person is unsubscribed.
    Unsubscribe,
}

/// The answer of a person to a conflict.
pub struct Resolution<'a> {
    /// The database.
    pub store: &'a dyn ContactStore,
    /// The records.
    pub desk: &'a dyn ContactDesk,
    /// The mailing list.
    pub list: &'a dyn MailingList,
    /// The columns and fields that belong together.
    pub mapping: &'a ContactMapping,
    /// The id under which the log has the change.
    pub run: &'a str,
}

impl Resolution<'_> {
    /// Answers a conflict.
    pub async fn resolve(&self, id: i64, winner: Winner) -> Result<(), Fault> {
        let asked = self.desk.conflict(id).await?.ok_or_else(|| none_open(id))?;
        if asked.state != ConflictState::Open {
            return Err(none_open(id));
        }
        match asked.conflict.kind {
            ConflictKind::BothChanged | ConflictKind::First | ConflictKind::Merge
                if asked.conflict.subject == "email" =>
            {
                self.email(&asked, winner).await?;
            }
            ConflictKind::BothChanged | ConflictKind::First => self.field(&asked, winner).await?,
            ConflictKind::Resubscribed => self.status(&asked, winner).await?,
            kind => return Err(by_hand(kind)),
        }
        match self.desk.close(id, winner.name()).await? {
            true => Ok(()),
            false => Err(none_open(id)),
        }
    }

    async fn field(&self, asked: &RecordedConflict, winner: Winner) -> Result<(), Fault> {
        let subject = asked.conflict.subject.as_str();
        let rules = || self.mapping.fields.iter().zip(0..);
        let Some((rule, at)) = rules().find(|(rule, _)| rule.field == subject) else {
            return Err(person_gone_fault(format!("The mapping has no field {subject} any more")));
        };
        let (link, subscriber) = self.sides(asked).await?;
        let row =
            link.row.as_ref().ok_or_else(|| person_gone_fault("The row is gone".to_owned()))?;
        let (a, b): (&Value, &Value) =
            (&row.values[at], &subscriber.fields.get(subject).cloned().flatten());
        self.check_unchanged(asked, a.as_deref(), b.as_deref()).await?;
        let policy = match winner {
            Winner::Database => ConflictPolicy::Database,
            Winner::MailerLite => ConflictPolicy::MailerLite,
        };
        let answered = FieldRule { conflict: policy, first: policy, ..rule.clone() };
        let shadow = link.shadow.as_ref();
        let base = shadow.and_then(|shadow| shadow.agreed.fields.get(subject));
        let (mut agreed_b, mut changes) = (b.clone(), Vec::new());
        match field::merge(&answered, base, a, b, None) {
            FieldMove::Keep => {}
            FieldMove::ToA(value) => {
                changes.push(ColumnChange { column: rule.column.clone(), value, was: a.clone() })
            }
            FieldMove::ToB(value) => {
                let change = Change::Field(rule.field.clone(), value);
                let saved = self.write(&subscriber.id, change).await?;
                agreed_b = saved.fields.get(subject).cloned().flatten();
            }
            FieldMove::Hold(_) => return Err(by_hand(asked.conflict.kind)),
            FieldMove::SetApart(reason) => return Err(unfit(subject).caused_by(reason)),
        }
        let agreed_a = changes.first().map_or_else(|| a.clone(), |change| change.value.clone());
        let mut agreed = shadow.map(|shadow| shadow.agreed.clone()).unwrap_or_default();
        agreed.fields.insert(subject.to_owned(), Agreed { a: agreed_a, b: agreed_b });
        self.save(asked, winner, &link, changes, agreed).await
    }

    async fn save(
        &self,
        asked: &RecordedConflict,
        winner: Winner,
        link: &Link,
        row: Vec<ColumnChange>,
        agreed: AgreedState,
    ) -> Result<(), Fault> {
        let person = PersonCommit {
            contact: link.contact.clone(),
            subscriber: link.subscriber.clone(),
            decided: link.row.clone().map(Box::new),
            row,
            agreed,
            conflicts: self.open_conflicts(link).await?,
            actions: vec![action(asked, winner)],
        };
        let saved = self.store.save(self.run, std::slice::from_ref(&person)).await?;
        match saved.is_empty() {
            true => Err(changed(asked.id)),
            false => Ok(()),
        }
    }

    /// The address of a person. Somebody else's is given to nobody: whoever wants to merge two
    /// subscribers deletes one of them in MailerLite, and the next sync links the other.
    async fn email(&self, asked: &RecordedConflict, winner: Winner) -> Result<(), Fault> {
        let (link, subscriber) = self.sides(asked).await?;
        let row =
            link.row.as_ref().ok_or_else(|| person_gone_fault("The row is gone".to_owned()))?;
        let there = Some(subscriber.email.as_str());
        // A merge asks about the other subscriber with the row's address, not about a value there.
        match asked.conflict.kind {
            ConflictKind::Merge => {
                let b = asked.conflict.b.as_deref();
                self.check_unchanged(asked, row.email.as_deref(), b).await?;
            }
            _ => self.check_unchanged(asked, row.email.as_deref(), there).await?,
        }
        let (mut a, mut b) = (row.email.clone().unwrap_or_default(), subscriber.email.clone());
        let mut changes = Vec::new();
        match winner {
            Winner::Database => {
                self.check_free_there(&a, &subscriber.id).await?;
                b = self.write(&subscriber.id, Change::Email(a.trim().to_owned())).await?.email;
            }
            Winner::MailerLite => {
                self.check_free_here(&b, &link).await?;
                let (column, was) = (self.mapping.email.clone(), row.email.clone());
                changes.push(ColumnChange { column, value: Some(b.clone()), was });
                a.clone_from(&b);
            }
        }
        let mut agreed =
            link.shadow.as_ref().map(|shadow| shadow.agreed.clone()).unwrap_or_default();
        agreed.email = Some(Agreed { a, b });
        self.save(asked, winner, &link, changes, agreed).await
    }

    async fn check_free_there(&self, email: &str, id: &MailerLiteId) -> Result<(), Fault> {
        let Ok(email) = Email::parse(email) else { return Err(unfit("email")) };
        let found = self.list.find(&[SubscriberName::Email(email)]).await?;
        match found.into_iter().next().unwrap_or(Ok(None)).map_err(unreadable)? {
            Some(other) if other.id != *id => Err(by_hand(ConflictKind::Merge)),
            _ => Ok(()),
        }
    }

    async fn check_free_here(&self, email: &str, link: &Link) -> Result<(), Fault> {
        let Ok(email) = Email::parse(email) else { return Err(unfit("email")) };
        let emails = std::slice::from_ref(&email);
        let linked = self.store.links_by_email(emails).await?;
        let is_free = self.store.unlinked(emails).await?.is_empty()
            && linked.iter().all(|other| other.contact == link.contact);
        match is_free {
            true => Ok(()),
            false => Err(by_hand(ConflictKind::TwoRows)),
        }
    }

    /// Refuses an answer to values that a person has not seen, and shows the question anew.
    async fn check_unchanged(
        &self,
        asked: &RecordedConflict,
        a: Option<&str>,
        b: Option<&str>,
    ) -> Result<(), Fault> {
        if (a, b) == (asked.conflict.a.as_deref(), asked.conflict.b.as_deref()) {
            return Ok(());
        }
        self.desk.restate(asked.id, a, b).await?;
        Err(changed(asked.id))
    }

    /// A person who left and subscribed again. To keep the database's word unsubscribes them; to
    /// keep MailerLite's would subscribe somebody, which no program of ours does.
    async fn status(&self, asked: &RecordedConflict, winner: Winner) -> Result<(), Fault> {
        if winner == Winner::MailerLite {
            return Err(by_hand(ConflictKind::Resubscribed));
        }
        let (link, subscriber) = self.sides(asked).await?;
        let row =
            link.row.as_ref().ok_or_else(|| person_gone_fault("The row is gone".to_owned()))?;
        let [a, b] = [row.status.name(), subscriber.status.name()].map(Some);
        self.check_unchanged(asked, a, b).await?;
        self.write(&subscriber.id, Change::Unsubscribe).await.map(|_| ())
    }

    /// The link and the subscriber as they are now.
    async fn sides(&self, asked: &RecordedConflict) -> Result<(Link, Subscriber), Fault> {
        let (Some(contact), Some(id)) = (&asked.contact, &asked.subscriber) else {
            return Err(by_hand(asked.conflict.kind));
        };
        let links = self.store.links(&range_of_one_id(id)).await?;
        let link = links.into_iter().find(|link| link.contact == *contact);
        let link = link.ok_or_else(|| person_gone_fault("The link is gone".to_owned()))?;
        let found = self.list.find(&[SubscriberName::Id(id.clone())]).await?;
        let found = found.into_iter().next().unwrap_or(Ok(None));
        let subscriber = found.map_err(unreadable)?;
        let subscriber =
            subscriber.ok_or_else(|| person_gone_fault("The subscriber is gone".to_owned()))?;
        Ok((link, subscriber))
    }

    async fn write(&self, id: &MailerLiteId, change: Change) -> Result<Subscriber, Fault> {
        let (email, fields, unsubscribe) = match change {
            Change::Field(key, value) => (None, vec![(key, value)], false),
            Change::Email(email) => (Some(email), vec![], false),
            Change::Unsubscribe => (None, vec![], true),
        };
        let write = SubscriberWrite::Update { id: id.clone(), email, fields, unsubscribe };
        match self.list.write(&[write]).await?.pop() {
            Some(Verdict::Saved(subscriber)) => Ok(subscriber),
            Some(Verdict::Missing) => Err(person_gone_fault("The subscriber is gone".to_owned())),
            Some(Verdict::Rejected(_)) => Err(Fault::new(
                Step::Write,
                FaultCode::MailerliteRefused,
                "MailerLite does not take the value",
                "correct it in the database, or keep MailerLite's",
            )),
            _ => Err(Fault::new(
                Step::Write,
                FaultCode::MailerliteUnavailable,
                "MailerLite did not say whether it took the value",
                "answer again: a value that is written twice does no harm",
            )),
        }
    }

    /// The open questions of the person, which stay open: `close` ends the one that is answered.
    async fn open_conflicts(&self, link: &Link) -> Result<Vec<Conflict>, Fault> {
        let open = self.desk.conflicts_of(&link.contact).await?;
        Ok(open.into_iter().map(|recorded| recorded.conflict).collect())
    }
}

fn action(asked: &RecordedConflict, winner: Winner) -> LoggedAction {
    let details = json!({
        "conflict": asked.id,
        "subject": asked.conflict.subject,
        "winner": winner.name(),
        "a": asked.conflict.a,
        "b": asked.conflict.b,
    });
    LoggedAction { name: "resolve".to_owned(), details }
}

/// The range that has this id alone.
fn range_of_one_id(id: &MailerLiteId) -> IdRange {
    let next = id.as_str().parse::<u128>().ok().map(|number| (number + 1).to_string());
    let below = next.and_then(|text| MailerLiteId::parse(&text).ok());
    IdRange { below, from: Some(id.clone()) }
}

fn none_open(id: i64) -> Fault {
    Fault::of_call(
        FaultCode::NoConflict,
        format!("There is no open conflict {id}"),
        "`syncline contacts conflicts list` shows those that are open",
    )
}

fn changed(id: i64) -> Fault {
    Fault::of_call(
        FaultCode::ConflictChanged,
        "A side has changed since the conflict was shown, and nothing was written",
        format!("look again with `syncline contacts conflicts show {id}`, and answer then"),
    )
}

fn person_gone_fault(message: String) -> Fault {
    let hint = "the next `syncline contacts sync` records what has become of the person";
    Fault::of_call(FaultCode::ConflictChanged, message, hint)
}

fn unreadable(reason: String) -> Fault {
    let message = format!("MailerLite's answer about the person cannot be read: {reason}");
    Fault::of_call(FaultCode::MailerliteAnswer, message, "correct the subscriber in MailerLite")
}

fn unfit(subject: &str) -> Fault {
    let message = format!("The value of {subject} cannot go to the other side");
    Fault::of_call(FaultCode::BadValue, message, "correct the value, or keep the other side's")
}

/// The fault of a question that no value of one side answers.
fn by_hand(kind: ConflictKind) -> Fault {
    let hint = match kind {
        ConflictKind::Resubscribed => {
            "no program subscribes anybody: if the person wants mail again, change the column of the \
             consent in their row; the next sync closes the conflict"
        }
        ConflictKind::TwoRows => {
            "correct the address of one row, let one leave the mapping's `where`, or delete the link of \
             a row that is gone from integration_crosswalk; the next sync closes the conflict"
        }
        ConflictKind::Merge => {
            "keep MailerLite's address, or merge the two: delete one of them in MailerLite, and the next \
             sync links the other"
        }
        ConflictKind::DeletedAgainstChanged => {
            "delete the subscriber in MailerLite, or restore the row; the next sync closes the conflict"
        }
        ConflictKind::Unknown => {
            "make a row for the subscriber, or set `import` of [contacts] to create, or to off to \
             leave them alone; the next sync closes the conflict"
        }
        ConflictKind::Rejected => {
            "correct the value, or the rule for it in [contacts]; each sync tries again, and closes \
             the conflict once the value goes in"
        }
        ConflictKind::BothChanged | ConflictKind::First => {
            "the mapping gives the value one owner now; the next sync closes the conflict"
        }
    };
    Fault::of_call(FaultCode::BadAction, "No value of one side answers this conflict", hint)
}
