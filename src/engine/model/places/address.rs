//! The address of a side of a pipeline: a Postgres server, or a project behind an HTTP API.

use super::database::DatabaseUrl;
use super::project::Project;

/// One side's database, as the settings name it.
#[derive(Clone, Debug)]
pub enum Address {
    /// Spoken to in Postgres' own protocol.
    Postgres(DatabaseUrl),
    /// Spoken to over HTTP.
    Project(Project),
}

impl Address {
    /// Names it in messages, without a secret.
    pub fn label(&self) -> String {
        match self {
            Self::Postgres(url) => url.label(),
            Self::Project(project) => project.label(),
        }
    }

    /// Both are the same database, as far as their addresses tell.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Postgres(one), Self::Postgres(other)) => one.is_same_database(other),
            (Self::Project(one), Self::Project(other)) => one.is_same_project(other),
            (Self::Postgres(_), Self::Project(_)) | (Self::Project(_), Self::Postgres(_)) => false,
        }
    }
}
