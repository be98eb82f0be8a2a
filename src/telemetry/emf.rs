//! A line a run in CloudWatch's Embedded Metric Format, made of the `syncline::metrics` events:
//! CloudWatch finds it among the log lines and charts it, without an agent or a call.
//!
//! The format is AWS's "CloudWatch embedded metric format specification": `_aws` with `Timestamp`
//! in milliseconds and `CloudWatchMetrics`, whose names all stand beside it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;

use super::Drawn;

/// The events' target.
const TARGET: &str = "syncline::metrics";

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "Syncline";

/// The event's field, the metric's name and its unit.
const METRICS: [(&str, &str, &str); 6] = [
    ("rows", "Rows", "Count"),
    ("duration_ms", "DurationMs", "Milliseconds"),
    ("lag_seconds", "LagSeconds", "Seconds"),
    ("rejected", "Rejected", "Count"),
    ("api_calls", "ApiCalls", "Count"),
    ("failed", "Failed", "Count"),
];

/// Writes the lines to stdout.
pub fn layer() -> Drawn {
    let only = filter_fn(|metadata: &Metadata<'_>| metadata.target() == TARGET);
    Box::new(Lines.with_filter(only))
}

struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut seen = Seen::default();
        event.record(&mut seen);
        let line = line(&seen, SystemTime::now());
        // A metric that cannot be written must not end the run that it counts.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// The fields of an event.
#[derive(Default)]
struct Seen {
    pipeline: String,
    numbers: BTreeMap<&'static str, u64>,
}

impl Visit for Seen {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.numbers.insert(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "pipeline" {
            value.clone_into(&mut self.pipeline);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "pipeline" {
            self.pipeline = format!("{value:?}");
        }
    }
}

/// Makes the line of an event. A number that is not known is left out with its definition: a
/// defined name without a value is an error.
fn line(seen: &Seen, at: SystemTime) -> Value {
    let known = METRICS.iter().filter(|(field, ..)| seen.numbers.contains_key(field));
    let mut definitions = Vec::new();
    let mut line = Map::new();
    for (field, name, unit) in known {
        definitions.push(json!({ "Name": name, "Unit": unit }));
        line.insert((*name).to_owned(), json!(seen.numbers[field]));
    }
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let directive = json!({
        "Namespace": NAMESPACE, "Dimensions": [["Pipeline"]], "Metrics": definitions,
    });
    line.insert("Pipeline".to_owned(), json!(seen.pipeline));
    line.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": since.as_millis() as u64, "CloudWatchMetrics": [directive] }),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_defined_and_stands_beside_its_definition() {
        let numbers = METRICS.iter().zip(1..).map(|((field, ..), n)| (*field, n)).collect();
        let seen = Seen { pipeline: "p".to_owned(), numbers };
        let expected = json!({
            "_aws": {
                "Timestamp": 0,
                "CloudWatchMetrics": [{
                    "Namespace": "Syncline",
                    "Dimensions": [["Pipeline"]],
                    "Metrics": [
                        { "Name": "Rows", "Unit": "Count" },
                        { "Name": "DurationMs", "Unit": "Milliseconds" },
                        { "Name": "LagSeconds", "Unit": "Seconds" },
                        { "Name": "Rejected", "Unit": "Count" },
                        { "Name": "ApiCalls", "Unit": "Count" },
                        { "Name": "Failed", "Unit": "Count" },
                    ],
                }],
            },
            "Pipeline": "p",
            "Rows": 1, "DurationMs": 2, "LagSeconds": 3, "Rejected": 4, "ApiCalls": 5, "Failed": 6,
        });
        assert_eq!(line(&seen, UNIX_EPOCH), expected);
    }

    #[test]
    fn what_is_not_known_is_left_out_with_its_definition() {
        let seen = Seen { pipeline: "p".to_owned(), numbers: BTreeMap::from([("failed", 1)]) };
        let line = line(&seen, UNIX_EPOCH);
        let definitions = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!(*definitions, json!([{ "Name": "Failed", "Unit": "Count" }]));
        assert!(line.get("LagSeconds").is_none());
    }
}
