//! A named pair of source and target with its tables and limits, as the operator set it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cron::Cron;
use super::deletes::Deletes;
use super::table::TableName;

/// The pipeline that needs no file; the function's path is named after it.
pub const DEFAULT_PIPELINE: &str = "slave-to-prod";

/// A pipeline: the tables that its runs keep in step, and their limits.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name: the key of its lease and checkpoints.
    pub name: String,
    /// The times of its schedule.
    pub cron: Cron,
    /// The tables by name; none for every table of the source's `public` schema with a key.
    pub tables: Option<Vec<TableName>>,
    /// The rules for single tables.
    pub rules: Vec<TableRule>,
    /// The upper bound of a page.
    pub page_rows: u32,
    /// The overlap that a run reads again on purpose, for stamps that a skewed clock wrote.
    pub overlap: Duration,
    /// The time that the lease lives after the last commit.
    pub lease: Duration,
    /// The policy for rows that are gone from the source, where no rule says otherwise.
    pub deletes: Deletes,
    /// Columns that only the source has are added to the target.
    pub add_columns: bool,
    /// The look-back of the first run of a table, where no rule says otherwise; none for
    /// everything.
    pub lookback: Option<Duration>,
    /// The policy for the target's triggers.
    pub triggers: TargetTriggers,
}

/// The policy for the target's triggers when rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetTriggers {
    /// They do not fire in tables where all of them have done their work on the source already.
    #[default]
    Auto,
    /// They fire, as for anybody who writes.
    Fire,
    /// They do not fire, and the role must have the right to say so.
    Suppress,
}

/// The rule for one table, as the operator set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRule {
    /// The table.
    pub table: TableName,
    /// The cursor column.
    pub cursor: Option<String>,
    /// The key columns.
    pub key: Option<Vec<String>>,
    /// The only columns to move.
    pub columns: Option<Vec<String>>,
    /// A condition on the source's rows.
    pub filter: Option<String>,
    /// The policy for its rows that are gone from the source.
    pub deletes: Option<Deletes>,
    /// The side that wins where both have a row.
    pub policy: Policy,
    /// The look-back of its first run.
    pub lookback: Option<Duration>,
}

/// The side that wins where both have a row and the two differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The source, always.
    #[default]
    SourceWins,
    /// The target where its cursor is greater, otherwise the source. No cursor is the oldest.
    NewestWins,
    /// The target, always: rows that it lacks are inserted. That is no setting: it holds for tables
    /// that are not synced and that rows of synced ones point to.
    TargetWins,
}

impl TableRule {
    /// A rule that says nothing of the table yet.
    pub fn new(table: TableName) -> Self {
        Self {
            table,
            cursor: None,
            key: None,
            columns: None,
            filter: None,
            deletes: None,
            policy: Policy::default(),
            lookback: None,
        }
    }
}

impl Pipeline {
    /// A pipeline without rules, for tests that say what matters to them.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self {
            name: "p".into(),
            cron: Cron::parse("0 */6 * * *", "UTC").unwrap(),
            tables: None,
            rules: Vec::new(),
            page_rows: 1_000,
            overlap: Duration::ZERO,
            lease: Duration::from_secs(60),
            deletes: Deletes::Off,
            add_columns: false,
            lookback: None,
            triggers: TargetTriggers::Fire,
        }
    }

    /// The rule for a table, if there is one.
    pub fn rule(&self, table: &TableName) -> Option<&TableRule> {
        self.rules.iter().find(|rule| rule.table == *table)
    }

    /// Returns the policy for a table's rows that are gone from the source.
    pub fn deletes(&self, table: &TableName) -> &Deletes {
        self.rule(table).and_then(|rule| rule.deletes.as_ref()).unwrap_or(&self.deletes)
    }

    /// Returns the look-back of the first run of a table; none for everything.
    pub fn lookback(&self, table: &TableName) -> Option<Duration> {
        self.rule(table).and_then(|rule| rule.lookback).or(self.lookback)
    }

    /// Makes a pipeline in which every table is mirrored that is not marked.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        let own = self.rules.iter_mut().filter_map(|rule| rule.deletes.as_mut());
        for deletes in own.chain([&mut self.deletes]) {
            if *deletes == Deletes::Off {
                *deletes = Deletes::Mirror;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(deletes: Deletes, own: Option<Deletes>) -> Pipeline {
        let rule = TableRule { deletes: own, ..TableRule::new(TableName::new("public", "t")) };
        Pipeline { rules: vec![rule], deletes, ..Pipeline::plain() }
    }

    #[test]
    fn a_tables_own_word_is_nearer_and_a_mark_is_not_mirrored() {
        let mark = || Deletes::Mark("gone".into());
        let (ruled, other) = (TableName::new("public", "t"), TableName::new("public", "u"));
        for (outer, own, of_ruled, mirrored) in [
            (Deletes::Off, None, Deletes::Off, Deletes::Mirror),
            (Deletes::Mirror, Some(Deletes::Off), Deletes::Off, Deletes::Mirror),
            (mark(), None, mark(), mark()),
            (Deletes::Off, Some(mark()), mark(), mark()),
        ] {
            let pipeline = pipeline(outer.clone(), own);
            assert_eq!((pipeline.deletes(&ruled), pipeline.deletes(&other)), (&of_ruled, &outer));
            assert_eq!(pipeline.mirrored().deletes(&ruled), &mirrored);
        }
    }
}
