//! `syncline startup`: the command that it becomes is as if nothing had been before it, and starts
//! whatever became of the sync.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::Value;
use tower::Service;

use crate::world::pair::{Pair, SYNC_PATH, TOKEN};
use crate::world::process::{signal, wait_until};
use crate::world::servers::not_tested;
use crate::world::tables::BARE_ITEMS;

async fn items() -> Pair {
    let pair = Pair::with(BARE_ITEMS).await;
    pair.sql_source("insert into items select i, now() from generate_series(1, 10) i").await;
    pair
}

/// The command line up to the command.
fn startup(pair: &Pair, arguments: &[&str], more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("startup").args(arguments).env_clear().envs(pair.settings());
    command.env("PATH", "/usr/bin:/bin").envs(more.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ended(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = command.spawn().expect("syncline starts");
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    told(&child.wait_with_output().expect("it ends"))
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A server that takes connections and never says a word.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    (listener, format!("postgres://u:hunter2@127.0.0.1:{port}/d"))
}

async fn triggers(pair: &Pair) -> String {
    pair.text_target("select string_agg(trigger || ' ' || sync_status, ', ') from sync_metadata")
        .await
}

#[tokio::test]
async fn the_command_has_streams_arguments_environment_and_exit_status_of_its_own() {
    let pair = items().await;
    for _ in 0..2 {
        let mut command = startup(&pair, &["--", "sh", "-c"], &[("OWN", "of the environment")]);
        command
            .arg("cat; printf '|%s|%s|%s' \"$#\" \"$1\" \"$OWN\"; exit 7")
            .args(["sh", "a b", ""]);
        let said = "from the pipe|2|a b|of the environment".to_owned();
        assert_eq!(ended(command, "from the pipe"), (Some(7), said, String::new()));
        pair.assert_settled(&["items"]).await;
    }
    assert_eq!(pair.recorded("public.items").await, (10, 0));
    assert!(triggers(&pair).await.starts_with("startup "), "{}", triggers(&pair).await);
}

#[tokio::test]
async fn signals_reach_the_command_in_the_same_process() {
    let pair = items().await;
    let script = "trap 'exit 9' TERM; echo $$; while :; do sleep 0.1; done";
    let mut child = startup(&pair, &["--", "sh", "-c", script], &[]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), child.id().to_string());
    signal("TERM", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[tokio::test]
async fn a_database_that_never_answers_delays_the_start_by_the_timeout_alone() {
    let pair = items().await;
    let (_listener, url) = silent();
    for name in ["SOURCE_DATABASE_URL", "TARGET_DATABASE_URL"] {
        let arguments = ["--timeout", "500ms", "--", "echo", "started"];
        let (code, stdout, stderr) = ended(startup(&pair, &arguments, &[(name, &url)]), "");
        assert_eq!((code, stdout.as_str()), (Some(0), "started\n"));
        assert!(stderr.starts_with("syncline: The sync is not complete after 500ms; "), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_one_line_and_the_command_starts() {
    let pair = items().await;
    let refused = "postgres://u:hunter2@127.0.0.1:1/d";
    for (arguments, more, said) in [
        (&["--"][..], &[("SOURCE_DATABASE_URL", ""), ("SYNC_PAGE_ROWS", "many")][..], "2 settings"),
        (&["--"], &[("SOURCE_DATABASE_URL", refused)], "Cannot reach the source"),
        (&["--table", "nothing", "--"], &[], "public.nothing"),
        (&["--table", "a.b.c", "--"], &[], "a.b.c is no table's name"),
        (&["--pipeline", "other", "--"], &[], "There is no pipeline other"),
    ] {
        let arguments = [arguments, &["sh", "-c", "exit 3"]].concat();
        let (code, stdout, stderr) = ended(startup(&pair, &arguments, more), "");
        assert_eq!((code, stdout.as_str()), (Some(3), ""), "{stderr}");
        assert!(stderr.contains(said) && !stderr.contains("hunter2"), "{said} is not in {stderr}");
        let ours = stderr.lines().filter(|line| line.starts_with("syncline: The command starts"));
        assert_eq!((ours.count(), stderr.lines().count()), (1, 1), "{stderr}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_told_as_shells_do() {
    let pair = items().await;
    let file = std::env::temp_dir().join(format!("syncline-not-executable-{}", std::process::id()));
    std::fs::write(&file, "nothing").unwrap();
    for (command, code) in [("no-such-command-at-all", 127), (file.to_str().unwrap(), 126)] {
        let (exit, stdout, stderr) = ended(startup(&pair, &["--", command], &[]), "");
        assert_eq!((exit, stdout.as_str()), (Some(code), ""), "{stderr}");
        assert!(stderr.starts_with(&format!("syncline: {command}: ")), "{stderr}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn where_it_is_off_the_command_starts_at_once_and_nothing_need_be_set() {
    let pair = items().await;
    for more in [&[][..], &[("SOURCE_DATABASE_URL", ""), ("SYNC_PAGE_ROWS", "many")]] {
        let more = [&[("ENABLE_STARTUP_SYNC", "no")], more].concat();
        let (code, stdout, stderr) = ended(startup(&pair, &["--", "echo", "on"], &more), "");
        assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "on\n", ""));
    }
    assert_eq!(pair.text_target("select count(*)::text from items").await, "0");
}

/// Waits until the sync has begun: the silent server has somebody waiting.
fn waits_at(listener: &TcpListener, child: &mut Child) {
    listener.set_nonblocking(true).unwrap();
    let mut taken = Vec::new();
    wait_until("it connects", || {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        taken.extend(listener.accept());
        !taken.is_empty()
    });
    // Held open, or the run would fail before the signal comes.
    std::mem::forget(taken);
}

/// Whoever started us has a signal ignored, as a shell does in the background; what we start
/// inherits that.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[tokio::test]
async fn a_stop_during_the_sync_is_a_stop_of_the_start() {
    let pair = items().await;
    for (name, code) in [("TERM", 143), ("INT", 130)] {
        if is_ignored(code - 128) {
            not_tested(&format!(
                "{name}, which whoever started the tests has us ignore, stops a start"
            ));
            continue;
        }
        let (listener, url) = silent();
        let more = [("SOURCE_DATABASE_URL", url.as_str())];
        let mut child = startup(&pair, &["--", "echo", "started"], &more).spawn().unwrap();
        waits_at(&listener, &mut child);
        signal(name, child.id());
        let (exit, stdout, _) = told(&child.wait_with_output().unwrap());
        assert_eq!((exit, stdout.as_str()), (Some(code), ""), "{name}");
    }
}

#[tokio::test]
async fn a_start_beside_another_run_does_not_wait_for_it() {
    let pair = items().await;
    pair.sync().await.success();
    let expires = |when: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {when}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&expires("clock_timestamp() + interval '40 s'")).await;
    let (code, stdout, stderr) = ended(startup(&pair, &["--", "echo", "started"], &[]), "");
    pair.sql_target(&expires("clock_timestamp()")).await;
    assert_eq!((code, stdout.as_str()), (Some(0), "started\n"));
    assert_eq!(stderr, "syncline: Another run is at work, and the start does not wait\n");
}

#[tokio::test]
async fn two_starts_at_once_both_start_and_move_each_row_once() {
    let pair = items().await;
    let start = || startup(&pair, &["--", "echo", "started"], &[]).spawn().unwrap();
    let starts = [start(), start()];
    for child in starts {
        let (code, stdout, stderr) = told(&child.wait_with_output().unwrap());
        assert_eq!((code, stdout.as_str()), (Some(0), "started\n"), "{stderr}");
        assert!(stderr.is_empty() || stderr.contains("Another run is at work"), "{stderr}");
    }
    pair.assert_settled(&["items"]).await;
    assert_eq!(pair.recorded("public.items").await, (10, 0));
}

/// A backend's call before it starts.
async fn asks(pair: &Pair, more: &[(&str, &str)]) -> (u16, Value) {
    let request = Request::post(SYNC_PATH)
        .header("x-manual-trigger", "true")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(r#"{"type": "startup"}"#))
        .unwrap();
    let Ok(response) = pair.function(more).call(request).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap();
    (parts.status.as_u16(), serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn a_backend_that_starts_elsewhere_asks_over_http() {
    let pair = items().await;
    for rows in [10, 0] {
        let (status, body) = asks(&pair, &[]).await;
        assert_eq!((status, body["type"].as_str()), (200, Some("startup")), "{body}");
        let inserted = body["statistics"]["total_records"].as_u64();
        assert_eq!(inserted, Some(rows), "{body}");
    }
    pair.assert_settled(&["items"]).await;
    let (status, body) = asks(&pair, &[("ENABLE_STARTUP_SYNC", "false")]).await;
    assert_eq!((status, body["error"]["code"].as_str()), (400, Some("startup_off")), "{body}");
    assert!(triggers(&pair).await.starts_with("startup "));
}

#[tokio::test]
async fn a_command_starts_where_nobody_reads_what_is_said() {
    let pair = items().await;
    let gone = [("TARGET_DATABASE_URL", "postgres://nobody@127.0.0.1:1/gone")];
    let mut command = startup(&pair, &["--", "sh", "-c", "echo started"], &gone);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    command.stderr(writer);
    let (code, said, _) = ended(command, "");
    assert_eq!((code, said.as_str()), (Some(0), "started\n"));
}
