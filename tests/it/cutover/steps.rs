//! The end of a migration: `syncline cutover`, step by step, refused, killed and gone on with.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use syncline::demo::qstash::LocalQStash;

use crate::world::deployment::{CommandOutput, Deployment, ID, account, only};
use crate::world::pair::Pair;

const ITEMS: &str = "create table items (id serial primary key, name text, \
    updated_at timestamptz not null default now()); create index on items (updated_at, id)";

const TEN: &str = "insert into items (name) select 'x' || i from generate_series(1, 10) i";

/// Each row's place and transaction, which change if the table is written.
const VERSIONS: &str =
    "select coalesce(string_agg(ctid::text || xmin::text, ' ' order by ctid), '') from items";

pub(super) async fn pair() -> Pair {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source(TEN).await;
    pair
}

/// Ten rows, and a schedule that moves them.
pub(super) async fn scheduled() -> (Pair, LocalQStash, Deployment) {
    let pair = pair().await;
    let qstash = account().await;
    let deployment = Deployment::of(&pair, &qstash);
    assert_eq!(deployment.terminal(&["schedule", "create"]).await.code, 0);
    (pair, qstash, deployment)
}

/// The command over a pair that nothing calls, with `--yes` and as one JSON object.
pub(super) async fn cutover(pair: &Pair, more: &[&str]) -> (i32, Value) {
    let deployment = Deployment(pair.settings().clone());
    let printed = deployment.terminal(&[&["cutover", "--yes", "--json"], more].concat()).await;
    (printed.code, printed.json())
}

/// Waits for what another process brings about, and fails where that has ended without it.
pub(super) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the last line of a step.
pub(super) fn found<'a>(told: &'a Value, step: &str) -> &'a str {
    let lines = told["steps"].as_array().expect("steps");
    let line = lines.iter().rev().find(|line| line["step"] == step);
    line.and_then(|line| line["found"].as_str()).unwrap_or_else(|| panic!("{step} in {told}"))
}

/// The text without what differs from one test to another.
fn plain(pair: &Pair, printed: &CommandOutput) -> String {
    let server = |url: &str| url.rsplit_once('@').expect("a URL with a user").1.to_owned();
    let [source, target] = [&pair.source, &pair.target].map(|database| server(&database.url));
    printed.stdout.replace(&source, "SOURCE").replace(&target, "TARGET")
}

#[tokio::test]
async fn the_whole_way_ends_with_a_target_that_takes_rows_of_its_own() {
    let (pair, qstash, deployment) = scheduled().await;
    let before = pair.text_source(VERSIONS).await;

    let done = deployment.terminal(&["cutover", "--yes"]).await;

    let expected = "\
ok   checks     1 table, no other run at work; deletes are off: rows that the source deleted stay on the target
ok   schedules  paused syncline-slave-to-prod
ok   writers    nobody writes: no row changed in 3 s
ok   drain      10 rows moved, then 0
ok   verify     all 10 rows are the same on both sides
ok   sequences  sequence public.items_id_seq: unused -> 10
ok   switch     the target is ready

Give the application its new database, and start it:
  DATABASE_URL = the value of TARGET_DATABASE_URL (TARGET)
To go back before anything was written to the target, start it as it was, and:
  syncline cutover --abort
To go back later, stop it, and cut over the other way, so that no row is lost:
  SOURCE_DATABASE_URL = the value of TARGET_DATABASE_URL (TARGET)
  TARGET_DATABASE_URL = the value of SOURCE_DATABASE_URL (SOURCE)
  syncline cutover
Once nobody wants to go back, take away what is paused:
  syncline schedule delete syncline-slave-to-prod
";
    assert_eq!((done.code, plain(&pair, &done).as_str()), (0, expected), "{}", done.stderr);
    assert!(only(&qstash).is_paused);
    assert_eq!(pair.text_source(VERSIONS).await, before, "the source was written");
    pair.sql_target("insert into items (name) values ('of the application')").await;
    assert_eq!(pair.text_target("select max(id)::text from items").await, "11");
    pair.assert_closed().await;
}

#[tokio::test]
async fn an_open_transaction_that_writes_is_named_and_stops_it() {
    let (pair, qstash, deployment) = scheduled().await;
    let mut writer = pair.writer().await;
    let open = writer.transaction().await.unwrap();
    open.batch_execute("set application_name = 'shop'; insert into items (name) values ('y')")
        .await
        .unwrap();

    let refused = deployment.terminal(&["cutover", "--yes", "--json"]).await;

    let told = refused.json();
    assert_eq!((refused.code, told["error"]["code"].as_str()), (1, Some("writers_active")));
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("is being written by syncline (shop)"), "{told}");
    let hint = told["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("default_transaction_read_only") && hint.contains("--despite-writers"));
    assert_eq!(found(&told, "schedules"), format!("resumed {ID}"), "it stands still for nobody");
    assert!(!only(&qstash).is_paused);
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");

    open.commit().await.unwrap();
    let done = deployment.terminal(&["cutover", "--yes", "--json"]).await;
    assert_eq!((done.code, found(&done.json(), "drain")), (0, "11 rows moved, then 0"));
    assert!(only(&qstash).is_paused);
}

