//! Two projects behind their APIs, which both have our function: a first load, 1,000 changed rows
//! against one GET and one POST of the same bytes, and nothing changed; with the memory of all of
//! them, and the calls.
//!
//! `journey` counts the calls of the usual schema's way from its first load to the cutover.
//!
//! The tests' stand-in for PostgREST runs in this process, so that neither its time nor its memory
//! is the program's; product and floor both wait for it.

mod floor;
pub mod journey;
#[path = "../../../tests/it/world/postgrest/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it than a measurement does")]
mod postgrest;

use std::process::Command;
use std::time::Duration;

use syncline::demo::compare;
use syncline::engine::model::range::Side;
use syncline::wiring::App;
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

use super::load::both;
use super::product::{self, Ran};
use super::report::{Report, Samples};
use super::served::Served;
use super::world::{Server, World};
use postgrest::Standin;

/// The rows that are there before any change.
const ROWS: u32 = 100_000;

/// The rows that change in a turn, half of them new: as many as PostgREST answers at most, unless
/// it is set otherwise.
const CHANGED: u32 = 1_000;

/// The turns of product and floor, in a process that has started and with the whole
/// program.
const TURNS: u32 = 11;

/// The repetitions of a quiet run.
const QUIET_TIMES: usize = 11;

/// The most calls of a run that finds 1,000 changed rows, and of one that finds nothing.
const MOST_CALLS: [usize; 2] = [6, 4];

/// The most memory over an API, where pages are JSON.
const MOST_MEMORY_MIB: f64 = 64.0;

/// The rights that a project gives the role of its service key.
const GRANTS: &str = include_str!("../../../tests/data/grants.sql");

/// A database, as the stand-in takes it.
struct Database {
    url: String,
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Measures everything over two APIs.
pub fn measure(world: &World, report: &mut Report) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let source = Project::make(&runtime, &world.source, "rest_source", Side::Source, ROWS);
    let target = Project::make(&runtime, &world.target, "rest_target", Side::Target, 0);
    let floor = Project::make(&runtime, &world.target, "rest_floor", Side::Target, ROWS);

    let first = run(&source, &target);
    for server in [&world.source, &world.target] {
        server.settle();
    }
    run(&source, &target);
    let (mut turns, mut whole, mut calls) = (Vec::new(), Vec::new(), 0);
    let mut peak_kib = first.peak_kib;
    for turn in 0..2 * TURNS {
        let since = change(&source, turn);
        let served = (turn % 2 == 0).then(|| Served::start(command(&source, &target)));
        let by_hand = || floor::change(&runtime, &source, &floor, &since);
        let by_us = || {
            let before = source.calls() + target.calls();
            let took = match &served {
                Some(served) => served.call(),
                None => {
                    let ran = run(&source, &target);
                    peak_kib = peak_kib.max(ran.peak_kib);
                    ran.took
                }
            };
            (took, source.calls() + target.calls() - before)
        };
        // Which of the two comes first is another matter than which of ours it is.
        let (least, (took, made)) = both((turn / 2) as usize, by_hand, by_us);
        calls = calls.max(made);
        if served.is_some() { &mut turns } else { &mut whole }.push((took, least));
        for project in [&target, &floor] {
            project.server.run(project.name, "vacuum (analyze) orders");
            project.server.settle();
        }
    }
    let title = format!("{CHANGED} of {ROWS} orders changed, over two APIs");
    report.against_floor(&title, &turns, 1.5);
    report.told_beside_floor(&format!("{title}: whole program"), &whole);
    told_calls(report, &title, calls, MOST_CALLS[0]);
    quiet(&source, &target, report);
    let title = format!("{ROWS} orders over two APIs, first load and changes");
    report.memory_of(&title, peak_kib, MOST_MEMORY_MIB);
    for project in [&target, &floor] {
        let urls = [&source, project].map(|project| project.server.url(project.name));
        let compared = runtime.block_on(compare::compare(&urls[0], &urls[1], &["orders"]));
        let equal = compared.expect("both can be read").iter().all(|table| table.equal);
        assert!(equal, "{} differs from the source", project.name);
    }
}

