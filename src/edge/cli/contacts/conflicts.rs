//! `syncline contacts conflicts`: the questions that only a person can answer.

use serde_json::{Value, json};

use super::value::shown;
use crate::edge::cli::terminal::output::{self, Exit};
use crate::edge::text::timestamp;
use crate::engine::model::contacts::conflict::{ConflictKind, Winner};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::jobs::contacts::ports::RecordedConflict;
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct ConflictsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists the open conflicts, those first that are open longest
    List {
        /// The most conflicts to list
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Shows a conflict with the values of both sides
    Show {
        /// Its number
        id: i64,
    },
    /// Keeps one side's value, and writes it to the other side
    Resolve {
        /// Its number
        id: i64,
        /// The side whose value is kept
        #[arg(value_enum)]
        keep: KeepArgument,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KeepArgument {
    Database,
    Mailerlite,
}

/// Shows the conflicts, or answers one.
pub async fn conflicts(
    app: &App,
    own: &OwnContacts,
    arguments: &ConflictsArguments,
    json: bool,
) -> Result<Exit, Fault> {
    match &arguments.action {
        Action::List { limit } => list(own, *limit, json).await,
        Action::Show { id } => show(own, *id, json).await,
        Action::Resolve { id, keep } => {
            let winner = match keep {
                KeepArgument::Database => Winner::Database,
                KeepArgument::Mailerlite => Winner::MailerLite,
            };
            own.resolution(&app.new_run()).resolve(*id, winner).await?;
            show(own, *id, json).await
        }
    }
}

async fn list(own: &OwnContacts, most: u32, json: bool) -> Result<Exit, Fault> {
    let conflicts = own.desk.conflicts(most).await?;
    if json {
        let conflicts: Vec<Value> = conflicts.iter().map(object).collect();
        output::print_json(&json!({ "conflicts": conflicts }));
        return Ok(Exit::Done);
    }
    if conflicts.is_empty() {
        println!("No conflict is open.");
        return Ok(Exit::Done);
    }
    let lines = conflicts.iter().map(|recorded| {
        let conflict = &recorded.conflict;
        [
            recorded.id.to_string(),
            person(recorded),
            conflict.subject.clone(),
            shown(conflict.base.as_deref()).to_owned(),
            shown(conflict.a.as_deref()).to_owned(),
            shown(conflict.b.as_deref()).to_owned(),
            reason(conflict.kind).to_owned(),
        ]
    });
    let heads = ["id", "person", "value", "before", "database", "MailerLite", "why"];
    print!("{}", output::columns(heads, lines));
    println!("Keep one side's value: syncline contacts conflicts resolve ID database|mailerlite");
    Ok(Exit::Done)
}

async fn show(own: &OwnContacts, id: i64, json: bool) -> Result<Exit, Fault> {
    let recorded = own.desk.conflict(id).await?.ok_or_else(|| {
        Fault::of_call(
            FaultCode::NoConflict,
            format!("There is no conflict {id}"),
            "`syncline contacts conflicts list` shows those that are open",
        )
    })?;
    if json {
        output::print_json(&object(&recorded));
        return Ok(Exit::Done);
    }
    let conflict = &recorded.conflict;
    println!("{} of {}: {}", conflict.subject, person(&recorded), reason(conflict.kind));
    println!("  before      {}", shown(conflict.base.as_deref()));
    println!("  database    {}", shown(conflict.a.as_deref()));
    println!("  MailerLite  {}", shown(conflict.b.as_deref()));
    let answer = recorded.answer.as_deref();
    let answer = answer.map_or_else(String::new, |side| format!(", kept: {side}"));
    println!("{} since {}{answer}", recorded.state.name(), timestamp(recorded.since));
    Ok(Exit::Done)
}

/// The address, or the number by which the person is found.
fn person(recorded: &RecordedConflict) -> String {
    let id = recorded.contact.as_ref().map(ToString::to_string);
    let subscriber = recorded.subscriber.as_ref().map(|id| format!("subscriber {id}"));
    recorded.email.clone().or(id).or(subscriber).unwrap_or_default()
}

fn reason(kind: ConflictKind) -> &'static str {
    match kind {
        ConflictKind::BothChanged => "both sides changed it",
        ConflictKind::First => "the sides differ, and never agreed",
        ConflictKind::Resubscribed => "subscribed again at MailerLite after leaving",
        ConflictKind::TwoRows => "two rows have this address",
        ConflictKind::Merge => "the new address belongs to another subscriber",
        ConflictKind::DeletedAgainstChanged => {
            "the row is gone, and the subscriber was changed since"
        }
        ConflictKind::Unknown => "the database does not know the subscriber",
        ConflictKind::Rejected => "one side rejected the value",
    }
}

/// A conflict with everything that its record has. It holds values, so it goes to people alone.
pub fn object(recorded: &RecordedConflict) -> Value {
    let conflict = &recorded.conflict;
    json!({
        "id": recorded.id,
        "email": recorded.email,
        "a_id": recorded.contact,
        "b_id": recorded.subscriber,
        "kind": conflict.kind,
        "subject": conflict.subject,
        "base": conflict.base,
        "a": conflict.a,
        "b": conflict.b,
        "state": recorded.state,
        "answer": recorded.answer,
        "since": timestamp(recorded.since),
    })
}
