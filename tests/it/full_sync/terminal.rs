//! `syncline full-sync` between two deployments that are processes of their own, over real HTTP.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::deployments::Deployments;
use super::double::KEY;
use crate::world::dice::{Dice, seed};
use crate::world::folder::Folder;
use crate::world::killable::Killable;
use crate::world::qstash::receiver::Receiver;

pub const DOCS: &str = "create table docs (id int primary key, body text)";

const FILLED: &str = "\
    insert into docs select m, string_agg(md5((m * 7919 + n)::text), '') \
    from generate_series(1, 300) as m, generate_series(1, 3000) as n group by m";

/// The terminal of one deployment, and the function of the other one.
pub struct Two {
    pub both: Deployments,
    peer: Killable,
    /// Added to SYNC_PEERS.
    more_peers: String,
}

pub fn settings(database: &str) -> BTreeMap<String, String> {
    let all = [
        ("TARGET_DATABASE_URL", database),
        ("SYNC_REGISTRATION_KEY", KEY),
        ("SYNC_ADMIN_TOKEN", "sixteen-letters!"),
        ("SYNC_PEER_MAY", "both"),
    ];
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Two {
    pub async fn with(schema: &str, more: &[(&str, &str)]) -> Self {
        let both = Deployments::with(schema).await;
        let peer = Killable::start(&settings(&both.there.database.url), more);
        Self { both, peer, more_peers: String::new() }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.arg("full-sync").args(arguments).env_clear();
        command.envs(settings(&self.both.here.place));
        command.env("SYNC_PEERS", format!("there={}{}", self.peer.url, self.more_peers));
        command.env("APP_URL", "http://127.0.0.1:1");
        command.stdin(Stdio::null());
        command
    }

    /// Runs a command to its end: exit code, stdout, stderr.
    pub async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::from(self.command(arguments));
        let output = command.output().await.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        (code, text(&output.stdout), text(&output.stderr))
    }
}

#[tokio::test]
async fn a_person_sees_the_peer_plans_pulls_and_pushes() {
    let two = Two::with(DOCS, &[]).await;
    let (code, help, _) = two.run(&["--help"]).await;
    assert!(code == 0 && help.contains("syncline run is the way"), "{help}");
    two.both.there.sql(FILLED).await;
    let (code, peers, _) = two.run(&["peers"]).await;
    assert!(code == 0 && peers.contains("there") && peers.contains("online"), "{peers}");
    let (code, plan, _) = two.run(&["plan", "pull", "there"]).await;
    assert!(code == 0 && plan.contains("public.docs"), "{plan}");
    assert!(plan.contains("How long that takes is unknown"), "{plan}");
    let (code, out, errors) = two.run(&["pull", "there", "--verify"]).await;
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains("300 rows are saved."), "{out}");
    assert!(out.contains("300 rows were compared after the write and are equal."), "{out}");
    two.both.assert_equal(&["docs"]).await;
    two.both.there.sql("analyze docs").await;
    let (code, plan, _) = two.run(&["plan", "pull", "there"]).await;
    assert!(code == 0 && plan.contains("as the last time"), "{plan}");
    two.both.here.sql("update docs set body = 'new' where id = 7").await;
    let (code, out, errors) = two.run(&["push", "there", "--json"]).await;
    assert_eq!(code, 0, "{errors}");
    let outcome: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!(outcome["restored"]["tables"]["public.docs"]["updated"], 1, "{outcome}");
    two.both.assert_equal(&["docs"]).await;
    let (_, list, _) = two.run(&["list"]).await;
    assert_eq!(list.lines().count(), 3, "{list}");
}

#[tokio::test]
async fn peers_are_shown_with_the_time_since_which_they_answer_or_do_not() {
    let mut two = Two::with(DOCS, &[]).await;
    two.more_peers = ",elsewhere=http://127.0.0.1:1".to_owned();
    let line = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
    };
    let (code, peers, errors) = two.run(&["peers"]).await;
    assert_eq!(code, 0, "{errors}");
    assert!(line(&peers, "(here)").contains("local"), "{peers}");
    assert!(line(&peers, "there").contains("online since "), "{peers}");
    let offline = line(&peers, "elsewhere");
    assert!(offline.contains("offline since ") && !offline.contains("last seen"), "{peers}");
    let (_, first, _) = two.run(&["peers", "--json"]).await;
    let first: Value = serde_json::from_str(&first).expect("a list");
    assert_eq!((&first[0]["local"], &first[1]["state"]), (&true.into(), &"online".into()));
    two.peer.stop();
    let (_, second, _) = two.run(&["peers", "--json"]).await;
    let second: Value = serde_json::from_str(&second).expect("a list");
    assert_eq!(second[1]["state"], "offline", "{second}");
    assert_eq!(second[1]["last_seen"], first[1]["last_seen"], "{second}");
    assert!(second[1]["since"].as_str() > first[1]["since"].as_str(), "{second}");
    assert_eq!(second[2]["since"], first[2]["since"], "it was offline all the time");
    let (_, peers, _) = two.run(&["peers"]).await;
    assert!(line(&peers, "there").contains("UTC, last seen "), "{peers}");
}

