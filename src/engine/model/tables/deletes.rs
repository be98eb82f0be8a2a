//! The policy for rows that are gone from the source.

/// The policy for rows that only the target has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Deletes {
    /// They stay.
    #[default]
    Off,
    /// They are deleted.
    Mirror,
    /// They stay, and this column of the target says that they are gone.
    Mark(String),
}

/// The column of the target that marks rows as gone. It is not moved from the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub column: String,
    /// The values that it takes.
    pub kind: MarkKind,
}

/// The values of a marking column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// The time at which the row was marked; NULL in a row that is not.
    Time,
    /// True in a marked row; false or NULL in a row that is not.
    Flag,
}

/// The number of rows that may be deleted from a table of the target without asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cap {
    /// A tenth of its rows, and 10,000: more is rather a source that lost its rows than a target
    /// with too many.
    #[default]
    Kept,
    /// Any number: somebody has said that it is meant.
    Lifted,
}
