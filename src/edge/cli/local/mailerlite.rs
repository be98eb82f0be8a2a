//! `syncline local-mailerlite`: starts a MailerLite, and prints the deliveries of its webhooks.

use std::error::Error;
use std::sync::Arc;

use super::{PrintingCourier, Running};
use crate::demo::mailerlite::{LocalMailerLite, Options};
use crate::demo::qstash::HttpCourier;
use crate::edge::cli::terminal::output::Exit;

#[derive(Debug, clap::Args)]
pub struct LocalMailerliteArguments {
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8090)]
    port: u16,
}

/// Serves until it is interrupted.
pub async fn local_mailerlite(arguments: &LocalMailerliteArguments) -> Exit {
    super::serve(start(arguments).await).await
}

async fn start(
    arguments: &LocalMailerliteArguments,
) -> Result<Running<LocalMailerLite>, Box<dyn Error>> {
    let courier = Arc::new(PrintingCourier { courier: HttpCourier::new()? });
    let options = Options { port: arguments.port, ..Options::default() }.with_courier(courier);
    let mailerlite = LocalMailerLite::start(options).await?;
    let url = mailerlite.url();
    let exports = vec![
        ("MAILERLITE_URL", url.clone()),
        ("MAILERLITE_API_KEY", mailerlite.token().to_owned()),
    ];
    Ok(Running { service: mailerlite, name: "MailerLite", url, exports })
}