#[tokio::test]
async fn what_the_peer_does_not_allow_is_told_with_the_setting() {
    let two = Two::with(DOCS, &[("SYNC_PEER_MAY", "pull")]).await;
    two.both.here.sql(FILLED).await;
    let (code, _, errors) = two.run(&["push", "there"]).await;
    assert!(code == 1 && errors.contains("SYNC_PEER_MAY"), "{errors}");
    assert!(two.both.there.rows("docs").await.starts_with("0 "));
}

#[tokio::test]
async fn refused_rows_are_listed_with_their_reasons() {
    let two = Two::with(DOCS, &[]).await;
    two.both.here.sql(FILLED).await;
    two.both.there.sql("alter table docs add check (id <> 99)").await;
    let (code, _, errors) = two.run(&["push", "there"]).await;
    assert_eq!(code, 1, "{errors}");
    assert!(errors.contains("1 row of public.docs"), "{errors}");
    assert!(errors.contains("syncline full-sync resume"), "{errors}");
    assert!(errors.contains("public.docs 99: 23514"), "{errors}");
    assert!(two.both.there.rows("docs").await.starts_with("0 "));
}

#[tokio::test]
async fn either_process_may_be_killed_and_the_session_is_resumed() {
    let mut dice = Dice::new(seed());
    let two = Two::with(DOCS, &[]).await;
    two.both.there.sql(FILLED).await;
    let mut session: Option<String> = None;
    for round in 0..6_u32 {
        let arguments = match &session {
            None => vec!["pull", "there", "--no-compress"],
            Some(id) => vec!["resume", id.as_str()],
        };
        let mut child = tokio::process::Command::from(two.command(&arguments))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        tokio::time::sleep(Duration::from_millis(20 + dice.roll(100 << round))).await;
        match round % 2 {
            0 => child.kill().await.expect("it is killed"),
            _ => two.peer.restart(&[]),
        }
        let _ = child.wait().await;
        // The end of a lease is waited for in no test.
        let (_, list, _) = two.run(&["list", "--json"]).await;
        let sessions: Value = serde_json::from_str(&list).expect("a list");
        session = sessions[0]["session"].as_str().map(str::to_owned);
        for side in [&two.both.here, &two.both.there] {
            let _not_there_yet = side.own.clear_stuck().await;
        }
    }
    let id = session.expect("one of six rounds has begun a session");
    let (code, out, errors) = two.run(&["resume", &id]).await;
    let is_over = errors.contains("session_over") || errors.contains("is over: completed");
    assert!(code == 0 || is_over, "{out}{errors}");
    two.both.assert_equal(&["docs"]).await;
}

#[tokio::test]
async fn a_push_record_by_record_may_be_killed_and_counts_each_row_once() {
    let mut dice = Dice::new(seed());
    let two = Two::with("create table notes (id int primary key, body text)", &[]).await;
    let rows = "insert into notes select n, md5(n::text) from generate_series(1, 20000) as n";
    two.both.here.sql(rows).await;
    let mut arguments = vec!["push".to_owned(), "there".to_owned(), "--method=records".to_owned()];
    for _ in 0..4 {
        let plain: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = tokio::process::Command::from(two.command(&plain))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        tokio::time::sleep(Duration::from_millis(50 + dice.roll(400))).await;
        child.kill().await.expect("it is killed");
        let _none_if_it_came_too_early = two.both.here.own.clear_stuck().await;
        let (_, list, _) = two.run(&["list", "--json"]).await;
        let sessions: Value = serde_json::from_str(&list).expect("a list");
        if let Some(id) = sessions[0]["session"].as_str() {
            arguments = vec!["resume".to_owned(), id.to_owned()];
        }
    }
    arguments.push("--json".to_owned());
    let plain: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (_, _, errors) = two.run(&plain).await;
    let (code, out, _) = two.run(&["status", "--json"]).await;
    assert_eq!(code, 0, "{out}{errors}");
    let outcome: Value = serde_json::from_str(&out).expect("one JSON object");
    assert_eq!((&outcome["method"], &outcome["state"]), (&"records".into(), &"completed".into()));
    assert_eq!(outcome["restored"]["tables"]["public.notes"]["inserted"], 20_000, "{outcome}");
    two.both.assert_equal(&["notes"]).await;
}

