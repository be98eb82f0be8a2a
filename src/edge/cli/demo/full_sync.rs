//! `syncline demo full-sync`: two deployments as processes of their own copy all tables from each
//! other over HTTP. Each step does something, shows it, and fails unless what happened is what
//! should have happened.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::caller::{RowCounts, qualified, random};
use super::commands::{command, output, parse, unexpected};
use super::error::DemoError;
use super::page::{Page, duration_text};
use super::steps::{check_equal, expected};
use crate::demo::Cluster;
use crate::demo::compare::{self, ComparedTable};
use crate::demo::data::{self, TableChange};
use crate::demo::deployment::DemoDeployment;

const BRANCH: &str = "branch";
const HEAD_OFFICE: &str = "head_office";

/// The name of the head office in the branch's settings.
const PEER: &str = "head-office";

const OPENING: &str = "\
    Two deployments of Syncline copy all tables from each other, over HTTP alone: all rows or none.\n\
    This shows it on this machine, with real data in two throwaway databases.";

const KILLED: &str = "\
    As soon as the first part of the copy had come, its process was killed (SIGKILL). The rows\n\
    were to go into their tables in one transaction, so there is none of them:";

const RESUMED: &str = "\
    The session is no lock, and the parts that came are still there. Another process goes on:";

/// The two deployments.
struct Deployments<'a> {
    cluster: &'a Cluster,
    branch: DemoDeployment,
    _head_office: DemoDeployment,
}

/// The part of a session that the demo shows.
#[derive(Debug, Deserialize)]
struct ShownSession {
    session: String,
    state: String,
    restored: Option<ShownOutcome>,
}

#[derive(Debug, Deserialize)]
struct ShownOutcome {
    tables: BTreeMap<String, RowCounts>,
    verified: u64,
}

/// Shows everything on a server that has just been started, and returns the folder of its files.
pub async fn show(
    cluster: Cluster,
    page: &mut Page,
    started_in: Duration,
) -> Result<PathBuf, DemoError> {
    let deployments = open(&cluster, page, started_in).await?;
    let rows = pull_and_kill(&deployments, page).await?;
    push(&deployments, page).await?;
    pull_again(&deployments, page, rows).await?;
    drop(deployments);
    let data = cluster.data_dir();
    Ok(data.parent().map(PathBuf::from).unwrap_or(data))
}

/// Says what this is.
pub fn opening(page: &mut Page) -> Result<(), DemoError> {
    page.text(OPENING)?;
    Ok(page.heading("Two deployments")?)
}

/// Fills one database, and starts a process for each.
async fn open<'a>(
    cluster: &'a Cluster,
    page: &mut Page,
    started_in: Duration,
) -> Result<Deployments<'a>, DemoError> {
    for database in [BRANCH, HEAD_OFFICE] {
        cluster.create_database(database).await?;
        data::create_schema(&cluster.url(database)).await?;
    }
    data::load(&cluster.url(HEAD_OFFICE)).await?;
    page.say(&format!(
        "A throwaway Postgres {} was ready after {}. It has two databases with the same tables:\n\
         {HEAD_OFFICE} has flights, airlines, airports, planes and the weather; {BRANCH} is empty.",
        cluster.release(),
        duration_text(started_in)
    ))?;
    let key = random("") + &random("");
    let mut branch = DemoDeployment::new(cluster.url(BRANCH), &key)?;
    let mut head_office = DemoDeployment::new(cluster.url(HEAD_OFFICE), &key)?;
    branch.add_peer(PEER, &head_office.url());
    for (name, deployment) in [(BRANCH, &mut branch), (HEAD_OFFICE, &mut head_office)] {
        let process = deployment.serve().await?;
        page.say(&format!(
            "Process {} serves the deployment of {name} at {}",
            process.unwrap_or_default(),
            deployment.url()
        ))?;
    }
    page.say("Both were given one random key, which signs each call and never travels.")?;
    let peers = output(&branch.run(&["full-sync", "peers"]).await?, &["full-sync", "peers"])?;
    command(page, &["full-sync", "peers"])?;
    page.say(&peers)?;
    if !peers.contains("online") {
        return unexpected("the head office was to be online");
    }
    Ok(Deployments { cluster, branch, _head_office: head_office })
}

