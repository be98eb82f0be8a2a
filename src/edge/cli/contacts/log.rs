//! `syncline contacts log`: why a person is as they are.

use serde_json::{Value, json};

use super::conflicts::object;
use super::value::shown;
use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::text::timestamp;
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::Subscriber;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::desk::history::{LinkHistory, PersonHistory, history};
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::jobs::contacts::ports::LogEntry;

/// Shows everything that is known of a person.
pub async fn log(own: &OwnContacts, email: &Email, json: bool) -> Result<Exit, Fault> {
    let person = history(&*own.store, &*own.desk, &*own.list, email).await?;
    if json {
        output::print_json(&person_json(own, &person));
        return Ok(Exit::Done);
    }
    let PersonHistory { linked, unlinked, subscriber } = &person;
    match subscriber {
        Some(subscriber) => print_subscriber(own, subscriber),
        None => println!("MailerLite has no subscriber with this address."),
    }
    for contact in unlinked {
        print_contact(own, contact);
        println!("  The row belongs to no subscriber yet: syncline contacts sync");
    }
    for person in linked {
        print_link(own, person);
    }
    if linked.is_empty() && unlinked.is_empty() {
        println!("The database has no row with this address that the mapping lets in.");
    }
    Ok(Exit::Done)
}

fn print_subscriber(own: &OwnContacts, subscriber: &Subscriber) {
    println!("MailerLite   subscriber {}, {}", subscriber.id, subscriber.status.name());
    for rule in &own.mapping.fields {
        println!("  {} = {}", rule.field, shown(subscriber.field(&rule.field)));
    }
}

fn print_contact(own: &OwnContacts, contact: &Contact) {
    println!("database     row {}, {}", contact.id, contact.status.name());
    for (rule, value) in own.mapping.fields.iter().zip(&contact.values) {
        println!("  {} = {}", rule.column, shown(value.as_deref()));
    }
    if contact.is_erased {
        println!("  The person asked to be forgotten.");
    }
}

fn print_link(own: &OwnContacts, LinkHistory { link, conflicts, log }: &LinkHistory) {
    match &link.row {
        Some(row) => print_contact(own, row),
        None => println!("database     row {} is gone, or left `where`", link.contact),
    }
    match &link.shadow {
        Some(shadow) => {
            println!("agreed       {}", timestamp(shadow.agreed_at));
            let AgreedState { email: _, status: _, fields, groups, is_gone: _ } = &shadow.agreed;
            for (name, value) in fields {
                println!("  {name} = {}", shown(value.a.as_deref()));
            }
            for (name, is_member) in groups {
                println!("  {name}: {}", if *is_member { "in" } else { "out" });
            }
        }
        None => println!("agreed       never: syncline contacts backfill"),
    }
    for recorded in conflicts {
        println!("conflict     {} over {}", recorded.id, recorded.conflict.subject);
    }
    for LogEntry { at, run: _, action, details } in log {
        let at = at.map_or_else(|| "some day".to_owned(), timestamp);
        println!("{at}  {action} {details}");
    }
}

fn person_json(own: &OwnContacts, person: &PersonHistory) -> Value {
    let contact = |contact: &Contact| {
        let names = own.mapping.fields.iter().map(|rule| rule.column.clone());
        let values: serde_json::Map<String, Value> =
            names.zip(contact.values.iter().map(|value| json!(value))).collect();
        json!({
            "a_id": contact.id,
            "email": contact.email,
            "status": contact.status,
            "values": values,
            "erased": contact.is_erased,
        })
    };
    let entry = |entry: &LogEntry| {
        json!({
            "at": entry.at.map(timestamp),
            "run": entry.run,
            "action": entry.action,
            "details": entry.details,
        })
    };
    let linked = person.linked.iter().map(|LinkHistory { link, conflicts, log }| {
        json!({
            "a_id": link.contact,
            "b_id": link.subscriber,
            "row": link.row.as_ref().map(contact),
            "agreed": link.shadow.as_ref().map(|shadow| &shadow.agreed),
            "agreed_at": link.shadow.as_ref().map(|shadow| timestamp(shadow.agreed_at)),
            "conflicts": conflicts.iter().map(object).collect::<Vec<_>>(),
            "log": log.iter().map(entry).collect::<Vec<_>>(),
        })
    });
    json!({
        "linked": linked.collect::<Vec<_>>(),
        "unlinked": person.unlinked.iter().map(contact).collect::<Vec<_>>(),
        "subscriber": person.subscriber.as_ref().map(|subscriber| json!({
            "b_id": subscriber.id,
            "email": subscriber.email,
            "status": subscriber.status,
            "fields": subscriber.fields,
        })),
    })
}
