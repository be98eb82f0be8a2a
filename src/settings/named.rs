//! Finds the variables that name the source and the target, under the names that people have
//! already.
//!
//! A project that moved has its variables from before: `OLD_SUPABASE_URL` beside `SUPABASE_URL`
//! where the code runs on the new one already, `NEW_SUPABASE_URL` beside it where it does not yet.
//! So `SUPABASE_URL` is the target in the first case and the source in the second; alone it is
//! neither, and with both it could be either. To guess would be to write into the database that is
//! to be read.

use crate::engine::model::range::Side;

use super::variables::{
    CURRENT_URL, CURRENT_URL_KEY, Environment, NEW_URL, NEW_URL_KEY, OLD_KEY, OLD_URL, SOURCE,
    SOURCE_KEY, TARGET, TARGET_KEY, Variable,
};

/// A variable for a database and the one for its key, with what they hold.
pub(super) struct Named {
    pub url: Variable,
    pub key: Variable,
    pub url_text: Option<String>,
    pub key_text: Option<String>,
}

/// All that the environment says of databases.
pub(super) struct AllNamed {
    source: Named,
    target: Named,
    pub old: Named,
    pub current: Named,
    pub new: Named,
}

/// The environment's setting of one side.
pub(super) enum Meant<'a> {
    /// This pair of variables names it.
    One(&'a Named),
    /// No variable names it.
    Nobody,
    /// Only `SUPABASE_URL` is set, which has no side.
    Sideless,
    /// `SUPABASE_URL` is set with both others.
    Either,
}

impl AllNamed {
    pub(super) fn read(env: Environment<'_>) -> Self {
        let named = |url, key| Named { url, key, url_text: env.get(url), key_text: env.get(key) };
        Self {
            source: named(SOURCE, SOURCE_KEY),
            target: named(TARGET, TARGET_KEY),
            old: named(OLD_URL, OLD_KEY),
            current: named(CURRENT_URL, CURRENT_URL_KEY),
            new: named(NEW_URL, NEW_URL_KEY),
        }
    }

    /// The pair that names a side and nothing else, set or not.
    pub(super) fn own(&self, side: Side) -> &Named {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// The pair with this URL variable, if it is a known one.
    pub(super) fn with_url(&self, name: &str) -> Option<&Named> {
        let Self { source, target, old, current, new } = self;
        [source, target, old, current, new].into_iter().find(|named| named.url.name == name)
    }

    /// Finds the variables that name a side. Its own ones win over all.
    pub(super) fn meant(&self, side: Side) -> Meant<'_> {
        let Self { old, current, new, .. } = self;
        let own = self.own(side);
        if own.is_set() {
            return Meant::One(own);
        }
        match (side, old.is_set(), current.is_set(), new.is_set()) {
            (_, true, true, true) => Meant::Either,
            (_, false, true, false) => Meant::Sideless,
            (Side::Source, true, _, false) | (Side::Source, true, false, true) => Meant::One(old),
            (Side::Target, _, false, true) | (Side::Target, false, true, true) => Meant::One(new),
            (Side::Source, false, true, true) | (Side::Target, true, true, false) => {
                Meant::One(current)
            }
            (_, _, false, _) => Meant::Nobody,
        }
    }
}

impl Named {
    pub(super) fn is_set(&self) -> bool {
        self.url_text.is_some()
    }
}

#[cfg(test)]
#[path = "named_tests.rs"]
mod tests;
