//! Finds the database that a pipeline reads and the one that it writes: from variables, or from the
//! file.

use crate::engine::model::address::{Address, Database};
use crate::engine::model::authority::{NamedAuthority, RootCertificate};
use crate::engine::model::range::Side;

use super::address::{self, Key, Place, label};
use super::errors::{Problem, Problems};
use super::named::{AllNamed, Meant, Named};
use super::variables::{
    CURRENT_URL, Environment, NEW_URL, NOT_UNICODE, OLD_URL, SOURCE_CA, TARGET_CA, Variable,
};

/// A text of the file: of a database its URL or key, or `env:NAME` for the variable that holds one.
#[derive(Clone)]
pub(super) struct Placed {
    /// File, line and key, for messages.
    pub place: String,
    /// The URL may hold a password, so this is never printed.
    pub text: String,
}

/// The file's settings of one side.
#[derive(Default)]
pub(super) struct Own {
    pub url: Option<Placed>,
    pub key: Option<Placed>,
    /// The authority of its server's certificate.
    pub authority: Option<Placed>,
}

/// The mark of a variable's name in the file.
const REFERENCE: &str = "env:";

/// The environment's databases, for all pipelines.
pub(super) struct Databases<'a> {
    env: Environment<'a>,
    named: AllNamed,
}

impl<'a> Databases<'a> {
    pub(super) fn read(env: Environment<'a>) -> Self {
        Self { env, named: AllNamed::read(env) }
    }

    /// The database of one side of a pipeline, with the authority of its server's certificate.
    pub(super) fn side(
        &self,
        side: Side,
        own: &Own,
        alone: bool,
        problems: &mut Problems,
    ) -> Option<Address> {
        let address = self.address(side, own, alone, problems);
        let Some((place, text)) = self.authority(side, own, alone, problems) else {
            return address;
        };
        let trusted = RootCertificate::parse(&text).and_then(|certificate| {
            let authority = NamedAuthority { setting: place.name().to_owned(), certificate };
            match address {
                Some(Address::Postgres(database)) => database
                    .with_authority(authority)
                    .map(|database| Some(Address::Postgres(database))),
                None => Ok(None),
            }
        });
        trusted.map_err(|bad| place.blame(bad, problems)).ok().flatten()
    }

