//! `syncline contacts`: people in a table and in MailerLite, kept in step both ways.
//!
//! - `init`: proposes the mapping; `sync`: plans and makes syncs; `backfill`: makes shadows
//! - `conflicts`: the questions, and a person's answers; `log`: everything about one person
//! - `smart`: the sync of named people; `parse`: reads arguments
//! - `status`: how things stand; `value`: a value as people read it

mod backfill;
mod conflicts;
mod init;
mod log;
mod parse;
mod smart;
mod status;
mod sync;
mod value;

use super::terminal::app::open_or_print;
use super::terminal::output::{self, Exit};
use crate::engine::model::fault::Fault;
use crate::wiring::App;
use parse::parse_email;

const FIRST_START: &str = "First: set MAILERLITE_API_KEY and TARGET_DATABASE_URL (or \
    CONTACTS_DATABASE_URL), write `syncline contacts init >> syncline.toml`, read that file, set \
    SYNC_CONFIG=syncline.toml, and look at `syncline contacts plan`. docs/contacts.md tells it all.";

#[derive(Debug, clap::Args)]
#[command(after_help = FIRST_START)]
pub struct ContactsArguments {
    #[command(subcommand)]
    action: Action,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Prints a proposal for [contacts] of syncline.toml, from what both sides have
    Init,
    /// Checks the mapping on both sides, and counts what a sync would change; changes nothing
    Plan(sync::PlanArguments),
    /// Brings all people in step
    Sync(sync::SyncArguments),
    /// Makes a shadow for everybody in the crosswalk: the state that both sides agree on
    Backfill(backfill::BackfillArguments),
    /// Brings named people in step
    Smart(smart::SmartArguments),
    /// Shows how things stand: people, shadows, conflicts, and the last syncs
    Status,
    /// Shows the questions that wait for you, and takes your answers
    Conflicts(conflicts::ConflictsArguments),
    /// Shows why a person is as they are: both sides, the last agreement, conflicts and the log
    Log {
        /// The address
        email: String,
    },
}

/// Does what the arguments ask for.
pub async fn contacts(arguments: &ContactsArguments) -> Exit {
    let app = match &arguments.action {
        Action::Init => App::new_contacts_from_process(),
        _ => App::contacts_from_process(),
    };
    let app = match open_or_print(app) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let done = action(&app, &arguments.action, arguments.json).await;
    done.unwrap_or_else(|fault| output::fault(&fault, &app.new_run(), arguments.json))
}

async fn action(app: &App, action: &Action, json: bool) -> Result<Exit, Fault> {
    if let Action::Init = action {
        return init::init(app, json).await;
    }
    let own = app.contacts()?;
    own.store.prepare().await?;
    match action {
        Action::Init => Ok(Exit::Usage),
        Action::Plan(arguments) => sync::plan(app, own, arguments, json).await,
        Action::Sync(arguments) => sync::sync(app, own, arguments, json).await,
        Action::Backfill(arguments) => backfill::backfill(own, arguments, json).await,
        Action::Smart(arguments) => smart::smart(app, own, arguments, json).await,
        Action::Status => status::status(own, json).await,
        Action::Conflicts(arguments) => conflicts::conflicts(app, own, arguments, json).await,
        Action::Log { email } => log::log(own, &parse_email(email)?, json).await,
    }
}
