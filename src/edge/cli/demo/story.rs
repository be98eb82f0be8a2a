//! The text of the demo in its order. The steps check that it is true.

use std::io;
use std::time::Duration;

use super::caller::{HttpAnswer, Schedule, ScheduleAnswer, SyncAnswer, qualified};
use super::page::{Page, duration_text};
use super::stage::{SOURCE, Stage, TARGET};
use super::ticks::{Slice, Tick};
use crate::demo::Cluster;
use crate::demo::compare::ComparedTable;
use crate::demo::data::{ChangeKind, MANUAL_CHANGE, TABLES, TableChange};
use crate::edge::calling::SCHEDULE_PATH;
use crate::wiring::App;

/// The explanation of several slices of a tick.
pub const BACKLOG: &str = "Each slice stopped in time and published its own continuation: what does not fit into\n\
    one call does not wait for the next tick. (The demo gives a slice a second, and 100\n\
    rows to a page, so that there is a backlog to see.)";

/// The explanation of the comparison.
pub const COMPARISON: &str = "Is that true? The demo asks the databases themselves, with none of the code that\n\
    moved the rows: each counts its rows and hashes every value in them.";

/// The explanation of rows that were read and had not changed.
pub const UNCHANGED: &str = "The unchanged rows lie just before the point that the last call had reached: they are\n\
    read again on purpose, in case one came late with an older stamp, and are not written.";

/// Prints the text of the demo on stdout.
#[derive(Default)]
pub struct Story {
    page: Page,
}

impl Story {
    /// Says what this is, and begins with the databases.
    pub fn opening(&mut self) -> io::Result<()> {
        self.page.text(
            "Syncline keeps two Postgres databases in step: a schedule calls it, it moves what changed.\n\
             This shows it on this machine, with real data in two throwaway databases.",
        )?;
        self.page.heading("Two databases")
    }

