//! One database, and the connection to it that is kept between calls.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::session::Session;
use crate::adapters::api::project::Api;
use crate::adapters::postgres::fault::{PostgresError, to_fault};
use crate::engine::model::address::Database;
use crate::engine::model::database::{DatabaseUrl, SslMode};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::project::Project;
use crate::engine::model::table::TableName;

/// One database, reached when it is first needed. The connection is kept between calls; each call
/// takes it, uses it for one transaction and gives it back. A call that fails drops it, and the
/// server rolls back whatever was open.
pub struct Pool {
    place: Place,
    connecting: Step,
    idle: Mutex<Option<Session>>,
}

/// The place where a database is reached.
enum Place {
    /// A server.
    Server(DatabaseUrl),
    /// A project behind an API.
    Project(Arc<Api>),
}

impl Pool {
    /// Makes a pool that connects when it is first needed. `connecting` names the side in the fault
    /// of a database that cannot be reached. The meter counts the calls of an API.
    pub fn new(database: Database, meter: Meter, connecting: Step) -> Self {
        let place = match database {
            Database::Server(url) => Place::Server(url),
            Database::Project(project) => Place::Project(Arc::new(Api::new(project, meter))),
        };
        Self { place, connecting, idle: Mutex::new(None) }
    }

    /// Says whether the address is that of a transaction pooler.
    pub fn is_pooled(&self) -> bool {
        matches!(&self.place, Place::Server(url) if url.is_transaction_pooler())
    }

    /// Logs a warning if the server need not prove who it is.
    pub fn warn_if_unverified(&self) {
        let Place::Server(url) = &self.place else { return };
        if url.ssl_mode == Some(SslMode::NoVerify) {
            let label = url.label();
            tracing::warn!(
                "Nothing proves that {label} is the real server (sslmode=no-verify): anybody in \
                 between can read the password and the rows"
            );
        }
    }

    /// Says whether the database is reached over an API, where rows are JSON.
    pub fn is_project(&self) -> bool {
        matches!(self.place, Place::Project(_))
    }

    /// Returns the URL of the API of the database's project, if its address names the project.
    pub fn project(&self) -> Option<String> {
        match &self.place {
            Place::Server(url) => url.supabase_project().map(Project::api_at_supabase),
            Place::Project(api) => Some(api.url().to_owned()),
        }
    }

    /// Takes a connection for one transaction of a step. Its fault names the table, if there is one.
    pub async fn call<'a>(
        &'a self,
        step: Step,
        table: Option<&'a TableName>,
    ) -> Result<Call<'a>, Fault> {
        let session = Some(self.take().await?);
        Ok(Call { pool: self, session, step, table, is_reusable: AtomicBool::new(false) })
    }

    /// Takes the kept connection, or connects.
    pub async fn take(&self) -> Result<Session, Fault> {
        let url = match &self.place {
            Place::Server(url) => url,
            Place::Project(api) => return Ok(Session::script_over(api.clone())),
        };
        let kept = self.idle.lock().expect("no holder panics").take();
        if let Some(session) = kept
            && session.is_alive().await
        {
            return Ok(session);
        }
        Session::connect(url).await.map_err(|error| to_fault(error, self.connecting))
    }
}

/// A connection that one transaction has for itself.
pub struct Call<'a> {
    pool: &'a Pool,
    /// The connection, until the call is dropped.
    session: Option<Session>,
    step: Step,
    table: Option<&'a TableName>,
    is_reusable: AtomicBool,
}

impl Call<'_> {
    /// Ends the call with the result of its transaction. The connection is kept if the transaction
    /// succeeded: it has no transaction open then.
    pub fn end<T>(&self, result: Result<T, PostgresError>) -> Result<T, Fault> {
        self.is_reusable.store(result.is_ok(), Ordering::Relaxed);
        let fault = |error| match (to_fault(error, self.step), self.table) {
            (fault, None) => fault,
            (fault, Some(table)) => fault.of_table(table),
        };
        result.map_err(fault)
    }
}

impl Deref for Call<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("the connection is kept until the call is dropped")
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| *self.is_reusable.get_mut());
        if let Some(kept) = session.and_then(Session::for_next_call) {
            *self.pool.idle.lock().expect("no holder panics") = Some(kept);
        }
    }
}
