//! Writes a line for each run in CloudWatch's Embedded Metric Format, from the `syncline::metrics`
//! events. CloudWatch finds it among the log lines and charts it, without an agent or a call.
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

use super::EventLayer;

/// The events' target.
const TARGET: &str = "syncline::metrics";

/// The namespace of the metrics in CloudWatch.
const NAMESPACE: &str = "Syncline";

/// The metrics: the event's field, the metric's name and its unit.
const METRICS: [(&str, &str, &str); 6] = [
    ("rows", "Rows", "Count"),
    ("duration_ms", "DurationMs", "Milliseconds"),
    ("lag_seconds", "LagSeconds", "Seconds"),
    ("rejected", "Rejected", "Count"),
    ("api_calls", "ApiCalls", "Count"),
    ("failed", "Failed", "Count"),
];

/// The layer that writes the lines to stdout.
pub fn layer() -> EventLayer {
    let only = filter_fn(|metadata: &Metadata<'_>| metadata.target() == TARGET);
    Box::new(MetricLines.with_filter(only))
}

struct MetricLines;

impl<S: Subscriber> Layer<S> for MetricLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut fields = MetricFields::default();
        event.record(&mut fields);
        let line = line(&fields, SystemTime::now());
        // A metric that cannot be written must not end the run that it counts.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// The fields of an event.
#[derive(Default)]
struct MetricFields {
    pipeline: String,
    numbers: BTreeMap<&'static str, u64>,
}

impl Visit for MetricFields {
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

/// Makes the line of an event. An unknown number is left out together with its definition, because
/// CloudWatch does not accept a definition without a value.
fn line(fields: &MetricFields, at: SystemTime) -> Value {
    let mut definitions = Vec::new();
    let mut line = Map::new();
    for (field, name, unit) in
        METRICS.iter().filter(|(field, ..)| fields.numbers.contains_key(field))
    {
        definitions.push(json!({ "Name": name, "Unit": unit }));
        line.insert((*name).to_owned(), json!(fields.numbers[field]));
    }
    let time = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let directive = json!({
        "Namespace": NAMESPACE, "Dimensions": [["Pipeline"]], "Metrics": definitions,
    });
    line.insert("Pipeline".to_owned(), json!(fields.pipeline));
    line.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": time.as_millis() as u64, "CloudWatchMetrics": [directive] }),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_is_defined_and_stands_beside_its_definition() {
        let numbers = METRICS.iter().zip(1..).map(|((field, ..), n)| (*field, n)).collect();
        let fields = MetricFields { pipeline: "p".to_owned(), numbers };
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
        assert_eq!(line(&fields, UNIX_EPOCH), expected);
    }

    #[test]
    fn an_unknown_number_is_left_out_with_its_definition() {
        let fields =
            MetricFields { pipeline: "p".to_owned(), numbers: BTreeMap::from([("failed", 1)]) };
        let line = line(&fields, UNIX_EPOCH);
        let definitions = &line["_aws"]["CloudWatchMetrics"][0]["Metrics"];
        assert_eq!(*definitions, json!([{ "Name": "Failed", "Unit": "Count" }]));
        assert!(line.get("LagSeconds").is_none());
    }
}
