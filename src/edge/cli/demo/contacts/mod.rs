//! `syncline demo contacts`: people in a database and at a MailerLite on this machine, from an
//! existing mess to being in step. Each step runs a command, shows it, looks at both sides itself,
//! and fails unless they are as they should be.
//!
//! - here: the steps and their text
//! - `comparison`: the comparison of both sides; `output`: what the commands print

pub mod comparison;
mod output;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::commands::{command, output, parse, stdout, unexpected};
use super::error::DemoError;
use super::page::{Page, duration_text};
use crate::demo::Cluster;
use crate::demo::mailerlite::{LocalMailerLite, Options, Status};
use crate::demo::people::{self, People, email};
use crate::demo::program::DemoProgram;
use comparison::disagreements;
use output::{Backfill, Conflict, Conflicts, Held, Plan, Report};

const DATABASE: &str = "business";

const OPENING: &str = "\
    A business keeps its clients in Postgres and mails them with MailerLite. Syncline keeps both in\n\
    step, value by value, and never mails anybody who has left. This shows it on this machine, with\n\
    invented people.";

const DAY: &str = "\
    Names are corrected here, and people move there. Somebody's name is changed on both sides.\n\
    Somebody leaves there, and somebody opts out here. Somebody asks to be forgotten. A second row\n\
    gets an address that is there already, in capitals. A city is longer than MailerLite takes.\n\
    There is a new client here, and a new subscriber there.";

/// Both sides, and the program that keeps them in step.
struct Business {
    people: People,
    program: DemoProgram,
}

/// Shows everything on a server that has just been started, and returns the folder of its files.
pub async fn show(
    cluster: Cluster,
    page: &mut Page,
    started_in: Duration,
) -> Result<PathBuf, DemoError> {
    let data = cluster.data_dir();
    let folder = data.parent().map(PathBuf::from).unwrap_or(data);
    let business = open(&cluster, &folder, page, started_in).await?;
    plan(&business, page).await?;
    backfill(&business, page).await?;
    live_and_sync(&business, page).await?;
    explain(&business, page).await?;
    answer(&business, page).await?;
    sync_again(&business, page).await?;
    deploy_badly(&business, page).await?;
    drop(business);
    drop(cluster);
    Ok(folder)
}

/// Says what this is.
pub fn opening(page: &mut Page) -> Result<(), DemoError> {
    page.text(OPENING)?;
    Ok(page.heading("Two sides, and a mess")?)
}

async fn open(
    cluster: &Cluster,
    folder: &std::path::Path,
    page: &mut Page,
    started_in: Duration,
) -> Result<Business, DemoError> {
    cluster.create_database(DATABASE).await?;
    let options = Options::default();
    let (calls, imports) = (options.calls_per_minute, options.imports_per_minute);
    let mailerlite = LocalMailerLite::start(options).await?;
    page.say(&format!(
        "A throwaway Postgres {} was ready after {}. A MailerLite listens at\n\
         {}, with the limits of the real one: {calls} calls and {imports} imports a minute.",
        cluster.release(),
        duration_text(started_in),
        mailerlite.url()
    ))?;
    let config = folder.join("syncline.toml");
    let settings = vec![
        ("TARGET_DATABASE_URL", cluster.url(DATABASE)),
        ("MAILERLITE_URL", mailerlite.url()),
        ("MAILERLITE_API_KEY", mailerlite.token().to_owned()),
    ];
    let people = People::open(&cluster.url(DATABASE), mailerlite).await?;
    let (rows, left) = (people.clients().await?.len(), disagreements(&people).await?.consent.len());
    page.say(&format!(
        "An older system left {rows} clients here, {} subscribers there, and a crosswalk that says\n\
         who is who. Nothing says what both sides agreed on, and {left} people who have left at\n\
         MailerLite still count as subscribed here.",
        people.mailerlite.total()
    ))?;
    let mut program = DemoProgram::new(settings);
    let arguments = ["contacts", "init"];
    let proposal = output(&program.run(&arguments).await?, &arguments)?;
    let written = std::fs::write(&config, &proposal);
    written.or_else(|error| unexpected(&format!("{}: {error}", config.display())))?;
    program.set("SYNC_CONFIG", config.display().to_string());
    page.say("$ syncline contacts init >> syncline.toml")?;
    let is_mapped = |line: &&str| {
        let names = ["table", "email", "where", "import", "status", "erased", "column", "field"];
        names.iter().any(|name| line.starts_with(&format!("{name} = ")))
    };
    let shown = proposal.lines().filter(is_mapped);
    let shown: Vec<&str> =
        shown.map(|line| line.split('#').next().unwrap_or(line).trim()).collect();
    page.say(&shown.join("\n"))?;
    Ok(Business { people, program })
}

