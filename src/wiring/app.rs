//! The application, as its doors use it.

#[cfg(feature = "cli")]
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::adapters::function::PublicFunction;
use crate::adapters::notify::Webhook;
use crate::adapters::peer::PeerDeployment;
use crate::adapters::postgres::{self, PostgresTarget};
use crate::adapters::qstash::QStash;
use crate::engine::model::budget::Budget;
use crate::engine::model::cron::Cron;
use crate::engine::model::delivery::Calls;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::history::Allowance;
use crate::engine::model::meter::Meter;
use crate::engine::model::peer::Peer;
use crate::engine::model::range::Side;
use crate::engine::model::run::RunId;
use crate::engine::model::secret::SecretText;
use crate::engine::model::signature::PeerKeys;
use crate::engine::ports::{Notifier, Queue};
use crate::jobs::PipelineWithPorts;
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::jobs::full_sync::OwnDeployment;
use crate::jobs::full_sync::ports::Deployment;
use crate::jobs::schedules::ports::{Function, Schedules};
use crate::settings::{self, QueueSettings, Settings, SettingsErrors};

#[cfg(feature = "cli")]
use super::contacts::UnmappedContacts;
#[cfg(feature = "cli")]
use super::terminal::TerminalPorts;
use super::{contacts, full_sync, pipeline};

/// The application: its pipelines, its queue, and the keys that its doors check callers with.
pub struct App {
    served: Vec<PipelineWithPorts>,
    /// Each pipeline's ports for commands, by its name.
    #[cfg(feature = "cli")]
    terminal: BTreeMap<String, TerminalPorts>,
    budget: Option<Duration>,
    /// Says whether a startup call syncs, or is answered without a sync.
    pub syncs_at_startup: bool,
    qstash: Option<QStash>,
    function: PublicFunction,
    /// The second schedule of every pipeline, if one is set.
    pub hourly: Option<Cron>,
    /// The size and the number of calls that the target's host allows.
    pub allowance: Allowance,
    /// The terms of the queue's calls: retries, timeout, deployment.
    pub calls: Calls,
    /// The public URL, without a slash at its end.
    pub url: Option<String>,
    /// The token that allows manual calls.
    pub admin_token: Option<SecretText>,
    /// The key that calls are signed with today.
    pub current_key: Option<SecretText>,
    /// The key after the next rotation.
    pub next_key: Option<SecretText>,
    /// The keys that calls between deployments are signed with.
    pub peer_keys: Option<PeerKeys>,
    peers: Vec<PeerDeployment>,
    own_deployment: Option<OwnDeployment>,
    own_contacts: Option<OwnContacts>,
    /// Both sides of contacts, whether there is a mapping or not.
    #[cfg(feature = "cli")]
    unmapped_contacts: Option<UnmappedContacts>,
    /// The secrets that MailerLite signs its webhooks with.
    pub webhook_secrets: Vec<SecretText>,
    /// The origins of the web pages that may call the functions of contacts.
    pub allowed_origins: Vec<String>,
}

impl App {
    /// Reads the settings from this process's environment, for the terminal.
    pub fn from_process() -> Result<Self, SettingsErrors> {
        Settings::read(&settings::process_variable).map(Self::new)
    }

    /// Reads the settings from this process's environment, for commands of full syncs.
    #[cfg(feature = "cli")]
    pub fn full_sync_from_process() -> Result<Self, SettingsErrors> {
        Settings::read_for_full_sync(&settings::process_variable).map(Self::new)
    }

    /// Reads the settings from this process's environment, for commands of contacts.
    #[cfg(feature = "cli")]
    pub fn contacts_from_process() -> Result<Self, SettingsErrors> {
        Settings::read_for_contacts(&settings::process_variable).map(Self::new)
    }

    /// Reads the settings from this process's environment, for contacts without a mapping.
    #[cfg(feature = "cli")]
    pub fn new_contacts_from_process() -> Result<Self, SettingsErrors> {
        Settings::read_for_new_contacts(&settings::process_variable).map(Self::new)
    }

    /// The program as its user started it.
    #[cfg(feature = "cli")]
    pub fn program() -> String {
        settings::program()
    }

    /// Says whether this process's environment turns the startup sync off. Nothing else has to be
    /// set for that.
    pub fn startup_is_off() -> bool {
        settings::startup_is_off()
    }

    /// Reads the settings from this process's environment, for the function. Nobody may call a
    /// function without a key or a token, so one of them must be set.
    pub fn function_from_process() -> Result<Self, SettingsErrors> {
        Self::function(&settings::process_variable)
    }

