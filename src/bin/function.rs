//! The Lambda function: cold start, then the HTTP door. Databases are reached by the first call
//! that needs them, so that one that is down is an answer and not a crash loop.

use syncline::edge::http::router;
use syncline::settings::{self, Program};
use syncline::telemetry::{self, Reader, emf};
use syncline::wiring::App;

// One thread: below 1769 MB a sandbox has less than one processor, and the work waits on sockets.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let metrics = settings::counts_runs(Program::Function).then(emf::layer);
    let drawn = metrics.into_iter().collect();
    telemetry::start(Reader::Service, settings::log_filter().as_deref(), drawn);
    let app = App::function_from_process().inspect_err(|problems| {
        tracing::error!("{problems}");
    })?;
    lambda_http::run(router(app)?).await
}
