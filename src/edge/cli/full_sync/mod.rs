//! `syncline full-sync`: copies all tables from a peer, or to one.
//!
//! - `start`: plans, begins and goes on with a session; `bars`: the progress of one at a terminal
//! - `records`: the sessions of this deployment; `peers`: the others, and since when each answers

mod bars;
mod peers;
mod records;
mod start;

use super::terminal::app::open_or_print;
use super::terminal::output::{self, Exit};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::session::{Direction, SessionId, SessionState};
use crate::jobs::full_sync::OwnDeployment;
use crate::wiring::App;

/// The way between two databases that one place reaches.
const STRAIGHT: &str = "Straight from database to database, where one place reaches both: syncline run is the way. \
    It needs no second deployment, and moves only what changed.";

#[derive(Debug, clap::Args)]
#[command(after_help = STRAIGHT)]
pub struct FullSyncArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the peers, whether each is online, and since when
    Peers(JsonArgument),
    /// Shows what would be copied and what is in the way; changes nothing
    Plan(PlanArguments),
    /// Copies all tables with a key from a peer to this deployment
    Pull(start::StartArguments),
    /// Copies all tables with a key from this deployment to a peer
    Push(start::StartArguments),
    /// Shows a session: the newest, or the one that is named
    Status(StatusArguments),
    /// Lists the sessions of this deployment
    List(JsonArgument),
    /// Resumes an interrupted session
    Resume(SessionArgument),
    /// Writes a copy that was sent here into the tables, without a limit of time
    Apply(SessionArgument),
    /// Ends a session on both sides; nothing more of it is saved
    Cancel(SessionArgument),
    /// Interrupts all sessions, which can be resumed, and drops the spools of those that are over
    ClearStuck,
}

#[derive(Debug, clap::Args)]
struct PlanArguments {
    /// The direction
    #[arg(value_enum)]
    direction: DirectionArgument,
    #[command(flatten)]
    start: start::StartArguments,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DirectionArgument {
    Pull,
    Push,
}

#[derive(Debug, clap::Args)]
struct JsonArgument {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct StatusArguments {
    /// The session's id, or its first digits
    session: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct SessionArgument {
    /// The session's id, or its first digits
    session: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Command {
    fn prints_json(&self) -> bool {
        match self {
            Self::Peers(arguments) | Self::List(arguments) => arguments.json,
            Self::Plan(PlanArguments { start, .. }) | Self::Pull(start) | Self::Push(start) => {
                start.json
            }
            Self::Status(arguments) => arguments.json,
            Self::Resume(arguments) | Self::Apply(arguments) | Self::Cancel(arguments) => {
                arguments.json
            }
            Self::ClearStuck => false,
        }
    }
}

/// Does what the arguments ask for.
pub async fn full_sync(arguments: &FullSyncArguments) -> Exit {
    let app = match open_or_print(App::full_sync_from_process()) {
        Ok(app) => app,
        Err(exit) => return exit,
    };
    let json = arguments.command.prints_json();
    let done = command(&app, &arguments.command).await;
    done.unwrap_or_else(|fault| output::fault(&fault, &app.new_run(), json))
}

async fn command(app: &App, command: &Command) -> Result<Exit, Fault> {
    let own = app.own_deployment()?;
    match command {
        Command::Peers(arguments) => peers::peers(app, arguments.json).await,
        Command::Plan(PlanArguments { direction, start }) => {
            let direction = match direction {
                DirectionArgument::Pull => Direction::Pull,
                DirectionArgument::Push => Direction::Push,
            };
            start::plan(app, direction, start).await
        }
        Command::Pull(arguments) => start::start(app, Direction::Pull, arguments).await,
        Command::Push(arguments) => start::start(app, Direction::Push, arguments).await,
        Command::Status(arguments) => {
            let session = match &arguments.session {
                Some(text) => find(own, text).await?,
                None => newest(own).await?,
            };
            let session = own.session(&session).await?;
            let exit = records::session(&session, arguments.json)?;
            if session.state == SessionState::Running && !arguments.json {
                print!("{}", records::progress(&session, &own.sessions().await?));
            }
            Ok(exit)
        }
        Command::List(arguments) => records::list(own, arguments.json).await,
        Command::Resume(arguments) => {
            let session = own.session(&find(own, &arguments.session).await?).await?;
            start::go_on(app, &session.new, arguments.json).await
        }
        Command::Apply(arguments) => {
            let session = own.session(&find(own, &arguments.session).await?).await?;
            start::apply(app, &session, arguments.json).await
        }
        Command::Cancel(arguments) => {
            let session = own.session(&find(own, &arguments.session).await?).await?;
            let peer = app.peer(&session.new.peer);
            if let Some(fault) = own.cancel_everywhere(&session, peer).await? {
                eprintln!("{}; {}", fault.message, fault.hint);
            }
            records::session(&own.session(&session.new.id).await?, arguments.json)
        }
        Command::ClearStuck => {
            let freed = own.clear_stuck().await?;
            match freed {
                1 => println!("1 session was freed; it can be resumed."),
                freed => println!("{freed} sessions were freed; they can be resumed."),
            }
            Ok(Exit::Done)
        }
    }
}

/// Finds the session whose id begins with this text.
async fn find(own: &OwnDeployment, text: &str) -> Result<SessionId, Fault> {
    if let Ok(session) = SessionId::parse(text) {
        return Ok(session);
    }
    let sessions = own.sessions().await?;
    let mut found = sessions.iter().filter(|session| session.new.id.as_str().starts_with(text));
    match (found.next(), found.next()) {
        (Some(session), None) if !text.is_empty() => Ok(session.new.id.clone()),
        _ => Err(Fault::of_call(
            FaultCode::NoSession,
            format!("No full sync is called {text}, or several are"),
            "`syncline full-sync list` shows their ids",
        )),
    }
}

async fn newest(own: &OwnDeployment) -> Result<SessionId, Fault> {
    let sessions = own.sessions().await?;
    sessions.first().map(|session| session.new.id.clone()).ok_or_else(|| {
        Fault::of_call(
            FaultCode::NoSession,
            "There was no full sync here yet",
            "begin one with `syncline full-sync pull PEER` or `push PEER`",
        )
    })
}
