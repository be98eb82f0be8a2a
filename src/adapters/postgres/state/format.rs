//! The stored form of the state: the keys of `sync_state` with their values as JSON, and a run's
//! counts in `sync_metadata`. Every later version must be able to read this form.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::engine::model::checkpoint::{Checkpoint, Reached, Scan};
use crate::engine::model::notice::SentNotices;
use crate::engine::model::run::{Tallies, Tally};
use crate::engine::model::shape_mark::ShapeMark;
use crate::engine::model::table::TableName;

/// The key of a pipeline's lease.
pub fn lease_key(pipeline: &str) -> String {
    format!("lease:{pipeline}")
}

/// The prefix of the keys of a pipeline's checkpoints.
pub fn checkpoint_prefix(pipeline: &str) -> String {
    format!("checkpoint:{pipeline}:")
}

/// The key of a table's checkpoint.
pub fn checkpoint_key(pipeline: &str, table: &TableName) -> String {
    format!("{}{table}", checkpoint_prefix(pipeline))
}

/// The key of the record that a table's deletes were applied.
pub fn deletes_key(pipeline: &str, table: &str) -> String {
    format!("deletes:{pipeline}:{table}")
}

/// The key of the record of a table's columns that triggers of the target rewrite.
pub fn rewritten_key(pipeline: &str, table: &str) -> String {
    format!("rewritten:{pipeline}:{table}")
}

/// The key of the record of the notices that were sent about a pipeline.
pub fn notices_key(pipeline: &str) -> String {
    format!("notified:{pipeline}")
}

/// The key of the record of a peer.
pub fn peer_key(name: &str) -> String {
    format!("peer:{name}")
}

/// Returns the tables of a pipeline whose deletes were applied, by the keys of their records.
pub fn tables_with_deletes_done(pipeline: &str, keys: &BTreeSet<String>) -> BTreeSet<TableName> {
    let prefix = deletes_key(pipeline, "");
    let names = keys.iter().filter_map(|key| key.strip_prefix(&prefix));
    names.filter_map(|name| TableName::parse(name).ok()).collect()
}

/// The stored form of the notices that were sent about a pipeline.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredNotices {
    /// Milliseconds since 1970, by the clock of the program that sent the notice.
    failing_told_ms: Option<u64>,
    rejects_until: Option<String>,
    /// Records of pipelines have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

impl StoredNotices {
    /// Returns the stored form as text.
    pub fn text(sent: &SentNotices) -> Result<String, serde_json::Error> {
        let SentNotices { failing, rejects, cause } = sent;
        let since = |at: &SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        serde_json::to_string(&Self {
            failing_told_ms: failing.as_ref().map(|at| since(at).as_millis() as u64),
            rejects_until: rejects.clone(),
            cause: cause.clone(),
        })
    }

    /// Returns the model of the stored form.
    pub fn into_model(self) -> SentNotices {
        let Self { failing_told_ms, rejects_until, cause } = self;
        let at = |ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms);
        SentNotices { failing: failing_told_ms.map(at), rejects: rejects_until, cause }
    }
}

/// Returns a page's counts as rows that the history adds up:
/// `[{"name": "inserted", "value": 1}, ...]`.
pub fn counts_json(tally: &Tally) -> String {
    // The rewritten rows stand in the answer alone, not in the history.
    let Tally { inserted, updated, unchanged, rejected, deleted, rewritten: _ } = tally;
    let named = [
        ("inserted", inserted),
        ("updated", updated),
        ("unchanged", unchanged),
        ("rejected", rejected),
        ("deleted", deleted),
    ];
    let rows = named.map(|(name, value)| serde_json::json!({ "name": name, "value": value }));
    serde_json::Value::from(rows.to_vec()).to_string()
}

/// Reads a run's counts from the history: `{"public.orders": {"inserted": 1, ...}}`.
pub fn tallies(json: &str) -> Result<Tallies, serde_json::Error> {
    let stored: BTreeMap<String, Tally> = serde_json::from_str(json)?;
    // The names were written by `Display`, which `parse` reads back.
    let named = |(name, tally): (String, _)| Some((TableName::parse(&name).ok()?, tally));
    Ok(stored.into_iter().filter_map(named).collect())
}

/// The stored form of a checkpoint, with its table.
#[derive(Debug, Serialize, Deserialize)]
pub struct StoredCheckpoint {
    schema: String,
    table: String,
    shape: StoredShape,
    #[serde(flatten)]
    reached: Reached,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan: Option<Scan>,
}

/// The stored form of a shape's mark. The first releases stored a text. Such a text is read, and
/// replaced by a mark when the checkpoint is saved next. A text that cannot be read stands for no
/// shape, so its table is read anew.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum StoredShape {
    Mark(Box<ShapeMark>),
    Text(String),
}

impl StoredCheckpoint {
    /// Returns the stored form of a table's checkpoint.
    pub fn new(table: &TableName, checkpoint: &Checkpoint) -> Self {
        let Checkpoint { shape, reached, scan } = checkpoint;
        Self {
            schema: table.schema().to_owned(),
            table: table.name().to_owned(),
            shape: StoredShape::Mark(Box::new(shape.clone())),
            reached: reached.clone(),
            scan: scan.clone(),
        }
    }

