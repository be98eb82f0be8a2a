//! The progress at a terminal: a bar for each table, drawn from the `syncline::progress` events.

use std::collections::BTreeMap;
use std::sync::Mutex;

use indicatif::{HumanCount, MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, Registry};

/// The events' target.
const TARGET: &str = "syncline::progress";

/// The layer that draws the bars on stderr.
pub fn layer() -> Box<dyn Layer<Registry> + Send + Sync> {
    let only = filter_fn(|metadata: &Metadata<'_>| metadata.target() == TARGET);
    Box::new(Bars::default().with_filter(only))
}

#[derive(Default)]
struct Bars {
    all: MultiProgress,
    by_table: Mutex<BTreeMap<String, ProgressBar>>,
}

impl<S: Subscriber> Layer<S> for Bars {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut page = PageEvent::default();
        event.record(&mut page);
        let mut bars = self.by_table.lock().expect("no drawer panics");
        if page.ended && !bars.contains_key(&page.table) {
            return;
        }
        let bar = bars.entry(page.table.clone()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(page.expected));
            bar.set_style(style());
            bar.set_message(page.table.clone());
            bar
        });
        if page.ended {
            bar.abandon();
            return;
        }
        // The planner's estimate is a guess; a bar never runs over its end.
        bar.set_length(page.expected.max(page.rows));
        bar.set_position(page.rows);
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{msg:30} {bar:30} {human_pos:>12} rows {rate:>10}/s")
        .expect("the template is well-formed")
        .with_key("rate", |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Digits behind the point would suggest a precision that the rate does not have.
            let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
        })
}

#[derive(Default)]
struct PageEvent {
    table: String,
    rows: u64,
    expected: u64,
    ended: bool,
}

impl Visit for PageEvent {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "rows" => self.rows = value,
            "expected" => self.expected = value,
            _ => {}
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.ended |= field.name() == "ended" && value;
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "table" {
            self.table = format!("{value:?}");
        }
    }
}
