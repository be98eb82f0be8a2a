//! What the demo happens on: a server with two databases, and the function's routes on a port.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::DemoError;
use super::caller::{Caller, Keys};
use crate::demo::Cluster;
use crate::edge::http::router;
use crate::wiring::App;

/// The database that is read.
pub const SOURCE: &str = "slave";

/// The database that is written.
pub const TARGET: &str = "prod";

/// The port that `syncline serve` has, too, so that commands from the README fit.
const USUAL_PORT: u16 = 8787;

/// What calls that are under way at the end are waited for; the databases go in any case.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everything that runs. Dropping it stops it, the function before its databases.
pub struct Stage {
    /// Calls the function.
    pub caller: Caller,
    function: Function,
    /// Has both databases.
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
        let keys = Keys::random();
        let (source, target) = (cluster.url(SOURCE), cluster.url(TARGET));
        let set = BTreeMap::from([
            ("SOURCE_DATABASE_URL", source.as_str()),
            ("TARGET_DATABASE_URL", &target),
            ("APP_URL", &url),
            ("QSTASH_CURRENT_SIGNING_KEY", &keys.current),
            ("QSTASH_NEXT_SIGNING_KEY", &keys.next),
            ("SYNC_ADMIN_TOKEN", &keys.admin_token),
        ]);
        let app = App::function(&|name| set.get(name).map(|&value| value.to_owned()))
            .map_err(|problems| DemoError::Door(problems.to_string()))?;
        let routes = router(app).map_err(|bad| DemoError::Door(bad.to_string()))?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let asked_to_stop = async { drop(stopped.await) };
            // Serving ends in no error: what fails to be accepted is tried again.
            let _ = axum::serve(listener, routes).with_graceful_shutdown(asked_to_stop).await;
        });
        let function = Function { url: url.clone(), stop: Some(stop), task };
        Ok(Self { caller: Caller::new(&url, keys)?, function, cluster })
    }

    /// Where the function listens.
    pub fn url(&self) -> &str {
        &self.function.url
    }

    /// Stops everything, and tells where its files were.
    pub async fn clear(self) -> PathBuf {
        let Self { caller, mut function, cluster } = self;
        // Its connections are kept open otherwise, and the function waits for their end.
        drop(caller);
        drop(function.stop.take());
        let _ = tokio::time::timeout(PATIENCE, &mut function.task).await;
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
