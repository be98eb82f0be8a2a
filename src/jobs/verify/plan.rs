//! Decides which rows are compared, and whether extra rows may be deleted.

use crate::engine::model::checkpoint::Checkpoint;
use crate::engine::model::deletes::Cap;
use crate::engine::model::shape::Shape;
use crate::engine::plan::deletes::{self, DeleteRefusal, Extent};
use crate::engine::plan::window;

/// The rows that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparedRows {
    /// The rows up to the cursor that the target has reached. The next run writes those above it.
    Settled,
    /// All rows. The source has no writers, and the last run has moved every change.
    All,
}

/// Returns the greatest cursor that the target has reached: the kept one or, before there is one,
/// the pending watermark, up to which all visible rows were written. None if all rows are compared.
pub fn settled_to(
    rows: ComparedRows,
    shape: &Shape,
    checkpoint: Option<&Checkpoint>,
) -> Option<String> {
    if rows == ComparedRows::All {
        return None;
    }
    shape.cursor.column()?;
    let reached = &window::usable(shape, checkpoint)?.reached;
    let pending = reached.pending.as_ref().map(|pending| &pending.watermark);
    reached.kept.as_ref().or(pending).map(|value| value.as_str().to_owned())
}

/// The reason why extra rows, which only the target has, are not deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// The request does not include deletes.
    NotRequested,
    /// The comparison stopped at its limit, so the number of extra rows is not known.
    Incomplete,
    /// A sync would refuse these deletes, too.
    Refused(DeleteRefusal),
}

impl KeepReason {
    /// The reason, with its remedy.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NotRequested => "rows that only the target has stay; --delete-extra deletes them",
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

/// The treatment of extra rows, which only the target has, in a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraRows {
    /// They stay.
    Keep,
    /// They are deleted if they are few.
    DeleteFew,
    /// They are deleted, however many they are.
    DeleteAny,
}

/// Decides whether a table's extra rows may be deleted, by the rules of a sync. `more` says that
/// the list of differing rows is cut.
pub fn check_delete(extras: ExtraRows, extent: Extent, more: bool) -> Result<(), KeepReason> {
    let cap = match extras {
        ExtraRows::Keep => return Err(KeepReason::NotRequested),
        ExtraRows::DeleteFew => Cap::Kept,
        ExtraRows::DeleteAny => Cap::Lifted,
    };
    match deletes::check(extent, cap) {
        Err(refusal) => Err(KeepReason::Refused(refusal)),
        Ok(()) if more => Err(KeepReason::Incomplete),
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::model::range::{Difference, DifferingRow, RowKey, SideRows};
    use crate::engine::model::table::TableName;
    use crate::jobs::verify::report::TableComparison;

    fn comparison(source: u64, target: u64, extra: usize) -> TableComparison {
        let row =
            DifferingRow { key: RowKey::new(vec!["1".into()]), difference: Difference::Extra };
        let side = |rows| SideRows { rows, digest: 0 };
        TableComparison {
            table: TableName::new("public", "t"),
            key: vec!["id".into()],
            settled_to: None,
            started_from: None,
            target_filtered: true,
            source: side(source),
            target: side(target),
            rows: vec![row; extra],
            more: false,
            rewritten: BTreeSet::new(),
            mended: Vec::new(),
            keep_reason: None,
        }
    }

    #[test]
    fn extra_rows_are_deleted_only_if_that_is_requested_and_no_refusal_applies() {
        let few = || comparison(90, 100, 10);
        let most = || comparison(1, 100, 99);
        let cut = TableComparison { more: true, ..few() };
        let unfiltered = TableComparison { target_filtered: false, ..few() };
        for (extras, table, expected) in [
            (ExtraRows::Keep, few(), Err(KeepReason::NotRequested)),
            (ExtraRows::DeleteFew, few(), Ok(())),
            (
                ExtraRows::DeleteFew,
                comparison(89, 100, 11),
                Err(KeepReason::Refused(DeleteRefusal::LargeShare)),
            ),
            (ExtraRows::DeleteAny, most(), Ok(())),
            (
                ExtraRows::DeleteAny,
                comparison(0, 100, 1),
                Err(KeepReason::Refused(DeleteRefusal::EmptySource)),
            ),
            (ExtraRows::DeleteAny, cut, Err(KeepReason::Incomplete)),
            (ExtraRows::DeleteAny, unfiltered, Err(KeepReason::Refused(DeleteRefusal::Unfiltered))),
        ] {
            assert_eq!(
                check_delete(extras, table.extent(), table.more),
                expected,
                "{extras:?} {table:?}"
            );
        }
    }
}
