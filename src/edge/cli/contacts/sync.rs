//! `syncline contacts plan` and `syncline contacts sync`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::value::shown;
use crate::edge::cli::terminal::output::{self, Align, Exit};
use crate::edge::text::counted;
use crate::engine::model::contacts::limits::{ChangeKind, Limit, Limits};
use crate::engine::model::fault::Fault;
use crate::engine::model::fault_code::FaultCode;
use crate::jobs::contacts::check::{MappingProblem, check};
use crate::jobs::contacts::enterprise::{
    ChangeExample, EnterpriseReport, EnterpriseRequest, SyncDirection,
};
use crate::jobs::contacts::own_contacts::OwnContacts;
use crate::wiring::App;

/// The time of one call of the job. At the terminal calls follow one another, so it only bounds
/// the wait for MailerLite.
const CALL: Duration = Duration::from_secs(600);

#[derive(Debug, clap::Args)]
pub struct PlanArguments {
    /// The way that values may take; an opt-out goes both ways whatever it is
    #[arg(long, value_enum, default_value = "both")]
    direction: DirectionArgument,
}

#[derive(Debug, clap::Args)]
pub struct SyncArguments {
    #[command(flatten)]
    plan: PlanArguments,
    /// The most people who are changed; the next sync goes on
    #[arg(long, value_name = "N")]
    max_records: Option<u64>,
    /// Only count; nothing is changed
    #[arg(long)]
    dry_run: bool,
    /// Raise a cap for this sync, as in update=50% or create=2000; may be repeated
    #[arg(long = "allow", value_name = "KIND=LIMIT")]
    allow: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum DirectionArgument {
    Both,
    MailerliteToSupabase,
    SupabaseToMailerlite,
}

impl PlanArguments {
    fn direction(&self) -> SyncDirection {
        match self.direction {
            DirectionArgument::Both => SyncDirection::Both,
            DirectionArgument::MailerliteToSupabase => SyncDirection::MailerLiteToDatabase,
            DirectionArgument::SupabaseToMailerlite => SyncDirection::DatabaseToMailerLite,
        }
    }
}

/// Checks the mapping, and counts what a sync would change.
pub async fn plan(
    app: &App,
    own: &OwnContacts,
    arguments: &PlanArguments,
    json: bool,
) -> Result<Exit, Fault> {
    let checked = check(&own.sides()).await?;
    let stops = checked.problems.iter().any(|problem| problem.stops);
    let request = EnterpriseRequest {
        direction: arguments.direction(),
        dry_run: true,
        ..EnterpriseRequest::new(app.new_run().as_str(), CALL)
    };
    let report = match stops {
        true => None,
        false => Some(until_done(own, request).await?),
    };
    if json {
        let problems: Vec<_> = checked.problems.iter().map(problem_json).collect();
        output::print_json(&json!({ "problems": problems, "plan": report }));
    } else {
        for problem in &checked.problems {
            let MappingProblem { subject, message, hint, stops: _ } = problem;
            eprintln!("{subject}: {message}\n  {hint}");
        }
        match &report {
            Some(report) => print_plan(report, &own.limits),
            None => eprintln!("The mapping must be corrected before anything can be planned."),
        }
    }
    let is_held = report.as_ref().is_some_and(|report| report.held.is_some());
    Ok(if stops || is_held { Exit::Failed } else { Exit::Done })
}

/// Brings all people in step.
pub async fn sync(
    app: &App,
    own: &OwnContacts,
    arguments: &SyncArguments,
    json: bool,
) -> Result<Exit, Fault> {
    let request = EnterpriseRequest {
        direction: arguments.plan.direction(),
        max_records: arguments.max_records,
        dry_run: arguments.dry_run,
        allowed: allowed(&arguments.allow)?,
        ..EnterpriseRequest::new(app.new_run().as_str(), CALL)
    };
    let report = until_done(own, request).await?;
    if json {
        output::print_json(&report);
    } else if arguments.dry_run {
        print_plan(&report, &own.limits);
    } else {
        print_sync(&report);
    }
    Ok(exit(&report))
}

/// Calls the job until it is done, or as many people are changed as may be. The report adds up all
/// calls.
async fn until_done(
    own: &OwnContacts,
    mut request: EnterpriseRequest,
) -> Result<EnterpriseReport, Fault> {
    let mut sum = EnterpriseReport::default();
    loop {
        let report = own.sync_all(&request, None).await?;
        let has_moved = report.records_processed + report.updates_applied > 0;
        if let Some(most) = &mut request.max_records {
            *most = most.saturating_sub(report.updates_applied);
        }
        request.cursor.clone_from(&report.next_cursor);
        let is_last = report.done || report.next_cursor.is_none() || !has_moved;
        sum = added(sum, report);
        if is_last || request.max_records == Some(0) {
            return Ok(sum);
        }
    }
}

/// The last report with the counts of all.
fn added(sum: EnterpriseReport, last: EnterpriseReport) -> EnterpriseReport {
    EnterpriseReport {
        records_processed: sum.records_processed + last.records_processed,
        conflicts_detected: sum.conflicts_detected + last.conflicts_detected,
        updates_applied: sum.updates_applied + last.updates_applied,
        errors: sum.errors + last.errors,
        suppressed: sum.suppressed + last.suppressed,
        gone: sum.gone + last.gone,
        calls: sum.calls + last.calls,
        ..last
    }
}

fn exit(report: &EnterpriseReport) -> Exit {
    match report {
        EnterpriseReport { busy: true, .. } => Exit::Busy,
        EnterpriseReport { held: Some(_), .. } => Exit::Failed,
        EnterpriseReport { done: false, .. } => Exit::More,
        EnterpriseReport { errors: 1.., .. } => Exit::Rejected,
        _ => Exit::Done,
    }
}

fn allowed(texts: &[String]) -> Result<BTreeMap<ChangeKind, Limit>, Fault> {
    let one = |text: &String| {
        let (kind, limit) = text.split_once('=')?;
        Some((ChangeKind::named(kind.trim())?, Limit::parse(limit).ok()?))
    };
    let all: Option<BTreeMap<_, _>> = texts.iter().map(one).collect();
    all.ok_or_else(|| {
        let kinds: Vec<&str> = ChangeKind::ALL.iter().map(|kind| kind.name()).collect();
        Fault::of_call(
            FaultCode::BadAction,
            "--allow is KIND=LIMIT",
            format!("write a kind ({}) and a number or a share: update=50%", kinds.join(", ")),
        )
    })
}

fn print_plan(report: &EnterpriseReport, limits: &Limits) {
    println!("{} compared. A sync would", people(report.records_processed));
    print!("{}", counts(report, Some(limits)));
    print_questions(report);
    print_examples(&report.examples);
    if report.changes.contains_key(&ChangeKind::JoinGroup) {
        println!(
            "Joining a group can start automations that send mail. That cannot be seen from here: \
             look at the group's automations in MailerLite."
        );
    }
    print_held(report);
    println!("Nothing was changed. To do it: syncline contacts sync");
}

fn print_sync(report: &EnterpriseReport) {
    println!(
        "{} compared, {} changed, in {} of MailerLite.",
        people(report.records_processed),
        people(report.updates_applied),
        counted(report.calls, "call")
    );
    print!("{}", counts(report, None));
    print_questions(report);
    if report.errors > 0 {
        println!(
            "{} could not be written, and are tried again by the next sync.",
            people(report.errors)
        );
    }
    print_held(report);
    if report.busy {
        eprintln!("{}", report.message);
    } else if !report.done {
        println!("There is more to do: syncline contacts sync");
    }
}

fn people(count: u64) -> String {
    match count {
        1 => "1 person".to_owned(),
        count => format!("{count} people"),
    }
}

/// A line for each kind of change, with its cap where that is asked for.
fn counts(report: &EnterpriseReport, limits: Option<&Limits>) -> String {
    let lines = report.changes.iter().filter(|(_, count)| **count > 0).map(|(kind, count)| {
        let cap = limits.and_then(|limits| limits.by_kind.get(kind));
        let cap = cap.map_or_else(String::new, |cap| format!("(at most {cap})"));
        vec![format!("  {}", kind.name().replace('_', " ")), count.to_string(), cap]
    });
    match lines.collect::<Vec<_>>() {
        lines if lines.is_empty() && limits.is_some() => "  change nobody\n".to_owned(),
        lines => output::table(&lines, Align::Right),
    }
}

fn print_questions(report: &EnterpriseReport) {
    if report.conflicts_detected > 0 {
        println!(
            "{} for you: syncline contacts conflicts list",
            match report.conflicts_detected {
                1 => "1 conflict waits".to_owned(),
                count => format!("{count} conflicts wait"),
            }
        );
    }
    if report.suppressed > 0 {
        println!("{} asked to be forgotten, and stay so.", people(report.suppressed));
    }
    if report.gone > 0 {
        println!("The subscribers of {} are gone from MailerLite.", people(report.gone));
    }
}

fn print_examples(examples: &[ChangeExample]) {
    if !examples.is_empty() {
        println!("Examples:");
    }
    for ChangeExample { email, kinds, values } in examples {
        let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        println!("  {email}: {}", kinds.join(", "));
        for value in values {
            let (before, after) = (shown(value.before.as_deref()), shown(value.after.as_deref()));
            println!("    {} in {}: {before} -> {after}", value.name, value.side);
        }
    }
}

fn print_held(report: &EnterpriseReport) {
    let Some(held) = &report.held else { return };
    match report.updates_applied {
        0 => eprintln!("Held, and nothing was changed:"),
        changed => eprintln!("Stopped after {}:", counted(changed, "changed person")),
    }
    for reason in &held.reasons {
        eprintln!("  {reason}");
    }
    let allows: Vec<String> = (held.kinds.iter())
        .map(|kind| format!("--allow {}={}", kind.name(), report.changes.get(kind).unwrap_or(&0)))
        .collect();
    match allows.is_empty() {
        true => eprintln!("  Look at both sides: one of them shows too few people."),
        false => eprintln!(
            "  Look at the examples. If that is what you want: syncline contacts sync {}",
            allows.join(" ")
        ),
    }
}

fn problem_json(problem: &MappingProblem) -> serde_json::Value {
    let MappingProblem { subject, message, hint, stops } = problem;
    json!({ "subject": subject, "message": message, "hint": hint, "stops": stops })
}
