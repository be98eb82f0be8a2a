//! A person as MailerLite has them: side B.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::engine::model::named::named;

/// The most digits of an id. MailerLite's have 18, which no floating point number holds.
const MOST_DIGITS: usize = 20;

/// MailerLite's number of a subscriber or of a group, as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailerLiteId(String);

/// A text that is no id of MailerLite's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("An id of MailerLite's has 1 to {MOST_DIGITS} digits")]
pub struct BadMailerLiteId;

impl MailerLiteId {
    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, BadMailerLiteId> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match is_number && (1..=MOST_DIGITS).contains(&text.len()) {
            true => Ok(Self(text.to_owned())),
            false => Err(BadMailerLiteId),
        }
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MailerLiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MailerLiteId {
    type Error = BadMailerLiteId;

    fn try_from(text: String) -> Result<Self, BadMailerLiteId> {
        Self::parse(&text)
    }
}

impl From<MailerLiteId> for String {
    fn from(id: MailerLiteId) -> Self {
        id.0
    }
}

named! {
    /// The status of a person, in the order towards less mail. A sync moves it up only.
    MailStatus {
        /// The person gets mail.
        Active = "active",
        /// The person has not confirmed the address yet.
        Unconfirmed = "unconfirmed",
        /// The person wants no mail.
        Unsubscribed = "unsubscribed",
        /// Mail to the address came back.
        Bounced = "bounced",
        /// The person called the mail junk.
        Junk = "junk",
    }
}

impl MailStatus {
    /// Says whether no mail may be sent to the person.
    pub fn refuses_mail(self) -> bool {
        self >= Self::Unsubscribed
    }
}

/// A subscriber.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The number.
    pub id: MailerLiteId,
    /// The address as MailerLite spells it.
    pub email: String,
    /// The status.
    pub status: MailStatus,
    /// The values by the keys of the fields, as text.
    pub fields: BTreeMap<String, Option<String>>,
    /// The groups that the person is in; none if the answer did not tell them.
    pub groups: Option<BTreeSet<MailerLiteId>>,
    /// The time when the person subscribed last.
    pub subscribed_at: Option<SystemTime>,
    /// The time of the last change of anything. MailerLite has one for all fields and groups.
    pub updated_at: SystemTime,
}

impl Subscriber {
    /// The value of a field. An unknown field has none.
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.get(key).and_then(|value| value.as_deref())
    }
}
