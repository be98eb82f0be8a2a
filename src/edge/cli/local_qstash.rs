//! `syncline local-qstash`: starts a QStash on this machine for development, with ours or any other
//! client, and prints its deliveries. `demo/qstash` has what it does.

use std::sync::Arc;

use async_trait::async_trait;

use super::serve::interrupted;
use super::terminal::output::Exit;
use crate::demo::qstash::{
    Attempt, Courier, DeliveryOutcome, HttpCourier, LocalQStash, Options, PUBLIC_CURRENT_KEY,
};

#[derive(Debug, clap::Args)]
pub struct LocalQstashArguments {
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Make a token and keys that nobody knows, not the public ones of development servers
    #[arg(long)]
    random_keys: bool,
}

/// Serves until it is interrupted.
pub async fn local_qstash(arguments: &LocalQstashArguments) -> Exit {
    let qstash = match start(arguments).await {
        Ok(qstash) => qstash,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |error| (*error).source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            eprintln!("{error}{causes}\n  Choose another port with --port");
            return Exit::Failed;
        }
    };
    let announcement = async {
        print!("{}", exports(&qstash));
        eprintln!("A local QStash serves {} until Ctrl-C", qstash.url());
    };
    // The signals are watched first: a script may send one as soon as it has read the exports.
    tokio::join!(interrupted(), announcement);
    Exit::Done
}

async fn start(
    arguments: &LocalQstashArguments,
) -> Result<LocalQStash, Box<dyn std::error::Error>> {
    let courier = Arc::new(PrintingCourier { courier: HttpCourier::new()? });
    let options = Options { port: arguments.port, ..Options::default() }.with_courier(courier);
    let options = match arguments.random_keys {
        true => options,
        false => options.with_public_credentials(),
    };
    Ok(LocalQStash::start(options).await?)
}

/// The lines that a shell reads with `eval`. Nothing in them needs quoting inside of the quotes.
fn exports(qstash: &LocalQStash) -> String {
    let current = qstash.current_key();
    // The function refuses the public keys unless it is told that it runs locally.
    let is_public = current == PUBLIC_CURRENT_KEY;
    let mut exports = vec![
        ("QSTASH_URL", qstash.url()),
        ("QSTASH_TOKEN", qstash.token().to_owned()),
        ("QSTASH_CURRENT_SIGNING_KEY", current),
        ("QSTASH_NEXT_SIGNING_KEY", qstash.next_key()),
    ];
    exports.extend(is_public.then(|| ("SYNC_LOCAL", "1".to_owned())));
    exports.iter().map(|(name, value)| format!("export {name}='{value}'\n")).collect()
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