    /// The text that names the authority, and its place. A variable means the side that variables
    /// name; a single pipeline is meant, too, as with a key.
    fn authority<'b>(
        &self,
        side: Side,
        own: &'b Own,
        alone: bool,
        problems: &mut Problems,
    ) -> Option<(Place<'b>, String)> {
        let variable = of_side(side);
        let is_meant = alone || own.url.is_none();
        let set = self.env.get(variable).filter(|_| is_meant);
        let set = set.map(|text| (Place::Variable(variable), text));
        let Some(placed) = own.authority.as_ref().filter(|_| set.is_none() || !alone) else {
            return set;
        };
        match placed.text.strip_prefix(REFERENCE).map(str::trim) {
            Some(name) => Some((Place::Other(name), self.referred(placed, name, problems)?)),
            None => Some((Place::Other(&placed.place), placed.text.clone())),
        }
    }

    /// The database of one side of a pipeline.
    ///
    /// A pipeline's own `env:NAME` always stands: it is the environment already. A URL that is
    /// written in the file gives way to the side's own variable, if it is the file's only pipeline;
    /// with several, the variable cannot mean one of them and is what the others fall back to. The
    /// names of applications (`SUPABASE_URL` and its like) never replace what the file says: they
    /// may stand there for the application.
    fn address(
        &self,
        side: Side,
        own: &Own,
        alone: bool,
        problems: &mut Problems,
    ) -> Option<Address> {
        let Some(url) = &own.url else {
            if let Some(key) = &own.key {
                problems.at(&key.place, Problem::IdleKey(side.name()));
            }
            return self.of_variables(side, problems);
        };
        let variables = self.named.own(side);
        if let Some(name) = url.text.strip_prefix(REFERENCE) {
            let name = name.trim();
            let text = self.referred(url, name, problems)?;
            let known = self.named.with_url(name).or(alone.then_some(variables));
            return self.with_key(side, (name, &text), own.key.as_ref(), known, problems);
        }
        if alone && variables.is_set() {
            return from(side, variables, problems);
        }
        let known = alone.then_some(variables);
        self.with_key(side, (&url.place, &url.text), own.key.as_ref(), known, problems)
    }

    /// The name of the setting that people know the database by: the variable, or the place in the
    /// file.
    pub(super) fn name(&self, side: Side, own: &Own, alone: bool) -> String {
        let variables = self.named.own(side);
        let Some(url) = &own.url else {
            return match self.named.meant(side) {
                Meant::One(named) => named.url.name.to_owned(),
                Meant::Nobody | Meant::Sideless | Meant::Either => variables.url.name.to_owned(),
            };
        };
        match url.text.strip_prefix(REFERENCE) {
            Some(name) => name.trim().to_owned(),
            None if alone && variables.is_set() => variables.url.name.to_owned(),
            None => url.place.clone(),
        }
    }

    fn of_variables(&self, side: Side, problems: &mut Problems) -> Option<Address> {
        let missing = match self.named.meant(side) {
            Meant::One(named) => return from(side, named, problems),
            Meant::Either => {
                let AllNamed { old, current, new, .. } = &self.named;
                let place = [OLD_URL, CURRENT_URL, NEW_URL].map(|variable| variable.name);
                let [old, current, new] = [old, current, new]
                    .map(|named| named.url_text.as_deref().map(label).unwrap_or_default());
                problems.at(place.join(", "), Problem::TwoReadings { old, current, new });
                return None;
            }
            Meant::Sideless => Problem::OneProject,
            Meant::Nobody => Problem::NoDatabase,
        };
        problems.of(self.named.own(side).url, missing);
        None
    }

    /// A database that the file names, with the key that the file names for it, or else the one
    /// that `known` has.
    fn with_key(
        &self,
        side: Side,
        (place, url): (&str, &str),
        own: Option<&Placed>,
        known: Option<&Named>,
        problems: &mut Problems,
    ) -> Option<Address> {
        let place = Place::Other(place);
        let Some(own) = own else {
            let key = known.map_or(Key::NotInFile(key_in_file(side)), key_of);
            return address::read(side, place, url, key, problems);
        };
        match own.text.strip_prefix(REFERENCE).map(str::trim) {
            Some(name) => {
                let text = self.referred(own, name, problems)?;
                address::read(side, place, url, Key::Given(Place::Other(name), &text), problems)
            }
            None => {
                let key = Key::Given(Place::Other(&own.place), &own.text);
                address::read(side, place, url, key, problems)
            }
        }
    }

    /// The value of a variable that the file names.
    fn referred(&self, own: &Placed, name: &str, problems: &mut Problems) -> Option<String> {
        let Some(text) = self.env.named(name) else {
            problems.at(&own.place, Problem::NoSuchVariable(name.to_owned()));
            return None;
        };
        if text.contains(NOT_UNICODE) {
            problems.at(name, Problem::NotUnicode);
            return None;
        }
        Some(text)
    }
}

fn of_side(side: Side) -> Variable {
    match side {
        Side::Source => SOURCE_CA,
        Side::Target => TARGET_CA,
    }
}

fn key_in_file(side: Side) -> &'static str {
    match side {
        Side::Source => "source_key",
        Side::Target => "target_key",
    }
}

/// Refuses the same database on both sides: a run would read what it writes.
pub(super) fn refuse_same(
    pipeline: &str,
    source: &Address,
    target: &Database,
    problems: &mut Problems,
) {
    if target.is_source(source) {
        problems.at(format!("Pipeline {pipeline}"), Problem::SameDatabase(target.label()));
    }
}

fn from(side: Side, named: &Named, problems: &mut Problems) -> Option<Address> {
    let url = named.url_text.as_deref()?;
    address::read(side, Place::Variable(named.url), url, key_of(named), problems)
}

fn key_of(named: &Named) -> Key<'_> {
    match &named.key_text {
        Some(key) => Key::Given(Place::Variable(named.key), key),
        None => Key::Unset(named.key),
    }
}
