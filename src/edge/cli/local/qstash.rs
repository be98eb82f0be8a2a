//! `syncline local-qstash`: starts a QStash, and prints its deliveries.

use std::error::Error;
use std::sync::Arc;

use super::{PrintingCourier, Running};
use crate::demo::qstash::{HttpCourier, LocalQStash, Options, PUBLIC_CURRENT_KEY};
use crate::edge::cli::terminal::output::Exit;

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
    super::serve(start(arguments).await).await
}

async fn start(arguments: &LocalQstashArguments) -> Result<Running<LocalQStash>, Box<dyn Error>> {
    let courier = Arc::new(PrintingCourier { courier: HttpCourier::new()? });
    let options = Options { port: arguments.port, ..Options::default() }.with_courier(courier);
    let options = match arguments.random_keys {
        true => options,
        false => options.with_public_credentials(),
    };
    let qstash = LocalQStash::start(options).await?;
    let (url, exports) = (qstash.url(), exports(&qstash));
    Ok(Running { service: qstash, name: "QStash", url, exports })
}

fn exports(qstash: &LocalQStash) -> Vec<(&'static str, String)> {
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
    exports
}
