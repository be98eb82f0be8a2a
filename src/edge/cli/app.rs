//! The application that a command works with, and the pipeline that its arguments select.

use std::fmt::Display;

use super::output::Exit;
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::table::TableName;
use crate::jobs::Served;
use crate::wiring::App;

/// The pipeline and the tables of it that a command is about.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// The pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// A table, as SQL writes it; may be repeated [default: the pipeline's tables]
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
}

/// Things that a run does besides moving rows.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct Besides {
    /// Add columns that only the source has to the target, nullable, and fill them
    #[arg(long)]
    pub add_columns: bool,
    /// When all tables are done, advance the target's sequences past what was synced
    #[arg(long)]
    pub sequences: bool,
}

impl Selection {
    /// The tables that were named.
    pub fn parsed(&self) -> Result<Vec<TableName>, Fault> {
        self.tables.iter().map(|text| parsed(text)).collect()
    }
}

fn parsed(text: &str) -> Result<TableName, Fault> {
    TableName::parse(text).map_err(|error| {
        Fault::new(
            Step::Ask,
            Remedy::Caller,
            FaultCode::BadTable,
            format!("--table {text} is no table's name"),
            "write it as SQL does: orders, sales.orders, \"Order Lines\"",
        )
        .caused_by(error)
    })
}

/// The application, or what is wrong with its settings on stderr.
pub fn opened<E: Display>(app: Result<App, E>) -> Result<App, Exit> {
    app.map_err(|problems| {
        eprintln!("{problems}");
        Exit::Usage
    })
}

/// The pipeline that was selected, or the only one.
pub fn selected<'a>(app: &'a App, selection: &Selection) -> Result<&'a Served, Fault> {
    let found = match &selection.pipeline {
        Some(name) => app.named(name),
        None => app.only(),
    };
    found.ok_or_else(|| {
        let names: Vec<&str> = app.names().collect();
        Fault::new(
            Step::Ask,
            Remedy::Caller,
            FaultCode::NoPipeline,
            match &selection.pipeline {
                Some(name) => format!("There is no pipeline {name}"),
                None => "There are several pipelines".to_owned(),
            },
            format!("choose with --pipeline: {}", names.join(", ")),
        )
    })
}
