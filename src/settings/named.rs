//! Finds the variables that name the source and the target, among them names that applications
//! use.
//!
//! A project that moved has its variables from before: `OLD_SUPABASE_URL` beside `SUPABASE_URL`
//! where the code runs on the new one already, `NEW_SUPABASE_URL` beside it where it does not yet.
//! So `SUPABASE_URL` is the target in the first case and the source in the second. By itself it is
//! neither, and with both others it could be either. A wrong guess would write into the source.

use crate::engine::model::range::Side;

use super::variables::{
    CURRENT_URL, CURRENT_URL_KEY, Environment, NEW_URL, NEW_URL_KEY, OLD_KEY, OLD_URL, SOURCE,
    SOURCE_KEY, TARGET, TARGET_KEY, Variable,
};

/// The variables of a database's URL and key, with their values.
pub(super) struct DatabaseVariables {
    pub url: Variable,
    pub key: Variable,
    pub url_text: Option<String>,
    pub key_text: Option<String>,
}

/// All variables of databases.
pub(super) struct AllVariables {
    source: DatabaseVariables,
    target: DatabaseVariables,
    pub old: DatabaseVariables,
    pub current: DatabaseVariables,
    pub new: DatabaseVariables,
}

/// The variables that name one side.
pub(super) enum SideVariables<'a> {
    /// This pair of variables names the side.
    One(&'a DatabaseVariables),
    /// No variable names the side.
    Nobody,
    /// Only `SUPABASE_URL` is set, which may be either side.
    Sideless,
    /// `SUPABASE_URL` is set with both others.
    Either,
}

impl AllVariables {
    pub(super) fn read(env: Environment<'_>) -> Self {
        let named = |url, key| DatabaseVariables::read(env, url, key);
        Self {
            source: named(SOURCE, SOURCE_KEY),
            target: named(TARGET, TARGET_KEY),
            old: named(OLD_URL, OLD_KEY),
            current: named(CURRENT_URL, CURRENT_URL_KEY),
            new: named(NEW_URL, NEW_URL_KEY),
        }
    }

    /// The pair that names a side and nothing else, set or not.
    pub(super) fn own(&self, side: Side) -> &DatabaseVariables {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// The pair with this URL variable, if it is a known one.
    pub(super) fn with_url(&self, name: &str) -> Option<&DatabaseVariables> {
        let Self { source, target, old, current, new } = self;
        [source, target, old, current, new].into_iter().find(|named| named.url.name == name)
    }

    /// Finds the variables that name a side. Its own variables win over all others.
    pub(super) fn of_side(&self, side: Side) -> SideVariables<'_> {
        let Self { old, current, new, .. } = self;
        let own = self.own(side);
        if own.is_set() {
            return SideVariables::One(own);
        }
        match (side, old.is_set(), current.is_set(), new.is_set()) {
            (_, true, true, true) => SideVariables::Either,
            (_, false, true, false) => SideVariables::Sideless,
            (Side::Source, true, _, false) | (Side::Source, true, false, true) => {
                SideVariables::One(old)
            }
            (Side::Target, _, false, true) | (Side::Target, false, true, true) => {
                SideVariables::One(new)
            }
            (Side::Source, false, true, true) | (Side::Target, true, true, false) => {
                SideVariables::One(current)
            }
            (_, _, false, _) => SideVariables::Nobody,
        }
    }
}

impl DatabaseVariables {
    pub(super) fn read(env: Environment<'_>, url: Variable, key: Variable) -> Self {
        Self { url, key, url_text: env.get(url), key_text: env.get(key) }
    }

    pub(super) fn is_set(&self) -> bool {
        self.url_text.is_some()
    }
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
