//! A sequence, the columns that it fills, and the last number that it gave out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::table::TableName;

/// A sequence that fills columns of synced tables, as one side has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its schema and name.
    pub name: TableName,
    /// The columns that it fills, as an identity or by their default.
    pub fills: Vec<Filled>,
    /// Its step: forwards or, below zero, backwards.
    pub increment: i64,
    /// Its least value.
    pub min: i64,
    /// Its greatest value.
    pub max: i64,
    /// It begins anew at its end, so no value is too far.
    pub cycles: bool,
    /// The role may read how far it is.
    pub readable: bool,
    /// The role may advance it.
    pub settable: bool,
    /// The last value that it gave out; none if it gave none, or may not be read.
    pub last: Option<i64>,
    /// The value that it is to begin with, while it gave none out.
    pub first: Option<i64>,
    /// The value furthest in its direction that one of the columns holds; none if none holds one.
    pub reached: Option<i64>,
}

/// A column that a sequence fills.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// Its table.
    pub table: TableName,
    /// Its name.
    pub column: String,
}

/// A sequence that is advanced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceStep {
    /// The sequence.
    pub sequence: TableName,
    /// The last value that it gave out.
    pub from: Option<i64>,
    /// The value that it goes on behind.
    pub to: i64,
    /// It counts backwards.
    pub descends: bool,
}

impl fmt::Display for SequenceStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, from, to, descends: _ } = self;
        match from {
            Some(from) => write!(f, "sequence {sequence}: {from} -> {to}"),
            None => write!(f, "sequence {sequence}: unused -> {to}"),
        }
    }
}
