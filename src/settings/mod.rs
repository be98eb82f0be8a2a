//! The only reader of the environment and of `syncline.toml`. It finds all problems before anything
//! runs, and reports them together. It connects to no database.
//!
//! An empty variable is an unset one, and space around a value is not part of it. The environment
//! wins over the file.

mod address;
mod contacts;
mod databases;
mod edge;
mod errors;
mod file;
mod limits;
mod lookback;
mod named;
mod peers;
mod pipelines;
mod queue;
mod switch;
mod variables;

pub use contacts::ContactSettings;
pub use databases::NamedAddress;
pub use edge::{EdgeSettings, SigningKeys};
pub use errors::{SettingsError, SettingsErrors};
pub use limits::Limits;
pub use peers::PeerSettings;
pub use pipelines::PipelineSettings;
pub use queue::{QStashSettings, QueueSettings};
pub use variables::{VARIABLES, Variable};

use crate::engine::model::table::{DEFAULT_SCHEMA, parse_identifier};

use databases::Databases;
use errors::{Problem, Problems};
use file::File;
use variables::{CONFIG, Environment, METRICS, NOT_UNICODE, STARTUP, STATE_SCHEMA};

/// All settings, parsed and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The pipelines; at least one, unless this deployment only does full syncs, or contacts.
    pub pipelines: Vec<PipelineSettings>,
    /// The numbers that bound a run.
    pub limits: Limits,
    /// The target's schema for our state tables, exactly as the catalog has it.
    pub state_schema: String,
    /// Says whether startup calls sync.
    pub startup: bool,
    /// The settings of the function's door; at the terminal they may be empty.
    pub edge: EdgeSettings,
    /// QStash, and the terms of its calls.
    pub queue: QueueSettings,
    /// Full syncs with other deployments.
    pub peers: PeerSettings,
    /// Contacts that are kept in step with MailerLite.
    pub contacts: ContactSettings,
}

/// The use of the settings, which decides what must be set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Commands that work with a pipeline.
    Pipelines,
    /// The function, which somebody must be able to call.
    Function,
    /// Commands that work with other deployments.
    FullSyncs,
    /// Commands that work with contacts.
    Contacts,
}

