//! The addresses of a pipeline's two sides.

use super::authority::{BadAuthority, NamedAuthority};
use super::database::DatabaseUrl;
use super::project::Project;

/// The address of a source, as the settings name it. A kind of database that can be read alone is a
/// variant of its own.
#[derive(Clone, Debug)]
pub enum Address {
    /// A Postgres database.
    Postgres(Database),
}

/// A Postgres database, by the way to it. A target is always one.
#[derive(Clone, Debug)]
pub enum Database {
    /// A server, reached in Postgres' own protocol.
    Server(DatabaseUrl),
    /// A project, reached over its API.
    Project(Project),
}

impl Address {
    /// Names it in messages, without a secret.
    pub fn label(&self) -> String {
        match self {
            Self::Postgres(database) => database.label(),
        }
    }
}

impl Database {
    /// Names it in messages, without a secret.
    pub fn label(&self) -> String {
        match self {
            Self::Server(url) => url.label(),
            Self::Project(project) => project.label(),
        }
    }

    /// Adds the authorities that a setting beside the URL names.
    pub fn with_authority(self, authority: NamedAuthority) -> Result<Self, BadAuthority> {
        Ok(match self {
            Self::Server(url) => Self::Server(url.with_authority(authority)?),
            Self::Project(project) => Self::Project(project.with_authority(authority)?),
        })
    }

    /// The setting beside the URL that names its authorities, if one does.
    pub fn authority_setting(&self) -> Option<&str> {
        match self {
            Self::Server(url) => url.authority_setting.as_deref(),
            Self::Project(project) => {
                project.authority().map(|authority| authority.setting.as_str())
            }
        }
    }

    /// Says whether its host is Supabase, which makes a database read-only that outgrows its plan.
    pub fn is_at_supabase(&self) -> bool {
        match self {
            Self::Server(url) => url.is_at_supabase(),
            Self::Project(project) => project.reference().is_some(),
        }
    }

    /// Says whether a source is this database, as far as their addresses tell.
    pub fn is_source(&self, source: &Address) -> bool {
        match (self, source) {
            (Self::Server(target), Address::Postgres(Self::Server(source))) => {
                target.is_same_database(source)
            }
            (Self::Project(target), Address::Postgres(Self::Project(source))) => {
                target.is_same_project(source)
            }
            (Self::Server(_), Address::Postgres(Self::Project(_)))
            | (Self::Project(_), Address::Postgres(Self::Server(_))) => false,
        }
    }
}
