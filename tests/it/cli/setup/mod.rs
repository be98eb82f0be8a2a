//! `syncline setup`: what each check finds, what is made, and that a second time makes nothing.

mod faults;

use serde_json::{Value, json};
use syncline::demo::qstash::LocalQStash;

use crate::world::deployment::{
    CommandOutput, Deployment, ID, account, console, make_foreign_schedule, only,
};
use crate::world::door::Door;
use crate::world::pair::Pair;
use crate::world::tables::{BARE_ITEMS, fill_bare};

/// Ten rows to sync, an account, and a function that it reaches.
async fn deployed() -> (Pair, LocalQStash, Deployment, Door) {
    let pair = Pair::with(BARE_ITEMS).await;
    pair.sql_source(&fill_bare(10)).await;
    let qstash = account().await;
    let (deployment, door) = Deployment::of(&pair, &qstash).reachable().await;
    (pair, qstash, deployment, door)
}

/// The lines of a check, without its name.
fn found<'a>(printed: &'a CommandOutput, name: &str) -> Vec<(&'a str, &'a str)> {
    let of_name = |line: &'a str| {
        let (mark, rest) = line.split_at_checked(4)?;
        let found = rest.strip_prefix(' ')?.strip_prefix(name)?.strip_prefix("  ")?;
        Some((mark.trim_end(), found.trim()))
    };
    printed.stdout.lines().filter_map(of_name).collect()
}

/// The mark and the finding of a check that was made once.
fn only_one<'a>(printed: &'a CommandOutput, name: &str) -> (&'a str, &'a str) {
    let found = found(printed, name);
    assert_eq!(found.len(), 1, "{name}: {printed:?}");
    found[0]
}

/// Asserts that a check came out with this mark, and that its finding begins so.
#[track_caller]
fn assert_found(printed: &CommandOutput, name: &str, mark: &str, begins: &str) {
    let (was, found) = only_one(printed, name);
    assert!(was == mark && found.starts_with(begins), "{name}: {was} {found}\n{}", printed.stdout);
}

fn remedies(printed: &CommandOutput) -> usize {
    let until_the_end = printed.stdout.split("\n\n").next().unwrap_or_default();
    until_the_end.lines().filter(|line| line.starts_with("      ")).count()
}

