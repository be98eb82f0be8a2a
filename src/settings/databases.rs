//! Finds the source and the target of a pipeline, from variables or from the file.

use crate::engine::model::address::{Address, Database};
use crate::engine::model::authority::{NamedAuthority, RootCertificate};
use crate::engine::model::range::Side;

use super::address::{self, Key, Place, label};
use super::errors::{Problem, Problems};
use super::named::{AllVariables, DatabaseVariables, SideVariables};
use super::variables::{
    CURRENT_URL, Environment, NEW_URL, NOT_UNICODE, OLD_URL, SOURCE_CA, TARGET_CA, Variable,
};

/// A value in the file, or `env:NAME` for the variable that holds the value.
#[derive(Clone)]
pub(super) struct FileText {
    /// The file, line and key, for messages.
    pub place: String,
    /// The text. A URL may hold a password, so this is never printed.
    pub text: String,
}

/// The file's settings of one side.
#[derive(Default)]
pub(super) struct SideTexts {
    pub url: Option<FileText>,
    pub key: Option<FileText>,
    /// The authority of its server's certificate.
    pub authority: Option<FileText>,
}

/// A database with the setting that people know it by: a variable, or a place in the file.
#[derive(Debug, Clone)]
pub struct NamedAddress<A> {
    /// The setting.
    pub name: String,
    /// The database.
    pub address: A,
}

/// The mark of a variable's name in the file.
const REFERENCE: &str = "env:";

/// The environment's databases, for all pipelines.
pub(super) struct Databases<'a> {
    env: Environment<'a>,
    variables: AllVariables,
}

impl<'a> Databases<'a> {
    pub(super) fn read(env: Environment<'a>) -> Self {
        Self { env, variables: AllVariables::read(env) }
    }

    /// The database of one side of a pipeline, with the authority of its server's certificate.
    pub(super) fn side(
        &self,
        side: Side,
        own: &SideTexts,
        is_only: bool,
        problems: &mut Problems,
    ) -> Option<Address> {
        let address = self.address(side, own, is_only, problems);
        let Some((place, text)) = self.authority(side, own, is_only, problems) else {
            return address;
        };
        with_authority(address, place, &text, problems)
    }

    /// The database that is named for one use alone, by the variables of its URL, its key and the
    /// authority of its certificate. The outer `None` says that there is no such name.
    pub(super) fn of_one_use(
        &self,
        [url, key, authority]: [Variable; 3],
        problems: &mut Problems,
    ) -> Option<Option<NamedAddress<Database>>> {
        let named = DatabaseVariables::read(self.env, url, key);
        let place = Place::Variable(authority);
        let authority = self.env.get(authority);
        if !named.is_set() {
            return None;
        }
        let address = from(Side::Target, &named, problems);
        let address = match authority {
            Some(text) => with_authority(address, place, &text, problems),
            None => address,
        };
        let named =
            |Address::Postgres(address)| NamedAddress { name: url.name.to_owned(), address };
        Some(address.map(named))
    }

    /// The target that variables name.
    pub(super) fn only_target(&self, problems: &mut Problems) -> Option<NamedAddress<Database>> {
        let own = SideTexts::default();
        let Address::Postgres(address) = self.side(Side::Target, &own, true, problems)?;
        Some(NamedAddress { name: self.name(Side::Target, &own, true), address })
    }

    /// Says whether variables name a target.
    pub(super) fn has_target(&self) -> bool {
        matches!(self.variables.of_side(Side::Target), SideVariables::One(_))
    }

    /// Says whether anything names a source.
    pub(super) fn has_source(&self) -> bool {
        let is_meant = matches!(
            self.variables.of_side(Side::Source),
            SideVariables::One(_) | SideVariables::Either
        );
        let own = self.variables.own(Side::Source);
        is_meant || own.key_text.is_some() || self.env.get(SOURCE_CA).is_some()
    }

