//! Which database a pipeline reads and which it writes: from a variable, or from the file.

use crate::engine::model::database::DatabaseUrl;

use super::errors::{Problem, Problems};
use super::variables::{Environment, NOT_UNICODE, Variable};

/// A text of the file: of a database its URL, or `env:NAME` for the variable that holds one.
#[derive(Clone)]
pub(super) struct Placed {
    /// File, line and key, for messages.
    pub place: String,
    /// The URL may hold a password, so this is never printed.
    pub text: String,
}

/// What marks a variable's name in the file.
const REFERENCE: &str = "env:";

/// The database of one side of a pipeline.
///
/// A pipeline's own `env:NAME` always stands: it is the environment already. A URL that is written
/// in the file gives way to the variable, if it is the file's only pipeline; with several, the
/// variable cannot mean one of them and is what the others fall back to.
pub(super) fn side(
    env: Environment<'_>,
    variable: Variable,
    own: Option<&Placed>,
    alone: bool,
    problems: &mut Problems,
) -> Option<DatabaseUrl> {
    let Some(own) = own else { return from_variable(env, variable, problems) };
    if let Some(name) = own.text.strip_prefix(REFERENCE) {
        return from_reference(env, own, name.trim(), problems);
    }
    if alone && env.get(variable).is_some() {
        return from_variable(env, variable, problems);
    }
    let url = DatabaseUrl::parse(&own.text);
    url.map_err(|bad| problems.at(&own.place, bad)).ok()
}

/// The name that people know the database of one side by: the variable, or the place in the file.
/// It follows `side`.
#[cfg(feature = "cli")]
pub(super) fn name(
    env: Environment<'_>,
    variable: Variable,
    own: Option<&Placed>,
    alone: bool,
) -> String {
    let Some(own) = own else { return variable.name.to_owned() };
    match own.text.strip_prefix(REFERENCE) {
        Some(name) => name.trim().to_owned(),
        None if alone && env.get(variable).is_some() => variable.name.to_owned(),
        None => own.place.clone(),
    }
}

/// Names the same database on both sides as what it is: a run would read what it writes.
pub(super) fn refuse_same(
    pipeline: &str,
    source: &DatabaseUrl,
    target: &DatabaseUrl,
    problems: &mut Problems,
) {
    if source.is_same_database(target) {
        problems.at(format!("Pipeline {pipeline}"), Problem::SameDatabase(target.label()));
    }
}

fn from_variable(
    env: Environment<'_>,
    variable: Variable,
    problems: &mut Problems,
) -> Option<DatabaseUrl> {
    let Some(text) = env.get(variable) else {
        problems.of(variable, Problem::NoDatabase);
        return None;
    };
    DatabaseUrl::parse(&text).map_err(|bad| problems.of(variable, bad)).ok()
}

fn from_reference(
    env: Environment<'_>,
    own: &Placed,
    name: &str,
    problems: &mut Problems,
) -> Option<DatabaseUrl> {
    let Some(text) = env.named(name) else {
        problems.at(&own.place, Problem::NoSuchVariable(name.to_owned()));
        return None;
    };
    if text.contains(NOT_UNICODE) {
        problems.at(name, Problem::NotUnicode);
        return None;
    }
    DatabaseUrl::parse(&text).map_err(|bad| problems.at(name, bad)).ok()
}