#[tokio::test]
async fn somebody_who_only_reads_is_in_nobodys_way() {
    let pair = pair().await;
    let mut reader = pair.writer().await;
    reader.batch_execute("create temporary table seen (id int)").await.unwrap();
    let open = reader.transaction().await.unwrap();
    open.batch_execute("insert into seen select id from items").await.unwrap();
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!(code, 0, "{told}");
}

#[tokio::test]
async fn rows_that_change_between_two_looks_stop_it_even_where_the_cursor_stays() {
    let pair = pair().await;
    let writer = pair.writer().await;
    let writes = tokio::spawn(async move {
        loop {
            let touch = "update items set name = name || '.' where id = 3";
            writer.batch_execute(touch).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });

    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["error"]["code"].as_str()), (1, Some("writers_active")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("public.items"), "{told}");

    let (_, told) = cutover(&pair, &["--despite-writers"]).await;
    assert_eq!(found(&told, "writers"), "Rows of the source change: public.items", "{told}");
    assert!(found(&told, "drain").starts_with("10 rows moved, then "), "{told}");
    writes.abort();
}

#[tokio::test]
async fn differences_stop_it_with_what_mends_them() {
    let pair = pair().await;
    pair.sync().await.success();
    pair.sql_target("update items set name = 'other' where id = 3").await;

    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["error"]["code"].as_str()), (5, Some("differences")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().starts_with("1 row differs"), "{told}");
    assert!(told["error"]["hint"].as_str().unwrap().contains("syncline verify --all --repair"));
    assert!(told["switch"].is_null(), "{told}");

    let deployment = Deployment(pair.settings().clone());
    assert_eq!(deployment.terminal(&["verify", "--all", "--repair"]).await.code, 0);
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!(code, 0, "{told}");
    assert!(found(&told, "drain").starts_with("done at "), "the source is as it was: {told}");
}

#[tokio::test]
async fn rows_that_the_target_refuses_stop_it_unless_they_may_stay_behind() {
    let check = format!("{ITEMS}; alter table items add check (name <> 'x3')");
    let pair = Pair::of(ITEMS, &check).await;
    pair.sql_source(TEN).await;

    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["error"]["code"].as_str()), (4, Some("rejected_rows")), "{told}");
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!((code, told["steps"].as_array().unwrap().len()), (4, 1), "known at once: {told}");

    let (code, told) = cutover(&pair, &["--despite-rejects"]).await;
    assert_eq!((code, found(&told, "switch")), (0, "the target is ready"), "{told}");

    let other = Pair::of(ITEMS, &check).await;
    other.sql_source(TEN).await;
    other.sql_target("insert into items (id, name) values (500, 'of the target alone')").await;
    assert_eq!(cutover(&other, &["--despite-rejects"]).await.0, 5, "one row is not explained");
}

#[tokio::test]
async fn a_dry_run_says_what_each_step_finds_and_writes_nothing() {
    let (pair, qstash, deployment) = scheduled().await;

    let dry = deployment.terminal(&["cutover", "--dry-run"]).await;

    assert_eq!(dry.code, 0, "{dry:?}");
    for line in [
        "ok   schedules  would pause syncline-slave-to-prod\n",
        "ok   drain      would read 1 table\n",
        "ok   verify     10 rows differ now, before the drain\n",
        "ok   sequences  would advance 1 sequence\n",
        "Nothing was done. At the end:\n",
    ] {
        assert!(dry.stdout.contains(line), "{line} in {}", dry.stdout);
    }
    assert!(!only(&qstash).is_paused);
    let state = "select (to_regclass('public.sync_state') is null)::text";
    assert_eq!(pair.text_target(state).await, "true", "no state tables were made");
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
}

#[tokio::test]
async fn another_run_at_work_and_a_plan_with_problems_stop_it_at_once() {
    let pair = pair().await;
    pair.sync().await.success();
    let expires = |when: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {when}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&expires("clock_timestamp() + interval '40 s'")).await;
    let (code, told) = cutover(&pair, &[]).await;
    pair.sql_target(&expires("clock_timestamp()")).await;
    assert_eq!((code, told["error"]["code"].as_str()), (75, Some("busy")), "{told}");

    pair.sql_source("create table bare (x int)").await;
    let listed = pair.set("SYNC_TABLES", "items,bare");
    let (code, told) = cutover(&listed, &[]).await;
    assert_eq!((code, told["error"]["code"].as_str()), (1, Some("plan_problem")), "{told}");
    assert!(told["error"]["message"].as_str().unwrap().contains("public.bare"), "{told}");
}

