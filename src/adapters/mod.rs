//! The outsides, one folder each, and the only list of databases. An adapter knows its outside and
//! none of the others.
//!
//! - `postgres`: a database over a connection, or behind our function in a project.
//! - `postgrest`: a source behind a project's API, read by its tables.
//! - `project_source`: the one of both by which a project is read.
//! - `csv`: a folder of files. `qstash`: the queue and the schedules.
//! - `mailerlite`: the mailing list of contacts.
//! - `peer`: another deployment, which answers its part of a full sync.
//! - `function`: our function at its public URL. `notify`: the webhook for notices.
//! - `api`: calls over HTTP, `json_rows`: rows as JSON, and `trust`: the check of a server's
//!   certificate, which several adapters make.

mod api;
#[cfg(feature = "cli")]
pub mod csv;
pub mod function;
mod json_rows;
pub mod mailerlite;
pub mod notify;
pub mod peer;
pub mod postgres;
mod postgrest;
mod project_source;
pub mod qstash;
mod trust;

use crate::engine::model::address::{Address, Database};
use crate::engine::model::meter::Meter;
use crate::engine::ports::Source;
use postgres::PostgresSource;
use project_source::ProjectSource;

/// Opens the source at an address. The meter counts the calls of an API.
pub fn open_source(address: Address, meter: &Meter) -> Box<dyn Source> {
    match address {
        Address::Postgres(Database::Project(project)) => {
            Box::new(ProjectSource::new(project, meter))
        }
        Address::Postgres(database) => Box::new(PostgresSource::new(database, meter.clone())),
    }
}
