//! `syncline project-sql`: prints the SQL that a person runs once in a project's SQL editor, since
//! tables and functions cannot be made over an API.

use super::terminal::app::SideArgument;
use super::terminal::output::Exit;
use crate::engine::model::range::Side;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct ProjectSqlArguments {
    /// The side that the project is: a source gets the function alone, a target the state tables,
    /// too
    #[arg(value_enum, default_value_t = SideArgument::Target)]
    side: SideArgument,

    /// The schema of the state tables, as SYNC_STATE_SCHEMA has it
    #[arg(long, default_value = "public")]
    schema: String,

    /// Let the service role suppress triggers that both sides have
    #[arg(long)]
    suppress_triggers: bool,
}

/// Prints the SQL.
pub fn project_sql(arguments: &ProjectSqlArguments) -> Exit {
    let side = arguments.side.into();
    if arguments.suppress_triggers && side == Side::Source {
        eprintln!("--suppress-triggers is for the target: nothing is written to the source");
        return Exit::Usage;
    }
    println!("{}", App::project_sql(side, &arguments.schema));
    if arguments.suppress_triggers {
        println!("{}", App::suppress_triggers_sql());
    }
    Exit::Done
}