#[tokio::test]
async fn it_makes_what_is_missing_and_ends_with_a_run_and_the_commands() {
    let (pair, qstash, deployment, _door) = deployed().await;

    let done = deployment.terminal(&["setup"]).await;

    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert_found(&done, "settings", "ok", "pipelines slave-to-prod; APP_URL http://127.0.0.1:");
    assert_found(&done, "source", "ok", "reached: Postgres ");
    assert_found(&done, "target", "ok", "reached: Postgres ");
    assert_found(&done, "plan", "ok", "1 table to sync: 1 to load, 0 to read, 0 unchanged");
    assert_found(&done, "state tables", "ok", "made, version 7");
    assert_found(&done, "QStash", "ok", "reached, and it accepts the token");
    assert_found(&done, "signing keys", "ok", "current and next are QStash's own");
    assert_found(&done, "function", "ok", "it answers at http://127.0.0.1:");
    assert_found(&done, "version", "ok", "the function's is ours, ");
    assert_found(&done, "schedule", "ok", &format!("{ID} is created; it runs next at "));
    assert_found(&done, "run", "ok", "caught up: 10 rows inserted, 0 updated, 0 unchanged");
    assert_eq!(remedies(&done), 0, "{done:?}");
    assert!(done.stdout.contains("\nEverything is set up.\n"), "{done:?}");
    for command in [
        "schedule list",
        "schedule pause ID",
        "schedule resume ID",
        "schedule trigger",
        "run",
        "plan",
    ] {
        assert!(done.stdout.contains(&format!("\n  syncline {command}\n")), "{command}: {done:?}");
    }
    let home = &deployment.0["APP_URL"];
    let curl = format!("$SYNC_ADMIN_TOKEN\" {home}/api/background/sync/slave-to-prod\n");
    assert!(done.stdout.contains(&curl), "{done:?}");
    assert_eq!(only(&qstash).destination, format!("{home}/api/background/sync/slave-to-prod"));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_second_time_everything_is_in_order_and_nothing_is_written() {
    let (pair, qstash, deployment, _door) = deployed().await;
    deployment.terminal(&["setup"]).await;
    let schedule = format!("{:?}", only(&qstash));
    let rows = "select string_agg(ctid::text || xmin::text, ' ') from items";
    let state = "select string_agg(key || value::text, ' ' order by key) from sync_state \
        where key not like 'lease:%'";
    let before = (pair.text_target(rows).await, pair.text_target(state).await);

    let again = deployment.terminal(&["setup"]).await;

    assert_eq!(again.code, 0, "{again:?}");
    assert_found(&again, "plan", "ok", "1 table to sync: 0 to load, 0 to read, 1 unchanged");
    assert_found(&again, "state tables", "ok", "in order, version 7");
    assert_found(&again, "schedule", "ok", &format!("{ID} is in order; it runs next at "));
    assert_found(&again, "run", "ok", "caught up: nothing had changed");
    assert_eq!(format!("{:?}", only(&qstash)), schedule);
    assert_eq!((pair.text_target(rows).await, pair.text_target(state).await), before);
    assert_eq!(pair.text_target("select count(*)::text from sync_metadata").await, "2");
    assert_eq!(qstash.pending(), 0);
}

#[tokio::test]
async fn state_tables_of_an_older_version_are_upgraded() {
    let (pair, _qstash, deployment, _door) = deployed().await;
    pair.sql_target(include_str!("../../../../infra/sql/0001_state.sql")).await;
    pair.sql_target("insert into sync_state values ('version', '{\"version\": 1}')").await;
    let done = deployment.terminal(&["setup"]).await;
    assert_found(&done, "state tables", "ok", "upgraded from version 1 to 7");
    assert_eq!(done.code, 0, "{done:?}");
}

#[tokio::test]
async fn json_is_one_object_with_the_same_checks() {
    let (_pair, _qstash, deployment, _door) = deployed().await;

    let done = deployment.terminal(&["setup", "--json"]).await;

    let told = done.json();
    assert_eq!((done.code, &told["success"]), (0, &json!(true)), "{told}");
    let names: Vec<&str> = told["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let order = [
        "settings",
        "source",
        "target",
        "plan",
        "state tables",
        "QStash",
        "signing keys",
        "function",
        "version",
        "schedule",
        "run",
    ];
    assert_eq!(names, order);
    assert_eq!(told["checks"][1]["pipeline"], "slave-to-prod");
    assert!(told["checks"].as_array().unwrap().iter().all(|check| check["mark"] == "ok"), "{told}");
    assert_eq!(told["commands"][0]["command"], "syncline schedule list");
    let failed = deployment.set("QSTASH_TOKEN", "").terminal(&["setup", "--json"]).await;
    let told = failed.json();
    assert_eq!((failed.code, &told["success"]), (1, &json!(false)), "{told}");
    let qstash = told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "QStash");
    assert!(qstash.unwrap()["remedy"].as_str().unwrap().starts_with("set QSTASH_TOKEN"), "{told}");
}

#[tokio::test]
async fn what_the_plan_says_is_told_line_by_line_and_the_rest_is_synced() {
    let (pair, _qstash, deployment, _door) = deployed().await;
    pair.sql_source("create table unknown (id int primary key)").await;
    pair.sql_source("create table wider (id int primary key, more text)").await;
    pair.sql_target("create table wider (id int primary key)").await;

    let done = deployment.terminal(&["setup"]).await;

    assert_eq!(done.code, 1, "{done:?}");
    let plan = found(&done, "plan");
    let times = |table: &str| plan.iter().filter(|(_, found)| found.starts_with(table)).count();
    assert!(plan[0].1.starts_with("2 tables to sync: 2 to load"), "{plan:?}");
    assert!(times("public.unknown: ") >= 1 && times("public.wider: ") >= 1, "{plan:?}");
    assert!(
        plan.iter().any(|(mark, found)| *mark == "FAIL" && found.starts_with("public.unknown"))
    );
    assert!(plan.iter().any(|(mark, found)| *mark == "warn" && found.starts_with("public.wider")));
    assert_found(
        &done,
        "run",
        "FAIL",
        "caught up: 10 rows inserted, 0 updated, 0 unchanged; 1 table left out",
    );
    pair.assert_equal(&["items"]).await;
}

