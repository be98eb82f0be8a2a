//! A person as a row of the database: side A.

use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::subscriber::MailStatus;

/// The key of the row, a uuid, in the spelling of Postgres.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContactId(String);

/// A text that is no uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The key of a contact is a uuid, as in 6f9619ff-8b86-d011-b42d-00cf4fc964ff")]
pub struct BadContactId;

impl ContactId {
    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, BadContactId> {
        let is_at_its_place = |(place, byte): (usize, u8)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        };
        match text.len() == 36 && text.bytes().enumerate().all(is_at_its_place) {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err(BadContactId),
        }
    }

    /// The uuid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ContactId {
    type Error = BadContactId;

    fn try_from(text: String) -> Result<Self, BadContactId> {
        Self::parse(&text)
    }
}

impl From<ContactId> for String {
    fn from(id: ContactId) -> Self {
        id.0
    }
}

/// A contact. Its values stand in the order in which the mapping lists fields and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The key.
    pub id: ContactId,
    /// The address as the database spells it.
    pub email: Option<String>,
    /// The consent, as the mapping reads its column.
    pub status: MailStatus,
    /// The text in the column of the consent, if the mapping names one.
    pub consent: Option<String>,
    /// The values of the mapped columns, as text.
    pub values: Vec<Option<String>>,
    /// For each mapped group: the person belongs in it.
    pub members: Vec<bool>,
    /// The person asked to be forgotten.
    pub is_erased: bool,
    /// The time of the row's last change, if the mapping names a column for it.
    pub updated_at: Option<SystemTime>,
}
