//! The problems of the settings, all of them at once. No message holds a value that could be
//! secret: it names the setting, what it is for and what to do.

use std::fmt;
use std::ops::RangeInclusive;

use crate::engine::model::authority::BadAuthority;
use crate::engine::model::contacts::limits::BadLimit;
use crate::engine::model::cron::BadCron;
use crate::engine::model::database::BadDatabaseUrl;
use crate::engine::model::peer::BadPeer;
use crate::engine::model::project::BadProject;
use crate::engine::model::table::{BadTableName, LONGEST_NAME, TableName};

use super::variables::Variable;

/// The problems, at least one, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsErrors(pub Vec<SettingsError>);

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The variable, or the file with line and key.
    pub place: String,
    /// The purpose of the setting, if it is a variable.
    pub purpose: Option<&'static str>,
    /// The problem.
    pub problem: Problem,
}

/// A problem of a setting; its text says what is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error(
        "It is not set; write postgres://USER:PASSWORD@HOST:5432/DATABASE, or \
         https://PROJECT.supabase.co with its key"
    )]
    NoDatabase,
    #[error(
        "It is not set, and SUPABASE_URL alone does not tell which side it is; set \
         OLD_SUPABASE_URL, and it is the target, or NEW_SUPABASE_URL, and it is the source"
    )]
    OneProject,
    #[error(
        "All three are set, and it is unclear which two are meant: either from OLD_SUPABASE_URL \
         ({old}) to SUPABASE_URL ({current}), then unset NEW_SUPABASE_URL; or from SUPABASE_URL \
         ({current}) to NEW_SUPABASE_URL ({new}), then unset OLD_SUPABASE_URL. \
         SOURCE_DATABASE_URL and TARGET_DATABASE_URL win over all of them"
    )]
    TwoReadings { old: String, current: String, new: String },
    #[error("It is not set; set the service-role or secret key of {0} (its settings, API keys)")]
    NoKey(String),
    #[error("The project {project} needs its key; add {key} = \"env:NAME\" to the pipeline")]
    NoKeyInFile { project: String, key: &'static str },
    #[error("It stands without `{0}` beside it; add that, or take this away")]
    IdleKey(&'static str),
    /// A key with the rights of a visitor.
    #[error(
        "The key has the role {0}, which may not read and write everything; the service-role or \
         secret key is needed, from the project's settings, API keys"
    )]
    WeakKey(String),
    #[error("The key belongs to the project {key}, and the URL to {url}; correct one of them")]
    ForeignKey { key: String, url: String },
    #[error(transparent)]
    Project(#[from] BadProject),
    #[error("The variable {0} is not set; set it, or name another")]
    NoSuchVariable(String),
    #[error("It holds bytes that are no Unicode; set it again")]
    NotUnicode,
    #[error(transparent)]
    Database(#[from] BadDatabaseUrl),
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    #[error("Source and target are the same database, {0}; one of them must be another")]
    SameDatabase(String),
    #[error(transparent)]
    Name(#[from] BadTableName),
    #[error("{0} stands here twice; take one away")]
    Duplicate(String),
    /// One list of tables for several pipelines.
    #[error("It cannot say for which of the {0} pipelines; unset it and list `tables` in the file")]
    SeveralPipelines(usize),
    #[error("It must be a whole number from {} to {}", .0.start(), .0.end())]
    Number(RangeInclusive<u64>),
    #[error(
        "It must be a whole number with MB, GB or TB behind it, such as 500 MB; 0 for no limit"
    )]
    Size,
    #[error(
        "It must be a whole number with m, h, d or w behind it, from 1m to {0}w, such as 7d; left out, \
         the first run takes everything"
    )]
    Span(u64),
    #[error("It must be one of {0}")]
    Choice(String),
    #[error("It must be true or false; 1 and 0, yes and no are understood, too")]
    Switch,
    #[error("It must be an absolute URL such as https://sync.example.com, without `?` and `#`")]
    AppUrl,
    #[error("It must not hold a user or a password, since it is public")]
    AppUrlWithUser,
    #[error("It differs from {0}; unset one of them")]
    Differs(&'static str),
    #[error("It must have at least {0} characters; `openssl rand -hex 32` makes a good one")]
    ShortToken(usize),
    /// A token that no header can carry.
    #[error("It may hold only visible ASCII characters, since it travels in a header")]
    UnprintableToken,
    #[error(transparent)]
    Peer(#[from] BadPeer),
    #[error(
        "It is not set, and all calls between deployments are signed with it; set the same key on \
         all of them, and `openssl rand -hex 32` makes a good one"
    )]
    NoRegistrationKey,
    #[error(
        "It is set without SYNC_PEERS and without APP_URL, so that there is nobody to call and \
         nobody who can call; set one of them, or take this away"
    )]
    NoPeerOnEitherEnd,
    #[error(
        "It is not set, and several pipelines have a target; set the database whose tables full \
         syncs copy"
    )]
    NoFullSyncDatabase,
    #[error("It is set without {0}; set both, as the Upstash console shows them")]
    MissingPartner(&'static str),
    /// The local server's keys, which anybody can sign with.
    #[error(
        "It is a public key of the local QStash; use your own, or SYNC_LOCAL=1 on your machine"
    )]
    DevelopmentKey,
    #[error("It must be https://HOST without user, `?` and `#`, as the Upstash console shows it")]
    QStashUrl,
    /// A secret would be readable on its way.
    #[error("It must begin with https://, or its secret travels in clear")]
    ClearText,
    #[error("It must be an https:// URL, as Slack or another service gives it for a webhook")]
    NotifyUrl,
    #[error(transparent)]
    Cron(#[from] BadCron),
    #[error("It must be an expression such as `pow(2, retried) * 1000`, in milliseconds")]
    RetryDelay,
    /// A deployment's name is part of schedule ids.
    #[error("It may have 1 to 63 of a-z, 0-9 and -")]
    DeploymentName,
    #[error("A pipeline cannot be named {0}: its path would be another route's")]
    ReservedName(String),
    /// A scheduled call could not be checked.
    #[error("It is not set; signatures cannot be checked without it")]
    NoAppUrl,
    #[error("Neither is set, and every call would be refused; set one or both")]
    NobodyMayCall,
    #[error("The file cannot be read ({0}); correct the path or unset SYNC_CONFIG")]
    Unreadable(std::io::ErrorKind),
    #[error("This is no TOML: {0}")]
    Malformed(String),
    #[error("The file has no [[pipeline]] and no [contacts]; add one or unset SYNC_CONFIG")]
    NoPipeline,
    #[error("This key is not known here; known are {0}")]
    UnknownKey(String),
    #[error("This key is missing; add it")]
    MissingKey,
    #[error("This must be {0}")]
    Expected(&'static str),
    /// A pipeline's name is part of URLs, locks and keys.
    #[error("A pipeline's name has 1 to 63 of a-z, 0-9 and -, and does not begin with -")]
    PipelineName,
    #[error("A column's name has 1 to {LONGEST_NAME} bytes and no NUL")]
    ColumnName,
    #[error("Rows are to be marked, and no column is named; set `mark` to a column of the target")]
    NoMark,
    #[error("It stands without deletes = \"mark\" beside it; add that, or take this away")]
    IdleMark,
    #[error("{0} is not among the pipeline's `tables`; add it there or take this away")]
    NotListed(TableName),
    #[error("newest needs `updated` in [contacts], the column of the time of a row's last change")]
    NoUpdated,
    #[error(
        "The row of somebody who subscribed again needs a value: name it as `active` in `status`, or \
         leave this out, and a person decides on each"
    )]
    NoActive,
    #[error(
        "{0:?} stands for two values of the column, and MailerLite's cannot be read back; give each \
         its own, or set direction = \"to-mailerlite\""
    )]
    TwoMeanings(String),
    #[error(
        "A group needs one of `when`, a condition in SQL, and `column`, a column of type boolean"
    )]
    OneMembership,
    #[error(
        "It can only be {0} here: `when` is a condition, which nobody can write, and a `column` \
         follows both sides"
    )]
    GroupDirection(&'static str),
    #[error(transparent)]
    Limit(#[from] BadLimit),
    #[error(
        "The file has no [contacts]; `syncline contacts init` prints what to write, from what the \
         database and MailerLite have"
    )]
    NoContacts,
    #[error("It is not set; make a key in MailerLite: Integrations, API, Generate new token")]
    NoMailerLiteKey,
    #[error("It must be the address before `/api`, such as https://connect.mailerlite.com")]
    MailerLiteUrl,
    #[error("It is not set, and several pipelines have a target; set the database of the contacts")]
    NoContactsDatabase,
    #[error("{0} is no origin; write https://HOST, without a path, and no `*`")]
    Origin(String),
    /// A row without its key cannot be found again.
    #[error("The key's column {0:?} is not among `columns`; add it there")]
    KeyNotCopied(String),
}

