//! Joins settings, adapters and jobs into an application; the only place that names every
//! adapter.

#[cfg(feature = "cli")]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

#[cfg(feature = "cli")]
use crate::adapters::csv::CsvFolder;
use crate::adapters::function::PublicFunction;
use crate::adapters::notify::Webhook;
use crate::adapters::open;
use crate::adapters::postgres;
#[cfg(feature = "cli")]
use crate::adapters::postgres::{PostgresExport, PostgresSource};
use crate::adapters::qstash::QStash;
use crate::engine::model::address::Address;
use crate::engine::model::budget::Budget;
use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::Calls;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::history::Allowance;
use crate::engine::model::meter::Meter;
use crate::engine::model::range::Side;
use crate::engine::model::run::RunId;
use crate::engine::model::secret::SecretText;
use crate::engine::ports::{Clock, Notifier, Queue};
#[cfg(feature = "cli")]
use crate::jobs::cutover::ports::{CutoverPorts, End};
#[cfg(feature = "cli")]
use crate::jobs::export::Sides;
#[cfg(feature = "cli")]
use crate::jobs::gap::ports::Folder;
use crate::jobs::schedules::ports::{Function, Schedules};
use crate::jobs::{Ports, Served};
use crate::settings::{self, PipelineSettings, QueueSettings, Settings, SettingsErrors};

/// The application: its pipelines, what calls it, and what its doors check callers with.
pub struct App {
    served: Vec<Served>,
    budget: Option<Duration>,
    /// Whether what is about to start is synced for.
    pub syncs_at_startup: bool,
    qstash: Option<QStash>,
    function: PublicFunction,
    /// When the queue calls for each pipeline besides its own schedule.
    pub hourly: Option<Cron>,
    /// What the target's host allows.
    pub allowance: Allowance,
    /// How the queue is to call.
    pub calls: Calls,
    /// The public URL, without a slash at its end.
    pub url: Option<String>,
    /// What a manual caller shows.
    pub admin_token: Option<SecretText>,
    /// The key that calls are signed with today.
    pub current_key: Option<SecretText>,
    /// The key after the next rotation.
    pub next_key: Option<SecretText>,
}

impl App {
    /// The application that this process's environment describes.
    pub fn from_process() -> Result<Self, SettingsErrors> {
        Settings::from_process().map(Self::new)
    }

    /// This process's environment turns the startup sync off, whatever else it says.
    pub fn startup_is_off() -> bool {
        settings::startup_is_off()
    }

    /// Where this machine keeps files for a while.
    #[cfg(feature = "cli")]
    pub fn temporary_folder() -> PathBuf {
        settings::temporary_folder()
    }

    /// The same for the function, which cannot do without somebody who may call it.
    pub fn function_from_process() -> Result<Self, SettingsErrors> {
        Settings::function_from_process().map(Self::new)
    }

    /// The function's application for an environment that is given.
    pub fn function(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        Settings::read_for_function(env).map(Self::new)
    }

    /// Joins everything. Nothing is reached yet: a database that is down is told when it is
    /// needed, and is no crash loop.
    pub fn new(settings: Settings) -> Self {
        let Settings { pipelines, limits, state_schema, startup, edge, queue } = settings;
        let QueueSettings { qstash, cron: _, hourly, calls, notify_url } = queue;
        let notifier = notify_url.map(|url| Arc::new(Webhook::new(url)) as Arc<dyn Notifier>);
        let serve = |of| serve(of, &state_schema, notifier.clone());
        let served = pipelines.into_iter().map(serve).collect();
        let (current_key, next_key) = match edge.signing_keys {
            Some(keys) => (Some(keys.current), keys.next),
            None => (None, None),
        };
        Self {
            served,
            budget: limits.budget,
            syncs_at_startup: startup,
            qstash: qstash.map(|of| QStash::new(of.url, of.token)),
            function: PublicFunction::default(),
            hourly,
            allowance: limits.allowance,
            calls,
            url: edge.app_url.map(|url| url.as_str().to_owned()),
            admin_token: edge.admin_token,
            current_key,
            next_key,
        }
    }

    /// What a person runs in the SQL editor of a project that is reached over its API.
    pub fn project_sql(side: Side, state_schema: &str) -> String {
        postgres::for_project(side, state_schema)
    }

