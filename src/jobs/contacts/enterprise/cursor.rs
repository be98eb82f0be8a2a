//! The cursor of an enterprise sync: the place at which a later call goes on. It is a text for the
//! caller, who need not understand it.
//!
//! The changes were counted for one direction and one mapping, so that the cursor of another sync
//! would carry changes that nobody counted.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::direction::SyncDirection;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::plan::limits::ChangeCounts;

/// The cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunCursor {
    /// The way that values take.
    pub direction: SyncDirection,
    /// The digest of the mapping.
    mapping: String,
    /// All changes were counted and allowed, and are made from here on.
    pub writes: bool,
    /// The place.
    pub place: Place,
    /// The changes that were counted.
    pub changes: ChangeCounts,
    /// The subscribers who were seen while changes were counted.
    pub seen: u64,
    /// The most people of each kind, as they were allowed after the count.
    pub caps: ChangeCounts,
    /// The people of each kind who were changed since.
    pub made: ChangeCounts,
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
    /// The place before the first page.
    pub fn start(direction: SyncDirection, mapping: &ContactMapping) -> Self {
        Self {
            direction,
            mapping: digest(mapping),
            writes: false,
            place: Place::default(),
            changes: ChangeCounts::new(),
            seen: 0,
            caps: ChangeCounts::new(),
            made: ChangeCounts::new(),
        }
    }

    /// Begins to make the changes that were counted, within these caps.
    pub fn allow(&mut self, caps: ChangeCounts) {
        self.writes = true;
        self.place = Place::default();
        self.caps = caps;
    }

    /// Reads the cursor of a sync of this direction and mapping.
    pub fn parse(
        text: &str,
        direction: SyncDirection,
        mapping: &ContactMapping,
    ) -> Result<Self, Fault> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let cursor: Self = cursor.ok_or_else(|| {
            bad(
                "The cursor of the sync cannot be read",
                "send the `nextCursor` of the call before, or none",
            )
        })?;
        if cursor.direction != direction {
            let message = "The cursor belongs to a sync of another direction";
            return Err(bad(message, "send the direction of the call before, or no cursor"));
        }
        if cursor.mapping != digest(mapping) {
            let message = "The cursor belongs to a sync before the mapping was changed";
            return Err(bad(message, "send no cursor, which begins a sync with the new mapping"));
        }
        Ok(cursor)
    }

    /// The text of the cursor.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

fn digest(mapping: &ContactMapping) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(format!("{mapping:?}"))[..9])
}

fn bad(message: &str, hint: &str) -> Fault {
    Fault::of_call(FaultCode::BadBody, message.to_owned(), hint.to_owned())
}
