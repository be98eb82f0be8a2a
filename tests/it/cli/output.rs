//! The terminal: what is printed where, and the exit codes that scripts rely on.

use std::process::{Command, Output};

use serde_json::Value;

use crate::world::pair::Pair;
use crate::world::tables::{BARE_ITEMS, fill_bare};

async fn items(rows: u32) -> Pair {
    let pair = Pair::with(&format!("{BARE_ITEMS} create table bare (x int)")).await;
    pair.sql_source(&fill_bare(rows)).await;
    pair
}

fn syncline(pair: &Pair, arguments: &[&str], more: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(arguments)
        .env_clear()
        .envs(pair.settings())
        .envs(more.iter().copied())
        .output()
        .expect("the executable runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn run_prints_a_table_to_stdout_and_is_quiet_in_a_pipe() {
    let pair = items(10).await;

    let first = syncline(&pair, &["run"], &[]);
    let second = syncline(&pair, &["run"], &[]);

    assert_eq!((code(&first), code(&second)), (0, 0));
    let rows: Vec<String> = stdout(&first).lines().map(str::to_owned).collect();
    assert!(rows[0].starts_with("table") && rows[0].contains("inserted"), "{rows:?}");
    let words: Vec<&str> = rows[1].split_whitespace().collect();
    assert_eq!(words, ["public.items", "10", "0", "0"]);
    assert_eq!(stderr(&first).lines().count(), 1, "the note on the bare table alone");
    assert_eq!(stdout(&second), "Nothing had changed.\n");
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn json_is_one_object_on_stdout() {
    let pair = items(10).await;
    let ran = syncline(&pair, &["run", "--json"], &[]);
    let answer: Value = serde_json::from_str(&stdout(&ran)).expect("one JSON object");
    assert_eq!(answer["statistics"]["tables"]["public.items"]["inserted"], 10);

    let planned = syncline(&pair, &["plan", "--json"], &[]);
    let plan: Value = serde_json::from_str(&stdout(&planned)).expect("one JSON object");
    assert_eq!(plan["tables"][0]["action"], "nothing");

    let failed = syncline(&pair, &["run", "--json"], &[("SYNC_TABLES", "nothing")]);
    let answer: Value = serde_json::from_str(&stdout(&failed)).expect("one JSON object");
    assert_eq!((code(&failed), answer["success"].as_bool()), (1, Some(false)));
}

#[tokio::test]
async fn plan_and_dry_run_say_what_would_be_done_and_do_nothing() {
    let pair = items(10).await;
    for arguments in [&["plan"][..], &["run", "--dry-run"]] {
        let planned = syncline(&pair, arguments, &[]);
        assert_eq!(code(&planned), 0);
        let text = stdout(&planned);
        assert!(text.contains("public.items: first load"), "{text}");
        assert!(text.contains("note: public.bare: it has no key and is passed over"), "{text}");
    }
    let there = "select count(*)::text from items";
    assert_eq!(pair.text_target(there).await, "0");
    let state = "select (to_regclass('public.sync_state') is null)::text";
    assert_eq!(pair.text_target(state).await, "true", "a plan makes no state tables");
}

#[tokio::test]
async fn plan_exits_1_when_a_table_would_be_left_out() {
    let pair = items(1).await;
    let planned = syncline(&pair, &["plan", "--table", "bare"], &[]);
    assert_eq!(code(&planned), 1);
    assert!(stdout(&planned).contains("PROBLEM: public.bare"), "{}", stdout(&planned));
}

#[tokio::test]
async fn run_goes_on_until_caught_up_and_with_once_says_that_there_is_more() {
    let pair = items(30_000).await;
    let slow = [("SYNC_BUDGET_SECONDS", "1"), ("SYNC_PAGE_ROWS", "50")];
    let once = syncline(&pair, &["run", "--once"], &slow);
    assert_eq!(code(&once), 3, "{}", stderr(&once));
    let rest = syncline(&pair, &["run"], &slow);
    assert_eq!(code(&rest), 0);
    assert_eq!(pair.recorded("public.items").await, (30_000, 0));
    pair.assert_settled(&["items"]).await;
}

#[tokio::test]
async fn a_run_beside_another_exits_75() {
    let pair = items(1).await;
    pair.sync().await.success();
    let expires = |when: &str| {
        format!(
            "update sync_state set value = value || jsonb_build_object('expires_at', {when}) \
             where key like 'lease:%'"
        )
    };
    pair.sql_target(&expires("clock_timestamp() + interval '40 s'")).await;
    let busy = syncline(&pair, &["run"], &[]);
    pair.sql_target(&expires("clock_timestamp()")).await;
    assert_eq!(code(&busy), 75);
    assert!(stderr(&busy).contains("Another run of this pipeline is at work"), "{}", stderr(&busy));
}

#[tokio::test]
async fn wrong_settings_and_arguments_exit_2_and_are_all_named() {
    let pair = items(1).await;
    let wrong = [("SOURCE_DATABASE_URL", ""), ("SYNC_PAGE_ROWS", "many"), ("APP_URL", "nowhere")];
    let refused = syncline(&pair, &["run"], &wrong);
    assert_eq!(code(&refused), 2);
    for (name, _) in wrong {
        assert!(stderr(&refused).contains(name), "{name} in {}", stderr(&refused));
    }
    for arguments in [&["run", "--pipeline", "other"][..], &["run", "--table", "a.b.c"], &["walk"]]
    {
        assert_eq!(code(&syncline(&pair, arguments, &[])), 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn help_lists_the_settings() {
    let pair = items(0).await;
    let help = stdout(&syncline(&pair, &["--help"], &[]));
    for variable in syncline::settings::VARIABLES {
        assert!(help.contains(variable.name), "{} in {help}", variable.name);
    }
}
