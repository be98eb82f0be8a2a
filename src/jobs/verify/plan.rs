//! What is compared, and what may be deleted: decisions on values.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::shape::Shape;
use crate::engine::plan::window;

use super::TableVerified;

/// The greatest cursor that the target has reached: the kept one, or the watermark that waits to be
/// kept, up to which everything visible was applied. None where everything is compared.
pub fn settled_to(shape: &Shape, checkpoint: Option<&Checkpoint>) -> Option<String> {
    shape.cursor.column()?;
    let reached = &window::usable(shape, checkpoint)?.reached;
    let pending = reached.pending.as_ref().map(|pending| &pending.watermark);
    reached.kept.as_ref().or(pending).map(|value| value.as_str().to_owned())
}

/// The largest share of a target's rows that is deleted without a second yes: more is rather a
/// source that lost its rows than a target with too many.
const LARGEST_SHARE: f64 = 0.1;

/// Why rows that only the target has are not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It was not asked for.
    NotAsked,
    /// The source's table is empty, and the target's is not.
    EmptySource,
    /// The comparison stopped at its limit: nobody knows how many they are.
    Incomplete,
    /// The pipeline's condition cannot be evaluated on the target, which may have rows of its own.
    Unfiltered,
    /// They are a large share of the target's rows.
    LargeShare,
}

impl Kept {
    /// The reason, with what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotAsked => "rows that only the target has stay; --delete-extra deletes them",
            Self::EmptySource => "the source has no row: rows that only the target has stay",
            Self::Incomplete => "the list is cut: raise --limit before extra rows are deleted",
            Self::Unfiltered => {
                "the condition cannot be evaluated on the target, whose extra rows may be its own"
            }
            Self::LargeShare => {
                "more than a tenth of the target's rows would be deleted; --yes says that it is meant"
            }
        }
    }
}

/// What is asked to be done with the rows that only the target has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// They stay.
    Keep,
    /// They are deleted, if they are few.
    DeleteFew,
    /// They are deleted, however many they are.
    DeleteAny,
}

/// Whether a table's extra rows may be deleted.
pub fn may_delete(extras: Extras, verified: &TableVerified) -> Result<(), Kept> {
    let extra = verified.counts().extra;
    let share = extra as f64 / verified.target.rows.max(1) as f64;
    let refused = [
        (extras == Extras::Keep, Kept::NotAsked),
        (verified.source.rows == 0, Kept::EmptySource),
        (verified.more, Kept::Incomplete),
        (!verified.target_filtered, Kept::Unfiltered),
        (share > LARGEST_SHARE && extras != Extras::DeleteAny, Kept::LargeShare),
    ];
    match refused.into_iter().find(|(applies, _)| *applies) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::range::{Difference, DifferingRow, RowKey, SideRows};
    use crate::engine::model::table::TableName;

    fn verified(source: u64, target: u64, extra: usize) -> TableVerified {
        let row =
            DifferingRow { key: RowKey::new(vec!["1".into()]), difference: Difference::Extra };
        let side = |rows| SideRows { rows, digest: 0 };
        TableVerified {
            table: TableName::new("public", "t"),
            key: vec!["id".into()],
            settled_to: None,
            target_filtered: true,
            source: side(source),
            target: side(target),
            rows: vec![row; extra],
            more: false,
            mended: Vec::new(),
            kept: None,
        }
    }

    #[test]
    fn extra_rows_are_deleted_only_when_that_is_meant_and_nothing_speaks_against_it() {
        let few = || verified(90, 100, 10);
        let most = || verified(1, 100, 99);
        let cut = TableVerified { more: true, ..few() };
        let unfiltered = TableVerified { target_filtered: false, ..few() };
        for (extras, table, expected) in [
            (Extras::Keep, few(), Err(Kept::NotAsked)),
            (Extras::DeleteFew, few(), Ok(())),
            (Extras::DeleteFew, verified(89, 100, 11), Err(Kept::LargeShare)),
            (Extras::DeleteAny, most(), Ok(())),
            (Extras::DeleteAny, verified(0, 100, 1), Err(Kept::EmptySource)),
            (Extras::DeleteAny, cut, Err(Kept::Incomplete)),
            (Extras::DeleteAny, unfiltered, Err(Kept::Unfiltered)),
        ] {
            assert_eq!(may_delete(extras, &table), expected, "{extras:?} {table:?}");
        }
    }
}
