//! Logs: structured in Lambda, readable elsewhere; and a panic's message is one of them.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Who reads the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log service: a JSON object a line, on stdout.
    Service,
    /// A person, on stderr; results go to stdout.
    Person,
}

/// Draws progress from the `syncline::progress` events, which are no log lines.
pub type Progress = Box<dyn Layer<Registry> + Send + Sync>;

/// Starts logging, once a process. `filter` is as `RUST_LOG` is written; without one, a service
/// is told what happens per run and table, and a person only what went wrong.
pub fn start(reader: Reader, filter: Option<&str>, progress: Option<Progress>) {
    let default = match reader {
        Reader::Service => "info",
        Reader::Person => "warn",
    };
    let chosen = EnvFilter::try_new(filter.unwrap_or(default));
    let filter = chosen.unwrap_or_else(|_| EnvFilter::new(default));
    let registry = tracing_subscriber::registry().with(progress);
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
