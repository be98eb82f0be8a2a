//! Builds one pipeline with the ports that its jobs use.

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
use crate::jobs::{PipelineWithPorts, Ports};
use crate::settings::PipelineSettings;

/// Builds a pipeline with its source and its target, which is its ledger, too.
pub fn join(
    settings: PipelineSettings,
    database: PostgresTarget,
    state_schema: &str,
    meter: Meter,
    notifier: Option<Arc<dyn Notifier>>,
) -> PipelineWithPorts {
    let PipelineSettings { pipeline, source, target } = settings;
    let ports = Ports {
        source: adapters::open_source(source.address, &meter),
        target: Box::new(database.clone()),
        ledger: Box::new(database),
        clock: Box::new(SystemClock),
        meter,
        notifier,
    };
    let mark = mark(&target.address, state_schema);
    PipelineWithPorts { mark, pipeline: Arc::new(pipeline), ports }
}

/// The mark that tells this deployment's schedules from those of others, also after its public URL
/// has changed. It is a digest of the target's address and user, since behind a pooler the projects
/// differ in their users. It does not reveal the address.
fn mark(target: &Database, state_schema: &str) -> String {
    let digest = Sha256::digest(match target {
        Database::Server(url) => format!("{} {} {state_schema}", url.user, url.label()),
        Database::Project(project) => format!("{} {state_schema}", project.api()),
    });
    hex(&digest[..4])
}

/// This machine's clock.
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
