//! Whether the next run can be told by the source's pulse alone that it has nothing to do.
//!
//! The failure that this must not lead to: a pulse is kept, something changes that a run would act
//! on, the pulse is the same, and nobody looks. So it is kept by a run that
//! 1. planned from the very descriptions that the pulse and the target's mark stand for,
//! 2. has nothing that is due in every run,
//! 3. left each table's checkpoint saying what the pulse says: all up to the greatest cursor is in
//!    the target, no open transaction can write behind it, and the rows from there on look like
//!    that.
//!
//! And it is found again only with the same settings, descriptions and checkpoints, and with no row
//! set aside. A survey would then see in each table what the checkpoint has seen, which is what
//! makes a table quiet. Rows of the future that become due move the greatest cursor, and so the
//! pulse.
//!
//! What stands for a pulse is what a checkpoint can say, and no more. Whether there are rows past
//! the maximum or without a cursor follows from it: the digest counts them, one by one. And who is
//! writing changes all the time.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::engine::model::checkpoint::{Reached, Seen};
use crate::engine::model::deletes::Deletes;
use crate::engine::model::facts::Facts;
use crate::engine::model::pipeline::Pipeline;
use crate::engine::model::pulse::{Beat, Pulse};
use crate::engine::model::shape::Shape;
use crate::engine::plan::window;
use crate::engine::ports::Checkpoints;

use super::SyncTables;

/// The pulse that a run began with.
pub(super) struct Taken {
    pulse: Pulse,
    /// What stands for it, for the source's description and for all that is set.
    pub text: String,
}

impl SyncTables {
    /// Whether a run may have nothing to do: what deletes, advances sequences or reads anew has
    /// something to do each time, and a later slice of a chain has found something already.
    pub(super) fn may_be_quiet(&self) -> bool {
        let Self { pipeline, chain, sequences, anew, .. } = self;
        let is_off = |deletes: &Deletes| *deletes == Deletes::Off;
        let deletes = pipeline.rules.iter().filter_map(|rule| rule.deletes.as_ref());
        let off = deletes.chain([&pipeline.deletes]).all(is_off);
        off && chain.slice() == 0 && !sequences && !anew
    }
}

impl Taken {
    /// The pulse with what it is worth only together. The planner's estimates change by themselves.
    pub(super) fn of(pipeline: &Pipeline, here: &Facts, pulse: Pulse) -> Self {
        let mut here = here.clone();
        for table in here.tables.values_mut() {
            table.estimated_rows = 0;
        }
        let version = env!("CARGO_PKG_VERSION");
        let Pulse { tables, overlap: _, writers: _ } = &pulse;
        let beats = tables.iter().map(|(table, beat)| {
            let Beat { cursor, max, digest, beyond: _, nulls: _ } = beat;
            (table, cursor, max, digest)
        });
        let beats: Vec<_> = beats.collect();
        let sum = Sha256::digest(format!("{version} {pipeline:?} {here:?} {beats:?}"));
        let text = sum.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { pulse, text }
    }