    /// Returns the table and its checkpoint.
    pub fn into_model(self) -> (TableName, Checkpoint) {
        let Self { schema, table, shape, reached, scan } = self;
        let shape = match shape {
            StoredShape::Mark(mark) => *mark,
            StoredShape::Text(text) => ShapeMark::from_text(&text).unwrap_or_default(),
        };
        (TableName::new(schema, table), Checkpoint { shape, reached, scan })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::checkpoint::{Pending, Seen, Start};
    use crate::engine::model::cursor::{CursorValue, Pass, Position};
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = CursorValue> {
        any::<String>().prop_map(CursorValue::new)
    }

    fn reached() -> impl Strategy<Value = Reached> {
        let pending = (value(), proptest::collection::btree_set(any::<String>(), 0..3))
            .prop_map(|(watermark, writers)| Pending { watermark, writers });
        let seen = (proptest::option::of(value()), any::<Option<String>>())
            .prop_map(|(max, digest)| Seen { max, digest });
        let start = (value(), any::<u64>())
            .prop_map(|(from, of)| Start { from, lookback: Duration::from_secs(of) });
        let parts = (
            proptest::option::of(value()),
            proptest::option::of(pending),
            proptest::option::of(seen),
            proptest::option::of(start),
        );
        parts.prop_map(|(kept, pending, seen, start)| Reached { kept, pending, seen, start })
    }

    fn pass() -> impl Strategy<Value = Pass> {
        proptest::sample::select(vec![Pass::Window, Pass::Beyond, Pass::Nulls, Pass::ByKey])
    }

    fn scan() -> impl Strategy<Value = Scan> {
        let position = (proptest::option::of(value()), proptest::collection::vec(value(), 1..3))
            .prop_map(|(cursor, key)| Position { cursor, key });
        let parts = (
            pass(),
            proptest::collection::vec(pass(), 0..3),
            proptest::option::of(position),
            proptest::option::of(value()),
            proptest::option::of(value()),
            any::<bool>(),
            reached(),
        );
        parts.prop_map(|(pass, then, after, from, watermark, fresh, goal)| Scan {
            pass,
            then,
            after,
            from,
            watermark,
            fresh,
            goal,
        })
    }

    /// JSON of any shape, and often of the shapes that a checkpoint is made of.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let names =
            ["shape", "kept", "pending", "seen", "scan", "pass", "after", "key", "goal", "start"];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            proptest::sample::select(vec!["window", "by_key", "a.b"]).prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::vec((name, inner), 0..6)
                    .prop_map(|pairs| serde_json::Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_stored_text_makes_the_reader_panic(
            scan in scan(),
            reached in reached(),
            place in any::<proptest::sample::Index>(),
            other in json(),
            text in any::<String>(),
        ) {
            let table = TableName::new("public", "t");
            let checkpoint = Checkpoint { shape: ShapeMark::default(), reached, scan: Some(scan) };
            let mut json = serde_json::to_value(StoredCheckpoint::new(&table, &checkpoint)).unwrap();
            let fields = json.as_object_mut().unwrap();
            let place = place.index(fields.len());
            *fields.values_mut().nth(place).unwrap() = other;
            for text in [json.to_string(), text] {
                if let Ok(stored) = serde_json::from_str::<StoredCheckpoint>(&text) {
                    let _ = stored.into_model();
                }
            }
        }

        #[test]
        fn a_stored_checkpoint_reads_back_as_it_was(
            reached in reached(),
            scan in proptest::option::of(scan()),
        ) {
            let table = TableName::new("a schema", "a.table");
            let checkpoint = Checkpoint { shape: ShapeMark::default(), reached, scan };
            let json = serde_json::to_string(&StoredCheckpoint::new(&table, &checkpoint)).unwrap();
            let stored: StoredCheckpoint = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(stored.into_model(), (table, checkpoint));
        }
    }

    #[test]
    fn passes_and_counts_keep_the_names_that_they_are_stored_under() {
        let passes = [Pass::Window, Pass::Beyond, Pass::Nulls, Pass::ByKey];
        let names = serde_json::to_string(&passes).unwrap();
        assert_eq!(names, r#"["window","beyond","nulls","by_key"]"#);
        let stored =
            r#"{"a.b":{"inserted":1,"updated":2,"unchanged":3,"rejected":4,"rewritten":6}}"#;
        let tally = tallies(stored).unwrap()[&TableName::new("a", "b")];
        let Tally { inserted, updated, unchanged, rejected, deleted, rewritten } = tally;
        let counts = [inserted, updated, unchanged, rejected, deleted, rewritten];
        assert_eq!(counts, [1, 2, 3, 4, 0, 0]);
    }

    /// Checkpoints that the first releases stored, a line each: of all kinds of cursors and names,
    /// with a condition, a policy, a look-back, open writers, and a scan that was cut; the last two
    /// of a source behind an API.
    const OF_TEXT: &str = include_str!("../../../../tests/data/checkpoints_0_1.jsonl");
    /// The lines as they are stored now.
    const OF_MARKS: &str = include_str!("../../../../tests/data/checkpoints.jsonl");

    #[test]
    fn a_checkpoint_of_the_first_releases_is_read_and_stored_with_a_mark() {
        let mut lines = OF_MARKS.lines();
        for line in OF_TEXT.lines() {
            let stored: StoredCheckpoint = serde_json::from_str(line).unwrap();
            let (table, checkpoint) = stored.into_model();
            let stored = serde_json::to_value(StoredCheckpoint::new(&table, &checkpoint)).unwrap();
            let expected = lines.next().map(|line| serde_json::from_str(line).unwrap());
            assert_eq!(Some(stored), expected, "{line}");
        }
        assert_eq!(lines.next(), None);
    }
}