#[tokio::test]
async fn a_push_record_by_record_says_what_it_gives_up_and_names_what_is_rejected() {
    let two = Two::with(DOCS, &[]).await;
    two.both.here.sql("insert into docs select n, 'x' from generate_series(1, 700) as n").await;
    two.both.there.sql("alter table docs add check (id <> 99)").await;
    let (code, out, errors) = two.run(&["push", "there", "--method", "records"]).await;
    assert_eq!(code, 1, "{out}{errors}");
    assert!(errors.starts_with("Record by record: each batch"), "{errors}");
    assert!(errors.contains("1 row of public.docs; the other 699 are saved"), "{errors}");
    assert!(errors.contains("public.docs 99: 23514"), "{errors}");
    assert!(two.both.there.rows("docs").await.starts_with("699 "));
}

#[tokio::test]
async fn people_are_notified_once_of_a_failure_and_of_the_completion_by_the_driver() {
    let people = Receiver::open().await;
    let there = Receiver::open().await;
    let two = Two::with(DOCS, &[("SYNC_NOTIFY_URL", &there.url)]).await;
    two.both.here.sql("insert into docs select n, 'secret' from generate_series(1, 9) as n").await;
    two.both.there.sql("alter table docs add constraint odd check (id <> 7)").await;
    let run = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::from(two.command(arguments));
        let output = command.env("SYNC_NOTIFY_URL", &people.url).output().await.expect("it runs");
        output.status.code()
    };
    assert_eq!(run(&["push", "there"]).await, Some(1));
    let session = two.both.here.text("select session_id from full_sync_sessions").await;
    assert_eq!(run(&["resume", &session]).await, Some(1));
    two.both.there.sql("alter table docs drop constraint odd").await;
    assert_eq!(run(&["resume", &session]).await, Some(0));
    run(&["resume", &session]).await;
    let notices = people.arrived();
    let notices: Vec<Value> = (notices.iter())
        .map(|request| serde_json::from_slice(&request.body).expect("JSON"))
        .collect();
    let states: Vec<&Value> = notices.iter().map(|notice| &notice["state"]).collect();
    assert_eq!(states, ["failed", "completed"], "{notices:?}");
    for (notice, text) in
        notices.iter().zip(["1 row of public.docs", "Rows: 9 inserted, 0 updated"])
    {
        assert_eq!(notice["run_id"].as_str(), Some(&*session));
        let told = notice["text"].as_str().expect("a text");
        assert!(told.contains(text) && !told.contains("secret"), "{told}");
    }
    assert!(there.arrived().is_empty(), "the side that answers notifies nobody");
}

const SHOP: &str = "\
    create table businesses (id int primary key, name text);
    create table orders (id int primary key, name text, created_at timestamptz)";

const SHOP_ROWS: &str = "\
    insert into businesses select n, 'b' || n from generate_series(1, 30) as n; \
    insert into orders select n, 'o' || n, now() from generate_series(1, 30) as n";

/// Leaves a session whose copy is here and whose rows are rejected, as often as the page names one.
async fn interrupted(two: &Two) -> String {
    two.both.here.sql("alter table businesses add constraint none check (id < 0) not valid").await;
    two.both.there.sql("update businesses set name = name || '!'").await;
    let (code, _, errors) = two.run(&["pull", "there"]).await;
    assert!(code == 1 && errors.contains("syncline full-sync resume"), "{errors}");
    two.both.here.sql("alter table businesses drop constraint none").await;
    let (_, list, _) = two.run(&["list", "--json"]).await;
    let sessions: Value = serde_json::from_str(&list).expect("a list");
    sessions[0]["session"].as_str().expect("an id")[..8].to_owned()
}

