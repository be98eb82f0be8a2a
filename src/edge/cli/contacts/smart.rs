//! `syncline contacts smart`: the sync of named people.

use std::time::Duration;

use super::parse::parse_email;
use crate::edge::cli::terminal::output::{self, Exit};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::jobs::contacts::smart::{SmartMode, SmartReport, SmartRequest};
use crate::wiring::App;

/// The time that a call may take.
const CALL: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub struct SmartArguments {
    /// The addresses, at most 100
    #[arg(required = true, value_name = "EMAIL")]
    emails: Vec<String>,
    /// The way that values may take; an opt-out goes both ways whatever it is
    #[arg(long, value_enum, default_value = "bidirectional")]
    mode: ModeArgument,
    /// Make links and shadows anew that are missing or wrong
    #[arg(long)]
    repair: bool,
    /// Only say what would be changed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModeArgument {
    #[value(name = "AtoB")]
    AtoB,
    #[value(name = "BtoA")]
    BtoA,
    Bidirectional,
    Full,
}

/// Brings the named people in step.
pub async fn smart(
    app: &App,
    own: &OwnContacts,
    arguments: &SmartArguments,
    json: bool,
) -> Result<Exit, Fault> {
    let emails: Vec<Email> =
        arguments.emails.iter().map(|text| parse_email(text)).collect::<Result<_, _>>()?;
    let request = SmartRequest {
        run: app.new_run().to_string(),
        emails,
        mode: match arguments.mode {
            ModeArgument::AtoB => SmartMode::AtoB,
            ModeArgument::BtoA => SmartMode::BtoA,
            ModeArgument::Bidirectional => SmartMode::Bidirectional,
            ModeArgument::Full => SmartMode::Full,
        },
        dry_run: arguments.dry_run,
        repair: arguments.repair,
        budget: CALL,
    };
    let report = own.sync_named(&request).await?;
    match json {
        true => output::print_json(&report),
        false => print(&report, arguments.dry_run),
    }
    Ok(if report.ok { Exit::Done } else { Exit::Rejected })
}

fn print(report: &SmartReport, dry_run: bool) {
    for person in &report.out {
        let outcome = match (person.changed, dry_run) {
            (true, true) => "would be changed",
            (true, false) => "changed",
            (false, _) => "not changed",
        };
        let reason = person.reason.as_ref().map(|reason| format!(": {reason}"));
        println!("{}  {outcome}{}", person.email, reason.unwrap_or_default());
    }
}
