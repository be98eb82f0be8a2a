//! A mapping, and a person on both sides, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::mapping::{
    ContactMapping, FieldRule, GroupRule, ImportPolicy, Membership,
};
use crate::engine::model::contacts::shadow::{Agreed, AgreedState, Shadow};
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId, Subscriber};
use crate::engine::model::table::TableName;

pub fn mapping() -> ContactMapping {
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

pub fn id(text: &str) -> MailerLiteId {
    MailerLiteId::parse(text).unwrap()
}

pub fn time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

pub fn contact(email: &str, values: [&str; 2]) -> Contact {
    Contact {
        id: ContactId::parse("6f9619ff-8b86-d011-b42d-00cf4fc964ff").unwrap(),
        email: Some(email.into()),
        status: MailStatus::Active,
        consent: None,
        values: values.map(|value| Some(value.to_owned())).to_vec(),
        members: vec![false],
        is_erased: false,
        updated_at: None,
    }
}

pub fn subscriber(email: &str, values: [&str; 2]) -> Subscriber {
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

pub fn shadow(email: &str, values: [&str; 2], status: MailStatus) -> Shadow {
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
            is_gone: false,
        },
        agreed_at: time(10),
    }
}
