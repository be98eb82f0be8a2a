//! The triggers of a table, in the form in which the statement of `describe` returns them.

use serde::Deserialize;

use crate::engine::model::facts::TriggerDuties;
use crate::engine::model::table::TableName;
use crate::engine::model::trigger::{TableTrigger, TriggerEvents, TriggerState};

/// A trigger of a table.
#[derive(Deserialize)]
pub struct CatalogTrigger {
    name: String,
    schema: String,
    function: String,
    state: CatalogTriggerState,
    kind: i16,
}

/// The letters of `pg_trigger.tgenabled`.
#[derive(Clone, Copy, Deserialize)]
enum CatalogTriggerState {
    #[serde(rename = "O")]
    Ordinary,
    #[serde(rename = "R")]
    Replica,
    #[serde(rename = "A")]
    Always,
    #[serde(rename = "D")]
    Disabled,
}

impl CatalogTrigger {
    /// Returns the model of the trigger. The server's `catalog/pg_trigger.h` defines the bits of
    /// `pg_trigger.tgtype`.
    pub fn into_model(self) -> TableTrigger {
        let Self { name, schema, function, state, kind } = self;
        let has = |bit: i16| kind & bit != 0;
        TableTrigger {
            name,
            function_schema: schema,
            function,
            state: match state {
                CatalogTriggerState::Ordinary => TriggerState::Ordinary,
                CatalogTriggerState::Replica => TriggerState::Replica,
                CatalogTriggerState::Always => TriggerState::Always,
                CatalogTriggerState::Disabled => TriggerState::Disabled,
            },
            each_row: has(1),
            before: has(2),
            events: TriggerEvents { insert: has(4), delete: has(8), update: has(16) },
        }
    }
}

/// The duties of the server's own triggers of a table.
#[derive(Deserialize)]
pub struct CatalogDuties {
    deferrable_keys: bool,
    referenced: Vec<String>,
    unlockable_parents: Vec<CatalogName>,
}

#[derive(Deserialize)]
struct CatalogName {
    schema: String,
    table: String,
}

impl CatalogDuties {
    /// Returns the model of the duties.
    pub fn into_model(self) -> TriggerDuties {
        let Self { deferrable_keys, referenced, unlockable_parents } = self;
        let name = |CatalogName { schema, table }| TableName::new(schema, table);
        let unlockable_parents = unlockable_parents.into_iter().map(name).collect();
        TriggerDuties { deferrable_keys, referenced, unlockable_parents }
    }
}