#[tokio::test]
async fn a_copy_that_is_applied_at_a_terminal_is_told_to_people_and_to_the_peer() {
    let people = Receiver::open().await;
    let two = Two::with(SHOP, &[]).await;
    two.both.there.sql(SHOP_ROWS).await;
    let session = interrupted(&two).await;
    let mut command = tokio::process::Command::from(two.command(&["apply", &session]));
    let output = command.env("SYNC_NOTIFY_URL", &people.url).output().await.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let notices = people.arrived();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let notice: Value = serde_json::from_slice(&notices[0].body).expect("JSON");
    assert_eq!(notice["state"], "completed", "{notice}");
    for side in [&two.both.here, &two.both.there] {
        assert_eq!(side.text("select count(*)::text from full_sync_parts").await, "0");
        assert_eq!(side.text("select status from full_sync_sessions").await, "completed");
    }
}

#[tokio::test]
async fn tables_without_a_key_are_named_in_the_plan_and_in_the_report() {
    let two = Two::with(&format!("{SHOP}; create table loose (n int)"), &[]).await;
    for (side, direction) in [(&two.both.there, "pull"), (&two.both.here, "push")] {
        side.sql(&format!("truncate businesses, orders; {SHOP_ROWS}")).await;
        let (code, _, notes) = two.run(&["plan", direction, "there"]).await;
        assert!(code == 0 && notes.contains("public.loose"), "{notes}");
        let (code, report, errors) = two.run(&[direction, "there"]).await;
        assert!(code == 0 && report.contains("no key: public.loose"), "{report}{errors}");
    }
    let (_, report, _) = two.run(&["push", "there", "--method", "records"]).await;
    assert!(report.contains("no key: public.loose"), "{report}");
    let (_, report, _) = two.run(&["pull", "there", "--table", "orders"]).await;
    assert!(!report.contains("no key"), "nobody has asked for it: {report}");
}

/// The page's own address and key stand for those of the test.
#[tokio::test]
async fn a_copy_is_downloaded_by_hand_as_the_page_says() {
    let two = Two::with(SHOP, &[]).await;
    two.both.there.sql(SHOP_ROWS).await;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/full-sync.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let script = page.split("```sh\n").find(|block| block.starts_with("host=")).expect("a script");
    let (script, _) = script.split_once("```").expect("the block ends");
    let host = two.peer.url.trim_start_matches("http://");
    let folder = Folder::new();
    let script = script.replace("https://", "http://").replace("sync.example.com", host);
    let script = script.replace("0123456789abcdef0123456789abcdef", KEY);
    let mut shell = tokio::process::Command::new("sh");
    let output = shell.args(["-ec", &script]).current_dir(&folder.path).output().await;
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let rows = std::fs::read_to_string(folder.path.join("orders.copy")).expect("it is there");
    let expected: String = (1..=30).map(|n| format!("{n}\to{n}\n")).collect();
    assert_eq!(rows, expected, "{output:?}");
    let left = two.both.there.text("select count(*)::text from full_sync_parts").await;
    assert_eq!(left, "0");
}

/// The page's own session and peer stand for those of the test.
#[tokio::test]
async fn every_command_of_the_page_does_what_it_says() {
    let mut two = Two::with(SHOP, &[]).await;
    two.both.there.sql(SHOP_ROWS).await;
    two.more_peers = format!(",head-office={}", two.peer.url);
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/full-sync.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let commands = page.lines().filter_map(|line| line.strip_prefix("syncline full-sync "));
    let mut count = 0;
    for command in commands {
        let mut line = command.to_owned();
        if line.contains("3f1b") {
            line = line.replace("3f1b", &interrupted(&two).await);
        }
        let script = format!("\"$0\" full-sync {line}");
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_syncline")]);
        let variables = two.command(&[]);
        let set = variables.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let output = shell.env_clear().envs(set).stdin(Stdio::null()).output().await;
        let output = output.expect("it runs");
        assert!(output.status.success(), "{line}: {output:?}");
        count += 1;
    }
    assert!(count >= 13, "{count} commands");
    let (_, list, _) = two.run(&["list", "--json"]).await;
    let sessions: Value = serde_json::from_str(&list).expect("a list");
    let states = |state: &str| {
        let sessions = sessions.as_array().expect("a list").iter();
        sessions.filter(|session| session["state"] == state).count()
    };
    assert_eq!(
        (states("cancelled"), states("interrupted"), states("running")),
        (1, 0, 0),
        "{list}"
    );
    two.both.assert_equal(&["businesses", "orders"]).await;
}