    /// Reads the function's settings from the given environment.
    pub fn function(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsErrors> {
        Settings::read_for_function(env).map(Self::new)
    }

    /// Builds the application. No connection is made: a database that is down fails the first call
    /// that needs it. If it failed the start, Lambda would repeat the start for ever.
    pub fn new(settings: Settings) -> Self {
        let Settings { pipelines, limits, state_schema, startup, edge, queue, peers, contacts } =
            settings;
        let QueueSettings { qstash, cron: _, hourly, calls, notify_url } = queue;
        let notifier = notify_url.map(|url| Arc::new(Webhook::new(url)) as Arc<dyn Notifier>);
        let mut served = Vec::new();
        #[cfg(feature = "cli")]
        let mut terminal = BTreeMap::new();
        for settings in pipelines {
            // Source, target and ledger count their API calls together.
            let meter = Meter::default();
            // Rows and ledger share a connection, since they are in the same database.
            let database = settings.target.address.clone();
            let database = PostgresTarget::new(
                database,
                &state_schema,
                settings.pipeline.triggers,
                meter.clone(),
            );
            #[cfg(feature = "cli")]
            terminal.insert(
                settings.pipeline.name.clone(),
                TerminalPorts::join(&settings, &database, &meter),
            );
            served.push(pipeline::join(settings, database, &state_schema, meter, notifier.clone()));
        }
        let (current_key, next_key) = match edge.signing_keys {
            Some(keys) => (Some(keys.current), keys.next),
            None => (None, None),
        };
        Self {
            served,
            #[cfg(feature = "cli")]
            terminal,
            budget: limits.budget,
            syncs_at_startup: startup,
            qstash: qstash.map(|settings| QStash::new(settings.url, settings.token)),
            function: PublicFunction::default(),
            hourly,
            allowance: limits.allowance,
            calls,
            url: edge.app_url,
            admin_token: edge.admin_token,
            current_key,
            next_key,
            peers: full_sync::join(&peers),
            own_deployment: full_sync::own_deployment(&peers, &state_schema, notifier.clone()),
            own_contacts: contacts::own_contacts(&contacts, &state_schema, notifier),
            #[cfg(feature = "cli")]
            unmapped_contacts: contacts::unmapped(&contacts),
            webhook_secrets: contacts.webhook_secrets,
            allowed_origins: edge.allowed_origins,
            peer_keys: peers.keys,
        }
    }

    /// The SQL that a person runs in the SQL editor of a project that is reached over its API.
    pub fn project_sql(side: Side, state_schema: &str) -> String {
        postgres::project_script(side, state_schema)
    }

    /// The SQL that a person runs there to let the service role suppress triggers.
    pub fn suppress_triggers_sql() -> &'static str {
        postgres::SUPPRESS_TRIGGERS
    }

    /// A new run's id, from the system's randomness.
    pub fn new_run(&self) -> RunId {
        RunId::from_random(Self::random())
    }

    /// Random bits, from the system's randomness.
    pub fn random() -> [u8; 16] {
        full_sync::random()
    }

    /// The pipeline of that name.
    pub fn named(&self, name: &str) -> Option<&PipelineWithPorts> {
        self.served.iter().find(|served| served.pipeline.name == name)
    }

    /// The only pipeline, if there is just one.
    pub fn only(&self) -> Option<&PipelineWithPorts> {
        match self.served.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Every pipeline.
    pub fn all(&self) -> impl Iterator<Item = &PipelineWithPorts> {
        self.served.iter()
    }

    /// The queue that calls this function again; the fault says what is not set.
    pub fn queue(&self) -> Result<&dyn Queue, Fault> {
        self.qstash.as_ref().map(|qstash| qstash as &dyn Queue).ok_or_else(no_queue)
    }

    /// The schedules that call this function; the fault says what is not set.
    pub fn schedules(&self) -> Result<&dyn Schedules, Fault> {
        self.qstash.as_ref().map(|qstash| qstash as &dyn Schedules).ok_or_else(no_queue)
    }

    /// The function at its public URL.
    pub fn public_function(&self) -> &dyn Function {
        &self.function
    }

    /// The pipelines' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.served.iter().map(|served| served.pipeline.name.as_str())
    }

    /// The other deployments that full syncs copy from and to.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().map(PeerDeployment::peer)
    }

    /// The deployment of a peer's name.
    pub fn peer(&self, name: &str) -> Result<&dyn Deployment, Fault> {
        full_sync::named(name, &self.peers).map(|deployment| deployment as &dyn Deployment)
    }

    /// This deployment, as its peers see it; the fault says what is not set.
    pub fn own_deployment(&self) -> Result<&OwnDeployment, Fault> {
        self.own_deployment.as_ref().ok_or_else(full_sync::not_set_up)
    }

    /// The contacts of this deployment; the fault says what is not set.
    pub fn contacts(&self) -> Result<&OwnContacts, Fault> {
        self.own_contacts.as_ref().ok_or_else(contacts::not_set_up)
    }

    /// Both sides of contacts, before there is a mapping.
    #[cfg(feature = "cli")]
    pub fn unmapped_contacts(&self) -> Result<&UnmappedContacts, Fault> {
        self.unmapped_contacts.as_ref().ok_or_else(contacts::not_set_up)
    }

    /// The ports of a pipeline that only commands use.
    #[cfg(feature = "cli")]
    pub fn terminal(&self, served: &PipelineWithPorts) -> &TerminalPorts {
        &self.terminal[&served.pipeline.name]
    }

    /// The time for a slice that begins now: the set budget, or the invocation's deadline if that
    /// comes first.
    pub fn budget(&self, now: SystemTime, deadline: Option<SystemTime>) -> Budget {
        let set = self.budget.map_or(Budget::UNLIMITED, |time| Budget::until(now + time));
        set.and(deadline.map_or(Budget::UNLIMITED, Budget::until))
    }
}

fn no_queue() -> Fault {
    Fault::new(
        Step::Queue,
        FaultCode::NoQueue,
        "QStash cannot be used without a token",
        "set QSTASH_TOKEN, and QSTASH_URL where the region is another, as the Upstash console \
         shows them",
    )
}