fn quiet(source: &Project<'_>, target: &Project<'_>, report: &mut Report) {
    run(source, target);
    let (mut took, mut calls) = (Samples::default(), 0);
    for _ in 0..QUIET_TIMES {
        let before = source.calls() + target.calls();
        let ran = run(source, target);
        assert!(ran.printed.starts_with("Nothing had changed"), "{}", ran.printed);
        calls = calls.max(source.calls() + target.calls() - before);
        took.add(ran.took);
    }
    let title = "Nothing changed, over two APIs";
    report.within(&format!("{title}: whole program"), &took, QUIET_LIMIT);
    told_calls(report, title, calls, MOST_CALLS[1]);
}

/// A quiet run over APIs may take so long.
const QUIET_LIMIT: Duration = Duration::from_millis(100);

fn told_calls(report: &mut Report, title: &str, calls: usize, most: usize) {
    let title = format!("{title}: calls of both");
    report.plain(&title, calls.to_string(), format!("at most {most}"), calls <= most);
}

/// Changes rows of the source; the stamp that all of them are newer than, and no other row.
fn change(source: &Project<'_>, turn: u32) -> String {
    let day = format!("timestamptz '2025-06-01 00:00+00' + {turn} * interval '1 day'");
    let half = CHANGED / 2;
    let first = 1_000_001 + turn * half;
    let change = format!(
        "update orders set state = 'refunded', amount = amount + 1, \
            updated_at = {day} + abs(hashtext(id::text)) % 80000 * interval '1 second' \
         where id in (select md5('order ' || n)::uuid from generate_series({from}, {to}) as n); \
         insert into orders select * from new_orders({first}, {last}, {day}, 1); \
         vacuum (analyze) orders",
        from = 1 + turn * half,
        to = (turn + 1) * half,
        last = first + half - 1,
    );
    for statement in change.split("; ") {
        source.server.run(source.name, statement);
    }
    source.server.settle();
    source.server.text(source.name, &format!("select ({day})::text"))
}

fn command(source: &Project<'_>, target: &Project<'_>) -> Command {
    let mut command = product::command(source.api.url(), target.api.url(), "orders");
    command.env("SOURCE_SERVICE_ROLE_KEY", source.api.secret_key());
    command.env("TARGET_SERVICE_ROLE_KEY", target.api.secret_key());
    command
}

fn run(source: &Project<'_>, target: &Project<'_>) -> Ran {
    product::ran(command(source, target).arg("run"))
}

/// A database behind an API.
struct Project<'a> {
    server: &'a Server,
    name: &'static str,
    api: Standin,
}

impl<'a> Project<'a> {
    fn make(
        runtime: &Runtime,
        server: &'a Server,
        name: &'static str,
        side: Side,
        rows: u32,
    ) -> Self {
        let fill =
            "insert into orders select * from new_orders(1, ROWS, '2024-01-01 00:00+00', 31)";
        let sql = [
            include_str!("../orders.sql"),
            &App::project_sql(side, "public"),
            GRANTS,
            floor::UPSERT,
            &fill.replace("ROWS", &rows.to_string()),
            "vacuum (freeze, analyze) orders",
        ];
        Self::with(runtime, server, name, &sql)
    }

    /// A database behind an API, in which some SQL was run.
    fn with(runtime: &Runtime, server: &'a Server, name: &'static str, sql: &[&str]) -> Self {
        server.create(name);
        let database = Database { url: server.url(name) };
        // The stand-in makes the roles that the SQL may name.
        let api = runtime.block_on(Standin::over(&database));
        for text in sql {
            server.run(name, text);
        }
        Self { server, name, api }
    }

    /// Counts the calls of the project.
    fn calls(&self) -> usize {
        self.api.calls().len()
    }
}
