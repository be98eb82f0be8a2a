//! The cursor of an enterprise sync: the place at which a later call goes on. It is a text for the
//! caller, who need not understand it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::plan::limits::ChangeCounts;

/// The cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCursor {
    /// All changes were counted and allowed, and are made from here on.
    pub writes: bool,
    /// The place.
    pub place: Place,
    /// The changes that were counted.
    pub changes: ChangeCounts,
    /// The subscribers who were seen while changes were counted.
    pub seen: u64,
}

/// A place in the walk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The list's cursor of the next page.
    pub page: Option<String>,
    /// All ids of the next page are smaller.
    pub below: Option<MailerLiteId>,
    /// The list was walked to its end, and rows without a link come next.
    pub is_at_rows: bool,
    /// The last of those rows.
    pub row: Option<ContactId>,
}

impl RunCursor {
    /// The place from which all changes are made.
    pub fn of_writes(changes: ChangeCounts, seen: u64) -> Self {
        Self { writes: true, place: Place::default(), changes, seen }
    }

    /// Reads a cursor.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor.ok_or_else(|| {
            let message = "The cursor of the sync cannot be read";
            Fault::of_call(
                FaultCode::BadBody,
                message,
                "send the `nextCursor` of the call before, or none",
            )
        })
    }

    /// The text of the cursor.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}
