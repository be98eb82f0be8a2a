//! The application that a command works with, and the pipeline that its arguments select.

use std::fmt::Display;

use super::output::{self, Exit};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::range::Side;
use crate::engine::model::run::RunId;
use crate::engine::model::table::TableName;
use crate::jobs::PipelineWithPorts;
use crate::wiring::App;

/// The pipeline that a command is about, and its tables.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// The pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// A table, as SQL writes it; may be repeated [default: the pipeline's tables]
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
}

/// A side, as an argument names it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum SideArgument {
    Source,
    Target,
}

impl From<SideArgument> for Side {
    fn from(side: SideArgument) -> Self {
        match side {
            SideArgument::Source => Self::Source,
            SideArgument::Target => Self::Target,
        }
    }
}

/// The steps of a run besides moving rows.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct ExtraSteps {
    /// Add columns that only the source has to the target, nullable, and fill them
    #[arg(long)]
    pub add_columns: bool,
    /// When all tables are done, advance the target's sequences past what was synced
    #[arg(long)]
    pub sequences: bool,
}

impl Selection {
    /// Parses the names of the tables.
    pub fn parsed(&self) -> Result<Vec<TableName>, Fault> {
        self.tables.iter().map(|text| parse_table(text)).collect()
    }
}

fn parse_table(text: &str) -> Result<TableName, Fault> {
    TableName::parse(text).map_err(|error| {
        Fault::of_call(
            FaultCode::BadTable,
            format!("--table {text} is no table's name"),
            "write it as SQL does: orders, sales.orders, \"Order Lines\"",
        )
        .caused_by(error)
    })
}

/// Returns the application, or prints what is wrong with its settings on stderr.
pub fn open_or_print<E: Display>(app: Result<App, E>) -> Result<App, Exit> {
    app.map_err(|problems| {
        eprintln!("{problems}");
        Exit::Usage
    })
}

/// Runs a command with the application and a new run's id, and reports the fault that ends it.
pub async fn with_app(
    json: bool,
    command: impl AsyncFnOnce(&App, &RunId) -> Result<Exit, Fault>,
) -> Exit {
    let app = match open_or_print(App::from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let run = app.new_run();
    command(&app, &run).await.unwrap_or_else(|fault| output::fault(&fault, &run, json))
}

/// Finds the pipeline of that name, or the only one.
pub fn select_pipeline<'a>(
    app: &'a App,
    pipeline: Option<&str>,
) -> Result<&'a PipelineWithPorts, Fault> {
    let (served, message) = match pipeline {
        Some(name) => (app.named(name), format!("There is no pipeline {name}")),
        None => (app.only(), "There are several pipelines".to_owned()),
    };
    served.ok_or_else(|| {
        let names: Vec<&str> = app.names().collect();
        let hint = format!("choose with --pipeline: {}", names.join(", "));
        Fault::of_call(FaultCode::NoPipeline, message, hint)
    })
}