impl Settings {
    /// Reads the settings for a command: the databases must be set.
    pub fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        let mut problems = Problems::default();
        let settings = Self::collect(Environment(env), Purpose::Pipelines, &mut problems);
        problems.or(settings)
    }

    /// Reads what commands of full syncs need: a database, and the key of the deployments.
    pub fn read_for_full_sync(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsErrors> {
        let mut problems = Problems::default();
        let settings = Self::collect(Environment(env), Purpose::FullSyncs, &mut problems);
        settings.peers.missing_for_full_sync(&mut problems);
        problems.or(settings)
    }

    /// Reads what commands of contacts need: a database, MailerLite's key, and the mapping.
    pub fn read_for_contacts(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        Self::read_contacts(env, true)
    }

    /// Reads what the proposal of a mapping needs: a database, and MailerLite's key.
    pub fn read_for_new_contacts(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsErrors> {
        Self::read_contacts(env, false)
    }

    fn read_contacts(
        env: &dyn Fn(&str) -> Option<String>,
        needs_mapping: bool,
    ) -> Result<Self, SettingsErrors> {
        let mut problems = Problems::default();
        let settings = Self::collect(Environment(env), Purpose::Contacts, &mut problems);
        settings.contacts.missing_for_contacts(needs_mapping, &mut problems);
        problems.or(settings)
    }

    /// Reads the settings for the function: the databases and a key or token of its callers must be
    /// set.
    pub fn read_for_function(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        let mut problems = Problems::default();
        let settings = Self::collect(Environment(env), Purpose::Function, &mut problems);
        settings.edge.missing_for_function(settings.peers.keys.is_some(), &mut problems);
        settings.contacts.missing_for_function(&mut problems);
        problems.or(settings)
    }

    fn collect(env: Environment<'_>, purpose: Purpose, problems: &mut Problems) -> Self {
        for variable in VARIABLES {
            if env.get(variable).is_some_and(|value| value.contains(NOT_UNICODE)) {
                problems.of(variable, Problem::NotUnicode);
            }
        }
        if env.get(METRICS).is_some_and(|word| word != EMF && word != OFF) {
            problems.of(METRICS, Problem::Choice(format!("{EMF}, {OFF}")));
        }
        let edge = edge::read(env, problems);
        let queue = queue::read(env, edge.local, problems);
        let limits = limits::read(env, problems);
        let file = env.get(CONFIG).map(|path| file::read(&path, problems));
        let contacts_are_set = contacts::are_set(env, file.as_ref().and_then(Option::as_ref));
        // Of a file that cannot be read nothing is known, so it has no pipelines here.
        let (in_file, contacts) = match file {
            None => (None, None),
            Some(None) => (Some(Vec::new()), None),
            Some(Some(File { pipelines, contacts })) => (pipelines, contacts),
        };
        let needs_none = match purpose {
            Purpose::Pipelines => false,
            Purpose::Function => contacts_are_set || peers::are_set(env),
            Purpose::FullSyncs => peers::are_set(env),
            Purpose::Contacts => true,
        };
        let pipelines = match needs_none && in_file.is_none() && !has_source(env) {
            true => Vec::new(),
            false => pipelines::read(env, in_file, &queue.cron, &limits, problems),
        };
        let needs_contacts =
            purpose == Purpose::Contacts || purpose == Purpose::Function && contacts_are_set;
        Self {
            peers: peers::read(env, &pipelines, &limits, problems),
            contacts: contacts::read(
                env,
                contacts,
                &pipelines,
                (needs_contacts, edge.local),
                problems,
            ),
            pipelines,
            limits,
            state_schema: state_schema(env, problems),
            startup: switch::read(env, STARTUP, problems).unwrap_or(true),
            edge,
            queue,
        }
    }
}

/// Says whether anything names a database to read.
fn has_source(env: Environment<'_>) -> bool {
    Databases::read(env).has_source()
}

fn state_schema(env: Environment<'_>, problems: &mut Problems) -> String {
    let Some(text) = env.get(STATE_SCHEMA) else { return DEFAULT_SCHEMA.to_owned() };
    parse_identifier(&text).map_err(|bad| problems.of(STATE_SCHEMA, bad)).unwrap_or_default()
}

/// Every variable with its default, for `--help`.
pub fn described() -> String {
    let mut text = String::from("Environment:\n");
    for Variable { name, default, purpose } in VARIABLES {
        let default = default.unwrap_or("none");
        text.push_str(&format!("  {name}\n      {purpose} [default: {default}]\n"));
    }
    text
}

/// The filter of log lines; in Lambda its own setting wins. It is read apart from the rest, because
/// problems of the rest are logged.
pub fn log_filter() -> Option<String> {
    let set = |name| process_variable(name).filter(|filter| !filter.is_empty());
    set("AWS_LAMBDA_LOG_LEVEL").or_else(|| set(variables::LOG.name))
}

/// Says whether this process's environment turns the startup sync off. That is read apart from the
/// rest: where it is off, nothing else has to be set.
pub fn startup_is_off() -> bool {
    let word = Environment(&process_variable).get(STARTUP);
    word.is_some_and(|word| switch::parse(&word) == Some(false))
}

/// The program as its user started it, to print commands that work the same way.
#[cfg(feature = "cli")]
pub fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "syncline".to_owned())
}

/// The folder in which this machine keeps temporary files.
#[cfg(feature = "cli")]
pub fn temporary_folder() -> std::path::PathBuf {
    std::env::temp_dir()
}

/// One of our programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The Lambda function.
    Function,
    /// The terminal's.
    Terminal,
}

/// Says whether a program writes metrics of each run to stdout. That is read apart from the rest,
/// because it is needed before the rest may fail.
pub fn counts_runs(program: Program) -> bool {
    match process_variable(variables::METRICS.name).as_deref().map(str::trim) {
        Some(EMF) => true,
        Some(OFF) => false,
        _ => program == Program::Function,
    }
}

/// Metrics in CloudWatch's form.
const EMF: &str = "emf";

/// No metrics.
const OFF: &str = "off";

/// A variable of this process. Bytes that are no Unicode become `NOT_UNICODE`, which `collect`
/// reports.
pub fn process_variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod authority_tests;
#[cfg(test)]
mod tests;
