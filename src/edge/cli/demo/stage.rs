//! The stage of the demo: a server with two databases, the function's routes on a port, and a
//! QStash that calls them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::caller::{Caller, random};
use super::error::DemoError;
use crate::demo::Cluster;
use crate::demo::qstash::LocalQStash;
use crate::edge::cli::serve::without_delay;
use crate::edge::http::router;
use crate::wiring::App;

/// The database that is read.
pub const SOURCE: &str = "slave";

/// The database that is written.
pub const TARGET: &str = "prod";

/// The default port of `syncline serve`, so that commands from the README fit.
const USUAL_PORT: u16 = 8787;

/// The longest wait for calls that are under way at the end. The databases are removed in any case.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The settings of a short budget and small pages, so that a small backlog takes several slices.
const SMALL_SLICES: [(&str, &str); 2] = [("SYNC_BUDGET_SECONDS", "1"), ("SYNC_PAGE_ROWS", "100")];

/// The servers of the demo. Dropping the stage stops them, the function before its databases.
pub struct Stage {
    /// Calls the function as people and strangers do.
    pub caller: Caller,
    /// Calls the function on its schedule.
    pub qstash: LocalQStash,
    function: Function,
    /// The server of both databases.
    pub cluster: Cluster,
}

/// The function's routes, served by a task that ends with this value.
struct Function {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Stage {
    /// Opens the function over the cluster's two databases, with keys that nobody else knows. Its
    /// settings are read as they are in Lambda, only not from the environment.
    pub async fn open(cluster: Cluster, keep: bool) -> Result<Self, DemoError> {
        let listener = listen(keep).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let qstash = LocalQStash::stepped(SystemTime::now()).await?;
        let (api, current, next) = (qstash.url(), qstash.current_key(), qstash.next_key());
        let admin_token = random("demo_");
        let (source, target) = (cluster.url(SOURCE), cluster.url(TARGET));
        let mut set = BTreeMap::from([
            ("SOURCE_DATABASE_URL", source.as_str()),
            ("TARGET_DATABASE_URL", &target),
            ("APP_URL", &url),
            ("QSTASH_URL", &api),
            ("QSTASH_TOKEN", qstash.token()),
            ("QSTASH_CURRENT_SIGNING_KEY", &current),
            ("QSTASH_NEXT_SIGNING_KEY", &next),
            ("SYNC_ADMIN_TOKEN", &admin_token),
        ]);
        set.extend(SMALL_SLICES);
        let app = App::function(&|name| set.get(name).map(|&value| value.to_owned()))
            .map_err(|problems| DemoError::Function(problems.to_string()))?;
        let routes = router(app).map_err(|bad| DemoError::Function(bad.to_string()))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stop_signal = async { drop(stopped.await) };
            // Serving never ends in an error: axum retries what it could not accept.
            let _ = axum::serve(without_delay(listener), routes)
                .with_graceful_shutdown(stop_signal)
                .await;
        });
        let function = Function { url: url.clone(), stop: Some(stop), task };
        Ok(Self { caller: Caller::new(&url, current, admin_token)?, qstash, function, cluster })
    }

    /// The URL of the function.
    pub fn url(&self) -> &str {
        &self.function.url
    }

    /// Lets QStash's clock go on in real time. It never returns.
    pub async fn keep_ticking(&self) {
        const STEP: Duration = Duration::from_secs(1);
        loop {
            tokio::time::sleep(STEP).await;
            self.qstash.advance(STEP).await;
        }
    }

    /// Stops everything, and returns the folder that its files were in.
    pub async fn stop(self) -> PathBuf {
        let Self { caller, qstash, mut function, cluster } = self;
        // The function waits for the end of its connections, which these two keep open.
        drop((caller, qstash));
        drop(function.stop.take());
        let _ = tokio::time::timeout(LONGEST_WAIT, &mut function.task).await;
        let data = cluster.data_dir();
        drop(cluster);
        data.parent().map(PathBuf::from).unwrap_or(data)
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(keep: bool) -> Result<TcpListener, DemoError> {
    if keep && let Ok(usual) = TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).await {
        return Ok(usual);
    }
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
}
