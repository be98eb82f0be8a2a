//! The calls of each step on the way of a hosted project, over the APIs of both sides: the schema
//! and the steps are those of `cutover::hosted_journey` in the tests.

use tokio::runtime::Builder;

use super::super::product;
use super::super::report::Report;
use super::super::world::World;
use super::{GRANTS, Project, told_calls};
use syncline::engine::model::range::Side;
use syncline::wiring::App;

const SCHEMA: &str = include_str!("../../../tests/data/journey/schema.sql");
const ROWS: &str = include_str!("../../../tests/data/journey/rows.sql");
const CHANGES: &str = include_str!("../../../tests/data/journey/changes.sql");

/// A rule that the source does not have. One row breaks it.
const RULE: &str = "alter table profiles add constraint short check (length(name) < 20)";

/// A command with the exit code that it must have, and the most calls that it may make.
struct Step {
    title: &'static str,
    command: &'static [&'static str],
    code: i32,
    most: usize,
}

const LOAD: Step = run("first load", 4, 30);
const QUIET: Step = run("nothing changed, a row is rejected", 4, 10);
const CHANGED: Step = run("changes", 4, 36);
const MENDED: Step = run("the rejected row is mended", 0, 8);
const VERIFY: Step = Step { title: "verify", command: &["verify", "--all"], code: 0, most: 12 };
const CUTOVER: Step = Step { title: "cutover", command: &["cutover", "--yes"], code: 0, most: 66 };

const fn run(title: &'static str, code: i32, most: usize) -> Step {
    Step { title, command: &["run"], code, most }
}

/// Goes the way, and counts the calls of each step.
pub fn measure(world: &World, report: &mut Report) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let project = |server, name, side, more: &[&str]| {
        let made = App::project_sql(side, "public");
        let sql = [&[SCHEMA, made.as_str(), GRANTS], more].concat();
        Project::with(&runtime, server, name, &sql)
    };
    let source = project(&world.source, "journey_source", Side::Source, &[ROWS]);
    let target = project(
        &world.target,
        "journey_target",
        Side::Target,
        &[App::suppress_triggers_sql(), RULE],
    );
    let mut step = |step: &Step| {
        let Step { title, command, code, most } = *step;
        let before = source.calls() + target.calls();
        let urls = (source.api.url(), target.api.url());
        let mut syncline = product::command(urls.0, urls.1, "profiles,folders,tracks");
        syncline
            .env("SOURCE_SERVICE_ROLE_KEY", source.api.secret_key())
            .env("TARGET_SERVICE_ROLE_KEY", target.api.secret_key())
            .env("SYNC_OVERLAP_SECONDS", "0")
            .args(command);
        let output = syncline.output().expect("syncline runs");
        assert_eq!(output.status.code(), Some(code), "{title}");
        let calls = source.calls() + target.calls() - before;
        told_calls(report, &format!("A hosted project's way over two APIs, {title}"), calls, most);
    };
    step(&LOAD);
    step(&QUIET);
    source.server.run(source.name, CHANGES);
    step(&CHANGED);
    target.server.run(target.name, "alter table profiles drop constraint short");
    step(&MENDED);
    step(&VERIFY);
    step(&CUTOVER);
}