/// Counts what a sync would change.
async fn plan(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("A plan changes nothing")?;
    let before = business.people.snapshot().await?;
    let arguments = ["contacts", "plan"];
    let text = run(business, page, &arguments).await?;
    let Plan { problems, plan: Some(report) } = parse(&text)? else {
        return unexpected("the mapping was to be right");
    };
    counts(page, &report)?;
    let left = disagreements(&business.people).await?.consent.len() as u64;
    let unsubscribes = report.changes.get("unsubscribe").copied().unwrap_or_default();
    if !problems.is_empty() || report.held.is_some() || unsubscribes != left {
        return unexpected(&format!("{left} people were to be opted out: {text}"));
    }
    unchanged(business, &before, "a plan").await?;
    Ok(page.say("Both sides are as they were: no row and no subscriber was written.")?)
}

/// Makes the shadows.
async fn backfill(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("What both sides agree on")?;
    let (people, calls) = (&business.people, business.people.mailerlite.requests());
    let (rows, subscribers) = (people.clients().await?, people.subscribers());
    let text = run(business, page, &["contacts", "backfill"]).await?;
    let Backfill { done, total, created } = parse(&text)?;
    let shadows = people.shadows().await?.unsigned_abs();
    if !done || (created, shadows) != (total, total) {
        return unexpected(&format!("each link was to have a shadow, and {shadows} have: {text}"));
    }
    if people.clients().await? != rows || people.subscribers() != subscribers {
        return unexpected("a backfill was to write neither side");
    }
    Ok(page.say(&format!(
        "{shadows} shadows were made in {} calls of MailerLite. Neither side was written.",
        people.mailerlite.requests() - calls
    ))?)
}

/// Lets both sides change, and brings them in step.
async fn live_and_sync(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("Both sides change")?;
    business.people.live_a_day().await?;
    page.say(DAY)?;
    let before = disagreements(&business.people).await?;
    page.say(&format!(
        "Now {} people have different values on both sides, and {} a different consent.",
        before.values.len(),
        before.consent.len()
    ))?;
    page.heading("A sync brings them in step")?;
    let (_, report) = sync(business, page).await?;
    counts(page, &report)?;
    page.say(&format!(
        "{} people were compared and {} changed, in {} calls. {} questions wait for a person, and\n\
         {} value was refused.",
        report.records_processed,
        report.updates_applied,
        report.calls,
        report.conflicts_detected,
        report.errors
    ))?;
    let held = BTreeSet::from([email(people::BOTH), email(people::REFUSED)]);
    let after = disagreements(&business.people).await?;
    if after.values != held || !after.consent.is_empty() {
        return unexpected(&format!("two values alone were to differ, and these do: {after:?}"));
    }
    people_are_right(&business.people).await?;
    Ok(page.say(
        "Both sides were compared without Syncline: the name that both sides changed and the city\n\
         that was refused are as they were, and everybody else is the same on both. Whoever left on\n\
         either side gets no mail by either. Whoever asked to be forgotten is gone there, and a hash\n\
         of the address alone is left here.",
    )?)
}

/// Looks at the people of whom the story tells.
async fn people_are_right(people: &People) -> Result<(), DemoError> {
    let (clients, subscribers) = (people.clients().await?, people.subscribers());
    let client = |email: &str| clients.iter().find(|client| client.email == email);
    let status = |number| subscribers.get(&email(number)).map(|person| person.status);
    let is_opted_out = |number| {
        client(&email(number))
            .is_some_and(|client| client.status.as_deref() == Some("unsubscribed"))
    };
    let is_gone = |number| subscribers.get(&email(number)).is_none_or(|person| person.is_deleted);
    let moved_and_renamed = people::MOVED.start;
    let name = client(&email(moved_and_renamed)).map(|client| (&client.name, &client.city));
    let renamed = Some(format!("{} Maria", people::first_name(moved_and_renamed)));
    for (is_so, promise) in [
        (is_opted_out(people::LEAVES), "whoever left there was to be opted out here"),
        (
            status(people::OPTS_OUT) == Some(Status::Unsubscribed),
            "whoever opted out here was to be unsubscribed there",
        ),
        (is_gone(people::FORGOTTEN), "whoever asked to be forgotten was to be gone there"),
        (people.tombstones().await? == 1, "one hash was to be kept"),
        (subscribers.contains_key(people::NEW), "the new client was to be a subscriber"),
        (client(people::STRANGER).is_none(), "the unknown subscriber was to be a question"),
        (
            name == Some((&renamed, &Some("Basel".to_owned()))),
            "the changes of both sides were to be merged",
        ),
    ] {
        if !is_so {
            return unexpected(promise);
        }
    }
    Ok(())
}

/// Shows the log of one person.
async fn explain(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("Why is this person as they are?")?;
    let arguments = ["contacts", "log", &email(people::MOVED.start)];
    command(page, &arguments)?;
    let text = output(&business.program.run(&arguments).await?, &arguments)?;
    page.say(&text)?;
    match text.contains("Basel") && text.contains("Maria") {
        true => Ok(()),
        false => unexpected("the log was to have the values of both sides"),
    }
}

