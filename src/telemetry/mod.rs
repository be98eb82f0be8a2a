//! Logs: structured in Lambda, readable elsewhere; a panic's message is one of them. Events that
//! are no log lines are drawn as progress or written as metrics.

pub mod emf;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// The reader of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log service: a JSON object a line, on stdout.
    Service,
    /// A person, on stderr; results go to stdout.
    Person,
}

/// A layer for events that are no log lines: progress, metrics.
pub type Drawn = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, once a process. `filter` is as `RUST_LOG` is written, levels and targets with
/// levels; without one, a service is told what happens per run and table, and a person only what
/// went wrong.
///
/// Filters by the fields of spans would bring a compiler of regular expressions along, which nobody
/// asks for here and which is a part of each cold start.
pub fn start(reader: Reader, filter: Option<&str>, drawn: Vec<Drawn>) {
    let default = match reader {
        Reader::Service => LevelFilter::INFO,
        Reader::Person => LevelFilter::WARN,
    };
    let chosen = filter.and_then(|filter| filter.parse::<Targets>().ok());
    let filter = chosen.unwrap_or_else(|| Targets::new().with_default(default));
    // An empty list of layers says that nobody wants any event, and would silence the log beside
    // it.
    let drawn = (!drawn.is_empty()).then_some(drawn);
    let registry = tracing_subscriber::registry().with(drawn);
    // A second start keeps the first: the tests run several doors in one process.
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
