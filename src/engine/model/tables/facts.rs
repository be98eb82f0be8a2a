//! The facts: tables and abilities of a side, as its catalog tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::table::TableName;
use super::trigger::TableTrigger;

/// The facts of one side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// A text that stays the same for one database, however it was reached.
    pub identity: String,
    /// A text that stays the same as long as rows can only have changed by being written: it
    /// outlives restarts, and ends where the server was promoted, restored or replaced.
    pub history: String,
    /// The URL of the API of its project, where its address tells it.
    pub project: Option<String>,
    /// It follows a primary and shows none of that one's open transactions.
    pub standby: bool,
    /// The role may suppress triggers. It is asked only where the settings may have them
    /// suppressed.
    pub may_suppress_triggers: bool,
    /// Triggers are to be suppressed there in any case, and the role may not.
    pub keeps_triggers: bool,
    /// Its server is set read-only for everybody, by its configuration.
    pub read_only: bool,
    /// The role may make no temporary tables.
    pub no_temporary_tables: bool,
    /// It is reached through a pooler that gives each transaction a server of its own, as far as
    /// its address tells.
    pub pooled: bool,
    /// Its rows travel as JSON and in no other form.
    pub json_alone: bool,
    /// The server's major version; 0 where it is not told.
    pub major: u32,
    /// The tables that were asked for and exist, by name.
    pub tables: BTreeMap<TableName, TableFacts>,
}

/// The reason why nothing can be synced into a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is the source itself.
    SameDatabase,
    /// It is a standby.
    Standby,
    /// Its server is set read-only.
    ReadOnly,
    /// The role may make no temporary tables.
    NoTemporaryTables,
    /// The role may not suppress triggers.
    KeepsTriggers,
}

impl Facts {
    /// Says why nothing can be written there, if nothing can.
    pub fn unfit_to_write(&self) -> Option<Unfit> {
        let reasons = [
            (self.standby, Unfit::Standby),
            (self.read_only, Unfit::ReadOnly),
            (self.no_temporary_tables, Unfit::NoTemporaryTables),
            (self.keeps_triggers, Unfit::KeepsTriggers),
        ];
        reasons.into_iter().find(|(holds, _)| *holds).map(|(_, unfit)| unfit)
    }

    /// Says why it cannot be the target of that source, given by its identity if that is known.
    pub fn unfit_as_target(&self, source: Option<&str>) -> Option<Unfit> {
        let is_source = source == Some(self.identity.as_str());
        self.unfit_to_write().or(is_source.then_some(Unfit::SameDatabase))
    }
}

/// The facts of one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableFacts {
    /// The kind of relation that holds its rows.
    pub relation: Relation,
    /// A text that stays the same as long as its rows can only have changed one by one: it ends
    /// where the table is dropped and made again, truncated or rewritten.
    pub storage: String,
    /// Its columns in their order.
    pub columns: Vec<Column>,
    /// Its keys: the primary key first, then unique, non-null, immediate, complete indexes.
    pub keys: Vec<Vec<String>>,
    /// Its foreign keys.
    pub references: Vec<Reference>,
    /// The first columns of its indexes that can serve an order.
    pub index_starts: Vec<String>,
    /// The rows that the planner believes it has.
    pub estimated_rows: u64,
    /// The privileges of the role.
    pub privileges: Privileges,
    /// Its triggers, those of its partitions among them. An API does not tell of them.
    pub triggers: Vec<TableTrigger>,
    /// The work that the server's own triggers do for it, if it has triggers besides.
    pub trigger_duties: TriggerDuties,
    /// An API tells of it, which names no modifiers of types, no keys but the primary one and no
    /// open transaction.
    pub told_by_api: bool,
}

/// The kind of relation behind a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relation {
    /// In a table. Those of the tables that inherit from it are not its own.
    #[default]
    Table,
    /// In the partitions of a table.
    Partitioned,
    /// In a materialized view, as of when it was refreshed.
    Materialized,
    /// In other tables: a query makes them each time.
    View,
    /// In another server, whose open transactions are out of sight.
    Foreign,
}

impl Relation {
    /// Rows are written to it one by one, under its own keys.
    pub fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Partitioned)
    }

    /// Each row has a version that another write of it changes.
    pub fn has_versions(self) -> bool {
        !matches!(self, Self::View | Self::Foreign)
    }
}

impl TableFacts {
    /// The tables that a row of it must find a row of when it is written: neither may a column of
    /// the foreign key be NULL, nor can its check wait.
    pub fn needed_at_once(&self) -> impl Iterator<Item = &TableName> {
        let takes_null = |name: &String| self.column(name).is_none_or(|column| !column.not_null);
        let needed = self.references.iter().filter(move |reference| {
            !reference.deferrable && !reference.columns.iter().any(takes_null)
        });
        needed.map(|reference| &reference.parent)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The work of the server's own triggers for a table that nothing else would do if they were
/// suppressed. Whether its rows have parents is checked instead of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerDuties {
    /// It has a key or an exclusion constraint that is deferrable.
    pub deferrable_keys: bool,
    /// The columns of it that foreign keys point to.
    pub referenced: Vec<String>,
    /// Its parents' tables whose rows the role may not lock.
    pub unlockable_parents: Vec<TableName>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The columns that point.
    pub columns: Vec<String>,
    /// The table they point to.
    pub parent: TableName,
    /// The parent's columns, in the same order.
    pub referenced: Vec<String>,
    /// It may be checked at the end of the transaction.
    pub deferrable: bool,
}

/// The facts of one column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its number in the table, which no other column of it ever has.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// Its type's object id; the same in every database for a built-in type.
    pub type_oid: u32,
    /// Its type with modifiers, as `format_type` prints it.
    pub type_name: String,
    /// The type under a domain, with its modifiers; none where the type is no domain.
    pub base_type: Option<String>,
    /// It refuses NULL.
    pub not_null: bool,
    /// The database fills it when it is left out.
    pub has_default: bool,
    /// The database computes it: it can be read and never written.
    pub generated: bool,
    /// It takes its value from a sequence.
    pub serial: bool,
    /// It is an identity that is generated always: it takes a value when a row is inserted with
    /// the override, and refuses every update.
    pub identity_always: bool,
    /// Its collation calls texts the same whose bytes differ.
    pub folds: bool,
}

/// The privileges of the role on a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Read its rows.
    pub select: bool,
    /// Add rows.
    pub insert: bool,
    /// Change rows.
    pub update: bool,
    /// Take rows away.
    pub delete: bool,
    /// Row-level security hides rows from the role.
    pub rows_hidden: bool,
}
