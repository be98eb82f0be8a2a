//! A named pair of source and target with its tables and limits, as the operator set it.

use std::time::Duration;

use super::cron::Cron;
use super::table::TableName;

/// What a run of a pipeline is asked to keep in step, and within which limits.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// Its name: the key of its lease and checkpoints.
    pub name: String,
    /// When its schedule ticks.
    pub cron: Cron,
    /// The tables by name; none for every table of the source's `public` schema with a key.
    pub tables: Option<Vec<TableName>>,
    /// What the operator decided for single tables.
    pub rules: Vec<TableRule>,
    /// The upper bound of a page.
    pub page_rows: u32,
    /// How much a run reads again on purpose, for stamps that a skewed clock wrote.
    pub overlap: Duration,
    /// How long the lease lives after the last commit.
    pub lease: Duration,
    /// Columns that only the source has are added to the target.
    pub add_columns: bool,
}

/// What the operator decided for one table.
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
}

impl Pipeline {
    /// The rule for a table, if there is one.
    pub fn rule(&self, table: &TableName) -> Option<&TableRule> {
        self.rules.iter().find(|rule| rule.table == *table)
    }
}