    /// The text that names the authority, and its place. A variable is about the side that
    /// variables name, and about a single pipeline, too, as with a key.
    fn authority<'b>(
        &self,
        side: Side,
        own: &'b SideTexts,
        is_only: bool,
        problems: &mut Problems,
    ) -> Option<(Place<'b>, String)> {
        let variable = authority_variable(side);
        let set = self.env.get(variable).filter(|_| is_only || own.url.is_none());
        match &own.authority {
            Some(text) if set.is_none() || !is_only => self.resolve(text, problems),
            _ => set.map(|text| (Place::Variable(variable), text)),
        }
    }

    /// The database of one side of a pipeline.
    ///
    /// A pipeline's own `env:NAME` always wins, since it is the environment already. A URL in the
    /// file is replaced by the side's own variable if the file has only this pipeline. With several
    /// pipelines the variable cannot be about one of them; it is the default for those without a
    /// URL. The variables of applications, such as `SUPABASE_URL`, never replace what the file
    /// says: they may be set for the application.
    fn address(
        &self,
        side: Side,
        own: &SideTexts,
        is_only: bool,
        problems: &mut Problems,
    ) -> Option<Address> {
        let Some(url) = &own.url else {
            if let Some(key) = &own.key {
                problems.at(&key.place, Problem::IdleKey(side.name()));
            }
            return self.of_variables(side, problems);
        };
        let variables = self.variables.own(side);
        let fallback = match variable_name(&url.text) {
            Some(name) => self.variables.with_url(name).or(is_only.then_some(variables)),
            None if is_only && variables.is_set() => return from(side, variables, problems),
            None => is_only.then_some(variables),
        };
        let (place, text) = self.resolve(url, problems)?;
        let Some(key) = &own.key else {
            let key = fallback.map_or(Key::NotInFile(key_in_file(side)), key_of);
            return address::read(side, place, &text, key, problems);
        };
        let (key_place, key) = self.resolve(key, problems)?;
        address::read(side, place, &text, Key::Given(key_place, &key), problems)
    }

    /// The name of the setting that people know the database by: the variable, or the place in the
    /// file.
    pub(super) fn name(&self, side: Side, own: &SideTexts, is_only: bool) -> String {
        let variables = self.variables.own(side);
        let Some(url) = &own.url else {
            return match self.variables.of_side(side) {
                SideVariables::One(named) => named.url.name.to_owned(),
                SideVariables::Nobody | SideVariables::Sideless | SideVariables::Either => {
                    variables.url.name.to_owned()
                }
            };
        };
        match variable_name(&url.text) {
            Some(name) => name.to_owned(),
            None if is_only && variables.is_set() => variables.url.name.to_owned(),
            None => url.place.clone(),
        }
    }

    fn of_variables(&self, side: Side, problems: &mut Problems) -> Option<Address> {
        let missing = match self.variables.of_side(side) {
            SideVariables::One(named) => return from(side, named, problems),
            SideVariables::Either => {
                let AllVariables { old, current, new, .. } = &self.variables;
                let place = [OLD_URL, CURRENT_URL, NEW_URL].map(|variable| variable.name);
                let [old, current, new] = [old, current, new]
                    .map(|named| named.url_text.as_deref().map(label).unwrap_or_default());
                problems.at(place.join(", "), Problem::TwoReadings { old, current, new });
                return None;
            }
            SideVariables::Sideless => Problem::OneProject,
            SideVariables::Nobody => Problem::NoDatabase,
        };
        problems.of(self.variables.own(side).url, missing);
        None
    }

    /// The value of a text of the file, with its place: the text itself, or the value of the
    /// variable that it names.
    fn resolve<'b>(
        &self,
        text: &'b FileText,
        problems: &mut Problems,
    ) -> Option<(Place<'b>, String)> {
        let Some(name) = variable_name(&text.text) else {
            return Some((Place::Other(&text.place), text.text.clone()));
        };
        let Some(value) = self.env.named(name) else {
            problems.at(&text.place, Problem::NoSuchVariable(name.to_owned()));
            return None;
        };
        if value.contains(NOT_UNICODE) {
            problems.at(name, Problem::NotUnicode);
            return None;
        }
        Some((Place::Other(name), value))
    }
}

/// The variable that a text of the file names; none if the text is the value itself.
fn variable_name(text: &str) -> Option<&str> {
    text.strip_prefix(REFERENCE).map(str::trim)
}

/// The database with the authority of its server's certificate.
fn with_authority(
    address: Option<Address>,
    place: Place<'_>,
    text: &str,
    problems: &mut Problems,
) -> Option<Address> {
    let trusted = RootCertificate::parse(text).and_then(|certificate| {
        let authority = NamedAuthority { setting: place.name().to_owned(), certificate };
        match address {
            Some(Address::Postgres(database)) => {
                database.with_authority(authority).map(|database| Some(Address::Postgres(database)))
            }
            None => Ok(None),
        }
    });
    trusted.map_err(|bad| place.report(bad, problems)).ok().flatten()
}

fn authority_variable(side: Side) -> Variable {
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

fn from(side: Side, named: &DatabaseVariables, problems: &mut Problems) -> Option<Address> {
    let url = named.url_text.as_deref()?;
    address::read(side, Place::Variable(named.url), url, key_of(named), problems)
}

fn key_of(named: &DatabaseVariables) -> Key<'_> {
    match &named.key_text {
        Some(key) => Key::Given(Place::Variable(named.key), key),
        None => Key::Unset(named.key),
    }
}