/// Answers the question that no program can answer.
async fn answer(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("A question for a person")?;
    let text = run(business, page, &["contacts", "conflicts", "list"]).await?;
    let Conflicts { conflicts } = parse(&text)?;
    let rows = conflicts.iter().map(|Conflict { id, email, kind, subject }| {
        let person = email.clone().unwrap_or_else(|| "no row".to_owned());
        vec![id.to_string(), person, subject.clone(), kind.replace('_', " ")]
    });
    page.table(&["id", "person", "value", "why"], rows.collect())?;
    let mut kinds: Vec<&str> = conflicts.iter().map(|conflict| conflict.kind.as_str()).collect();
    kinds.sort_unstable();
    if kinds != ["both_changed", "rejected", "two_rows", "unknown"] {
        return unexpected(&format!("there were to be four questions: {text}"));
    }
    let both = email(people::BOTH);
    let is_of_both = |conflict: &&Conflict| conflict.email.as_ref() == Some(&both);
    let Some(Conflict { id, .. }) = conflicts.iter().find(is_of_both) else {
        return unexpected(&format!("a question was to be about {both}: {text}"));
    };
    let id = id.to_string();
    let arguments = ["contacts", "conflicts", "resolve", &id, "database"];
    command(page, &arguments)?;
    page.say(output(&business.program.run(&arguments).await?, &arguments)?.trim_end())?;
    let subscribers = business.people.subscribers();
    match subscribers[&both].fields.get("name").map(String::as_str) == Some("Kate") {
        true => Ok(()),
        false => unexpected("the name of the database was to be kept"),
    }
}

/// Syncs what was corrected, and then nothing.
async fn sync_again(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("What was corrected goes in, and then there is nothing to do")?;
    business.people.correct_refused().await?;
    let (_, report) = sync(business, page).await?;
    let after = disagreements(&business.people).await?;
    if report.updates_applied != 1 || !(after.values.is_empty() && after.consent.is_empty()) {
        return unexpected(&format!("the corrected city alone was to be written: {report:?}"));
    }
    page.say("The city was corrected, and this sync wrote it, and nothing else.")?;
    let before = business.people.snapshot().await?;
    let (_, report) = sync(business, page).await?;
    unchanged(business, &before, "a sync of nothing").await?;
    Ok(page.say(&format!(
        "It read {} people in {} calls, and wrote nothing anywhere: all versions of the rows are the\n\
         same, and so are all subscribers.",
        report.records_processed, report.calls
    ))?)
}

/// Breaks all names, and is stopped.
async fn deploy_badly(business: &Business, page: &mut Page) -> Result<(), DemoError> {
    page.heading("A bad deploy is stopped")?;
    business.people.deploy_badly().await?;
    page.say("A deploy has a defect: every first name in the database is now 'undefined'.")?;
    let before = business.people.snapshot().await?;
    let (code, report) = sync(business, page).await?;
    let Some(Held { reasons }) = report.held else {
        return unexpected("the sync was to be held");
    };
    unchanged(business, &before, "a sync that is held").await?;
    if code != Some(1) {
        return unexpected(&format!("it was to end with exit code 1, and not {code:?}"));
    }
    page.say(&format!(
        "Held, with exit code 1: {}.\n\
         Nobody at MailerLite was renamed. `--allow` would let it through once.",
        reasons.join("; ")
    ))?;
    Ok(page.say(&format!(
        "All in all MailerLite was called {} times.",
        business.people.mailerlite.requests()
    ))?)
}

/// Runs a sync; returns its exit code and its report.
async fn sync(business: &Business, page: &mut Page) -> Result<(Option<i32>, Report), DemoError> {
    command(page, &["contacts", "sync"])?;
    let ended = business.program.run(&["contacts", "sync", "--json"]).await?;
    let report: Report = parse(&stdout(&ended))?;
    match report.done {
        true => Ok((ended.status.code(), report)),
        false => unexpected(&format!("the sync was to come to its end: {report:?}")),
    }
}

/// Runs a command, and returns its object.
async fn run(
    business: &Business,
    page: &mut Page,
    arguments: &[&str],
) -> Result<String, DemoError> {
    command(page, arguments)?;
    output(&business.program.run(&[arguments, &["--json"]].concat()).await?, arguments)
}

/// A table of the people by the kind of change.
fn counts(page: &mut Page, report: &Report) -> Result<(), DemoError> {
    let rows = report.changes.iter().filter(|(_, people)| **people > 0);
    let rows = rows.map(|(kind, people)| vec![kind.replace('_', " "), people.to_string()]);
    Ok(page.table(&["change", "people"], rows.collect())?)
}

async fn unchanged(
    business: &Business,
    before: &people::Snapshot,
    act: &str,
) -> Result<(), DemoError> {
    match business.people.snapshot().await? == *before {
        true => Ok(()),
        false => unexpected(&format!("{act} was to write nothing")),
    }
}
