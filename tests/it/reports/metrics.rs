//! A line a run that CloudWatch charts, held against the specification of its format.

use serde_json::{Value, json};

use crate::world::deployment::Deployment;
use crate::world::lambda::function::{Function, in_a_minute};
use crate::world::pair::Pair;

/// The lines of that format among others; each keeps to the specification.
fn metrics(stdout: &str) -> Vec<Value> {
    let objects = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<Value> = objects.filter(|line| line.get("_aws").is_some()).collect();
    for line in &lines {
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{line}");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Syncline");
        assert_eq!(directive["Dimensions"], json!([["Pipeline"]]));
        assert!(line["Pipeline"].is_string(), "a dimension's value is a text: {line}");
        let defined = directive["Metrics"].as_array().unwrap();
        for metric in defined {
            let name = metric["Name"].as_str().unwrap();
            assert!(line[name].is_number(), "{name} is defined and missing: {line}");
            assert!(
                ["Count", "Seconds", "Milliseconds"].contains(&metric["Unit"].as_str().unwrap())
            );
        }
    }
    lines
}

#[tokio::test]
async fn the_function_writes_one_line_a_run() {
    let function = Function::start(100, &[]).await;
    assert_eq!(function.invoke(&function.scheduled(), in_a_minute()).await.0, 200);
    let mut second = function.scheduled();
    second["headers"]["upstash-message-id"] = json!("msg_of_the_next_tick");
    assert_eq!(function.invoke(&second, in_a_minute()).await.0, 200);
    // A repeated delivery is no run.
    assert_eq!(function.invoke(&second, in_a_minute()).await.0, 200);

    let lines = metrics(&function.printed());

    let values = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(values("Rows"), [json!(100), json!(0)]);
    assert_eq!(values("Failed"), [json!(0), json!(0)]);
    assert_eq!(values("LagSeconds"), [json!(0), json!(0)]);
    assert_eq!(values("ApiCalls"), [json!(0), json!(0)]);
    assert_eq!(values("Rejected"), [json!(0), json!(0)]);
    assert_eq!(values("Pipeline"), [json!("slave-to-prod"), json!("slave-to-prod")]);
}

#[tokio::test]
async fn the_terminal_writes_none_unless_it_is_asked_for() {
    let pair = Pair::with("create table items (id int primary key)").await;
    let deployment = Deployment(pair.settings().clone());
    let plain = deployment.terminal(&["run"]).await;
    assert!(metrics(&plain.stdout).is_empty(), "{plain:?}");

    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    let counted = deployment.set("SYNC_METRICS", "emf");
    let failed = counted.clone().set("SOURCE_DATABASE_URL", nowhere).terminal(&["run"]).await;
    let lines = metrics(&failed.stdout);
    assert_eq!((lines.len(), &lines[0]["Failed"]), (1, &json!(1)), "{failed:?}");
    assert!(lines[0].get("LagSeconds").is_none(), "nobody knows: {failed:?}");

    let wrong = counted.set("SYNC_METRICS", "statsd").terminal(&["run"]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("SYNC_METRICS: It must be one of emf, off"), "{wrong:?}");
}
