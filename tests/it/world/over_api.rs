//! Which databases of a pair are reached over an API, and what stands in for one.

use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Handle};

use super::Database;
use super::postgrest::Standin;

/// All that tests make is the service role's to use.
pub const GRANTS: &str = "do $$ declare own name; begin \
    for own in select nspname from pg_namespace where nspname !~ '^pg_|^information_schema$' loop \
        execute format('grant usage on schema %I to service_role; \
            grant all on all tables in schema %1$I to service_role; \
            grant all on all sequences in schema %1$I to service_role; \
            grant execute on all functions in schema %1$I to service_role', own); \
    end loop; end $$";

/// Which databases the function reaches over an API.
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
    /// What the variable says.
    pub fn from_environment() -> Option<Self> {
        match std::env::var(OVER_API).ok()?.as_str() {
            "source" => Some(Self::Source),
            "target" => Some(Self::Target),
            "both" => Some(Self::Both),
            other => panic!("{OVER_API}={other}: it may be source, target or both"),
        }
    }
}

/// A stand-in that answers also while its test waits for a process.
pub async fn stand_in(database: &Database) -> Standin {
    static ITS_THREAD: OnceLock<Handle> = OnceLock::new();
    let its_thread = ITS_THREAD.get_or_init(|| {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            tell.send(runtime.handle().clone()).expect("somebody waits for it");
            runtime.block_on(std::future::pending::<()>());
        });
        told.recv().expect("the thread has a runtime")
    });
    let database = Database { name: database.name.clone(), url: database.url.clone() };
    let started = its_thread.spawn(async move { Standin::over(&database).await });
    started.await.expect("the stand-in starts")
}