    /// Says a paragraph.
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        self.page.say(text)
    }

    /// Describes the server, its programs, and its databases.
    pub fn server(&mut self, cluster: &Cluster, duration: Duration) -> io::Result<()> {
        self.page.say(&format!(
            "A throwaway Postgres {} listens on 127.0.0.1:{}, ready after {}.\n\
             Its programs are in {}.\n\
             It has two databases with the same tables: {SOURCE}, which Syncline reads and\n\
             never writes, and {TARGET}, which it brings up to date.",
            cluster.release(),
            cluster.port(),
            duration_text(duration),
            cluster.binaries().display()
        ))
    }

    /// Says what the source was filled with.
    pub fn loaded(&mut self, duration: Duration) -> io::Result<()> {
        self.page.say(&format!(
            "{SOURCE} has been filled in {} with the flights that left New York City in\n\
             January 2013, their airlines, airports and planes, and the weather; {TARGET} is empty.",
            duration_text(duration)
        ))
    }

    /// Says where the function listens.
    pub fn function(&mut self, stage: &Stage) -> io::Result<()> {
        self.page.heading("The function")?;
        self.page.say(&format!(
            "What runs in Lambda otherwise listens here, on {}\n\
             It was given the URLs of both databases, and random keys by which it knows its callers.",
            stage.url()
        ))
    }

    /// Says what calls the function, and when.
    pub fn qstash(&mut self, stage: &Stage, made: &ScheduleAnswer) -> io::Result<()> {
        self.page.heading("The schedule")?;
        self.page.say(&format!(
            "A local QStash listens on {}. Its clock stands until the demo steps it:\n\
             hours pass in a moment. The function was asked to make its schedule, and answers:\n\
             {}.",
            stage.qstash.url(),
            made.message
        ))?;
        for Schedule { cron, destination, next_runs } in &made.schedules {
            self.page.say(&format!(
                "It calls {destination}\nat {cron}, next at {}.",
                next_runs.join(", ")
            ))?;
        }
        Ok(())
    }

    /// Begins a step in which the schedule ticks.
    pub fn schedule_ticks(&mut self, stage: &Stage, what: &str) -> io::Result<()> {
        self.page.heading(&format!("The schedule ticks: {what}"))?;
        self.page.say(&format!("QStash signs and posts to {}", stage.caller.sync_url))
    }

    /// Shows what each slice of a tick answered, and the rows of each table.
    pub fn ticked(&mut self, tick: &Tick) -> io::Result<()> {
        let rows = tick.slices.iter().map(|Slice { at, answer }| {
            let SyncAnswer { success: _, message: _, kind, done, duration_ms, statistics } = answer;
            vec![
                humantime::format_rfc3339_seconds(*at).to_string(),
                kind.clone(),
                statistics.total_records.to_string(),
                done.to_string(),
                duration_text(Duration::from_millis(*duration_ms)),
            ]
        });
        let answers = tick.slices.len();
        self.page.say(&match answers {
            1 => "and is answered 200, success:".to_owned(),
            more => format!("and is answered 200, success, {more} times:"),
        })?;
        self.page
            .table(&["QStash's clock", "type", "total_records", "done", "took"], rows.collect())?;
        let statistics = tick.statistics();
        if statistics.tables.is_empty() {
            return Ok(());
        }
        let rows = TABLES.iter().filter_map(|table| {
            let counts = statistics.tables.get(&qualified(table))?;
            let counts = [counts.inserted, counts.updated, counts.unchanged];
            Some(
                [vec![(*table).to_owned()], counts.map(|count| count.to_string()).to_vec()]
                    .concat(),
            )
        });
        self.page.table(&["table", "inserted", "updated", "unchanged"], rows.collect())
    }

    /// Shows the number of each table's rows on both sides, and whether the rows are equal.
    pub fn compared(&mut self, compared: &[ComparedTable]) -> io::Result<()> {
        let [rows_in_source, rows_in_target] =
            [SOURCE, TARGET].map(|name| format!("rows in {name}"));
        let rows = compared.iter().map(|found| {
            let ComparedTable { table, source_rows, target_rows, equal } = found;
            let result = if *equal { "equal" } else { "different" };
            vec![table.clone(), source_rows.to_string(), target_rows.to_string(), result.to_owned()]
        });
        self.page.table(&["table", &rows_in_source, &rows_in_target, ""], rows.collect())
    }

    /// Says that all tables are equal. The caller has checked it.
    pub fn equal(&mut self, compared: &[ComparedTable], duration: Duration) -> io::Result<()> {
        let rows: i64 = compared.iter().map(|found| found.source_rows).sum();
        let tables = compared.len();
        self.page.say(&format!(
            "{SOURCE} and {TARGET} are equal: {rows} rows in {tables} tables, compared in {}.",
            duration_text(duration)
        ))
    }

    /// Begins the step in which the source changes.
    pub fn day_begins(&mut self) -> io::Result<()> {
        self.page.heading(&format!("A day of work in {SOURCE}"))?;
        self.page.say("Rows are corrected, new ones come in:")
    }

    /// Shows what was changed.
    pub fn changed(&mut self, changed: &[TableChange]) -> io::Result<()> {
        let rows = changed.iter().map(|TableChange { table, kind, rows }| {
            let kind = match kind {
                ChangeKind::Inserted => "inserted",
                ChangeKind::Updated => "updated",
            };
            vec![(*table).to_owned(), rows.to_string(), kind.to_owned()]
        });
        self.page.table(&["table", "rows", ""], rows.collect())
    }

    /// Says how many tables differ now.
    pub fn compared_again(
        &mut self,
        compared: &[ComparedTable],
        duration: Duration,
    ) -> io::Result<()> {
        let different = compared.iter().filter(|found| !found.equal).count();
        self.page.say(&format!(
            "The same comparison sees it: {different} of {} tables are different, found in {}.",
            compared.len(),
            duration_text(duration)
        ))
    }

    /// Begins the step in which others call.
    pub fn others_call(&mut self) -> io::Result<()> {
        self.page.heading("Others call")
    }

    /// Says how a call was refused.
    pub fn refused(&mut self, what: &str, response: &HttpAnswer) -> io::Result<()> {
        let HttpAnswer { status, body, duration } = response;
        self.page.say(&format!(
            "{what}\nis answered {status} after {}:\n{body}",
            duration_text(*duration)
        ))
    }

    /// Says how another call was refused, with the same body.
    pub fn refused_alike(&mut self, what: &str, response: &HttpAnswer) -> io::Result<()> {
        let HttpAnswer { status, duration, .. } = response;
        self.page.say(&format!(
            "{what}\nis answered {status} after {}, in the same words. What was wrong with a call\n\
             is not told to who made it; the function's log has it (WARN, on stderr).",
            duration_text(*duration)
        ))
    }

    /// Says how a person's call was answered.
    pub fn person(&mut self, response: &HttpAnswer, answer: &SyncAnswer) -> io::Result<()> {
        self.page.say(&format!(
            "A person's call with the admin token, and no signature,\n\
             is answered {} after {}: {}.",
            response.status,
            duration_text(response.duration),
            answer.message
        ))
    }

    /// Prints commands to use while everything runs.
    pub fn invitation(&mut self, stage: &Stage) -> io::Result<()> {
        let Stage { caller, cluster, .. } = stage;
        let [source, target] = [SOURCE, TARGET].map(|database| cluster.url(database));
        let [look, check] = [SOURCE, TARGET].map(|database| cluster.psql(database));
        let (url, sync_url, token) = (stage.url(), &caller.sync_url, caller.admin_token());
        let schedule_url = format!("{url}{SCHEDULE_PATH}");
        let (qstash, qstash_token) = (stage.qstash.url(), stage.qstash.token());
        let syncline = App::program();
        self.page.text(&format!(
            "\nAll of it keeps running until you press Ctrl-C. For another terminal:\n\n\
             Is the function there?\n  \
               curl {url}/healthz\n\n\
             Look into the databases:\n  {look}\n  {check}\n\n\
             ChangeKind something, and call the function as a person may:\n  \
               {look} -c \"{MANUAL_CHANGE}\"\n  \
               curl -X POST -H 'x-manual-trigger: true' -H 'Authorization: Bearer {token}' {sync_url}\n\n\
             QStash's clock goes on now; have it call at once, and list what it is to do:\n  \
               curl -X POST -H 'Authorization: Bearer {token}' -d '{{\"action\":\"trigger-manual\"}}' {schedule_url}\n  \
               curl -H 'Authorization: Bearer {token}' {schedule_url}\n\n\
             Or give the terminal the same settings, and work on the databases and the schedule\n\
             without the function; any client of QStash understands them, too:\n  \
               export SOURCE_DATABASE_URL='{source}'\n  \
               export TARGET_DATABASE_URL='{target}'\n  \
               export APP_URL='{url}'\n  \
               export QSTASH_URL='{qstash}'\n  \
               export QSTASH_TOKEN='{qstash_token}'\n  \
               {syncline} plan\n  \
               {syncline} schedule list\n  \
               {syncline} run"
        ))
    }

    /// Says that everything is stopped and removed, and names commands for what can be done next.
    pub fn ending(&mut self, duration: Duration, kept: bool) -> io::Result<()> {
        self.page.text(
            "\nThe function, QStash and both databases are stopped, and their files are removed.",
        )?;
        if kept {
            return Ok(());
        }
        let syncline = App::program();
        let commands = [
            ("demo --keep", "leaves it running, with commands to play with"),
            ("plan", "says what a run would do between two databases of yours"),
            ("run", "does it"),
            ("serve", "serves the function on a port of this machine"),
        ];
        self.page.text(&format!(
            "All of this took {}. What you can do next:\n",
            duration_text(duration)
        ))?;
        for (command, does) in commands {
            self.page.text(&format!("  {syncline} {command:<11}   {does}"))?;
        }
        self.page.text("\nThe README tells how, and how the function is deployed.")
    }
}
