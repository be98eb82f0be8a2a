//! Reads a database's URL with its key. A `postgres://` URL needs no key; a project's URL needs the
//! key that may read and write everything. The claims of a key are checked here, so that one of the
//! project's other keys, which look alike, is refused before a row moves.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use url::Url;

use crate::engine::model::address::{Address, Database};
use crate::engine::model::database::DatabaseUrl;
use crate::engine::model::project::{BadProject, Project};
use crate::engine::model::range::Side;

use super::errors::{Problem, Problems};
use super::variables::{NOT_UNICODE, Variable};

/// The place of a setting.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A variable of the list.
    Variable(Variable),
    /// A variable of the operator's own, or a line of the file.
    Other(&'a str),
}

/// The key of a project, or the reason why there is none.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    /// The key, with its place.
    Given(Place<'a>, &'a str),
    /// The variable of the key, which is not set.
    Unset(Variable),
    /// The setting that the file lacks.
    NotInFile(&'static str),
}

/// The path of the API in a Supabase project, where the roles have the names that are known.
const SUPABASE_PATH: &str = "/rest/v1";

/// The role that may read and write everything in a Supabase project.
const SERVICE_ROLE: &str = "service_role";

/// The roles of visitors, which others than Supabase have copied.
const VISITORS: [&str; 2] = ["anon", "authenticated"];

/// Reads a URL and, where it is a project's, the key.
pub(super) fn read(
    side: Side,
    place: Place<'_>,
    url: &str,
    key: Key<'_>,
    problems: &mut Problems,
) -> Option<Address> {
    if !is_web(url) {
        let url = DatabaseUrl::parse(url).map_err(|bad| place.report(bad, problems)).ok()?;
        return Some(Address::Postgres(Database::Server(url)));
    }
    let (key_place, key) = match key {
        Key::Given(place, key) => (place, key),
        Key::Unset(variable) => {
            problems.of(variable, Problem::NoKey(label(url)));
            return None;
        }
        Key::NotInFile(key) => {
            place.report(Problem::NoKeyInFile { project: label(url), key }, problems);
            return None;
        }
    };
    if key.contains(NOT_UNICODE) {
        key_place.report(Problem::NotUnicode, problems);
        return None;
    }
    match Project::parse(side, url, (key_place.name(), key)) {
        Ok(project) => match check_key(&project, key) {
            Ok(()) => Some(Address::Postgres(Database::Project(project))),
            Err(problem) => {
                key_place.report(problem, problems);
                None
            }
        },
        Err(bad @ (BadProject::NoKey | BadProject::BrowserKey | BadProject::BadKey)) => {
            key_place.report(bad, problems);
            None
        }
        Err(bad) => {
            place.report(bad, problems);
            None
        }
    }
}

impl Place<'_> {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Variable(variable) => variable.name,
            Self::Other(place) => place,
        }
    }

    pub(super) fn report(self, problem: impl Into<Problem>, problems: &mut Problems) {
        match self {
            Self::Variable(variable) => problems.of(variable, problem),
            Self::Other(place) => problems.at(place, problem),
        }
    }
}

/// A name for the database of a URL. A malformed URL may hold a piece of a password anywhere, so
/// nothing of it is repeated.
pub(super) fn label(url: &str) -> String {
    const UNREADABLE: &str = "unreadable";
    if !is_web(url) {
        return DatabaseUrl::parse(url).map_or(UNREADABLE.to_owned(), |url| url.label());
    }
    let host = match Url::parse(url) {
        Ok(parsed) if !url.contains('@') => parsed.host_str().map(str::to_owned),
        _ => None,
    };
    host.unwrap_or_else(|| UNREADABLE.to_owned())
}

fn is_web(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}

/// Checks by the claims of a key that it is this project's and may do everything. The server checks
/// its signature; this only finds the keys that people confuse.
fn check_key(project: &Project, key: &str) -> Result<(), Problem> {
    let Some(claims) = claims(key) else { return Ok(()) };
    let is_supabase = project.api().ends_with(SUPABASE_PATH);
    match text(&claims, "role") {
        Some(role) if role == SERVICE_ROLE => {}
        Some(role) if VISITORS.contains(&role) => return Err(Problem::WeakKey(role.to_owned())),
        // A self-hosted server may have another role for this.
        Some(_) if is_supabase => return Err(Problem::WeakKey("of somebody else".to_owned())),
        Some(_) | None => {}
    }
    match (text(&claims, "ref"), project.reference()) {
        (Some(of_key), Some(of_url)) if of_key != of_url && is_reference(of_key) => {
            Err(Problem::ForeignKey { key: of_key.to_owned(), url: of_url.to_owned() })
        }
        _ => Ok(()),
    }
}

/// The claims of a token; none if the key is no token.
fn claims(key: &str) -> Option<Value> {
    let mut parts = key.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn text<'a>(claims: &'a Value, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str()
}

/// Says whether a text is a project's reference, which is no secret. Any other text could be one.
fn is_reference(text: &str) -> bool {
    text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