    /// Whether each table's checkpoint says of the source what the pulse says.
    pub(super) fn is_reached(&self, shapes: &[Shape], checkpoints: &Checkpoints) -> bool {
        shapes.iter().all(|shape| {
            let beat = self.pulse.tables.get(&shape.table);
            let checkpoint = window::usable(shape, checkpoints.get(&shape.table));
            let (Some(beat), Some(checkpoint)) = (beat, checkpoint) else { return false };
            let Beat { cursor, max, digest, beyond: _, nulls: _ } = beat;
            let seen = Some(Seen { max: max.clone(), digest: Some(digest.clone()) });
            // A checkpoint that begins late has seen no row below its start. Where the window
            // reaches below it, too, the two digests differ.
            let start = checkpoint.reached.start.clone();
            // A table that was emptied keeps the cursor that it had come to.
            let kept = max.clone().or_else(|| checkpoint.reached.kept.clone());
            let reached = Reached { kept, pending: None, seen, start };
            cursor.as_deref() == shape.cursor.column()
                && checkpoint.scan.is_none()
                && checkpoint.reached == reached
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::checkpoint::{Checkpoint, Pending};
    use crate::engine::model::cursor::{Cursor, CursorKind, CursorValue};
    use crate::engine::model::facts::Relation;
    use crate::engine::model::page::Encoding;
    use crate::engine::model::pipeline::Policy;
    use crate::engine::model::table::TableName;

    fn shape(cursor: Cursor) -> Shape {
        Shape {
            table: TableName::new("public", "items"),
            origin: String::new(),
            columns: Vec::new(),
            key: vec!["id".to_owned()],
            cursor,
            filter: None,
            policy: Policy::SourceWins,
            encoding: Encoding::Json,
            source: Relation::Table,
            target: Relation::Table,
            estimated_rows: 0,
            mark: None,
            lookback: None,
        }
    }

    fn by_stamp() -> Shape {
        let (name, type_name) = ("at".to_owned(), "date".to_owned());
        let kind = CursorKind::Day;
        shape(Cursor::Column { name, type_name, kind, nullable: true, indexed: true })
    }

    fn value(text: &str) -> Option<CursorValue> {
        (!text.is_empty()).then(|| CursorValue::new(text))
    }

    fn taken(shape: &Shape, cursor: &str, max: &str) -> Taken {
        let cursor = (!cursor.is_empty()).then(|| cursor.to_owned());
        let digest = "1:2".to_owned();
        let beat = Beat { cursor, max: value(max), digest, beyond: false, nulls: false };
        let pulse = Pulse { tables: [(shape.table.clone(), beat)].into(), ..Pulse::default() };
        Taken { pulse, text: String::new() }
    }

    fn checkpoint(shape: &Shape, kept: &str, max: &str, digest: &str) -> Checkpoint {
        let seen = Some(Seen { max: value(max), digest: Some(digest.to_owned()) });
        window::settled(shape, Reached { kept: value(kept), pending: None, seen, start: None })
    }

    fn is_reached(taken: &Taken, shape: &Shape, checkpoint: Checkpoint) -> bool {
        let checkpoints = [(shape.table.clone(), checkpoint)].into();
        taken.is_reached(std::slice::from_ref(shape), &checkpoints)
    }

    #[test]
    fn a_pulse_is_kept_where_the_checkpoint_has_seen_the_same_and_nothing_is_pending() {
        let (by, whole) = (by_stamp(), shape(Cursor::Whole));
        for (cursor, max, kept, seen, digest, expected) in [
            ("at", "5", "5", "5", "1:2", true),
            ("at", "", "", "", "1:2", true),
            ("", "5", "5", "5", "1:2", false),
            ("made", "5", "5", "5", "1:2", false),
            ("at", "5", "4", "5", "1:2", false),
            ("at", "6", "5", "5", "1:2", false),
            ("at", "5", "5", "5", "1:3", false),
            ("at", "5", "", "5", "1:2", false),
            ("at", "", "4", "", "1:2", true),
            ("at", "", "4", "4", "1:2", false),
        ] {
            let checkpoint = checkpoint(&by, kept, seen, digest);
            let is = is_reached(&taken(&by, cursor, max), &by, checkpoint);
            assert_eq!(is, expected, "{cursor} {max} {kept} {seen} {digest}");
        }
        assert!(is_reached(&taken(&whole, "", ""), &whole, checkpoint(&whole, "", "", "1:2")));
        assert!(!is_reached(&taken(&whole, "at", ""), &whole, checkpoint(&whole, "", "", "1:2")));
    }

    #[test]
    fn no_pulse_is_kept_over_what_is_pending_or_cut_or_of_another_shape() {
        let shape = by_stamp();
        let taken = taken(&shape, "at", "5");
        let done = checkpoint(&shape, "5", "5", "1:2");
        assert!(is_reached(&taken, &shape, done.clone()));

        let mut pending = done.clone();
        let writers = ["1/2".to_owned()].into();
        pending.reached.pending = Some(Pending { watermark: CursorValue::new("5"), writers });
        assert!(!is_reached(&taken, &shape, pending));
        assert!(!is_reached(&taken, &shape, Checkpoint { shape: "another".into(), ..done }));
        assert!(!taken.is_reached(std::slice::from_ref(&shape), &Checkpoints::new()));
        assert!(taken.is_reached(&[], &Checkpoints::new()));
    }
}
