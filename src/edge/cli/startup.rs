//! `syncline startup -- COMMAND`: syncs what is missing and then becomes the command. A failed sync
//! is reported in a line and does not prevent the start. The command replaces this process, so
//! signals, streams, environment and exit status are its own.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::terminal::app::{ExtraSteps, Selection};
use super::terminal::output::Exit;
use super::terminal::slices;
use crate::edge::text::advice;
use crate::engine::model::budget::Budget;
use crate::engine::model::run::Trigger;
use crate::jobs::sync_tables::{Outcome, SyncReport, SyncTables};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct StartupArguments {
    #[command(flatten)]
    selection: Selection,
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = timeout,
        help = "How long the command waits for the sync at most"
    )]
    timeout: Duration,
    #[arg(
        last = true,
        required = true,
        value_name = "COMMAND",
        help = "What is started afterwards, with its arguments"
    )]
    command: Vec<OsString>,
}

/// The longest timeout, which is longer than anybody waits. With much longer ones, times could
/// overflow.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(86_400);

/// The signals that stop a start.
struct StopSignals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

/// Syncs, and becomes the command. It returns only if the command cannot be started.
pub async fn startup(arguments: &StartupArguments) -> Exit {
    let StartupArguments { selection, timeout, command } = arguments;
    if !App::startup_is_off() {
        let mut signals = StopSignals::listen();
        let sync = tokio::time::timeout(*timeout, sync(selection, *timeout));
        let message = tokio::select! {
            biased;
            exit = signals.wait() => return exit,
            result = sync => result.unwrap_or_else(|_| Some(incomplete(*timeout))),
        };
        if let Some(message) = message {
            say(&message);
        }
        // A signal that came at the end of the sync still stops the start.
        tokio::select! {
            biased;
            exit = signals.wait() => return exit,
            () = std::future::ready(()) => {}
        }
    }
    become_command(command)
}

/// Runs one slice within the timeout, and returns the message about it, if there is one.
async fn sync(selection: &Selection, timeout: Duration) -> Option<String> {
    let app = match App::from_process() {
        Ok(app) => app,
        Err(problems) => return Some(failed(&problems.to_string())),
    };
    let budget = Budget::until(SystemTime::now() + timeout);
    let run = app.new_run();
    let outcome = async {
        let (served, job) = slices::sync_job(&app, selection, ExtraSteps::default(), &run)?;
        let job = SyncTables { trigger: Trigger::Startup, ..job };
        job.run(&served.ports, &budget).await
    };
    match outcome.await {
        Err(fault) => Some(failed(&advice(&fault))),
        Ok(Outcome::Busy(_)) => Some("Another run is at work, and the start does not wait".into()),
        Ok(Outcome::Repeated(_)) => None,
        Ok(Outcome::Continue(report)) if report.succeeded() => Some(incomplete(timeout)),
        Ok(Outcome::Done(report) | Outcome::Continue(report)) => problem(&report),
    }
}

/// The message about what went wrong in a run; none if nothing did.
fn problem(report: &SyncReport) -> Option<String> {
    let fault = report.first_fault().map(advice);
    let wrong = fault.or_else(|| report.problems().next().map(ToString::to_string));
    match (wrong, report.rejects()) {
        (Some(wrong), _) => Some(failed(&wrong)),
        (None, 0) => None,
        (None, rows) => Some(format!(
            "Rejected rows: {rows}. The target refuses them, or lacks rows that they point to; \
             `syncline rejects list` tells why"
        )),
    }
}

/// The message in one line: several lines would look like several events of the command.
fn failed(why: &str) -> String {
    let lines: Vec<&str> = why.lines().map(str::trim).collect();
    format!("The command starts without a complete sync: {}", lines.join(" "))
}

fn incomplete(timeout: Duration) -> String {
    let time = humantime::format_duration(timeout);
    format!("The sync is not complete after {time}; the command starts, and the next run goes on")
}

impl StopSignals {
    /// Listens for the signals, except for those that this process was started to ignore: a handler
    /// would end that for the command, too.
    fn listen() -> Self {
        let listen = |kind: SignalKind| (!is_ignored(kind)).then(|| signal(kind).ok()).flatten();
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    /// Waits for a signal. The server rolls the open transaction back, and the lease expires.
    async fn wait(&mut self) -> Exit {
        tokio::select! {
            () = received(&mut self.interrupt) => Exit::Interrupted,
            () = received(&mut self.terminate) => Exit::Terminated,
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    let is_received = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !is_received {
        std::future::pending().await
    }
}

/// Reads from Linux whether this process ignores a signal. Other systems do not say, and count as
/// no.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Prints a message. A closed stderr does not prevent the start.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "syncline: {what}");
}

/// Replaces this process by the command, or prints the reason why that failed.
fn become_command(command: &[OsString]) -> Exit {
    let (program, arguments) = command.split_first().expect("clap demands one");
    let error = std::process::Command::new(program).args(arguments).exec();
    let (why, exit) = match error.kind() {
        ErrorKind::NotFound => ("there is no such command".to_owned(), Exit::NotFound),
        _ => (format!("it cannot be executed ({error})"), Exit::NotExecutable),
    };
    say(&format!("{}: {why}", program.to_string_lossy()));
    exit
}

fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map(Duration::from_secs);
    let timeout = seconds.or_else(|_| humantime::parse_duration(text));
    let timeout = timeout.ok().filter(|timeout| *timeout <= LONGEST_TIMEOUT);
    timeout.ok_or_else(|| "write 30s, 2m or 500ms; a day at most".to_owned())
}
