//! What is wrong with the settings, all of it at once. No message holds a value that could be
//! secret: it names the setting, what it is for and what to do.

use std::fmt;
use std::ops::RangeInclusive;

use crate::engine::model::cron::BadCron;
use crate::engine::model::database::BadDatabaseUrl;
use crate::engine::model::project::BadProject;
use crate::engine::model::table::{BadTableName, LONGEST_NAME, TableName};

use super::variables::Variable;

/// Everything that is wrong, in the order in which it was found; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsErrors(pub Vec<SettingsError>);

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsError {
    /// The variable, or the file with line and key.
    pub place: String,
    /// What the setting is, where it is a variable.
    pub purpose: Option<&'static str>,
    /// What is wrong and what to do.
    pub problem: Problem,
}

/// What can be wrong with a setting; each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A database is needed and not named.
    #[error(
        "It is not set; write postgres://USER:PASSWORD@HOST:5432/DATABASE, or \
         https://PROJECT.supabase.co with its key"
    )]
    NoDatabase,
    /// `SUPABASE_URL` has no side of its own.
    #[error(
        "It is not set, and SUPABASE_URL alone does not tell which side it is; set \
         OLD_SUPABASE_URL, and it is the target, or NEW_SUPABASE_URL, and it is the source"
    )]
    OneProject,
    /// Three projects can be read as two pairs.
    #[error(
        "All three are set, and it is unclear which two are meant: either from OLD_SUPABASE_URL \
         ({old}) to SUPABASE_URL ({current}), then unset NEW_SUPABASE_URL; or from SUPABASE_URL \
         ({current}) to NEW_SUPABASE_URL ({new}), then unset OLD_SUPABASE_URL. \
         SOURCE_DATABASE_URL and TARGET_DATABASE_URL win over all of them"
    )]
    TwoReadings {
        /// What `OLD_SUPABASE_URL` names.
        old: String,
        /// What `SUPABASE_URL` names.
        current: String,
        /// What `NEW_SUPABASE_URL` names.
        new: String,
    },
    /// A project's API without its key.
    #[error("It is not set; set the service-role or secret key of {0} (its settings, API keys)")]
    NoKey(String),
    /// A project of the file without its key.
    #[error("The project {project} needs its key; add {key} = \"env:NAME\" to the pipeline")]
    NoKeyInFile {
        /// The project.
        project: String,
        /// The key of the file.
        key: &'static str,
    },
    /// A key beside nothing that it could open.
    #[error("It stands without `{0}` beside it; add that, or take this away")]
    IdleKey(&'static str),
    /// A key with the rights of a visitor.
    #[error(
        "The key has the role {0}, which may not read and write everything; the service-role or \
         secret key is needed, from the project's settings, API keys"
    )]
    WeakKey(String),
    /// Two settings of different projects.
    #[error("The key belongs to the project {key}, and the URL to {url}; correct one of them")]
    ForeignKey {
        /// The project that the key names.
        key: String,
        /// The project that the URL names.
        url: String,
    },
    /// A project's URL or key is malformed.
    #[error(transparent)]
    Project(#[from] BadProject),
    /// `env:NAME` names a variable that is not set.
    #[error("The variable {0} is not set; set it, or name another")]
    NoSuchVariable(String),
    /// The bytes are no Unicode.
    #[error("It holds bytes that are no Unicode; set it again")]
    NotUnicode,
    /// A database URL is malformed.
    #[error(transparent)]
    Database(#[from] BadDatabaseUrl),
    /// Source and target are one.
    #[error("Source and target are the same database, {0}; one of them must be another")]
    SameDatabase(String),
    /// A name is malformed.
    #[error(transparent)]
    Name(#[from] BadTableName),
    /// A list or the file has something twice.
    #[error("{0} stands here twice; take one away")]
    Twice(String),
    /// One list of tables for several pipelines.
    #[error("It cannot say for which of the {0} pipelines; unset it and list `tables` in the file")]
    SeveralPipelines(usize),
    /// Not a number, or not in its range.
    #[error("It must be a whole number from {} to {}", .0.start(), .0.end())]
    Number(RangeInclusive<u64>),
    /// Not a number of bytes.
    #[error(
        "It must be a whole number with MB, GB or TB behind it, such as 500 MB; 0 for no limit"
    )]
    Size,
    /// Not a span.
    #[error(
        "It must be a whole number with m, h, d or w behind it, from 1m to {0}w, such as 7d; left out, \
         the first run takes everything"
    )]
    Span(u64),
    /// Not one of the words there are.
    #[error("It must be one of {0}")]
    Choice(String),
    /// Neither on nor off.
    #[error("It must be true or false; 1 and 0, yes and no are understood, too")]
    Switch,
    /// Not a URL that QStash could call.
    #[error("It must be an absolute URL such as https://sync.example.com, without `?` and `#`")]
    AppUrl,
    /// A password in a public URL.
    #[error("It must not hold a user or a password, since it is public")]
    AppUrlWithUser,
    /// Two names for one thing disagree.
    #[error("It differs from {0}; unset one of them")]
    Differs(&'static str),
    /// A token that can be guessed.
    #[error("It must have at least {0} characters; `openssl rand -hex 32` makes a good one")]
    ShortToken(usize),
    /// A token that no header can carry.
    #[error("It may hold only visible ASCII characters, since it travels in a header")]
    UnprintableToken,
    /// A next key alone.
    #[error("It is set without {0}; set both, as the Upstash console shows them")]
    Without(&'static str),
    /// The local server's keys, which anybody can sign with.
    #[error(
        "It is a public key of the local QStash; use your own, or SYNC_LOCAL=1 on your machine"
    )]
    DevelopmentKey,
    /// Not a URL of QStash.
    #[error("It must be https://HOST without user, `?` and `#`, as the Upstash console shows it")]
    QStashUrl,
    /// A secret would be readable on its way.
    #[error("It must begin with https://, or its secret travels in clear")]
    ClearText,
    /// Not a URL to post to.
    #[error("It must be an https:// URL, as Slack or another service gives it for a webhook")]
    NotifyUrl,
    /// Not a schedule.
    #[error(transparent)]
    Cron(#[from] BadCron),
    /// Not an expression of QStash's.
    #[error("It must be an expression such as `pow(2, retried) * 1000`, in milliseconds")]
    RetryDelay,
    /// A deployment's name is part of schedule ids.
    #[error("It may have 1 to 63 of a-z, 0-9 and -")]
    DeploymentName,
    /// A pipeline whose path is another route's.
    #[error("A pipeline cannot be named {0}: its path would be another route's")]
    ReservedName(String),
    /// A scheduled call could not be checked.
    #[error("It is not set; signatures cannot be checked without it")]
    NoAppUrl,
    /// Every call would be refused.
    #[error("Neither is set, and every call would be refused; set one or both")]
    NobodyMayCall,
    /// The file cannot be read.
    #[error("The file cannot be read ({0}); correct the path or unset SYNC_CONFIG")]
    Unreadable(std::io::ErrorKind),
    /// The file is no TOML.
    #[error("This is no TOML: {0}")]
    Malformed(String),
    /// The file has no pipeline.
    #[error("The file has no [[pipeline]]; add one or unset SYNC_CONFIG")]
    NoPipeline,
    /// A key that nobody reads, most likely a slip.
    #[error("This key is not known here; known are {0}")]
    UnknownKey(String),
    /// A key that must be there.
    #[error("This key is missing; add it")]
    MissingKey,
    /// A value of another type, or an empty one.
    #[error("This must be {0}")]
    Expected(&'static str),
    /// A pipeline's name is part of URLs, locks and keys.
    #[error("A pipeline's name has 1 to 63 of a-z, 0-9 and -, and does not begin with -")]
    PipelineName,
    /// No column has such a name.
    #[error("A column's name has 1 to {LONGEST_NAME} bytes and no NUL")]
    ColumnName,
    /// Rows are to be marked, and nobody said where.
    #[error("Rows are to be marked, and no column is named; set `mark` to a column of the target")]
    NoMark,
    /// A column for marks where nothing is marked.
    #[error("It stands without deletes = \"mark\" beside it; add that, or take this away")]
    IdleMark,
    /// Settings for a table that is not synced.
    #[error("{0} is not among the pipeline's `tables`; add it there or take this away")]
    NotListed(TableName),
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

/// Collects what is wrong while reading goes on.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<SettingsError>);

impl Problems {
    /// Notes what is wrong with a variable.
    pub(super) fn of(&mut self, variable: Variable, problem: impl Into<Problem>) {
        self.push(variable.name.to_owned(), Some(variable.purpose), problem.into());
    }

    /// Notes what is wrong in the file or between several settings.
    pub(super) fn at(&mut self, place: impl Into<String>, problem: impl Into<Problem>) {
        self.push(place.into(), None, problem.into());
    }

    /// Several pipelines may miss the same variable; it is said once.
    fn push(&mut self, place: String, purpose: Option<&'static str>, problem: Problem) {
        let error = SettingsError { place, purpose, problem };
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Whether something is wrong with this variable already.
    pub(super) fn blame(&self, variable: Variable) -> bool {
        self.0.iter().any(|error| error.place == variable.name)
    }

    /// The value, if nothing was wrong with it.
    pub(super) fn or<T>(self, value: T) -> Result<T, SettingsErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(SettingsErrors(self.0)) }
    }
}
