//! The schedules over HTTP, against a QStash that remembers: what is made, what is left alone, and
//! what is said of it. What is refused is in `refused`.

mod refusals;

use serde_json::{Value, json};
use syncline::demo::qstash::{LocalQStash, Schedule};

use crate::world::deployment::{
    Deployment, HOME, ID, account, console, make_foreign_schedule, only,
};
use crate::world::pair::{Pair, SYNC_PATH};

const ITEMS: &str = "create table items (id int primary key, updated_at timestamptz not null)";

/// Nothing here needs the databases: they are not even there.
async fn deployed() -> (LocalQStash, Deployment) {
    let qstash = account().await;
    let nowhere = [
        ("SOURCE_DATABASE_URL", "postgres://nobody@127.0.0.1:1/source"),
        ("TARGET_DATABASE_URL", "postgres://nobody@127.0.0.1:2/target"),
    ];
    let nowhere = nowhere.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let deployment = Deployment::over(nowhere.into(), &qstash);
    (qstash, deployment)
}

fn create() -> Value {
    json!({ "action": "create" })
}

fn on(action: &str, id: &str) -> Value {
    json!({ "action": action, "scheduleId": id })
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

/// Returns the status of the first schedule of the list.
fn status(listed: &(u16, Value)) -> &str {
    assert_eq!(listed.0, 200, "{}", listed.1);
    listed.1["schedules"][0]["status"].as_str().expect("a status")
}

#[tokio::test]
async fn creating_sets_everything_that_a_schedule_has() {
    let (qstash, deployment) = deployed().await;
    let deployment =
        deployment.set("SYNC_TIME_ZONE", "Europe/Berlin").set("SYNC_RETRY_DELAY", "1000");

    let (status, answer) = deployment.change_schedules(create()).await;

    assert_eq!((status, &answer["scheduleId"]), (200, &json!(ID)), "{answer}");
    assert_eq!(answer["schedules"][0]["created"], true);
    assert_eq!(answer["schedules"][0]["nextRuns"].as_array().map(Vec::len), Some(3));
    let made = only(&qstash);
    assert_eq!(made.id, ID);
    assert_eq!(made.destination, format!("{HOME}{SYNC_PATH}"));
    assert_eq!(made.ticks.text(), "CRON_TZ=Europe/Berlin 0 */6 * * *");
    assert_eq!(made.body, r#"{"type":"scheduled"}"#);
    assert!(!made.is_paused);
    let terms = &made.terms;
    assert_eq!((terms.method.as_str(), terms.retries, terms.timeout), ("POST", 2, 30_000));
    assert_eq!(terms.retry_delay.as_deref(), Some("1000"));
    let failure = terms.failure_callback.as_ref().map(|callback| callback.url.as_str());
    assert_eq!(failure, Some("https://sync.example.com/api/background/sync/failure"));
    let flow = terms.flow.as_ref().expect("a flow control key");
    assert_eq!((flow.key.as_str(), flow.parallelism), (ID, 1));
    assert_eq!(terms.labels.len(), 1, "{:?}", terms.labels);
    assert!(terms.labels[0].starts_with("syncline-"), "{:?}", terms.labels);
}

#[tokio::test]
async fn the_list_says_when_it_ticks_and_what_is_missing() {
    let (_qstash, deployment) = deployed().await;

    let before = deployment.list_schedules().await;
    deployment.change_schedules(create()).await;
    let (_, after) = deployment.list_schedules().await;

    assert_eq!(status(&before), "missing");
    assert_eq!(before.1["message"], "1 schedule needs a look");
    assert_eq!(after["message"], "The schedule is in order");
    let listed = &after["schedules"][0];
    assert_eq!((&listed["scheduleId"], &listed["pipeline"]), (&json!(ID), &json!("slave-to-prod")));
    assert_eq!((&listed["cron"], &listed["paused"]), (&json!("0 */6 * * *"), &json!(false)));
    let next = listed["nextRun"].as_str().expect("a next run");
    assert!(next.ends_with(":00:00.000Z") && listed["nextRuns"][0] == *next, "{listed}");
}

#[tokio::test]
async fn creating_again_from_anywhere_leaves_one_schedule_as_it_was() {
    let (qstash, deployment) = deployed().await;
    deployment.change_schedules(create()).await;
    let first = format!("{:?}", only(&qstash));

    let (_, again) = deployment.change_schedules(create()).await;
    let at_the_terminal = deployment.terminal(&["schedule", "create", "--json"]).await;
    let both =
        tokio::join!(deployment.change_schedules(create()), deployment.change_schedules(create()));

    assert_eq!(again["schedules"][0]["created"], false, "{again}");
    assert_eq!(again["message"], format!("Schedule {ID} was in order already"));
    assert_eq!(at_the_terminal.json()["message"], again["message"]);
    assert_eq!((both.0.0, both.1.0), (200, 200));
    assert_eq!(format!("{:?}", only(&qstash)), first);
}

#[tokio::test]
async fn two_that_create_at_once_leave_one_schedule() {
    let (qstash, deployment) = deployed().await;
    let terminal = deployment.terminal(&["schedule", "create"]);
    let (over_http, again, terminal) = tokio::join!(
        deployment.change_schedules(create()),
        deployment.change_schedules(create()),
        terminal
    );
    assert_eq!((over_http.0, again.0, terminal.code), (200, 200, 0), "{terminal:?}");
    assert_eq!(only(&qstash).id, ID);
    assert_eq!(status(&deployment.list_schedules().await), "in-order");
}

#[tokio::test]
async fn a_changed_setting_is_told_and_brought_up_to_date() {
    let (qstash, mut deployment) = deployed().await;
    deployment.change_schedules(create()).await;
    let moved = json!(["destination", "failure callback"]);
    for (name, value, changed) in [
        ("SYNC_CRON", "30 9 * * MON-FRI", json!(["cron"])),
        ("SYNC_TIME_ZONE", "America/New_York", json!(["cron"])),
        ("SYNC_RETRIES", "0", json!(["retries"])),
        ("SYNC_RETRY_DELAY", "pow(2, retried) * 1000", json!(["retry delay"])),
        ("SYNC_RETRY_DELAY", "", json!(["retry delay"])),
        ("SYNC_TIMEOUT_SECONDS", "120", json!(["timeout"])),
        ("APP_URL", "https://moved.example.com", moved),
    ] {
        deployment = deployment.set(name, value);
        let (_, listed) = deployment.list_schedules().await;
        assert_eq!(listed["schedules"][0]["status"], "outdated", "{name}: {listed}");
        assert_eq!(listed["schedules"][0]["outdated"], changed, "{name}");

        let (_, answer) = deployment.change_schedules(create()).await;

        assert_eq!(answer["schedules"][0]["changed"], changed, "{name}: {answer}");
        assert_eq!(status(&deployment.list_schedules().await), "in-order", "{name}");
    }
    let made = only(&qstash);
    assert_eq!(made.ticks.text(), "CRON_TZ=America/New_York 30 9 * * MON-FRI");
    assert_eq!(made.destination, format!("https://moved.example.com{SYNC_PATH}"));
    assert_eq!((made.terms.retries, made.terms.timeout), (0, 120_000));
    assert_eq!(made.terms.retry_delay, None);
}

#[tokio::test]
async fn pausing_resuming_and_deleting_do_what_they_say() {
    let (qstash, deployment) = deployed().await;
    deployment.change_schedules(create()).await;

    for _ in 0..2 {
        let (status, answer) = deployment.change_schedules(on("pause", ID)).await;
        assert_eq!((status, &answer["scheduleId"]), (200, &json!(ID)), "{answer}");
        assert!(only(&qstash).is_paused);
    }
    let (_, listed) = deployment.list_schedules().await;
    assert_eq!(
        (&listed["schedules"][0]["paused"], &listed["schedules"][0]["nextRun"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(deployment.change_schedules(on("resume", ID)).await.0, 200);
    assert!(!only(&qstash).is_paused);
    assert_eq!(deployment.change_schedules(on("delete", ID)).await.0, 200);
    assert!(qstash.schedules().is_empty());
    for action in ["delete", "pause", "resume"] {
        assert_eq!(
            code(&deployment.change_schedules(on(action, ID)).await),
            (404, "no_schedule"),
            "{action}"
        );
    }
}

#[tokio::test]
async fn what_the_console_did_shows_and_a_pause_outlives_an_update() {
    let (qstash, deployment) = deployed().await;
    deployment.change_schedules(create()).await;
    console(&qstash, "POST", &format!("{ID}/pause")).send().await.unwrap();

    let (_, listed) = deployment.list_schedules().await;
    assert_eq!(listed["schedules"][0]["paused"], true, "{listed}");
    let (_, same) = deployment.change_schedules(create()).await;
    assert_eq!(same["message"], format!("Schedule {ID} was in order already, and still paused"));
    let deployment = deployment.set("SYNC_CRON", "0 0 * * *");
    let (_, updated) = deployment.change_schedules(create()).await;
    assert_eq!(updated["schedules"][0]["paused"], true, "{updated}");
    assert_eq!(updated["schedules"][0]["nextRuns"], json!([]), "a paused schedule has none");
    assert!(only(&qstash).is_paused);
    assert_eq!(only(&qstash).ticks.text(), "0 0 * * *");

    console(&qstash, "DELETE", ID).send().await.unwrap();
    assert_eq!(status(&deployment.list_schedules().await), "missing");
}

#[tokio::test]
async fn a_schedule_made_by_hand_is_shown_and_can_be_taken_away() {
    let (qstash, deployment) = deployed().await;
    deployment.change_schedules(create()).await;
    make_foreign_schedule(&qstash, "by-hand", &format!("{HOME}{SYNC_PATH}")).await;

    let (_, listed) = deployment.list_schedules().await;
    let schedules = listed["schedules"].as_array().unwrap();
    assert_eq!(schedules.len(), 2, "{listed}");
    assert_eq!(
        (&schedules[1]["status"], &schedules[1]["pipeline"]),
        (&json!("foreign"), &Value::Null)
    );
    assert_eq!(deployment.change_schedules(on("delete", "by-hand")).await.0, 200);
    assert_eq!(only(&qstash).id, ID);
}

#[tokio::test]
async fn somebody_elses_schedule_is_neither_shown_nor_touched() {
    let (qstash, deployment) = deployed().await;
    for (id, destination) in [
        ("other", "https://other.example.com/api/background/sync/slave-to-prod"),
        ("alike", "https://sync.example.com.evil.example/api/background/sync/slave-to-prod"),
        ("port", "https://sync.example.com:8443/api/background/sync/slave-to-prod"),
    ] {
        make_foreign_schedule(&qstash, id, destination).await;
    }
    let before = format!("{:?}", qstash.schedules());

    for id in ["other", "alike", "port"] {
        for action in ["pause", "resume", "delete"] {
            let answer = deployment.change_schedules(on(action, id)).await;
            assert_eq!(code(&answer), (403, "not_ours"), "{action} {id}");
        }
    }
    let (_, listed) = deployment.list_schedules().await;

    assert_eq!(listed["schedules"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(format!("{:?}", qstash.schedules()), before);
}

#[tokio::test]
async fn an_id_that_another_deployment_has_is_not_taken_from_it() {
    let (qstash, deployment) = deployed().await;
    make_foreign_schedule(
        &qstash,
        ID,
        "https://other.example.com/api/background/sync/slave-to-prod",
    )
    .await;
    let before = format!("{:?}", qstash.schedules());

    let refused = deployment.change_schedules(create()).await;

    assert_eq!(code(&refused), (489, "id_taken"), "{}", refused.1);
    assert!(refused.1["error"]["hint"].as_str().unwrap().contains("SYNC_DEPLOYMENT"));
    assert_eq!(status(&deployment.list_schedules().await), "missing");
    assert_eq!(format!("{:?}", qstash.schedules()), before);
    let (status, _) = deployment.set("SYNC_DEPLOYMENT", "second").change_schedules(create()).await;
    assert_eq!((status, qstash.schedules().len()), (200, 2));
}

#[tokio::test]
async fn each_pipeline_has_a_schedule_of_its_own() {
    let (qstash, deployment) = deployed().await;
    let text = "[[pipeline]]\nname = \"items\"\nsource = \"env:A\"\ntarget = \"env:B\"\n\
        [[pipeline]]\nname = \"users\"\nsource = \"env:A\"\ntarget = \"env:C\"\n\
        cron = \"0 0 * * SUN\"\n";
    let file = format!("schedules-{}.toml", std::process::id());
    let path = std::env::temp_dir().join(file);
    std::fs::write(&path, text).unwrap();
    let deployment = deployment
        .set("SYNC_CONFIG", path.to_string_lossy())
        .set("SOURCE_DATABASE_URL", "")
        .set("TARGET_DATABASE_URL", "")
        .set("A", "postgres://nobody@127.0.0.1:1/a")
        .set("B", "postgres://nobody@127.0.0.1:1/b")
        .set("C", "postgres://nobody@127.0.0.1:1/c");

    let (_, one) =
        deployment.change_schedules(json!({ "action": "create", "pipeline": "users" })).await;
    let after_one = qstash.schedules().len();
    let (_, all) = deployment.change_schedules(create()).await;
    let (_, listed) = deployment.list_schedules().await;
    let undecided = deployment.change_schedules(json!({ "action": "trigger-manual" })).await;
    let chosen = json!({ "action": "trigger-manual", "pipeline": "users" });
    let chosen = deployment.change_schedules(chosen).await;
    std::fs::remove_file(&path).unwrap();

    assert_eq!((&one["scheduleId"], after_one), (&json!("syncline-users"), 1), "{one}");
    let made = all["schedules"].as_array().unwrap();
    let made: Vec<_> =
        made.iter().map(|schedule| (&schedule["pipeline"], &schedule["created"])).collect();
    assert_eq!(made, [(&json!("items"), &json!(true)), (&json!("users"), &json!(false))]);
    assert_eq!(listed["message"], "All 2 schedules are in order");
    let crons: Vec<String> =
        qstash.schedules().iter().map(|schedule| schedule.ticks.text().to_owned()).collect();
    assert_eq!(crons, ["0 */6 * * *", "0 0 * * SUN"]);
    assert_eq!(code(&undecided), (400, "no_pipeline"));
    assert_eq!((chosen.0, qstash.pending()), (200, 1), "{}", chosen.1);
    assert!(qstash.messages()[0].url.ends_with("/api/background/sync/users"));
}

#[tokio::test]
async fn a_manual_trigger_comes_back_signed_and_moves_the_rows() {
    let pair = Pair::with(ITEMS).await;
    pair.sql_source("insert into items values (1, now())").await;
    let qstash = account().await;
    let (deployment, _door) = Deployment::of(&pair, &qstash).reachable().await;

    let (status, answer) = deployment.change_schedules(json!({ "action": "trigger-manual" })).await;
    assert_eq!(status, 200, "{answer}");
    let message = answer["messageId"].as_str().expect("a message").to_owned();
    qstash.settle().await;

    assert_eq!(qstash.dead_letters().len(), 0, "{:?}", qstash.dead_letters());
    pair.assert_equal(&["items"]).await;
    let recorded = "select string_agg(trigger || ' ' || message_id, ', ') from sync_metadata";
    assert_eq!(pair.text_target(recorded).await, format!("manual {message}"));
}

#[tokio::test]
async fn the_hourly_schedule_stands_beside_the_own_one_until_it_is_turned_off() {
    let (qstash, deployment) = deployed().await;
    let deployment = deployment.set("ENABLE_HOURLY_SYNC", "yes");
    let hourly = format!("{ID}_hourly");
    let made = |qstash: &LocalQStash| {
        let all = qstash.schedules().into_iter();
        let told = |schedule: Schedule| {
            (
                schedule.id,
                schedule.ticks.text().to_owned(),
                String::from_utf8_lossy(&schedule.body).into_owned(),
            )
        };
        let mut all: Vec<_> = all.map(told).collect();
        all.sort();
        all
    };
    let tick = r#"{"type":"scheduled"}"#.to_owned();
    let own = (ID.to_owned(), "0 */6 * * *".to_owned(), tick.clone());
    for new in [true, false] {
        let (status, answer) = deployment.change_schedules(create()).await;
        assert_eq!((status, &answer["schedules"][1]["created"]), (200, &json!(new)), "{answer}");
        let both = vec![own.clone(), (hourly.clone(), "0 * * * *".to_owned(), tick.clone())];
        assert_eq!(made(&qstash), both);
    }
    let (_, listed) = deployment.list_schedules().await;
    assert_eq!(listed["schedules"].as_array().map(Vec::len), Some(2), "{listed}");
    assert_eq!(listed["schedules"][1]["status"], "in-order");

    let (status, _) = deployment.set("ENABLE_HOURLY_SYNC", "no").change_schedules(create()).await;
    assert_eq!((status, made(&qstash)), (200, vec![own]));
}
