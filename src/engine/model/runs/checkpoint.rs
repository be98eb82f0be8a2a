//! The checkpoint of a table: the cursor that it has come to, and the writers that it waits for.
//! Its parts are stored as they are, so their form is a promise to later releases.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::writer::Writer;
use crate::engine::model::cursor::{CursorValue, Pass, Position};
use crate::engine::model::shape_mark::ShapeMark;

/// The state of a table's sync. It is saved only with the rows it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The shape that it was made for; another one starts over.
    pub shape: ShapeMark,
    /// The state once every scan so far is done.
    pub reached: Reached,
    /// A scan that was cut by its budget, to be resumed exactly there.
    pub scan: Option<Scan>,
}

/// The rows that are known to be in the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The kept cursor: every row from the start to it is in the target, and no open transaction
    /// can still write behind it. None until the first scan is promoted.
    pub kept: Option<CursorValue>,
    /// A watermark that is applied already but may not be kept yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The survey of the source when the last scan began; an equal one means a quiet table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The start of the first scan, if a look-back limited it: no row below was ever asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

/// The start of a table whose first scan was limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The least cursor that was asked for.
    pub from: CursorValue,
    /// The look-back that it was chosen with: the same one chooses no other.
    #[serde(
        rename = "lookback_seconds",
        serialize_with = "as_seconds",
        deserialize_with = "from_seconds"
    )]
    pub lookback: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(duration.as_secs())
}

fn from_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_secs)
}

impl Checkpoint {
    /// Returns the start of the table: that of the scan on its way, if there is one.
    pub fn start(&self) -> Option<&Start> {
        let reached = self.scan.as_ref().map_or(&self.reached, |scan| &scan.goal);
        reached.start.as_ref()
    }

    /// The least cursor that was asked for, if a look-back limited the table.
    pub fn started_from(&self) -> Option<&CursorValue> {
        self.start().map(|start| &start.from)
    }

    /// Some scan of the table has begun. A file that was imported into it saves a checkpoint, too.
    pub fn is_begun(&self) -> bool {
        self.scan.is_some() || self.reached != Reached::default()
    }
}

/// A watermark waiting for the transactions that were open when it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The cursor to keep once all of them have ended and one more scan is done.
    pub watermark: CursorValue,
    /// The transactions that were open.
    pub writers: BTreeSet<Writer>,
}

/// The look of a table's tail: equal looks mean that nothing was written in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The greatest cursor that is not in the future.
    pub max: Option<CursorValue>,
    /// A digest over the row versions from the kept cursor, less the overlap, on; none where the
    /// look did not take it, and then the next run reads.
    pub digest: Option<String>,
}

/// A scan on its way. It carries what it may promise at its end, because that was decided when
/// it began: a fresh watermark would be wrong for the pages read before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// The rows that are being read.
    pub pass: Pass,
    /// The passes still to come.
    pub then: Vec<Pass>,
    /// The last row applied; none before the first page of a pass.
    pub after: Option<Position>,
    /// The kept cursor the scan started from.
    pub from: Option<CursorValue>,
    /// The greatest cursor when it started.
    pub watermark: Option<CursorValue>,
    /// The target was empty when it started, so pages are copied straight in.
    pub fresh: bool,
    /// The state when it is done.
    pub goal: Reached,
}