#[tokio::test]
async fn a_table_without_a_key_that_was_not_named_is_left_behind_with_a_warning() {
    let bare = format!("{ITEMS}; create table bare (x int)");
    let pair = Pair::with(&bare).await;
    pair.sql_source(TEN).await;
    let (code, told) = cutover(&pair, &[]).await;
    assert_eq!(code, 0, "{told}");
    let checks = told["steps"].as_array().unwrap().iter().filter(|line| line["step"] == "checks");
    let warned: Vec<&Value> = checks.filter(|line| line["mark"] == "warn").collect();
    assert_eq!(warned.len(), 1, "{told}");
    let found = warned[0]["found"].as_str().unwrap();
    assert!(found.starts_with("public.bare: it has no key and is passed over"), "{told}");
    assert!(found.ends_with("its rows stay behind"), "{told}");

    let only_there = Pair::of(&bare, ITEMS).await;
    only_there.sql_source(TEN).await;
    let (code, told) = cutover(&only_there, &[]).await;
    assert_eq!((code, found_of(&told)), (0, true), "the target need not have it: {told}");
}

/// Says whether a check has warned of the table without a key.
fn found_of(told: &Value) -> bool {
    let steps = told["steps"].as_array().expect("steps");
    steps.iter().any(|line| line["found"].as_str().is_some_and(|line| line.contains("public.bare")))
}

#[tokio::test]
async fn where_nobody_can_answer_it_does_not_begin() {
    let pair = pair().await;
    let refused = Deployment(pair.settings().clone()).terminal(&["cutover"]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""));
    assert!(refused.stderr.contains("say --yes to all of it"), "{refused:?}");
}

/// Runs the command at a terminal, which `script` makes, and gives these answers.
async fn at_a_terminal(deployment: &Deployment, answers: &'static str) -> Option<(i32, String)> {
    let mut command = Command::new("script");
    command.args(["-qec", &format!("{} cutover", env!("CARGO_BIN_EXE_syncline")), "/dev/null"]);
    command.env_clear().envs(&deployment.0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        println!("NOT TESTED: answers at a terminal, for want of `script`");
        return None;
    };
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(answers.as_bytes()).expect("it listens");
    // What the command calls is served by this test's own thread.
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    drop(input);
    let output = ended.unwrap().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    Some((output.status.code().expect("an exit code"), text))
}

#[tokio::test]
async fn at_a_terminal_each_step_asks_and_a_no_puts_everything_back() {
    let (pair, qstash, deployment) = scheduled().await;

    let Some((code, text)) = at_a_terminal(&deployment, "y\nno\n").await else { return };
    assert!(text.contains(&format!("Pause {ID}? [y/N] ")), "{text}");
    assert!(text.contains("Is the application stopped?"), "{text}");
    assert!(text.contains("FAIL writers    Stopped here: the answer was no\n"), "{text}");
    assert_eq!((code, only(&qstash).is_paused), (1, false), "{text}");
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");

    let (code, text) = at_a_terminal(&deployment, "y\ny\ny\ny\ny\n").await.unwrap();
    assert_eq!((code, only(&qstash).is_paused), (0, true), "{text}");
    assert_eq!(text.matches("[y/N]").count(), 5, "{text}");
}

#[tokio::test]
async fn the_variables_are_named_as_they_are_set() {
    let pair = pair().await;
    let [old, new] = [&pair.source, &pair.target].map(|database| database.url.clone());
    let pair = pair.set("SUPABASE_URL", old).set("NEW_SUPABASE_URL", new);
    let pair = pair.pipeline("source = \"env:SUPABASE_URL\"\ntarget = \"env:NEW_SUPABASE_URL\"");
    let (code, told) = cutover(&pair, &["--dry-run"]).await;
    let variables = told["switch"]["variables"].as_array().expect("variables");
    let pairs =
        variables.iter().map(|variable| format!("{}={}", variable["name"], variable["value_of"]));
    let expected = "\"DATABASE_URL\"=\"NEW_SUPABASE_URL\"";
    assert_eq!((code, pairs.collect::<Vec<_>>().join(" ").as_str()), (0, expected), "{told}");
}

#[tokio::test]
async fn nothing_that_is_printed_holds_a_secret() {
    let pair = pair().await;
    let deployment = Deployment(pair.settings().clone());
    let done = deployment.terminal(&["cutover", "--yes"]).await;
    let again = deployment.terminal(&["cutover", "--yes", "--json"]).await;
    let password = crate::world::cluster().password();
    for printed in [done, again] {
        assert_eq!(printed.code, 0, "{printed:?}");
        let all = printed.stdout + &printed.stderr;
        assert!(!all.contains(password) && !all.contains("postgres://"), "{all}");
    }
}
