//! The settings of full syncs: the peers, the key that all of them share, what they may do, and the
//! database whose tables are copied.

use std::collections::BTreeMap;

use crate::engine::model::address::Database;
use crate::engine::model::peer::{Peer, PeerMay};
use crate::engine::model::pipeline::{Pipeline, TargetTriggers};
use crate::engine::model::secret::SecretText;
use crate::engine::model::signature::PeerKeys;
use crate::engine::model::table::TableName;

use super::databases::{Databases, NamedAddress};
use super::errors::{Problem, Problems};
use super::limits::Limits;
use super::pipelines::PipelineSettings;
use super::variables::{
    APP_URL, Environment, FULL_SYNC, FULL_SYNC_CA, FULL_SYNC_KEY, PEER_MAY, PEERS,
    PREVIOUS_REGISTRATION_KEY, PUBLIC_APP_URL, REGISTRATION_KEY, SIZE_LIMIT, Variable,
};

/// The settings of full syncs.
#[derive(Debug, Clone, Default)]
pub struct PeerSettings {
    /// The deployments that full syncs copy from and to.
    pub peers: Vec<Peer>,
    /// The keys that sign calls; none: no full syncs.
    pub keys: Option<PeerKeys>,
    /// The directions in which peers may copy.
    pub may: PeerMay,
    /// The database whose tables are copied; there is one if there are keys.
    pub database: Option<NamedAddress<Database>>,
    /// The conditions on rows that the pipelines into this database have.
    pub filters: BTreeMap<TableName, String>,
    /// The policy of those pipelines for triggers; the usual one where they differ.
    pub triggers: TargetTriggers,
    /// The bytes that this database may have: what is set, or Supabase's free plan there.
    pub size_limit: Option<u64>,
}

/// The fewest characters of a registration key. Whoever records one call can try keys at leisure.
const SHORTEST_KEY: usize = 32;

/// Says whether anything is set that only full syncs need.
pub(super) fn are_set(env: Environment<'_>) -> bool {
    [PEERS, REGISTRATION_KEY].into_iter().any(|variable| env.get(variable).is_some())
}

impl PeerSettings {
    /// Adds what is missing for a command of full syncs.
    pub(super) fn missing_for_full_sync(&self, problems: &mut Problems) {
        if self.keys.is_none() && !problems.has(REGISTRATION_KEY) {
            problems.of(REGISTRATION_KEY, Problem::NoRegistrationKey);
        }
    }
}

pub(super) fn read(
    env: Environment<'_>,
    pipelines: &[PipelineSettings],
    limits: &Limits,
    problems: &mut Problems,
) -> PeerSettings {
    let peers = env.get(PEERS).map(|text| peers(&text, problems)).unwrap_or_default();
    let current = key(env, REGISTRATION_KEY, problems);
    let previous = key(env, PREVIOUS_REGISTRATION_KEY, problems);
    let is_unset = |variable| env.get(variable).is_none();
    if is_unset(REGISTRATION_KEY) {
        if !is_unset(PEERS) {
            problems.of(REGISTRATION_KEY, Problem::NoRegistrationKey);
        }
        if previous.is_some() {
            problems.of(PREVIOUS_REGISTRATION_KEY, Problem::IdleKey(REGISTRATION_KEY.name));
        }
    } else if [PEERS, APP_URL, PUBLIC_APP_URL].into_iter().all(is_unset) {
        problems.of(REGISTRATION_KEY, Problem::NoPeerOnEitherEnd);
    }
    let database = database(env, pipelines, problems);
    let is_limited = env.get(SIZE_LIMIT).is_some()
        || database.as_ref().is_some_and(|named| named.address.is_at_supabase());
    let into: Vec<&Pipeline> =
        database.iter().flat_map(|database| pipelines_into(database, pipelines)).collect();
    PeerSettings {
        peers,
        keys: current.map(|current| PeerKeys { current, previous }),
        may: may(env, problems),
        filters: filters(&into),
        triggers: triggers(&into),
        database,
        size_limit: limits.allowance.bytes.filter(|_| is_limited),
    }
}

fn peers(text: &str, problems: &mut Problems) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for item in text.split(',').filter(|item| !item.trim().is_empty()) {
        match Peer::parse(item) {
            Ok(peer) if peers.iter().any(|other| other.name() == peer.name()) => {
                problems.of(PEERS, Problem::Duplicate(peer.name().to_owned()));
            }
            Ok(peer) => peers.push(peer),
            Err(bad) => problems.of(PEERS, bad),
        }
    }
    peers
}

