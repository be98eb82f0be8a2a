//! `syncline startup -- COMMAND`: syncs what is missing and then becomes the command. The start is
//! what matters: whatever is wrong with the sync is said in a line, and the command starts all the
//! same. It takes this process over, so signals, streams, environment and exit status are its own.

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::terminal::app::{Besides, Selection};
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

/// Longer than anybody waits for a start; beyond it the clock's arithmetic would have to be minded.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Whoever wants a start stopped.
struct Stops {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
}

/// Syncs, and becomes the command. It comes back only where that did not happen.
pub async fn startup(arguments: &StartupArguments) -> Exit {
    let StartupArguments { selection, timeout, command } = arguments;
    if !App::startup_is_off() {
        let mut stops = Stops::listen();
        let synced = tokio::time::timeout(*timeout, sync(selection, *timeout));
        let said = tokio::select! {
            biased;
            exit = stops.stopped() => return exit,
            synced = synced => synced.unwrap_or_else(|_| Some(late(*timeout))),
        };
        if let Some(said) = said {
            say(&said);
        }
        // A stop that came with the sync's last words is one of the start.
        tokio::select! {
            biased;
            exit = stops.stopped() => return exit,
            () = std::future::ready(()) => {}
        }
    }
    become_command(command)
}

/// One slice that ends by itself before its time is up. Gives back what there is to say.
async fn sync(selection: &Selection, timeout: Duration) -> Option<String> {
    let app = match App::from_process() {
        Ok(app) => app,
        Err(problems) => return Some(failed(&problems.to_string())),
    };
    let budget = Budget::until(SystemTime::now() + timeout);
    let run = app.new_run();
    let outcome = async {
        let (served, job) = slices::asked(&app, selection, Besides::default(), &run)?;
        let job = SyncTables { trigger: Trigger::Startup, ..job };
        job.run(&served.ports, &budget).await
    };
    match outcome.await {
        Err(fault) => Some(failed(&advice(&fault))),
        Ok(Outcome::Busy(_)) => Some("Another run is at work, and the start does not wait".into()),
        Ok(Outcome::Repeated(_)) => None,
        Ok(Outcome::Continue(report)) if report.succeeded() => Some(late(timeout)),
        Ok(Outcome::Done(report) | Outcome::Continue(report)) => told(&report),
    }
}

/// Says what went wrong in a run, if anything did: a start that goes well is quiet.
fn told(report: &SyncReport) -> Option<String> {
    let fault = report.first_fault().map(advice);
    let wrong = fault.or_else(|| report.problems().next().map(ToString::to_string));
    match (wrong, report.rejects()) {
        (Some(wrong), _) => Some(failed(&wrong)),
        (None, 0) => None,
        (None, rows) => Some(format!(
            "The target refuses {rows} rows, which are set aside; `syncline rejects list` tells why"
        )),
    }
}

/// Several lines would be taken for several events of the command that starts.
fn failed(why: &str) -> String {
    let lines: Vec<&str> = why.lines().map(str::trim).collect();
    format!("The command starts without a complete sync: {}", lines.join(" "))
}

fn late(timeout: Duration) -> String {
    let time = humantime::format_duration(timeout);
    format!("The sync is not complete after {time}; the command starts, and the next run goes on")
}

impl Stops {
    /// Listens, but for a signal that this process was started to ignore: listening would end that
    /// for the command, too.
    fn listen() -> Self {
        let listen = |kind: SignalKind| (!is_ignored(kind)).then(|| signal(kind).ok()).flatten();
        Self {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    /// Ends when somebody does. The open transaction is rolled back by its server, and the lease
    /// ends in its own time.
    async fn stopped(&mut self) -> Exit {
        tokio::select! {
            () = came(&mut self.interrupt) => Exit::Interrupted,
            () = came(&mut self.terminate) => Exit::Terminated,
        }
    }
}

async fn came(signal: &mut Option<Signal>) {
    let came = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !came {
        std::future::pending().await
    }
}

/// Linux tells which signals a process ignores. Where nobody tells, none is taken to be.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

/// Says it if anybody reads it: a start does not hang on that.
fn say(what: &str) {
    let _ = writeln!(std::io::stderr(), "syncline: {what}");
}

/// Takes the command's place, or says why that cannot be.
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
    let timeout = timeout.ok().filter(|timeout| *timeout <= LONGEST);
    timeout.ok_or_else(|| "write 30s, 2m or 500ms; a day at most".to_owned())
}
