//! The settings of contacts: MailerLite with its key, the database, and the mapping between them.

use url::Url;

use super::databases::{Databases, NamedAddress};
use super::errors::{Problem, Problems};
use super::file::{File, FileContacts};
use super::pipelines::PipelineSettings;
use super::queue::refuse_clear_text;
use super::variables::{
    CONFIG, CONTACTS, CONTACTS_CA, CONTACTS_KEY, Environment, MAILERLITE_KEY, MAILERLITE_SECRET,
    MAILERLITE_URL,
};
use crate::engine::model::address::Database;
use crate::engine::model::contacts::limits::Limits;
use crate::engine::model::contacts::mapping::ContactMapping;
use crate::engine::model::secret::SecretText;

/// The settings of contacts.
#[derive(Debug, Clone, Default)]
pub struct ContactSettings {
    /// The mapping; none: `syncline.toml` has no `[contacts]`.
    pub mapping: Option<ContactMapping>,
    /// The caps of a run.
    pub limits: Limits,
    /// MailerLite's key; none: there is nothing to keep in step with.
    pub key: Option<SecretText>,
    /// The base URL of MailerLite's API, without a slash at its end.
    pub url: String,
    /// The secrets that sign MailerLite's webhooks, each of which has its own.
    pub webhook_secrets: Vec<SecretText>,
    /// The database of the contacts.
    pub database: Option<NamedAddress<Database>>,
}

const DEFAULT_URL: &str = "https://connect.mailerlite.com";

/// The path of the API below MailerLite's address.
const API_PATH: &str = "/api";

/// MailerLite makes secrets of ten characters.
const SHORTEST_SECRET: usize = 8;

impl ContactSettings {
    /// Adds what is missing for a command of contacts, or for its proposal of a mapping.
    pub(super) fn missing_for_contacts(&self, needs_mapping: bool, problems: &mut Problems) {
        if self.key.is_none() && !problems.has(MAILERLITE_KEY) {
            problems.of(MAILERLITE_KEY, Problem::NoMailerLiteKey);
        }
        if needs_mapping && self.mapping.is_none() && problems.is_empty() {
            problems.of(CONFIG, Problem::NoContacts);
        }
    }

    /// Adds what is missing for the function, if it serves contacts.
    pub(super) fn missing_for_function(&self, problems: &mut Problems) {
        if self.mapping.is_some() {
            self.missing_for_contacts(true, problems);
        }
    }
}

/// Says whether anything is set that only contacts need.
pub(super) fn are_set(env: Environment<'_>, file: Option<&File>) -> bool {
    env.get(MAILERLITE_KEY).is_some() || file.is_some_and(|file| file.contacts.is_some())
}

/// Reads the settings. `are_meant` says that the database must be known.
pub(super) fn read(
    env: Environment<'_>,
    contacts: Option<FileContacts>,
    pipelines: &[PipelineSettings],
    (are_meant, local): (bool, bool),
    problems: &mut Problems,
) -> ContactSettings {
    let (mapping, limits) = match contacts {
        Some(FileContacts { mapping, limits }) => (Some(mapping), limits),
        None => (None, Limits::default()),
    };
    let key = env.get(MAILERLITE_KEY).filter(|key| {
        let can_travel = key.chars().all(|c| c.is_ascii_graphic());
        if !can_travel {
            problems.of(MAILERLITE_KEY, Problem::UnprintableToken);
        }
        can_travel
    });
    ContactSettings {
        mapping,
        limits,
        key: key.map(SecretText::new),
        url: url(env, local, problems),
        webhook_secrets: webhook_secrets(env, problems),
        database: database(env, pipelines, are_meant, problems),
    }
}

/// Reads MailerLite's address. People copy it with the API's path.
fn url(env: Environment<'_>, local: bool, problems: &mut Problems) -> String {
    let text = env.get(MAILERLITE_URL).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let parsed = Url::parse(&text).map_err(|_| Problem::MailerLiteUrl).and_then(|url| {
        let is_plain = url.query().is_none() && url.fragment().is_none();
        let has_user = !url.username().is_empty() || url.password().is_some();
        match is_plain && !has_user {
            true => refuse_clear_text(&url, local).map(|()| url),
            false => Err(Problem::MailerLiteUrl),
        }
    });
    match parsed {
        Ok(url) => {
            let base = url.as_str().trim_end_matches('/');
            format!("{}{API_PATH}", base.strip_suffix(API_PATH).unwrap_or(base))
        }
        Err(problem) => {
            let is_clear = problem == Problem::ClearText;
            let problem = if is_clear { problem } else { Problem::MailerLiteUrl };
            problems.of(MAILERLITE_URL, problem);
            String::new()
        }
    }
}

fn webhook_secrets(env: Environment<'_>, problems: &mut Problems) -> Vec<SecretText> {
    let text = env.get(MAILERLITE_SECRET).unwrap_or_default();
    let mut secrets = Vec::new();
    for secret in text.split(',').map(str::trim).filter(|secret| !secret.is_empty()) {
        match secret.len() < SHORTEST_SECRET {
            true => problems.of(MAILERLITE_SECRET, Problem::ShortToken(SHORTEST_SECRET)),
            false => secrets.push(SecretText::new(secret)),
        }
    }
    secrets
}

/// The database of the contacts: the one that is named for them, or the one target there is.
fn database(
    env: Environment<'_>,
    pipelines: &[PipelineSettings],
    are_meant: bool,
    problems: &mut Problems,
) -> Option<NamedAddress<Database>> {
    let databases = Databases::read(env);
    if let Some(named) = databases.of_one_use([CONTACTS, CONTACTS_KEY, CONTACTS_CA], problems) {
        return named;
    }
    match pipelines {
        _ if !are_meant => None,
        [only] => Some(only.target.clone()),
        [] => databases.only_target(problems),
        _ if databases.has_target() => databases.only_target(problems),
        _ => {
            problems.of(CONTACTS, Problem::NoContactsDatabase);
            None
        }
    }
}

#[cfg(test)]
#[path = "contacts_tests.rs"]
mod tests;
