//! One pipeline, joined with the outsides that its jobs work with.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sha2::{Digest, Sha256};

use crate::adapters;
use crate::adapters::postgres::PostgresTarget;
use crate::engine::model::address::Database;
use crate::engine::model::hex::hex;
use crate::engine::model::meter::Meter;
use crate::engine::ports::{Clock, Notifier};
use crate::jobs::{Ports, Served};
use crate::settings::PipelineSettings;

/// Joins a pipeline with its source and its target, which is its ledger, too.
pub fn join(
    set: PipelineSettings,
    database: PostgresTarget,
    state_schema: &str,
    meter: Meter,
    notifier: Option<Arc<dyn Notifier>>,
) -> Served {
    let PipelineSettings { pipeline, source, target } = set;
    let ports = Ports {
        source: adapters::open_source(source.address, &meter),
        target: Box::new(database.clone()),
        ledger: Box::new(database),
        clock: Box::new(SystemClock),
        meter,
        notifier,
    };
    let mark = mark(&target.address, state_schema);
    Served { mark, pipeline: Arc::new(pipeline), ports }
}

/// Tells this deployment's schedules from others', also after its public URL has changed: where it
/// writes, and as whom, since behind a pooler the user tells the projects apart. Nobody learns the
/// database's address from it.
fn mark(target: &Database, state_schema: &str) -> String {
    let digest = Sha256::digest(match target {
        Database::Server(url) => format!("{} {} {state_schema}", url.user, url.label()),
        Database::Project(project) => format!("{} {state_schema}", project.api()),
    });
    hex(&digest[..4])
}

/// This machine's clock.
struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
