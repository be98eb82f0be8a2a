//! `syncline setup`: checks everything, makes what is missing, and syncs once. Each check prints
//! its result and a remedy. A second setup finds everything in order and changes nothing.

mod calls;
mod pipeline;

use std::io::{IsTerminal, stdout};

use serde::Serialize;

use super::terminal::checks::{Check, Checks, Mark};
use super::terminal::output::{self, Exit};
use crate::edge::calling::{sync_path, url_of};
use crate::wiring::App;

#[derive(Debug, clap::Args)]
pub struct SetupArguments {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Checks everything, makes what is missing, syncs once.
pub async fn setup(arguments: &SetupArguments) -> Exit {
    let mut checks = Checks::new(arguments.json, stdout().is_terminal(), "signing keys".len());
    let app = match App::from_process() {
        Ok(app) => app,
        Err(problems) => {
            settings_problems(&problems.to_string()).into_iter().for_each(|check| {
                checks.add(check);
            });
            end(&checks, arguments.json, &[]);
            return Exit::Usage;
        }
    };
    checks.with_pipelines(app.names());
    checks.add(settings(&app));
    let mut ready = Vec::new();
    for served in app.all() {
        ready.push((served, pipeline::prepare(&app, served, &mut checks).await));
    }
    calls::check(&app, &mut checks).await;
    for (served, needs) in ready {
        pipeline::run(&app, served, needs, &mut checks).await;
    }
    let exit = if checks.count(Mark::Fail) == 0 { Exit::Done } else { Exit::Failed };
    end(&checks, arguments.json, &next_commands(&app));
    exit
}

/// A command that a person may run next, and the act that it does.
#[derive(Serialize)]
struct NextCommand {
    does: String,
    command: String,
}

/// Prints the outcome of all checks, and the commands for what can be done from now on.
fn end(checks: &Checks, json: bool, commands: &[NextCommand]) {
    let (failed, warned) = (checks.count(Mark::Fail), checks.count(Mark::Warn));
    let again = "do what is said below each, and run `syncline setup` again";
    let message = match (failed, warned) {
        (0, 0) => "Everything is set up".to_owned(),
        (0, 1) => "Everything is set up; 1 check deserves a look".to_owned(),
        (0, warned) => format!("Everything is set up; {warned} checks deserve a look"),
        (1, _) => format!("1 check failed: {again}"),
        (failed, _) => format!("{failed} checks failed: {again}"),
    };
    if json {
        return output::print_json(&serde_json::json!({
            "success": failed == 0, "message": message, "checks": checks.made, "commands": commands,
        }));
    }
    println!("\n{message}.");
    for (index, NextCommand { does, command }) in commands.iter().enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        println!("{before}{does}:\n  {command}");
    }
}

/// A failed check for each problem of the settings, which stand in lines after the first.
fn settings_problems(problems: &str) -> Vec<Check> {
    let remedy = "`syncline --help` tells what each setting is";
    let each = problems.lines().skip(1).map(str::trim);
    each.map(|problem| Check::fail("settings", problem, remedy)).collect()
}

fn settings(app: &App) -> Check {
    let pipelines: Vec<&str> = app.names().collect();
    let is_set = |set: bool| if set { "set" } else { "not set" };
    let found = format!(
        "pipelines {}; APP_URL {}; SYNC_ADMIN_TOKEN {}; QSTASH_TOKEN {}; signing keys {}",
        pipelines.join(", "),
        app.url.as_deref().unwrap_or("not set"),
        is_set(app.admin_token.is_some()),
        is_set(app.queue().is_ok()),
        is_set(app.current_key.is_some()),
    );
    match app.admin_token {
        Some(_) => Check::ok("settings", found),
        None => Check::warn(
            "settings",
            found,
            "set SYNC_ADMIN_TOKEN to a random text (openssl rand -hex 16), here and for the \
             function, or nobody can call it by hand",
        ),
    }
}

/// The commands for what people do from now on.
fn next_commands(app: &App) -> Vec<NextCommand> {
    let command = |does: String, command: String| NextCommand { does, command };
    let mut all = vec![
        command("See the schedules".to_owned(), "syncline schedule list".to_owned()),
        command(
            "Pause one: its ticks are dropped".to_owned(),
            "syncline schedule pause ID".to_owned(),
        ),
        command("Resume it".to_owned(), "syncline schedule resume ID".to_owned()),
    ];
    for name in app.names() {
        let option =
            if app.only().is_some() { String::new() } else { format!(" --pipeline {name}") };
        all.extend([
            command(format!("See what a run of {name} would do"), format!("syncline plan{option}")),
            command(format!("Run {name} on this machine"), format!("syncline run{option}")),
            command(
                format!("Let QStash call for {name} now"),
                format!("syncline schedule trigger{option}"),
            ),
        ]);
        // A shell fills the token in: it is not for a screen.
        let headers = r#"-H 'x-manual-trigger: true' -H "Authorization: Bearer $SYNC_ADMIN_TOKEN""#;
        let url = url_of(app, &sync_path(name)).ok();
        all.extend(url.map(|url| {
            command(format!("Call for {name} yourself"), format!("curl -X POST {headers} {url}"))
        }));
    }
    all
}