    /// A new run's id, from the system's randomness.
    pub fn new_run(&self) -> RunId {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).expect("the system has randomness");
        RunId::from_random(bits)
    }

    /// The pipeline of that name.
    pub fn named(&self, name: &str) -> Option<&Served> {
        self.served.iter().find(|of| of.pipeline.name == name)
    }

    /// The only pipeline, if there is just one.
    pub fn only(&self) -> Option<&Served> {
        match self.served.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Every pipeline.
    pub fn all(&self) -> impl Iterator<Item = &Served> {
        self.served.iter()
    }

    /// What calls this function again; the fault says what is not set.
    pub fn queue(&self) -> Result<&dyn Queue, Fault> {
        self.qstash.as_ref().map(|of| of as &dyn Queue).ok_or_else(no_queue)
    }

    /// The schedules that call this function; the fault says what is not set.
    pub fn schedules(&self) -> Result<&dyn Schedules, Fault> {
        self.qstash.as_ref().map(|of| of as &dyn Schedules).ok_or_else(no_queue)
    }

    /// The function as whoever calls it finds it.
    pub fn function_outside(&self) -> &dyn Function {
        &self.function
    }

    /// The pipelines' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.served.iter().map(|of| of.pipeline.name.as_str())
    }

    /// A folder of files to import, and the encoding of those that do not say it themselves.
    #[cfg(feature = "cli")]
    pub fn folder(&self, path: &Path, encoding: Option<&str>) -> Result<Box<dyn Folder>, Fault> {
        Ok(Box::new(CsvFolder::new(path, encoding)?))
    }

    /// The time for a slice that begins now: what is set, and no longer than to the deadline.
    pub fn budget(&self, now: SystemTime, deadline: Option<SystemTime>) -> Budget {
        let set = self.budget.map_or(Budget::UNLIMITED, |time| Budget::until(now + time));
        set.and(deadline.map_or(Budget::UNLIMITED, Budget::until))
    }
}

fn no_queue() -> Fault {
    Fault::new(
        Step::Queue,
        Remedy::Operator,
        FaultCode::NoQueue,
        "QStash cannot be used without a token",
        "set QSTASH_TOKEN, and QSTASH_URL where the region is another, as the Upstash console \
         shows them",
    )
}

/// Tells this deployment's schedules from others', also after its public URL has changed: where it
/// writes, and as whom, since behind a pooler the user tells the projects apart. Nobody learns the
/// database's address from it.
fn mark(target: &Address, state_schema: &str) -> String {
    let digest = Sha256::digest(match target {
        Address::Postgres(url) => format!("{} {} {state_schema}", url.user, url.label()),
        Address::Project(project) => format!("{} {state_schema}", project.api()),
    });
    digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serve(set: PipelineSettings, state_schema: &str, notifier: Option<Arc<dyn Notifier>>) -> Served {
    let PipelineSettings { pipeline, source, target, triggers } = set;
    let mark = mark(&target.address, state_schema);
    #[cfg(feature = "cli")]
    let [left, taking_over] = [&source, &target].map(|side| End {
        name: side.name.clone(),
        database: side.address.label(),
        is_project: matches!(side.address, Address::Project(_)),
    });
    let (source, target) = (source.address, target.address);
    // One count of the calls of all that the pipeline reaches.
    let meter = Meter::default();
    #[cfg(feature = "cli")]
    let sides = Sides {
        source: Box::new(PostgresExport::of_source(source.clone(), meter.clone())),
        target: Box::new(PostgresExport::of_target(target.clone(), meter.clone())),
    };
    #[cfg(feature = "cli")]
    let watched = PostgresSource::new(source.clone(), meter.clone());
    let source = open::source(source, &meter);
    // One connection for rows and ledger alike: both work on the same database.
    let database = open::target(target, state_schema, triggers, &meter);
    Served {
        mark,
        #[cfg(feature = "cli")]
        sides,
        #[cfg(feature = "cli")]
        cutover: CutoverPorts {
            records: Box::new(database.clone()),
            writing: Box::new(watched),
            source: left,
            target: taking_over,
        },
        pipeline: Arc::new(pipeline),
        #[cfg(feature = "cli")]
        rehearse: Box::new(database.clone()),
        ports: Ports {
            source,
            target: Box::new(database.clone()),
            ledger: Box::new(database),
            clock: Box::new(SystemClock),
            meter,
            notifier,
        },
    }
}

/// This machine's clock.
struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
