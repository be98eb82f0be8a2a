//! `syncline schedule`: what is printed, and the exit codes.

use std::collections::BTreeMap;

use syncline::demo::qstash::LocalQStash;

use crate::world::deployment::{
    Deployment, HOME, ID, account, console, make_foreign_schedule, only,
};

/// Schedules need no database; two that are not there show it.
async fn deployed() -> (LocalQStash, Deployment) {
    let qstash = account().await;
    let deployment = Deployment::over(BTreeMap::new(), &qstash)
        .set("SOURCE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/source")
        .set("TARGET_DATABASE_URL", "postgres://nobody@127.0.0.1:2/target");
    (qstash, deployment)
}

#[tokio::test]
async fn list_is_a_table_with_what_to_do_below_it() {
    let (qstash, deployment) = deployed().await;

    let missing = deployment.terminal(&["schedule", "list"]).await;
    let lines: Vec<&str> = missing.stdout.lines().collect();
    assert_eq!((missing.code, lines.len()), (0, 3), "{missing:?}");
    assert!(lines[0].starts_with("pipeline") && lines[0].ends_with("status"), "{lines:?}");
    assert!(lines[1].starts_with("slave-to-prod") && lines[1].ends_with("missing"), "{lines:?}");
    assert_eq!(lines[2], format!("{ID}: create it: syncline schedule create"));

    deployment.terminal(&["schedule", "create"]).await;
    let in_order = deployment.terminal(&["schedule", "list"]).await;
    assert_eq!(in_order.stdout.lines().count(), 2, "nothing to do: {in_order:?}");
    assert!(in_order.stdout.contains("0 */6 * * *"), "{in_order:?}");
    assert!(in_order.stdout.trim_end().ends_with("in-order"), "{in_order:?}");

    console(&qstash, "PATCH", &format!("{ID}/pause")).send().await.unwrap();
    make_foreign_schedule(&qstash, "by-hand", &format!("{HOME}/api/background/sync/slave-to-prod"))
        .await;
    let amiss = deployment.clone().set("SYNC_RETRIES", "0").terminal(&["schedule", "list"]).await;
    let text = &amiss.stdout;
    assert!(text.contains(&format!("{ID}: retries differs: syncline schedule create")), "{text}");
    assert!(text.contains(&format!("{ID}: paused: syncline schedule resume {ID}")), "{text}");
    assert!(
        text.contains("by-hand: ") && text.contains("syncline schedule delete by-hand"),
        "{text}"
    );
}

#[tokio::test]
async fn create_says_what_it_did_and_when_the_next_runs_are() {
    let (qstash, deployment) = deployed().await;

    let first = deployment.terminal(&["schedule", "create"]).await;
    let again = deployment.terminal(&["schedule", "create"]).await;

    assert_eq!((first.code, again.code), (0, 0), "{first:?}");
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert_eq!(lines[0], format!("Schedule {ID} is created"));
    let next = lines[1].strip_prefix(&format!("{ID} runs next at ")).expect("the next runs");
    let runs: Vec<&str> = next.split(", ").collect();
    assert_eq!(runs.len(), 3, "{next}");
    assert!(runs.iter().all(|run| run.ends_with(":00Z")), "{next}");
    assert!(again.stdout.starts_with(&format!("Schedule {ID} was in order already\n")));
    assert_eq!(only(&qstash).id, ID);
    assert_eq!(first.stderr, "");
}

#[tokio::test]
async fn pause_resume_delete_and_trigger_do_what_they_say() {
    let (qstash, deployment) = deployed().await;
    deployment.terminal(&["schedule", "create"]).await;

    assert_eq!(deployment.terminal(&["schedule", "pause", ID]).await.code, 0);
    assert!(only(&qstash).is_paused);
    assert_eq!(deployment.terminal(&["schedule", "resume", ID]).await.code, 0);
    assert!(!only(&qstash).is_paused);
    let triggered = deployment.terminal(&["schedule", "trigger"]).await;
    assert_eq!(triggered.stdout, "QStash will call for a sync of slave-to-prod\n");
    assert_eq!(qstash.pending(), 1);
    assert_eq!(deployment.terminal(&["schedule", "delete", ID]).await.code, 0);
    assert!(qstash.schedules().is_empty());
}

#[tokio::test]
async fn json_is_what_the_route_answers() {
    let (_qstash, deployment) = deployed().await;
    let without_time = |mut answer: serde_json::Value| {
        answer["timestamp"].take();
        answer
    };

    deployment.terminal(&["schedule", "create"]).await;
    let here = deployment.terminal(&["schedule", "list", "--json"]).await.json();
    let (_, there) = deployment.list_schedules().await;
    assert_eq!(without_time(here), without_time(there));

    let here = deployment.terminal(&["schedule", "--json", "pause", ID]).await.json();
    let (_, there) =
        deployment.change_schedules(serde_json::json!({"action": "pause", "scheduleId": ID})).await;
    assert_eq!(without_time(here), without_time(there));
}

#[tokio::test]
async fn the_exit_follows_from_the_remedy() {
    let (qstash, deployment) = deployed().await;
    make_foreign_schedule(&qstash, "other", "https://other.example.com/").await;
    let no_token = deployment.clone().set("QSTASH_TOKEN", "");
    let bad_cron = deployment.clone().set("SYNC_CRON", "hourly");
    for (deployment, arguments, expected, said) in [
        (&deployment, &["schedule", "pause", ID][..], 2, "There is no schedule"),
        (&deployment, &["schedule", "delete", "a/b"], 2, "no schedule's id"),
        (&deployment, &["schedule", "delete", "other"], 2, "does not call this deployment"),
        (&deployment, &["schedule", "create", "--pipeline", "other"], 2, "There is no pipeline"),
        (&deployment, &["schedule", "trigger", "--pipeline", "other"], 2, "There is no pipeline"),
        (&deployment, &["schedule"], 2, "Usage"),
        (&no_token, &["schedule", "list"], 1, "set QSTASH_TOKEN"),
        (&bad_cron, &["schedule", "list"], 2, "SYNC_CRON"),
    ] {
        let refused = deployment.terminal(arguments).await;
        assert_eq!(refused.code, expected, "{refused:?}");
        assert!(refused.stderr.contains(said) && refused.stdout.is_empty(), "{refused:?}");
    }
    qstash.faults().set_down(true);
    let down = deployment.terminal(&["schedule", "list", "--json"]).await;
    assert_eq!((down.code, &down.json()["error"]["retry"]), (1, &true.into()), "{down:?}");
}
