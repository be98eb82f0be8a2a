//! The ports that only commands use: the function is built without this file.

use std::path::{Path, PathBuf};

use crate::adapters::csv::CsvFolder;
use crate::adapters::postgres::{PostgresExport, PostgresSource, PostgresTarget};
use crate::engine::model::address::Address;
use crate::engine::model::fault::Fault;
use crate::engine::model::meter::Meter;
use crate::jobs::cutover::ports::{CutoverPorts, End};
use crate::jobs::export::Sides;
use crate::jobs::gap::ports::{Folder, Rehearse};
use crate::settings::{self, NamedAddress, PipelineSettings};

/// The ports of one pipeline that only commands use.
pub struct TerminalPorts {
    /// The ports of its cutover.
    pub cutover: CutoverPorts,
    /// Its two databases, which `export` writes into files.
    pub sides: Sides,
    /// The target, where an import can be tried and undone.
    pub rehearse: Box<dyn Rehearse>,
}

impl TerminalPorts {
    pub(super) fn join(set: &PipelineSettings, target: &PostgresTarget, meter: &Meter) -> Self {
        let [read, written] = [&set.source, &set.target].map(|side| side.address.clone());
        Self {
            cutover: CutoverPorts {
                records: Box::new(target.clone()),
                writing: Box::new(PostgresSource::new(read.clone(), meter.clone())),
                source: end(&set.source),
                target: end(&set.target),
            },
            sides: Sides {
                source: Box::new(PostgresExport::of_source(read, meter.clone())),
                target: Box::new(PostgresExport::of_target(written, meter.clone())),
            },
            rehearse: Box::new(target.clone()),
        }
    }

    /// A folder of files to import. `encoding` is that of files that do not say it themselves.
    pub fn folder(&self, path: &Path, encoding: Option<&str>) -> Result<Box<dyn Folder>, Fault> {
        Ok(Box::new(CsvFolder::new(path, encoding)?))
    }

    /// The folder in which this machine keeps temporary files.
    pub fn temporary_folder(&self) -> PathBuf {
        settings::temporary_folder()
    }
}

fn end(NamedAddress { name, address }: &NamedAddress) -> End {
    let is_project = matches!(address, Address::Project(_));
    End { name: name.clone(), database: address.label(), is_project }
}
