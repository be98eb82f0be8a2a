//! The triggers that people have put on a table. Those by which the server keeps foreign keys are
//! none of them.

use serde::{Deserialize, Serialize};

/// A trigger of a table, or of one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableTrigger {
    /// Its name.
    pub name: String,
    /// The schema of its function.
    pub function_schema: String,
    /// The name of its function.
    pub function: String,
    /// The sessions in which it fires.
    pub state: TriggerState,
    /// It fires before the write, and not after or instead of it.
    pub before: bool,
    /// It fires for each row, and not once for each statement.
    pub each_row: bool,
    /// The writes that it fires for.
    pub events: TriggerEvents,
}

/// The sessions in which a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TriggerState {
    /// In ordinary ones.
    Ordinary,
    /// In those that suppress ordinary triggers, as replication does.
    Replica,
    /// In all.
    Always,
    /// In none.
    Disabled,
}

/// The writes that a trigger fires for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerEvents {
    /// Rows that are inserted.
    pub insert: bool,
    /// Rows that are updated.
    pub update: bool,
    /// Rows that are deleted.
    pub delete: bool,
}

impl TriggerEvents {
    /// Says whether these are all of the others, and maybe more.
    pub fn include(self, others: Self) -> bool {
        (self.insert || !others.insert)
            && (self.update || !others.update)
            && (self.delete || !others.delete)
    }
}

impl TableTrigger {
    /// Says whether it does the work of another one on the other side: both have one name and call
    /// functions of one name. The schemas may differ: extensions lie where somebody put them.
    pub fn does_work_of(&self, other: &Self) -> bool {
        self.name == other.name
            && self.function == other.function
            && self.events.include(other.events)
            && matches!(self.state, TriggerState::Ordinary | TriggerState::Always)
    }
}

/// The fate of a table's ordinary triggers while its rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firing {
    /// They fire, as for anybody who writes.
    #[default]
    Fire,
    /// They do not fire.
    Suppress,
}