#[tokio::test]
async fn a_schedule_that_needs_somebody_is_told() {
    let (_pair, qstash, deployment, _door) = deployed().await;
    deployment.terminal(&["setup"]).await;
    console(&qstash, "PATCH", &format!("{ID}/pause")).send().await.unwrap();
    let url = format!("{}/api/background/sync/slave-to-prod", deployment.0["APP_URL"]);
    make_foreign_schedule(&qstash, "by-hand", &url).await;

    let paused = deployment.clone().set("SYNC_RETRIES", "0").terminal(&["setup"]).await;

    assert_eq!(paused.code, 0, "{paused:?}");
    let schedules = found(&paused, "schedule");
    let told = format!("{ID} is brought up to date (retries), but paused: nothing is scheduled");
    assert_eq!(schedules[0], ("warn", told.as_str()));
    assert!(schedules[1].1.starts_with("by-hand calls this function too"), "{schedules:?}");
    assert!(paused.stdout.contains(&format!("      syncline schedule resume {ID}\n")));

    console(&qstash, "DELETE", ID).send().await.unwrap();
    make_foreign_schedule(&qstash, ID, "https://other.example.com/").await;
    let taken = deployment.terminal(&["setup"]).await;
    let schedules = found(&taken, "schedule");
    assert_eq!((taken.code, schedules[0].0), (1, "FAIL"), "{taken:?}");
    assert!(taken.stdout.contains("SYNC_DEPLOYMENT"), "{taken:?}");
}

#[tokio::test]
async fn a_schedule_that_was_left_behind_is_told() {
    let (_pair, qstash, deployment, _door) = deployed().await;
    let before = deployment.clone().set("APP_URL", "https://old.example.com");
    assert_eq!(before.terminal(&["schedule", "create"]).await.code, 0);

    let renamed = deployment.clone().set("SYNC_DEPLOYMENT", "second").terminal(&["setup"]).await;

    assert_eq!((renamed.code, qstash.schedules().len()), (0, 2), "{renamed:?}");
    let schedules = found(&renamed, "schedule");
    assert_eq!(schedules.len(), 2, "{renamed:?}");
    let left =
        format!("{ID} calls https://old.example.com/api/background/sync/slave-to-prod, which");
    assert!(schedules[1].0 == "warn" && schedules[1].1.starts_with(&left), "{schedules:?}");
    assert!(renamed.stdout.contains(&format!("syncline schedule delete {ID}\n")), "{renamed:?}");
}

#[tokio::test]
async fn a_run_beside_another_is_left_to_it() {
    let (pair, _qstash, deployment, _door) = deployed().await;
    deployment.terminal(&["setup"]).await;
    let expires = |when: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {when}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&expires("clock_timestamp() + interval '40 s'")).await;
    let busy = deployment.terminal(&["setup"]).await;
    pair.sql_target(&expires("clock_timestamp()")).await;
    assert_found(&busy, "run", "warn", "another run is at work");
    assert_eq!(busy.code, 0, "{busy:?}");
}

#[tokio::test]
async fn several_pipelines_are_checked_one_by_one() {
    let (pair, qstash, deployment, _door) = deployed().await;
    let other = Pair::with(BARE_ITEMS).await;
    let text = r#"
        [[pipeline]]
        name = "items"
        source = "env:ITEMS_SOURCE"
        target = "env:ITEMS_TARGET"
        [[pipeline]]
        name = "others"
        source = "env:OTHER_SOURCE"
        target = "env:OTHER_TARGET"
        cron = "30 9 * * *"
        time_zone = "Europe/Berlin"
    "#;
    let file = format!("{}-{}.toml", pair.source.name, std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, text).unwrap();
    let deployment = deployment
        .set("SYNC_CONFIG", path.to_string_lossy())
        .set("SOURCE_DATABASE_URL", "")
        .set("TARGET_DATABASE_URL", "")
        .set("ITEMS_SOURCE", &pair.source.url)
        .set("ITEMS_TARGET", &pair.target.url)
        .set("OTHER_SOURCE", &other.source.url)
        .set("OTHER_TARGET", &other.target.url);

    let done = deployment.terminal(&["setup", "--json"]).await;
    let lines = deployment.terminal(&["setup"]).await;
    std::fs::remove_file(&path).unwrap();

    assert_eq!((done.code, lines.code), (0, 0), "{done:?} {lines:?}");
    let told = done.json();
    let checks = told["checks"].as_array().unwrap();
    for name in ["source", "target", "plan", "state tables", "schedule", "run"] {
        let named = checks.iter().filter(|check| check["name"] == name);
        let pipelines: Vec<&Value> = named.map(|check| &check["pipeline"]).collect();
        assert_eq!(pipelines, [&json!("items"), &json!("others")], "{name}");
    }
    let crons: Vec<String> =
        qstash.schedules().iter().map(|schedule| schedule.ticks.text().to_owned()).collect();
    assert_eq!(crons, ["0 */6 * * *", "CRON_TZ=Europe/Berlin 30 9 * * *"]);
    assert!(lines.stdout.contains("\n  syncline run --pipeline others\n"), "{lines:?}");
    assert_eq!(found(&lines, "run").len(), 2, "{lines:?}");
    pair.assert_equal(&["items"]).await;
}