impl std::error::Error for SettingsErrors {}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("A setting is wrong or missing:")?,
            count => write!(f, "{count} settings are wrong or missing:")?,
        }
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)?;
        self.purpose.map_or(Ok(()), |purpose| write!(f, ". It is {purpose}"))
    }
}

/// Collects problems while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<SettingsError>);

impl Problems {
    /// Adds a problem of a variable.
    pub(super) fn of(&mut self, variable: Variable, problem: impl Into<Problem>) {
        self.push(variable.name.to_owned(), Some(variable.purpose), problem.into());
    }

    /// Adds a problem of the file, or between several settings.
    pub(super) fn at(&mut self, place: impl Into<String>, problem: impl Into<Problem>) {
        self.push(place.into(), None, problem.into());
    }

    /// Adds a problem once: several pipelines may lack the same variable.
    fn push(&mut self, place: String, purpose: Option<&'static str>, problem: Problem) {
        let error = SettingsError { place, purpose, problem };
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Says whether no problem was found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says whether this variable has a problem already.
    pub(super) fn has(&self, variable: Variable) -> bool {
        self.0.iter().any(|error| error.place == variable.name)
    }

    /// The value, if there was no problem.
    pub(super) fn or<T>(self, value: T) -> Result<T, SettingsErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(SettingsErrors(self.0)) }
    }
}
