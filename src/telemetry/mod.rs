//! Logs: JSON for a service, text for a person; a panic is logged too. Events that are no log lines
//! become progress at the terminal, or metrics.

pub mod emf;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The reader of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log service, which reads a JSON object in each line of stdout.
    Service,
    /// A person, who reads text on stderr; results go to stdout.
    Person,
}

/// A layer for events that are no log lines: progress, metrics.
pub type EventLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, once in a process. `filter` has the form of `RUST_LOG`: levels, and targets with
/// levels. Without one, a service gets a line for each run and table, and a person only warnings.
///
/// Filters by the fields of spans are not supported: they need a compiler of regular expressions,
/// which would slow each cold start.
pub fn start(reader: Reader, filter: Option<&str>, layers: Vec<EventLayer>) {
    let default = match reader {
        Reader::Service => LevelFilter::INFO,
        Reader::Person => LevelFilter::WARN,
    };
    let chosen = filter.and_then(|filter| filter.parse::<Targets>().ok());
    let filter = chosen.unwrap_or_else(|| Targets::new().with_default(default));
    // An empty list of layers disables all events, also for the log.
    let layers = (!layers.is_empty()).then_some(layers);
    let registry = tracing_subscriber::registry().with(layers);
    // A second start changes nothing: the tests run several doors in one process.
    let _ = match reader {
        Reader::Service => {
            let lines = fmt::layer().json().flatten_event(true).with_writer(std::io::stdout);
            registry.with(lines.with_filter(filter)).try_init()
        }
        Reader::Person => {
            let colours = std::io::stderr().is_terminal();
            let lines = fmt::layer().with_target(false).with_ansi(colours);
            registry.with(lines.with_writer(std::io::stderr).with_filter(filter)).try_init()
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, message, "A handler panicked");
    }));
}