fn key(env: Environment<'_>, variable: Variable, problems: &mut Problems) -> Option<SecretText> {
    let key = env.get(variable)?;
    if !key.chars().all(|c| c.is_ascii_graphic()) {
        problems.of(variable, Problem::UnprintableToken);
    } else if key.len() < SHORTEST_KEY {
        problems.of(variable, Problem::ShortToken(SHORTEST_KEY));
    } else {
        return Some(SecretText::new(key));
    }
    None
}

fn may(env: Environment<'_>, problems: &mut Problems) -> PeerMay {
    let Some(word) = env.get(PEER_MAY) else { return PeerMay::default() };
    PeerMay::parse(&word).unwrap_or_else(|| {
        problems.of(PEER_MAY, Problem::Choice(PeerMay::WORDS.to_owned()));
        PeerMay::default()
    })
}

/// The database of full syncs: the one that is named for them, or the one target there is.
fn database(
    env: Environment<'_>,
    pipelines: &[PipelineSettings],
    problems: &mut Problems,
) -> Option<NamedAddress<Database>> {
    let databases = Databases::read(env);
    if let Some(named) = databases.of_one_use([FULL_SYNC, FULL_SYNC_KEY, FULL_SYNC_CA], problems) {
        return named;
    }
    match pipelines {
        _ if !are_set(env) => None,
        [only] => Some(only.target.clone()),
        [] => databases.only_target(problems),
        _ if databases.has_target() => databases.only_target(problems),
        _ => {
            problems.of(FULL_SYNC, Problem::NoFullSyncDatabase);
            None
        }
    }
}

fn pipelines_into<'a>(
    database: &NamedAddress<Database>,
    pipelines: &'a [PipelineSettings],
) -> impl Iterator<Item = &'a Pipeline> {
    let label = database.address.label();
    let is_into_it = move |settings: &&PipelineSettings| settings.target.address.label() == label;
    pipelines.iter().filter(is_into_it).map(|settings| &settings.pipeline)
}

fn filters(pipelines: &[&Pipeline]) -> BTreeMap<TableName, String> {
    let rules = pipelines.iter().flat_map(|pipeline| &pipeline.rules);
    rules.filter_map(|rule| Some((rule.table.clone(), rule.filter.clone()?))).collect()
}

