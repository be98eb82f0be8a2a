//! The ports that only commands use: the function is built without this file.

use std::path::{Path, PathBuf};

use crate::adapters::csv::CsvFolder;
use crate::adapters::postgres::{PostgresExport, PostgresSource, PostgresTarget, certificate};
use crate::engine::model::address::{Address, Database};
use crate::engine::model::certificate::Chain;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::range::Side;
use crate::jobs::cutover::ports::{CutoverPorts, NamedDatabase};
use crate::jobs::export::Sides;
use crate::jobs::gap::ports::{Folder, Rehearse};
use crate::settings::{self, PipelineSettings};

/// The ports of one pipeline that only commands use.
pub struct TerminalPorts {
    /// The ports of its cutover.
    pub cutover: CutoverPorts,
    /// Its two databases, which `export` writes into files.
    pub sides: Sides,
    /// The target, where an import can be tried and undone.
    pub rehearse: Box<dyn Rehearse>,
    source: Database,
    target: Database,
}

impl TerminalPorts {
    pub(super) fn join(set: &PipelineSettings, target: &PostgresTarget, meter: &Meter) -> Self {
        let Address::Postgres(source) = &set.source.address;
        let database = &set.target.address;
        Self {
            cutover: CutoverPorts {
                records: Box::new(target.clone()),
                writers: Box::new(PostgresSource::new(source.clone(), meter.clone())),
                source: end(&set.source.name, source),
                target: end(&set.target.name, database),
            },
            sides: Sides {
                source: Box::new(PostgresExport::of_source(source.clone(), meter.clone())),
                target: Box::new(PostgresExport::of_target(database.clone(), meter.clone())),
            },
            rehearse: Box::new(target.clone()),
            source: source.clone(),
            target: database.clone(),
        }
    }

    /// A folder of files to import. `encoding` is that of files that do not say it themselves.
    pub fn folder(&self, path: &Path, encoding: Option<&str>) -> Result<Box<dyn Folder>, Fault> {
        Ok(Box::new(CsvFolder::new(path, encoding)?))
    }

    /// The certificates that the server of a side presents.
    pub async fn certificates(&self, side: Side) -> Result<Chain, Fault> {
        match side {
            Side::Source => certificate::of(&self.source, Step::ConnectSource).await,
            Side::Target => certificate::of(&self.target, Step::ConnectTarget).await,
        }
    }

    /// The folder in which this machine keeps temporary files.
    pub fn temporary_folder(&self) -> PathBuf {
        settings::temporary_folder()
    }
}

fn end(name: &str, database: &Database) -> NamedDatabase {
    let key = match database {
        Database::Project(project) => Some(project.key_setting().to_owned()),
        Database::Server(_) => None,
    };
    NamedDatabase {
        name: name.to_owned(),
        database: database.label(),
        is_project: key.is_some(),
        key,
        authority: database.authority_setting().map(str::to_owned),
    }
}
