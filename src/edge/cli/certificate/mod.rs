//! `syncline certificate`: shows the certificates of a side's server, and prints the one to pin.

mod report;

use std::io::{self, IsTerminal};

use super::terminal::app::{SideArgument, select_pipeline, with_app};
use super::terminal::output::{self, Exit};
use crate::engine::model::certificate::Chain;
use crate::engine::model::range::Side;

#[derive(Debug, clap::Args)]
pub struct CertificateArguments {
    /// The side whose server is asked
    #[arg(value_enum, default_value_t = SideArgument::Source)]
    side: SideArgument,
    /// The pipeline, if there are several
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// Print the certificate to pin without asking
    #[arg(long)]
    yes: bool,
}

/// Prints the certificates.
pub async fn certificate(arguments: &CertificateArguments) -> Exit {
    with_app(false, async |app, _| {
        let side = arguments.side.into();
        let served = select_pipeline(app, arguments.pipeline.as_deref())?;
        let chain = app.terminal(served).certificates(side).await?;
        print!("{}", report::text(&chain));
        Ok(pin(&chain, side, arguments.yes))
    })
    .await
}

/// Prints the certificate to pin, once somebody has compared it.
fn pin(chain: &Chain, side: Side, yes: bool) -> Exit {
    let Some(certificate) = chain.to_pin().filter(|_| chain.trust.is_err() || yes) else {
        return Exit::Done;
    };
    let question = report::question(chain, certificate);
    let asks = !yes && io::stdin().is_terminal();
    if asks && !output::ask(&question).is_ok_and(|answer| answer) {
        return Exit::Failed;
    }
    print!("\n{}", certificate.pem);
    if !asks && !yes {
        eprintln!("Nobody was asked, since this is no terminal. {question}");
    }
    eprintln!("{}", report::setting(side, chain));
    Exit::Done
}
