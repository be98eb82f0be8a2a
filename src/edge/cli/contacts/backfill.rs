//! `syncline contacts backfill`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::edge::cli::terminal::output::{self, Exit};
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::backfill::{self, BackfillReport, BackfillRequest};
use crate::jobs::contacts::own_contacts::OwnContacts;

#[derive(Debug, clap::Args)]
pub struct BackfillArguments {
    /// Take over a backfill that is recorded as running, although it may be at work
    #[arg(long)]
    force: bool,
}

/// The time between two looks at the progress.
const PAUSE: Duration = Duration::from_millis(500);

/// The time of one call of the job. The next one goes on.
const CALL: Duration = Duration::from_secs(600);

/// Makes shadows until all are there, and draws the progress.
pub async fn backfill(
    own: &OwnContacts,
    arguments: &BackfillArguments,
    json: bool,
) -> Result<Exit, Fault> {
    let bar = if json { ProgressBar::hidden() } else { bar() };
    let report = watched(own, arguments.force, &bar).await?;
    bar.finish_and_clear();
    if json {
        output::print_json(&report);
    } else if report.busy {
        eprintln!(
            "Another backfill is at work.\n  Wait for it, or if it has died, take it over: syncline \
             contacts backfill --force"
        );
    } else {
        println!("{}", report.message);
    }
    Ok(match &report {
        BackfillReport { busy: true, .. } => Exit::Busy,
        BackfillReport { done: false, .. } => Exit::More,
        _ => Exit::Done,
    })
}

async fn watched(
    own: &OwnContacts,
    mut force: bool,
    bar: &ProgressBar,
) -> Result<BackfillReport, Fault> {
    let mut before = None;
    loop {
        let request = BackfillRequest { force, budget: CALL };
        let sides = own.sides();
        let mut work = std::pin::pin!(backfill::backfill(&sides, &request));
        let report = loop {
            tokio::select! {
                report = &mut work => break report?,
                () = tokio::time::sleep(PAUSE) => {}
            }
            if let Ok(fields) = own.status.fields().await {
                let count = |name: &str| fields.get("backfill")?.get(name)?.as_u64();
                bar.set_length(count("total").unwrap_or(0));
                bar.set_position(count("processed").unwrap_or(0));
            }
        };
        let is_stuck = before == Some(report.processed);
        if report.done || report.busy || is_stuck {
            return Ok(report);
        }
        before = Some(report.processed);
        force = false;
    }
}

fn bar() -> ProgressBar {
    let template = "shadows {bar:30} {human_pos} of {human_len}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(0).with_style(style)
}
