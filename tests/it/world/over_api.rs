//! Pairs whose databases are reached over an API, and the stand-in for that API.

use std::sync::{OnceLock, mpsc};

use syncline::engine::model::range::Side;
use syncline::wiring::App;
use tokio::runtime::{Builder, Handle};
use tokio_postgres::Client;

use super::Database;
use super::postgrest::Standin;
use super::servers::not_tested;

/// The statement that grants everything that tests make to the service role.
pub const GRANTS: &str = include_str!("../../data/grants.sql");

/// The databases that the function reaches over an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverApi {
    /// The source.
    Source,
    /// The target.
    Target,
    /// Both.
    Both,
}

/// The variable that has every pair reached over an API: `source`, `target` or `both`.
const OVER_API: &str = "SYNCLINE_TEST_OVER_API";

impl OverApi {
    /// Reads the variable.
    pub fn from_environment() -> Option<Self> {
        match std::env::var(OVER_API).ok()?.as_str() {
            "source" => Some(Self::Source),
            "target" => Some(Self::Target),
            "both" => Some(Self::Both),
            other => panic!("{OVER_API}={other}: it may be source, target or both"),
        }
    }
}

/// Says whether a test that needs a connection to this side can run. If the variable has that side
/// reached over an API, it cannot, and what is left out is printed.
pub fn connects_to(side: Side, for_what: &str) -> bool {
    let connects = match OverApi::from_environment() {
        None => true,
        Some(OverApi::Both) => false,
        Some(OverApi::Source) => side == Side::Target,
        Some(OverApi::Target) => side == Side::Source,
    };
    if !connects {
        not_tested(&format!("{for_what}, over an API"));
    }
    connects
}

/// Lets the service role suppress triggers, as a person does in a project's SQL editor.
pub async fn allow_to_suppress(client: &Client) {
    let functions = App::suppress_triggers_sql();
    client.batch_execute(functions).await.expect("the superuser may suppress triggers");
}

/// A stand-in that answers also while its test waits for a process.
pub async fn stand_in(database: &Database) -> Standin {
    static ITS_THREAD: OnceLock<Handle> = OnceLock::new();
    let its_thread = ITS_THREAD.get_or_init(|| {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            sender.send(runtime.handle().clone()).expect("somebody waits for it");
            runtime.block_on(std::future::pending::<()>());
        });
        receiver.recv().expect("the thread has a runtime")
    });
    let (name, url) = (database.name.clone(), database.url.clone());
    let database = Database { name, url, statements: None };
    let started = its_thread.spawn(async move { Standin::over(&database).await });
    started.await.expect("the stand-in starts")
}
