//! `syncline project-sql`: what a person runs once in a project's SQL editor. Over its API nothing
//! can be made, and without the function a page and its checkpoint are not one transaction.

use super::output::Exit;
use crate::engine::model::range::Side;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct ProjectSqlArguments {
    /// Which side the project is
    #[arg(value_enum, default_value = "target")]
    side: ProjectSide,

    /// The schema of the state tables, as SYNC_STATE_SCHEMA has it
    #[arg(long, default_value = "public")]
    schema: String,

    /// The state tables of a target alone, where no function that runs SQL may be made: a run is no
    /// transaction then
    #[arg(long)]
    without_function: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ProjectSide {
    /// It is read: the function alone
    Source,
    /// It is written: the state tables and the function
    Target,
}

/// Prints it.
pub fn project_sql(arguments: &ProjectSqlArguments) -> Exit {
    let side = match arguments.side {
        ProjectSide::Source => Side::Source,
        ProjectSide::Target => Side::Target,
    };
    let schema = &arguments.schema;
    match (arguments.without_function, side) {
        (false, side) => println!("{}", App::project_sql(side, schema)),
        (true, Side::Target) => println!("{}", App::project_tables(schema)),
        (true, Side::Source) => println!("-- A source without the function needs nothing."),
    }
    Exit::Done
}