fn triggers(pipelines: &[&Pipeline]) -> TargetTriggers {
    let mut policies = pipelines.iter().map(|pipeline| pipeline.triggers);
    let first = policies.next().unwrap_or_default();
    if policies.all(|policy| policy == first) { first } else { TargetTriggers::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const HOME: (&str, &str) = ("APP_URL", "https://sync.example.com");
    const TARGET: (&str, &str) = ("TARGET_DATABASE_URL", "postgres://u@new.example.com/app");
    const SOURCE: (&str, &str) = ("SOURCE_DATABASE_URL", "postgres://u@old.example.com/app");

    fn lookup(env: &[(&str, &str)], asked: &str) -> Option<String> {
        env.iter().rev().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned())
    }

    fn settings(env: &[(&str, &str)]) -> Result<Settings, String> {
        let read = Settings::read_for_full_sync(&|asked| lookup(env, asked));
        read.map_err(|errors| errors.to_string())
    }

    /// The problem of otherwise complete settings.
    fn message(more: &[(&str, &str)]) -> String {
        let usual = [TARGET, HOME, ("SYNC_REGISTRATION_KEY", KEY)];
        settings(&[&usual, more].concat()).expect_err("something is wrong")
    }

    fn label(settings: &Settings) -> String {
        settings.peers.database.as_ref().expect("there is a database").address.label()
    }

    #[test]
    fn a_deployment_that_only_does_full_syncs_needs_no_source() {
        let env = [
            TARGET,
            ("SYNC_PEERS", "a=https://a.example.com, b=http://[::1]:8787,"),
            ("SYNC_REGISTRATION_KEY", KEY),
            ("SYNC_REGISTRATION_KEY_PREVIOUS", KEY),
        ];
        let set = settings(&env).unwrap();
        assert!(set.pipelines.is_empty());
        assert_eq!(set.peers.peers.iter().map(Peer::name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(set.peers.keys.as_ref().is_some_and(|keys| keys.previous.is_some()));
        assert_eq!(
            (set.peers.may, label(&set).as_str()),
            (PeerMay::Pull, "new.example.com:5432/app")
        );
        let pipelines = Settings::read(&|asked| lookup(&env, asked)).unwrap_err().to_string();
        assert!(pipelines.contains("SOURCE_DATABASE_URL: It is not set"), "{pipelines}");
        let alone = [("SYNC_REGISTRATION_KEY", KEY), HOME, TARGET];
        let served = Settings::read_for_function(&|asked| lookup(&alone, asked));
        assert!(served.is_ok_and(|set| set.pipelines.is_empty()), "peers may call");
    }

    #[test]
    fn a_source_makes_a_pipeline_as_ever() {
        let env = [SOURCE, TARGET, HOME, ("SYNC_REGISTRATION_KEY", KEY)];
        assert_eq!(settings(&env).unwrap().pipelines.len(), 1);
        let half = ("SOURCE_SERVICE_ROLE_KEY", "sb_secret_invented");
        assert!(message(&[half]).contains("SOURCE_DATABASE_URL: It is not set"));
    }

    #[test]
    fn full_syncs_may_have_a_database_of_their_own() {
        let own = ("FULL_SYNC_DATABASE_URL", "postgres://u@own.example.com/app");
        let env = [SOURCE, TARGET, HOME, ("SYNC_REGISTRATION_KEY", KEY), own];
        assert_eq!(label(&settings(&env).unwrap()), "own.example.com:5432/app");
        assert_eq!(label(&settings(&env[2..]).unwrap()), "own.example.com:5432/app");
        let project = ("FULL_SYNC_DATABASE_URL", "https://abc.supabase.co");
        assert!(message(&[project]).contains("FULL_SYNC_SERVICE_ROLE_KEY: It is not set"));
        let key = ("FULL_SYNC_SERVICE_ROLE_KEY", "sb_secret_invented");
        let env = [HOME, ("SYNC_REGISTRATION_KEY", KEY), project, key];
        assert_eq!(label(&settings(&env).unwrap()), "abc.supabase.co");
        let pem = ("FULL_SYNC_SSL_CA", "-----BEGIN CERTIFICATE-----");
        assert!(message(&[own, pem]).contains("FULL_SYNC_SSL_CA: "));
    }

    #[test]
    fn triggers_are_as_the_pipelines_into_the_database_say() {
        let pipeline = |triggers| Pipeline { triggers, ..Pipeline::plain() };
        let [fire, suppress] = [TargetTriggers::Fire, TargetTriggers::Suppress].map(pipeline);
        assert_eq!(triggers(&[&fire, &fire]), TargetTriggers::Fire);
        assert_eq!(triggers(&[&suppress]), TargetTriggers::Suppress);
        assert_eq!(triggers(&[&suppress, &fire]), TargetTriggers::Auto, "they differ");
        assert_eq!(triggers(&[]), TargetTriggers::Auto);
    }

    #[test]
    fn what_is_missing_is_named() {
        let peers = ("SYNC_PEERS", "a=https://a.example.com");
        let errors = settings(&[TARGET, peers]).unwrap_err();
        assert!(errors.contains("SYNC_REGISTRATION_KEY: It is not set"), "{errors}");
        let errors = settings(&[TARGET, ("SYNC_REGISTRATION_KEY", KEY)]).unwrap_err();
        assert!(errors.contains("SYNC_REGISTRATION_KEY: It is set without SYNC_PEERS"), "{errors}");
        let previous = ("SYNC_REGISTRATION_KEY_PREVIOUS", KEY);
        let errors = settings(&[SOURCE, TARGET, previous]).unwrap_err();
        assert!(errors.contains("SYNC_REGISTRATION_KEY_PREVIOUS: It stands without"), "{errors}");
        let errors = settings(&[HOME, ("SYNC_REGISTRATION_KEY", KEY)]).unwrap_err();
        assert!(errors.contains("TARGET_DATABASE_URL: It is not set"), "{errors}");
        assert!(settings(&[SOURCE, TARGET]).unwrap_err().contains("SYNC_REGISTRATION_KEY: It is"));
        assert!(Settings::read(&|asked| lookup(&[SOURCE, TARGET], asked)).is_ok());
    }

    #[test]
    fn a_setting_that_cannot_be_used_is_named_and_not_shown() {
        for (name, value) in [
            ("SYNC_PEERS", "https://hunter2.example.com"),
            ("SYNC_PEERS", "a=http://hunter2.example.com"),
            ("SYNC_PEERS", "a=https://u:hunter2@a.example.com"),
            ("SYNC_PEERS", "a=https://a.example.com,a=https://hunter2.example.com"),
            ("SYNC_REGISTRATION_KEY", "hunter2-hunter2-hunter2-hunter2"),
            ("SYNC_REGISTRATION_KEY", "hunter2 hunter2 hunter2 hunter2 hunter2"),
            ("SYNC_REGISTRATION_KEY_PREVIOUS", "hunter2"),
            ("SYNC_PEER_MAY", "hunter2"),
        ] {
            let message = message(&[(name, value)]);
            assert!(message.starts_with("A setting is wrong"), "{value}: {message}");
            assert!(message.contains(&format!("\n  {name}: ")), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
