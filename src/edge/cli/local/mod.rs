//! Services on this machine for development, with our clients or any others: `qstash` and
//! `mailerlite`. `demo` has what they do.

pub mod mailerlite;
pub mod qstash;

use std::error::Error;

use async_trait::async_trait;

use super::serve::interrupted;
use super::terminal::output::Exit;
use crate::demo::qstash::{Attempt, Courier, DeliveryOutcome, HttpCourier};

/// A service that has started.
struct Running<S> {
    service: S,
    name: &'static str,
    url: String,
    /// The names and values that other terminals need. Nothing in them needs quoting inside of
    /// quotes.
    exports: Vec<(&'static str, String)>,
}

/// Prints the exports, which a shell reads with `eval`, and serves until it is interrupted.
async fn serve<S>(started: Result<Running<S>, Box<dyn Error>>) -> Exit {
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |error| (*error).source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            eprintln!("{error}{causes}\n  Choose another port with --port");
            return Exit::Failed;
        }
    };
    let announcement = async {
        let exports = running.exports.iter();
        let exports = exports.map(|(name, value)| format!("export {name}='{value}'\n"));
        print!("{}", exports.collect::<String>());
        eprintln!("A local {} serves {} until Ctrl-C", running.name, running.url);
    };
    // The signals are watched first: a script may send one as soon as it has read the exports.
    tokio::join!(interrupted(), announcement);
    drop(running.service);
    Exit::Done
}

/// Prints a line for each delivery on stderr.
struct PrintingCourier {
    courier: HttpCourier,
}

#[async_trait]
impl Courier for PrintingCourier {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        let delivered = self.courier.deliver(attempt).await;
        let Attempt { message_id, schedule_id, retried, url, method, .. } = attempt;
        let result = match &delivered {
            DeliveryOutcome::Answered { status, .. } => status.to_string(),
            DeliveryOutcome::Failed { reason } => reason.clone(),
            DeliveryOutcome::Late { after, .. } => format!("an answer in {after:?}"),
        };
        let schedule = schedule_id.as_deref().map(|id| format!(" of {id}")).unwrap_or_default();
        let attempt = retried + 1;
        eprintln!("{method} {url} -> {result} ({message_id}{schedule}, attempt {attempt})");
        delivered
    }
}