/// Pulls into the empty database, is killed in the middle, and resumes. Returns the number of rows.
async fn pull_and_kill(deployments: &Deployments<'_>, page: &mut Page) -> Result<u64, DemoError> {
    let Deployments { branch, .. } = deployments;
    page.heading("A pull is killed in the middle, and resumed")?;
    let arguments = ["full-sync", "pull", PEER, "--verify", "--no-compress"];
    command(page, &arguments)?;
    if !branch.run_and_kill(&arguments).await? {
        return unexpected("the pull was to be killed before its end");
    }
    page.say(KILLED)?;
    let found = compare(deployments).await?;
    table_of_rows(page, &found)?;
    if found.iter().any(|table| table.target_rows > 0 || table.source_rows == 0) {
        return unexpected("the branch was to be empty still");
    }
    page.say(RESUMED)?;
    let list = branch.run(&["full-sync", "list", "--json"]).await?;
    let sessions: Vec<ShownSession> = read(&list, &["full-sync", "list"])?;
    let Some(session) = sessions.first().map(|shown| shown.session.clone()) else {
        return unexpected("the session was to be recorded");
    };
    let free = ["full-sync", "clear-stuck"];
    command(page, &free)?;
    page.say(output(&branch.run(&free).await?, &free)?.trim_end())?;
    let outcome = copied(branch, page, &["full-sync", "resume", &session[..8]]).await?;
    let rows = outcome.tables.values().map(|table| table.inserted).sum();
    let found = compare(deployments).await?;
    let in_source: u64 = found.iter().map(|table| table.source_rows.unsigned_abs()).sum();
    if (rows, outcome.verified) != (in_source, in_source) {
        return unexpected("each row was to be inserted, and compared before the commit");
    }
    page.say(&format!("Each of the {} rows was compared before the commit.", outcome.verified))?;
    equal(page, &found)?;
    Ok(rows)
}

/// Changes rows in the branch, and pushes.
async fn push(deployments: &Deployments<'_>, page: &mut Page) -> Result<(), DemoError> {
    page.heading("The branch works, and pushes")?;
    let changed = data::change(&deployments.cluster.url(BRANCH)).await?;
    let rows: u64 = changed.iter().map(|TableChange { rows, .. }| rows).sum();
    page.say(&format!("{rows} rows of {BRANCH} were corrected, or are new."))?;
    let outcome = copied(&deployments.branch, page, &["full-sync", "push", PEER]).await?;
    let written: BTreeMap<String, (u64, u64)> = (outcome.tables.iter())
        .map(|(table, counts)| (table.clone(), (counts.inserted, counts.updated)))
        .filter(|(_, counts)| *counts != (0, 0))
        .collect();
    if written != expected(&changed) {
        return unexpected(&format!("what changed was to be written alone, not {written:?}"));
    }
    page.say("Only what differs was written, in one transaction over there.")?;
    equal(page, &compare(deployments).await?)
}

/// Pulls when nothing has changed.
async fn pull_again(
    deployments: &Deployments<'_>,
    page: &mut Page,
    rows: u64,
) -> Result<(), DemoError> {
    page.heading("A pull when nothing has changed")?;
    let outcome = copied(&deployments.branch, page, &["full-sync", "pull", PEER]).await?;
    let is_unchanged = |counts: &RowCounts| counts.inserted + counts.updated == 0;
    let unchanged: u64 = outcome.tables.values().map(|counts| counts.unchanged).sum();
    if !outcome.tables.values().all(is_unchanged) || unchanged < rows {
        return unexpected("nothing was to be written");
    }
    page.say("Nothing was written.")?;
    equal(page, &compare(deployments).await?)
}

/// Runs a full sync at the branch's terminal, and shows its counts and its time.
async fn copied(
    branch: &DemoDeployment,
    page: &mut Page,
    arguments: &[&str],
) -> Result<ShownOutcome, DemoError> {
    command(page, arguments)?;
    let start = Instant::now();
    let ended = branch.run(&[arguments, &["--json"]].concat()).await?;
    let duration = start.elapsed();
    let ShownSession { state, restored, .. } = read(&ended, arguments)?;
    let Some(outcome) = restored.filter(|_| state == "completed") else {
        return unexpected(&format!("the session was to be completed, and is {state}"));
    };
    let rows = data::TABLES.iter().map(|table| {
        let counts = outcome.tables.get(&qualified(table)).copied().unwrap_or_default();
        let RowCounts { inserted, updated, unchanged } = counts;
        let numbers = [inserted, updated, unchanged].map(|number| number.to_string());
        [vec![(*table).to_owned()], numbers.to_vec()].concat()
    });
    page.table(&["table", "inserted", "updated", "unchanged"], rows.collect())?;
    page.say(&format!("It took {}, with the start of its process.", duration_text(duration)))?;
    Ok(outcome)
}

async fn compare(deployments: &Deployments<'_>) -> Result<Vec<ComparedTable>, DemoError> {
    let [source, target] = [HEAD_OFFICE, BRANCH].map(|name| deployments.cluster.url(name));
    Ok(compare::equal(&source, &target).await?)
}

fn equal(page: &mut Page, found: &[ComparedTable]) -> Result<(), DemoError> {
    check_equal(found)?;
    let rows: i64 = found.iter().map(|table| table.source_rows).sum();
    Ok(page.say(&format!(
        "{HEAD_OFFICE} and {BRANCH} are equal: {rows} rows in {} tables, as the databases\n\
         themselves count and hash them.",
        found.len()
    ))?)
}

fn table_of_rows(page: &mut Page, found: &[ComparedTable]) -> Result<(), DemoError> {
    let rows = found.iter().map(|table| {
        vec![table.table.clone(), table.source_rows.to_string(), table.target_rows.to_string()]
    });
    Ok(page.table(&["table", HEAD_OFFICE, BRANCH], rows.collect())?)
}

fn read<T: for<'de> Deserialize<'de>>(ended: &Output, arguments: &[&str]) -> Result<T, DemoError> {
    parse(&output(ended, arguments)?)
}
