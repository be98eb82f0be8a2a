//! The shadow of a person: the state that both sides agreed on last.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::contact::ContactId;
use super::subscriber::{MailStatus, MailerLiteId};

/// A value as each side spells it. Both spellings are kept: a side has changed its value if it
/// differs from its own spelling here, however the other one spells it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreed<T> {
    /// In the database.
    pub a: T,
    /// The value at MailerLite.
    pub b: T,
}

/// A shadow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// The row.
    pub contact: ContactId,
    /// The subscriber.
    pub subscriber: MailerLiteId,
    /// The state.
    pub agreed: AgreedState,
    /// The time of the agreement.
    pub agreed_at: SystemTime,
}

/// The state that both sides agreed on. What it does not name was never agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgreedState {
    /// The address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Agreed<String>>,
    /// The status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Agreed<MailStatus>>,
    /// The values by the keys of the fields.
    #[serde(default)]
    pub fields: BTreeMap<String, Agreed<Option<String>>>,
    /// The memberships by the names of the groups.
    #[serde(default)]
    pub groups: BTreeMap<String, bool>,
    /// The subscriber was not found any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
}
