//! People whom one side does not know: created at MailerLite, or imported into the database.

use std::collections::BTreeMap;

use super::apply::{Apply, is_of_values};
use super::change::{PersonChange, rejection};
use super::recheck;
use crate::engine::model::contacts::conflict::{Conflict, ConflictKind};
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::limits::ChangeKind;
use crate::engine::model::contacts::mapping::Direction;
use crate::engine::model::contacts::shadow::{Agreed, AgreedState, Shadow};
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::jobs::contacts::paced::Stop;
use crate::jobs::contacts::plan::agreement::consent;
use crate::jobs::contacts::plan::field::{FieldMove, merge};
use crate::jobs::contacts::ports::{
    HeldPerson, MOST_WRITES, NewRow, SubscriberName, SubscriberWrite, Verdict,
};

/// The kinds of the change by which a subscriber gets a row.
const IMPORTED: [ChangeKind; 1] = [ChangeKind::Create];

/// The rows that are made together.
const MOST_IMPORTED: usize = 200;

type Values = Vec<(String, Option<String>)>;

/// The outcome of a call that creates people.
struct Created {
    /// Those who are on both sides now.
    people: Vec<PersonChange>,
    /// Those whom MailerLite refused.
    refused: Vec<HeldPerson>,
}

/// Creates people at MailerLite, and does the rest for them, now that they are on both sides: their
/// link, and groups to join. Somebody who unsubscribed there is linked, and stays so.
pub async fn create(apply: &mut Apply<'_>, rows: &[Contact]) -> Result<(), Stop> {
    for rows in rows.chunks(MOST_WRITES) {
        apply.list.go_on()?;
        let rules = apply.rules;
        let (rows, admitted) = apply.admit(rows, |row| rules.kinds_of_creation(row));
        let made = create_together(apply, rows).await;
        let is_made = |row: &&Contact| {
            made.as_ref().is_ok_and(|made| made.people.iter().any(|person| person.row.id == row.id))
        };
        for row in rows.iter().filter(|row| !is_made(row)) {
            apply.bounds.give_back(&rules.kinds_of_creation(row));
        }
        let Created { people, refused } = made?;
        apply.people(people).await?;
        apply.release().await?;
        apply.reject(refused).await?;
        admitted?;
    }
    Ok(())
}

async fn create_together(apply: &mut Apply<'_>, rows: &[Contact]) -> Result<Created, Stop> {
    apply.list.await_window().await?;
    let survey = apply.survey();
    let (rows, left) = recheck::rows(&survey, rows, &mut apply.leased).await?;
    left.iter().for_each(|contact| apply.leave(contact));
    let values: Vec<Values> = rows.iter().map(|row| values(apply, row)).collect();
    let writes: Vec<SubscriberWrite> = (rows.iter().zip(&values))
        .map(|(row, fields)| SubscriberWrite::Create {
            email: row.email.clone().unwrap_or_default().trim().to_owned(),
            fields: fields.clone(),
        })
        .collect();
    let verdicts = apply.list.write(&writes).await?;
    let (mut made, mut unclear, mut refused) = (vec![], vec![], vec![]);
    for ((row, fields), verdict) in rows.iter().zip(values).zip(verdicts) {
        match verdict {
            Verdict::Saved(subscriber) => {
                let shadow = after_creation(row, &fields, &subscriber);
                made.push((row.clone(), subscriber, Some(shadow)));
            }
            Verdict::Rejected(reason) => refused.push(HeldPerson {
                contact: Some(row.id.clone()),
                subscriber: None,
                conflict: rejection(reason),
            }),
            Verdict::Unsubscribed(_) | Verdict::Unknown => unclear.push(row.clone()),
            Verdict::Later | Verdict::Missing | Verdict::Done => apply.leave(&row.id),
        }
    }
    let email = |row: &Contact| row.email.as_deref().and_then(|text| Email::parse(text).ok());
    let names = unclear.iter().filter_map(email).map(SubscriberName::Email).collect::<Vec<_>>();
    for (row, found) in unclear.into_iter().zip(apply.list.find(&names).await?) {
        match found {
            Ok(Some(subscriber)) => made.push((row, subscriber, None)),
            Ok(None) | Err(_) => apply.leave(&row.id),
        }
    }
    let rules = apply.rules;
    let change = |(row, subscriber, shadow)| {
        let mut person = PersonChange::new(&rules, row, subscriber, shadow, &[]);
        person.is_created = true;
        person
    };
    Ok(Created { people: made.into_iter().map(change).collect(), refused })
}

/// The values that a new subscriber gets.
fn values(apply: &Apply<'_>, row: &Contact) -> Values {
    let rules = apply.rules.mapping.fields.iter().zip(&row.values);
    let value = rules.filter_map(|(rule, value)| {
        match (rule.direction, merge(rule, None, value, &None, None)) {
            (Direction::FromMailerLite, _) => None,
            (_, FieldMove::ToB(value)) => Some((rule.field.clone(), value)),
            _ => None,
        }
    });
    value.collect()
}

