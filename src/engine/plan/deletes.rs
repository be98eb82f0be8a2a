//! Decides whether rows that are gone from the source may be deleted, and which column marks them.

use std::fmt;
use std::time::Duration;

use crate::engine::model::deletes::{Cap, Mark, MarkKind};
use crate::engine::model::facts::TableFacts;

use super::choose::Obstacle;

/// The most rows of a table that are deleted without a person's confirmation.
pub const MOST_ROWS: u64 = 10_000;

/// The largest share of a table that is deleted without a person's confirmation: a tenth.
const LARGEST_SHARE: u64 = 10;

/// The least number of keys that both sides digest in a second: twice the slowest that was measured
/// with whole rows, which are longer.
const KEYS_A_SECOND: u64 = 200_000;

/// The numbers of rows that decide whether a delete is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of the source's rows.
    pub source: u64,
    /// The number of the target's rows, without those that are marked already.
    pub target: u64,
    /// The number of the target's rows that are gone from the source.
    pub gone: u64,
    /// The target applies the table's condition, if there is one.
    pub filtered: bool,
}

/// The reason why no row of a table is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteRefusal {
    /// The source's table is empty, and the target's is not.
    EmptySource,
    /// The target, which may have rows of its own, cannot evaluate the table's condition.
    Unfiltered,
    /// The rows that are gone are a large share of the target's rows.
    LargeShare,
    /// The rows that are gone are many.
    Many,
}

/// Decides whether the rows that are gone may be deleted. No confirmation lifts the first two
/// refusals: if a table was emptied, or has rows of its own, a person must look at it.
pub fn check(extent: Extent, cap: Cap) -> Result<(), DeleteRefusal> {
    let Extent { source, target, gone, filtered } = extent;
    let is_capped = cap == Cap::Kept;
    let refusals = [
        (source == 0 && target > 0, DeleteRefusal::EmptySource),
        (gone > 0 && !filtered, DeleteRefusal::Unfiltered),
        (is_capped && gone > MOST_ROWS, DeleteRefusal::Many),
        (is_capped && gone.saturating_mul(LARGEST_SHARE) > target, DeleteRefusal::LargeShare),
    ];
    match refusals.into_iter().find(|(applies, _)| *applies) {
        Some((_, refusal)) => Err(refusal),
        None => Ok(()),
    }
}

/// A refusal and its numbers, printed as a sentence.
pub struct DeleteRefusalText(pub DeleteRefusal, pub Extent);

impl fmt::Display for DeleteRefusalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(refusal, Extent { target, gone, .. }) = self;
        match refusal {
            DeleteRefusal::EmptySource => {
                write!(f, "The source's table is empty and the target's has {target} rows")
            }
            DeleteRefusal::Unfiltered => {
                write!(f, "The table's condition cannot be evaluated on the target")
            }
            DeleteRefusal::LargeShare => {
                write!(f, "{gone} of the target's {target} rows are gone from the source, ")?;
                write!(f, "more than a tenth")
            }
            DeleteRefusal::Many => {
                write!(f, "More than {MOST_ROWS} of the target's {target} rows are gone from ")?;
                write!(f, "the source")
            }
        }?;
        write!(f, "; none of them was touched")
    }
}

impl DeleteRefusal {
    /// The remedy.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::EmptySource => "if that is meant, empty the target's table by hand",
            Self::Unfiltered => {
                "add the columns that `where` names to the target, or set deletes = \"off\" for \
                 the table"
            }
            Self::LargeShare | Self::Many => {
                "look at them with `syncline run --deletes --dry-run`; if that is meant, \
                 `syncline run --deletes --yes`"
            }
        }
    }
}

/// The time in which the keys of so many rows are most likely compared.
pub fn likely_time(rows: u64) -> Duration {
    Duration::from_millis(rows.saturating_mul(1_000) / KEYS_A_SECOND)
}

