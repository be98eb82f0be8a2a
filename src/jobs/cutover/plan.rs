//! Decides which steps of a cutover still hold, whether somebody writes in the source, and which
//! variable gets which value.

use std::collections::BTreeMap;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::engine::model::hex::hex;
use crate::engine::model::table::TableName;

use super::ports::{CutoverRecord, NamedDatabase, OpenWriter, PassedStep, Step};

/// The source at a moment: a digest for each table, which any write changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceState(pub BTreeMap<TableName, String>);

impl SourceState {
    /// The digest of all tables, which tells nothing of the rows.
    pub fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (table, digest) in &self.0 {
            sum.update(format!("{table}\n{digest}\n"));
        }
        hex(&sum.finalize())
    }

    /// The tables that have changed in a later state.
    pub fn changed(&self, later: &Self) -> Vec<TableName> {
        let is_other = |table: &&TableName| self.0.get(table) != later.0.get(table);
        let mut changed: Vec<TableName> = later.0.keys().filter(is_other).cloned().collect();
        changed.extend(self.0.keys().filter(|table| !later.0.contains_key(*table)).cloned());
        changed
    }
}

/// The state of a recorded step when the cutover is called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// The step was not done.
    Open,
    /// The step was done at that time, and the source is as it was.
    Holds(SystemTime),
    /// The step was done at that time, and the source has changed since: it has to be done again.
    Stale(SystemTime),
}

impl CutoverRecord {
    /// The state of a step, given the source's state now.
    pub fn step_state(&self, step: Step, state: &SourceState) -> StepState {
        match self.passed.get(&step) {
            None => StepState::Open,
            Some(PassedStep { at, state: then }) if *then == state.digest() => {
                StepState::Holds(*at)
            }
            Some(PassedStep { at, .. }) => StepState::Stale(*at),
        }
    }

    /// Records a step as done. The later steps rest on it, and are open again.
    #[must_use]
    pub fn with(mut self, step: Step, at: SystemTime, state: &SourceState) -> Self {
        self.passed.retain(|other, _| *other < step);
        self.passed.insert(step, PassedStep { at, state: state.digest() });
        self
    }
}

/// The writes in the source that two readings of its state have found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceWrites {
    /// The writers that had a transaction open at one of the two.
    pub writers: Vec<OpenWriter>,
    /// The tables that changed in between.
    pub changed: Vec<TableName>,
    /// The second state.
    pub state: SourceState,
}

impl SourceWrites {
    /// Says whether nobody writes, as far as that can be told.
    pub fn is_quiet(&self) -> bool {
        self.writers.is_empty() && self.changed.is_empty()
    }

    /// Names the writers and the changing tables.
    pub fn sentence(&self) -> String {
        let writers = self.writers.iter().map(|writer| {
            let role = writer.role.as_deref().unwrap_or("a prepared transaction");
            match writer.application.is_empty() {
                true => role.to_owned(),
                false => format!("{role} ({})", writer.application),
            }
        });
        let writers: Vec<String> = writers.collect();
        let tables: Vec<String> = self.changed.iter().map(ToString::to_string).collect();
        match (writers.is_empty(), tables.is_empty()) {
            (true, true) => "Nobody writes in the source".to_owned(),
            (false, true) => format!("The source is being written by {}", writers.join(", ")),
            (true, false) => format!("Rows of the source change: {}", tables.join(", ")),
            (false, false) => format!(
                "The source is being written by {}; rows change: {}",
                writers.join(", "),
                tables.join(", ")
            ),
        }
    }

    /// Says how the writers are stopped.
    pub fn remedy(&self) -> String {
        let roles: Vec<&str> =
            self.writers.iter().filter_map(|writer| writer.role.as_deref()).collect();
        let role = roles.first().copied().unwrap_or("ROLE");
        let role = format!("\"{}\"", role.replace('"', "\"\""));
        format!(
            "stop the application, its workers and cron jobs; or in the source: alter role {role} \
             set default_transaction_read_only = on (for new sessions; end the open ones), or \
             revoke insert, update, delete on all tables in schema public from {role}; then run \
             `syncline cutover` again, or with --despite-writers if what is written may stay behind"
        )
    }
}

/// A variable of the application with its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// The variable that holds the new value today; its own name where the value stays.
    pub value_of: String,
    /// The database that the value leads to; none for a key.
    pub database: Option<String>,
}

/// The variable of a hosted project's URL, those of the one that it moves from or to, and the keys.
const CURRENT: [&str; 2] = ["SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY"];
const OLD: &str = "OLD_SUPABASE_URL";
const NEW: [&str; 2] = ["NEW_SUPABASE_URL", "NEW_SUPABASE_SERVICE_ROLE_KEY"];

/// Lists the new values of the application's variables. Where nothing tells how it names its
/// database, the name is `DATABASE_URL`, as most frameworks have it. A project's variables are
/// named for projects alone: their clients take no connection string.
pub fn assignments(source: &NamedDatabase, target: &NamedDatabase) -> Vec<Assignment> {
    let to = |name: &str, value_of: &str, database: Option<&NamedDatabase>| Assignment {
        name: name.to_owned(),
        value_of: value_of.to_owned(),
        database: database.map(|end| end.database.clone()),
    };
    let was_current = source.is_project && source.name == CURRENT[0];
    let old = was_current.then(|| to(OLD, CURRENT[0], Some(source)));
    match target.name.as_str() {
        other if !target.is_project => vec![to("DATABASE_URL", other, Some(target))],
        current if current == CURRENT[0] => {
            vec![to(CURRENT[0], CURRENT[0], Some(target)), to(CURRENT[1], CURRENT[1], None)]
        }
        new if new == NEW[0] => {
            let new = [to(CURRENT[0], new, Some(target)), to(CURRENT[1], NEW[1], None)];
            old.into_iter().chain(new).collect()
        }
        other => vec![to("DATABASE_URL", other, Some(target))],
    }
}
