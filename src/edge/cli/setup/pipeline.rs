//! A pipeline's checks: both databases, the plan, the state tables, and one run.

use crate::edge::cli::terminal::checks::{Check, Checks};
use crate::edge::cli::terminal::slices::{Extent, SlicesEnd, manual_job, slices};
use crate::edge::text::counted;
use crate::engine::model::facts::Facts;
use crate::engine::model::fault::Fault;
use crate::engine::model::run::Tally;
use crate::engine::plan::note::{Note, Weight};
use crate::engine::ports::StateVersion;
use crate::jobs::PipelineWithPorts;
use crate::jobs::sync_tables::{Intent, SyncPlan, SyncReport};
use crate::wiring::App;

/// The failed check without which a run of the pipeline cannot begin; none if it can.
pub type FailedCheck = Option<&'static str>;

/// Checks both databases and the plan, and makes the state tables.
pub async fn prepare(app: &App, served: &PipelineWithPorts, checks: &mut Checks) -> FailedCheck {
    let name = &served.pipeline.name;
    let tables = served.pipeline.tables.as_deref();
    let ports = &served.ports;
    let (source, target) =
        tokio::join!(ports.source.describe(tables), ports.target.describe(tables));
    let has_source = checks.add(side("source", &source).of(name));
    let has_target = checks.add(side("target", &target).of(name));
    let needs = match (has_source, has_target) {
        (true, true) => None,
        (false, _) => Some("source"),
        (true, false) => Some("target"),
    };
    let needs = match needs {
        None => plan(app, served, checks).await,
        Some(needs) => {
            checks.add(Check::skipped("plan", needs).of(name));
            Some(needs)
        }
    };
    let state = match has_target {
        true => state(served).await,
        false => Check::skipped("state tables", "target"),
    };
    let has_state = checks.add(state.of(name));
    needs.or(if has_state { None } else { Some("state tables") })
}

fn side(name: &'static str, facts: &Result<Facts, Fault>) -> Check {
    match facts {
        Ok(facts) => {
            let tables = counted(facts.tables.len() as u64, "table");
            let server = match facts.major {
                0 => "a project's API".to_owned(),
                major => format!("Postgres {major}"),
            };
            Check::ok(name, format!("reached: {server}, {tables}"))
        }
        Err(fault) => Check::fault(name, fault),
    }
}

/// Adds a check with the numbers of the plan, and one for each of its warnings and problems.
async fn plan(app: &App, served: &PipelineWithPorts, checks: &mut Checks) -> FailedCheck {
    let name = &served.pipeline.name;
    let job = manual_job(served.pipeline.clone(), &app.new_run());
    let ports = &served.ports;
    let plan = match job.plan(&*ports.source, &*ports.target, &*ports.ledger).await {
        Ok(plan) => plan,
        Err(fault) => {
            checks.add(Check::fault("plan", &fault).of(name));
            return Some("plan");
        }
    };
    checks.add(plan_check(&plan).of(name));
    let notes = plan.notes.iter().filter_map(note);
    notes.for_each(|check| {
        checks.add(check.of(name));
    });
    None
}

fn plan_check(plan: &SyncPlan) -> Check {
    let count =
        |is: fn(&Intent) -> bool| plan.tables.iter().filter(|table| is(&table.intent)).count();
    let (loaded, quiet) =
        (count(|intent| *intent == Intent::FirstLoad), count(|intent| *intent == Intent::Nothing));
    let read = plan.tables.len() - loaded - quiet;
    let found = format!(
        "{} to sync: {loaded} to load, {read} to read, {quiet} unchanged",
        counted(plan.tables.len() as u64, "table")
    );
    match plan.tables.is_empty() && !plan.has_problems() {
        true => {
            Check::warn("plan", found, "make tables with a key in the source, or set SYNC_TABLES")
        }
        false => Check::ok("plan", found),
    }
}

fn note(note: &Note) -> Option<Check> {
    let Note { weight, table, text, remedy, is_on_changes: _ } = note;
    let found = format!("{table}: {text}");
    match weight {
        Weight::Info => None,
        Weight::Warning => Some(Check::warn("plan", found, remedy)),
        Weight::Problem => Some(Check::fail("plan", found, remedy)),
    }
}

async fn state(served: &PipelineWithPorts) -> Check {
    const NAME: &str = "state tables";
    match served.ports.ledger.prepare().await {
        Err(fault) => Check::fault(NAME, &fault),
        Ok(StateVersion { before: 0, now }) => Check::ok(NAME, format!("made, version {now}")),
        Ok(StateVersion { before, now }) if before < now => {
            Check::ok(NAME, format!("upgraded from version {before} to {now}"))
        }
        Ok(StateVersion { before: _, now }) => Check::ok(NAME, format!("in order, version {now}")),
    }
}

/// Syncs until caught up.
pub async fn run(app: &App, served: &PipelineWithPorts, needs: FailedCheck, checks: &mut Checks) {
    let name = &served.pipeline.name;
    if let Some(needs) = needs {
        checks.add(Check::skipped("run", needs).of(name));
        return;
    }
    let mut job = manual_job(served.pipeline.clone(), &app.new_run());
    match slices(app, served, &mut job, Extent::UntilCaughtUp).await {
        Err(fault) => {
            checks.add(Check::fault("run", &fault).of(name));
        }
        Ok(SlicesEnd::Busy(left)) => {
            let found = format!("another run is at work, for {} s at most", left.as_secs() + 1);
            let remedy = "nothing to do: it moves the same rows";
            checks.add(Check::warn("run", found, remedy).of(name));
        }
        Ok(SlicesEnd::Repeated) => {
            checks.add(Check::ok("run", "done already").of(name));
        }
        Ok(SlicesEnd::Report(report)) => run_checks(&report).into_iter().for_each(|check| {
            checks.add(check.of(name));
        }),
    }
}

/// The checks for the outcome of the run: one, or one for each fault.
fn run_checks(report: &SyncReport) -> Vec<Check> {
    let Tally { inserted, updated, unchanged, rejected: _, deleted: _, rewritten: _ } =
        report.total();
    let rejected = report.rejects();
    let found = match inserted + updated + rejected {
        0 => "caught up: nothing had changed".to_owned(),
        _ => {
            format!("caught up: {inserted} rows inserted, {updated} updated, {unchanged} unchanged")
        }
    };
    let tables =
        report.tables.iter().filter_map(|(name, table)| Some((name, table.fault.as_ref()?)));
    let tables = tables.map(|(table, fault)| {
        Check::fail("run", format!("{table}: {}", fault.chain()), &fault.hint)
    });
    let run = report.fault.iter().map(|fault| Check::fault("run", fault));
    let mut failed: Vec<Check> = run.chain(tables).collect();
    let left_out = report.problems().count();
    if failed.is_empty() {
        failed.push(match (left_out, rejected) {
            (0, 0) => Check::ok("run", found),
            (0, _) => Check::warn(
                "run",
                format!("{found}; the target refused {}", counted(rejected, "row")),
                "mend the rows in the source, or what the target asks of them; later runs try again",
            ),
            _ => Check::fail(
                "run",
                format!("{found}; {} left out", counted(left_out as u64, "table")),
                "mend what the plan says above",
            ),
        });
    }
    failed
}