/// The state right after a creation: what was sent, and what came back for it.
fn after_creation(row: &Contact, sent: &Values, subscriber: &Subscriber) -> Shadow {
    let mut agreed = AgreedState::default();
    for (key, value) in sent {
        let b = subscriber.field(key).map(str::to_owned);
        agreed.fields.insert(key.clone(), Agreed { a: value.clone(), b });
    }
    Shadow {
        contact: row.id.clone(),
        subscriber: subscriber.id.clone(),
        agreed,
        agreed_at: subscriber.updated_at,
    }
}

/// Makes rows for subscribers whom the database does not know.
pub async fn import(apply: &mut Apply<'_>, people: &[Subscriber]) -> Result<(), Stop> {
    for people in people.chunks(MOST_IMPORTED) {
        let (people, admitted) = apply.admit(people, |_| IMPORTED.to_vec());
        let made = import_by_columns(apply, people).await;
        let left = people.len() - made.as_ref().map_or(0, |(made, _)| *made);
        (0..left).for_each(|_| apply.bounds.give_back(&IMPORTED));
        apply.release().await?;
        apply.reject(made?.1).await?;
        admitted?;
    }
    Ok(())
}

/// Makes rows. Returns their number, and the people whom the database refused. Rows that are made
/// together have values for the same columns: others keep their defaults.
async fn import_by_columns(
    apply: &mut Apply<'_>,
    people: &[Subscriber],
) -> Result<(usize, Vec<HeldPerson>), Stop> {
    apply.list.go_on()?;
    let mut by_columns: BTreeMap<Vec<String>, Vec<NewRow>> = BTreeMap::new();
    let survey = apply.survey();
    for subscriber in recheck::strangers(&survey, people, &mut apply.leased).await? {
        let row = new_row(apply, &subscriber);
        let columns = row.values.iter().map(|(column, _)| column.clone()).collect();
        by_columns.entry(columns).or_default().push(row);
    }
    let (mut made, mut refused) = (0, vec![]);
    for rows in by_columns.values() {
        made += import_together(apply, rows, &mut refused).await?;
    }
    Ok((made, refused))
}

/// Makes rows together, or one by one if the database refuses one of them.
async fn import_together(
    apply: &Apply<'_>,
    rows: &[NewRow],
    refused: &mut Vec<HeldPerson>,
) -> Result<usize, Stop> {
    match apply.sides.store.import(apply.run, rows).await {
        Ok(made) => return hold_unmade(apply, rows, &made).await,
        Err(fault) if !is_of_values(&fault) => return Err(fault.into()),
        Err(_) => {}
    }
    let mut made = 0;
    for row in rows {
        match apply.sides.store.import(apply.run, std::slice::from_ref(row)).await {
            Ok(ids) => made += hold_unmade(apply, std::slice::from_ref(row), &ids).await?,
            Err(fault) if is_of_values(&fault) => refused.push(HeldPerson {
                contact: None,
                subscriber: Some(row.subscriber.clone()),
                conflict: rejection(fault.chain()),
            }),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(made)
}

/// Holds those whose address a row has already. Returns the number of the others.
async fn hold_unmade(
    apply: &Apply<'_>,
    rows: &[NewRow],
    made: &[MailerLiteId],
) -> Result<usize, Stop> {
    let held = rows.iter().filter(|row| !made.contains(&row.subscriber)).map(|row| HeldPerson {
        contact: None,
        subscriber: Some(row.subscriber.clone()),
        conflict: Conflict {
            kind: ConflictKind::TwoRows,
            subject: "person".to_owned(),
            base: None,
            a: None,
            b: row.agreed.email.as_ref().map(|email| email.b.clone()),
        },
    });
    let held: Vec<HeldPerson> = held.collect();
    if !held.is_empty() {
        apply.sides.store.hold(&held).await?;
    }
    Ok(made.len())
}

fn new_row(apply: &Apply<'_>, subscriber: &Subscriber) -> NewRow {
    let mapping = apply.rules.mapping;
    let email = subscriber.email.clone();
    let mut values = vec![(mapping.email.clone(), email.clone())];
    let mut agreed = AgreedState {
        email: Some(Agreed { a: email.clone(), b: email }),
        ..AgreedState::default()
    };
    for rule in &mapping.fields {
        let b = subscriber.field(&rule.field).map(str::to_owned);
        if rule.direction == Direction::ToMailerLite {
            continue;
        }
        if let FieldMove::ToA(Some(a)) = merge(rule, None, &None, &b, None) {
            values.push((rule.column.clone(), a.clone()));
            agreed.fields.insert(rule.field.clone(), Agreed { a: Some(a), b });
        }
    }
    let column = mapping.status.as_ref();
    let status = column.and_then(|column| Some((column, consent(column, subscriber.status)?)));
    let mut a = MailStatus::Active;
    if let Some((column, (text, status))) = status {
        values.push((column.column.clone(), text.to_owned()));
        a = status;
    }
    agreed.status = Some(Agreed { a, b: subscriber.status });
    for (rule, group) in mapping.groups.iter().zip(apply.rules.groups) {
        let (Some(column), Some(group), Some(groups)) =
            (rule.member.column(), group, &subscriber.groups)
        else {
            continue;
        };
        if groups.contains(group) {
            values.push((column.to_owned(), "true".to_owned()));
            agreed.groups.insert(rule.group.clone(), true);
        }
    }
    NewRow { subscriber: subscriber.id.clone(), values, agreed }
}