/// Chooses the column that marks rows as gone. Only the target may have it, or the next row that
/// moves would overwrite it.
pub fn mark(column: &str, moved: &[&str], target: &TableFacts) -> Result<Mark, Obstacle> {
    let obstacle = |text: String, remedy: &str| Err(Obstacle { text, remedy: remedy.to_owned() });
    let Some(facts) = target.column(column) else {
        return obstacle(
            format!("the target lacks the column {column} that marks deleted rows"),
            "add it there as timestamptz or boolean, or correct `mark` in syncline.toml",
        );
    };
    if moved.contains(&column) {
        return obstacle(
            format!("the column {column} that marks deleted rows is synced itself"),
            "name another with `mark`, or leave this one out with `columns`",
        );
    }
    let kind = match facts.type_name.split('(').next().unwrap_or_default() {
        "boolean" => Some(MarkKind::Flag),
        name if (name == "date" || name.starts_with("timestamp")) && !facts.not_null => {
            Some(MarkKind::Time)
        }
        _ => None,
    };
    match kind.filter(|_| !facts.generated) {
        Some(kind) => Ok(Mark { column: column.to_owned(), kind }),
        None => obstacle(
            format!("the column {column} cannot mark deleted rows"),
            "make it a timestamptz, timestamp or date that takes NULL, or a boolean",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::facts::Column;

    #[test]
    fn rows_are_deleted_only_if_they_are_few_and_no_refusal_applies() {
        use Cap::{Kept, Lifted};
        let extent = |source, target, gone| Extent { source, target, gone, filtered: true };
        let unfiltered = Extent { filtered: false, ..extent(90, 100, 1) };
        for (extent, cap, expected) in [
            (extent(90, 100, 10), Kept, Ok(())),
            (extent(89, 100, 11), Kept, Err(DeleteRefusal::LargeShare)),
            (extent(89, 100, 11), Lifted, Ok(())),
            (extent(4, 5, 1), Kept, Err(DeleteRefusal::LargeShare)),
            (extent(900_000, 1_000_000, MOST_ROWS), Kept, Ok(())),
            (extent(900_000, 1_000_000, MOST_ROWS + 1), Kept, Err(DeleteRefusal::Many)),
            (extent(900_000, 1_000_000, MOST_ROWS + 1), Lifted, Ok(())),
            (extent(0, 100, 0), Kept, Err(DeleteRefusal::EmptySource)),
            (extent(0, 1, 1), Lifted, Err(DeleteRefusal::EmptySource)),
            (extent(0, 0, 0), Kept, Ok(())),
            (unfiltered, Kept, Err(DeleteRefusal::Unfiltered)),
            (unfiltered, Lifted, Err(DeleteRefusal::Unfiltered)),
            (Extent { gone: 0, ..unfiltered }, Kept, Ok(())),
        ] {
            assert_eq!(check(extent, cap), expected, "{extent:?} {cap:?}");
        }
    }

    fn target(type_name: &str, change: fn(&mut Column)) -> TableFacts {
        let mut column =
            Column { name: "gone".into(), type_name: type_name.into(), ..Column::default() };
        change(&mut column);
        TableFacts { columns: vec![column], ..TableFacts::default() }
    }

    #[test]
    fn a_mark_is_a_time_that_takes_null_or_a_flag() {
        for (type_name, kind) in [
            ("timestamp with time zone", Some(MarkKind::Time)),
            ("timestamp(3) without time zone", Some(MarkKind::Time)),
            ("date", Some(MarkKind::Time)),
            ("boolean", Some(MarkKind::Flag)),
            ("integer", None),
            ("text", None),
        ] {
            let marked = mark("gone", &["id"], &target(type_name, |_| ()));
            assert_eq!(marked.ok().map(|mark| mark.kind), kind, "{type_name}");
        }
    }

    #[test]
    fn a_column_that_cannot_mark_says_why() {
        let stamp = "timestamp with time zone";
        for (column, moved, facts, text) in [
            ("away", vec!["id"], target(stamp, |_| ()), "lacks the column away"),
            ("gone", vec!["id", "gone"], target(stamp, |_| ()), "is synced itself"),
            ("gone", vec![], target(stamp, |column| column.not_null = true), "cannot mark"),
            ("gone", vec![], target("boolean", |column| column.generated = true), "cannot mark"),
        ] {
            let obstacle = mark(column, &moved, &facts).unwrap_err();
            assert!(obstacle.text.contains(text), "{obstacle:?}");
        }
        assert!(mark("gone", &[], &target("boolean", |column| column.not_null = true)).is_ok());
    }
}
