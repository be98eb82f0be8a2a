//! Decides which rows are compared, and whether extra rows may be deleted.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::deletes::Cap;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::{self, DeleteRefusal, Extent};
use crate::engine::plan::window;

/// The rows that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// The rows up to the cursor that the target has reached: those above come with the next run.
    Settled,
    /// All rows: nobody writes in the source, and the last run has moved what there was.
    All,
}

/// Returns the greatest cursor that the target has reached: the kept one, or the watermark that
/// waits to be kept, up to which everything visible was applied. None if everything is compared.
pub fn settled_to(rows: Rows, shape: &Shape, checkpoint: Option<&Checkpoint>) -> Option<String> {
    if rows == Rows::All {
        return None;
    }
    shape.cursor.column()?;
    let reached = &window::usable(shape, checkpoint)?.reached;
    let pending = reached.pending.as_ref().map(|pending| &pending.watermark);
    reached.kept.as_ref().or(pending).map(|value| value.as_str().to_owned())
}

/// The reason why rows that only the target has are not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Deletes were not asked for.
    NotAsked,
    /// The comparison stopped at its limit, so that their number is not known.
    Incomplete,
    /// The reason is one that holds for a sync, too.
    Refused(DeleteRefusal),
}

impl Kept {
    /// The reason, with what to do.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotAsked => "rows that only the target has stay; --delete-extra deletes them",
            Self::Incomplete => "the list is cut: raise --limit before extra rows are deleted",
            Self::Refused(DeleteRefusal::EmptySource) => {
                "the source has no row: rows that only the target has stay"
            }
            Self::Refused(DeleteRefusal::Unfiltered) => {
                "the condition cannot be evaluated on the target, whose extra rows may be its own"
            }
            Self::Refused(DeleteRefusal::LargeShare) => {
                "more than a tenth of the target's rows would be deleted; --yes says that it is meant"
            }
            Self::Refused(DeleteRefusal::Many) => {
                "more than 10,000 rows would be deleted; --yes says that it is meant"
            }
        }
    }
}

/// The fate of the rows that only the target has, as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// They stay.
    Keep,
    /// They are deleted, if they are few.
    DeleteFew,
    /// They are deleted, however many they are.
    DeleteAny,
}

/// Decides whether a table's extra rows may be deleted, by the rules of a sync. `more` says that
/// the list of differing rows is cut.
pub fn may_delete(extras: Extras, extent: Extent, more: bool) -> Result<(), Kept> {
    let cap = match extras {
        Extras::Keep => return Err(Kept::NotAsked),
        Extras::DeleteFew => Cap::Kept,
        Extras::DeleteAny => Cap::Lifted,
    };
    match deletes::may_go(extent, cap) {
        Err(refusal) => Err(Kept::Refused(refusal)),
        Ok(()) if more => Err(Kept::Incomplete),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::range::{Difference, DifferingRow, RowKey, SideRows};
    use crate::engine::model::table::TableName;
    use crate::jobs::verify::report::TableVerified;

    fn verified(source: u64, target: u64, extra: usize) -> TableVerified {
        let row =
            DifferingRow { key: RowKey::new(vec!["1".into()]), difference: Difference::Extra };
        let side = |rows| SideRows { rows, digest: 0 };
        TableVerified {
            table: TableName::new("public", "t"),
            key: vec!["id".into()],
            settled_to: None,
            started_from: None,
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
            (
                Extras::DeleteFew,
                verified(89, 100, 11),
                Err(Kept::Refused(DeleteRefusal::LargeShare)),
            ),
            (Extras::DeleteAny, most(), Ok(())),
            (
                Extras::DeleteAny,
                verified(0, 100, 1),
                Err(Kept::Refused(DeleteRefusal::EmptySource)),
            ),
            (Extras::DeleteAny, cut, Err(Kept::Incomplete)),
            (Extras::DeleteAny, unfiltered, Err(Kept::Refused(DeleteRefusal::Unfiltered))),
        ] {
            assert_eq!(
                may_delete(extras, table.extent(), table.more),
                expected,
                "{extras:?} {table:?}"
            );
        }
    }
}
