//! The calls of a connection. Each has a deadline.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::server::{Connection, connect};
use crate::adapters::api::project::Api;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::script::Script;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Parameter, Statement};
use crate::adapters::postgres::sql::transaction::{self, Control, Purpose};
use crate::engine::model::database::DatabaseUrl;

/// The time after which we stop waiting for an answer: a little after the time at which the server
/// should have ended the statement by itself.
const CALL_DEADLINE: Duration = Duration::from_secs(transaction::STATEMENT_TIMEOUT.as_secs() + 10);

/// The idle time after which a connection is tested before its next use: a frozen Lambda sandbox
/// does not notice that its connections are lost.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// The time limit of that test.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// The most names that are tried for a COPY because other programs hold the ones before.
const MOST_NAMES: usize = 1_000;

/// The savepoint before a COPY.
const BEFORE_COPY: &str = "before_copy";

/// A connection, which serves one transaction at a time.
pub struct Session {
    via: Via,
    used: Instant,
    /// The connection must not be used again, even if its transaction succeeds.
    spent: AtomicBool,
    /// Its transaction has many pages, and one stage for those of a table.
    keeps_stage: AtomicBool,
}

enum Via {
    Wire(Connection),
    Script(Script),
}

impl Session {
    /// Connects to a server.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, PostgresError> {
        Ok(Self::new(Via::Wire(connect(url).await?)))
    }

    /// Makes a session that runs as a script behind an API.
    pub fn script_over(api: Arc<Api>) -> Self {
        Self::new(Via::Script(Script::new(api)))
    }

    fn new(via: Via) -> Self {
        let (spent, keeps_stage) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { via, used: Instant::now(), spent, keeps_stage }
    }

    /// Keeps the table that pages are staged in for all pages of this connection's transaction. A
    /// script has many transactions, and makes it anew.
    pub fn keep_stage(&self) {
        self.keeps_stage.store(self.script().is_none(), Ordering::Relaxed);
    }

    /// Says whether the table that pages are staged in is there, made by somebody else.
    pub fn keeps_stage(&self) -> bool {
        self.keeps_stage.load(Ordering::Relaxed)
    }

    /// Keeps this connection from being used for another transaction.
    pub fn spend(&self) {
        self.spent.store(true, Ordering::Relaxed);
    }

    /// Returns the connection for the next call, unless it must not be used again.
    pub fn for_next_call(mut self) -> Option<Self> {
        self.used = Instant::now();
        (!*self.spent.get_mut()).then_some(self)
    }

    /// Says whether a kept connection can be used.
    pub async fn is_alive(&self) -> bool {
        let Via::Wire(Connection { client, .. }) = &self.via else { return true };
        if client.is_closed() {
            return false;
        }
        let ping = client.batch_execute("");
        self.used.elapsed() < TRUSTED_IDLE
            || matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(())))
    }

    /// Returns the script of a session behind an API.
    pub(super) fn script(&self) -> Option<&Script> {
        match &self.via {
            Via::Wire(_) => None,
            Via::Script(script) => Some(script),
        }
    }

    fn wire(&self) -> Result<&Connection, PostgresError> {
        match &self.via {
            Via::Wire(connection) => Ok(connection),
            Via::Script(_) => Err(PostgresError::NoWire),
        }
    }

    /// Begins a transaction with the pinned settings of its purpose.
    pub async fn begin(&self, purpose: Purpose) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(_) => self.batch(&transaction::begin(purpose)).await,
            Via::Script(script) => {
                script.begin(purpose);
                Ok(())
            }
        }
    }

    /// Runs statements without parameters or answers in one round trip.
    pub async fn batch(&self, text: &str) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(Connection { client, .. }) => within(client.batch_execute(text)).await,
            Via::Script(script) => script.batch(text).await,
        }
    }

    /// Runs statements however long they take: the caller's budget bounds them, and the kernel's
    /// keepalive probes notice a network that is cut.
    pub async fn batch_without_deadline(&self, text: &str) -> Result<(), PostgresError> {
        Ok(self.wire()?.client.batch_execute(text).await?)
    }

    /// Runs statements that prepare for later ones. Behind an API, a later statement reports their
    /// refusal.
    pub async fn prepare(&self, text: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Prepare(text)]).await
    }

    /// Sets a savepoint, and then runs statements that prepare for later ones.
    pub async fn attempt(&self, savepoint: &str, text: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Savepoint(savepoint), Control::Prepare(text)]).await
    }

    /// Sets a savepoint.
    pub async fn savepoint(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Savepoint(name)]).await
    }

    /// Undoes all statements after a savepoint. The savepoint stays.
    pub async fn roll_back_to(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::RollBackTo(name)]).await
    }

    /// Forgets a savepoint.
    pub async fn release(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Release(name)]).await
    }

    /// Undoes all statements after a savepoint, and forgets the savepoint.
    pub async fn undo(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::RollBackTo(name), Control::Release(name)]).await
    }

    /// Undoes the transaction.
    pub async fn roll_back(&self) -> Result<(), PostgresError> {
        self.control(&[Control::RollBack]).await
    }

    /// Commits the transaction.
    pub async fn commit(&self) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(_) => self.batch("commit").await,
            Via::Script(script) => script.commit().await,
        }
    }

    async fn control(&self, controls: &[Control<'_>]) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(_) => {
                let texts: Vec<String> = controls.iter().map(ToString::to_string).collect();
                self.batch(&texts.join("; ")).await
            }
            Via::Script(script) => {
                controls.iter().for_each(|control| script.control(*control));
                Ok(())
            }
        }
    }

    /// Runs one unnamed statement and returns its rows. Joined calls travel together, in their
    /// order.
    pub async fn query(
        &self,
        text: &str,
        parameters: impl Into<Vec<Parameter>>,
    ) -> Result<Vec<Row>, PostgresError> {
        self.ask(Statement::rows(text, parameters)).await
    }

    /// Runs one unnamed statement. A statement that only writes returns no rows.
    pub async fn ask(&self, statement: Statement) -> Result<Vec<Row>, PostgresError> {
        let client = match &self.via {
            Via::Wire(Connection { client, .. }) => client,
            Via::Script(script) => return script.query(statement).await,
        };
        let bound: Vec<_> = statement.values.into_iter().map(Parameter::bound).collect();
        let rows = async {
            let rows = client.query_typed_raw(&statement.text, bound).await?;
            rows.map_ok(Row::Wire).try_collect().await
        };
        within(rows).await
    }

    /// Runs one statement in a transaction of its own, and returns its rows.
    pub async fn run_in_own_transaction(
        &self,
        purpose: Purpose,
        text: &str,
        parameters: impl Into<Vec<Parameter>>,
    ) -> Result<Vec<Row>, PostgresError> {
        let [rows] = self.run_all(purpose, [Statement::rows(text, parameters)]).await?;
        Ok(rows)
    }

    /// Runs a statement that returns one JSON value, and passes the value on unread. Over a
    /// connection it does nothing and returns nothing: rows are copied there.
    pub async fn json(&self, text: &str) -> Result<Option<Bytes>, PostgresError> {
        match &self.via {
            Via::Wire(_) => Ok(None),
            Via::Script(script) => script.json(text).await.map(Some),
        }
    }

    /// Adds a statement that loads a page of JSON rows, which is its `$2`. The next statement
    /// reports its refusal. Over a connection it does nothing and returns false: rows are copied
    /// there.
    pub fn load(&self, statement: impl FnOnce() -> String, page: impl FnOnce() -> Bytes) -> bool {
        if let Via::Script(script) = &self.via {
            script.load(statement(), page());
        }
        self.script().is_some()
    }

    /// Fails behind an API, where only a person can create tables.
    pub fn may_define(&self) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(_) => Ok(()),
            Via::Script(_) => Err(PostgresError::NoState),
        }
    }

    /// Says whether the server runs the statements of a transaction again with its next ones, as
    /// behind an API. The server's own counts include the earlier runs then.
    pub fn is_replayed(&self) -> bool {
        self.script().is_some()
    }

    /// Sets the statement that renews the lease while a transaction is replayed.
    pub fn renew_by(&self, proof: impl FnOnce() -> Statement) {
        if let Via::Script(script) = &self.via {
            script.renew_by(proof());
        }
    }

    /// Begins a COPY that sends rows.
    pub async fn copy_out(&self, text: &str) -> Result<CopyOutStream, PostgresError> {
        let Connection { client, .. } = self.wire()?;
        self.under_free_name(|| within(client.copy_out(text))).await
    }

    /// Begins a COPY that receives rows.
    pub async fn copy_in(&self, text: &str) -> Result<CopyInSink<Bytes>, PostgresError> {
        let Connection { client, .. } = self.wire()?;
        self.under_free_name(|| within(client.copy_in(text))).await
    }

    /// Begins a COPY under a name that is free. The driver prepares each COPY under a name, and
    /// each process counts its names up from s0. Behind a transaction pooler, another program's
    /// statement may have the name already. Then the driver's next name is tried, behind a
    /// savepoint.
    async fn under_free_name<T, F>(&self, copy: impl Fn() -> F) -> Result<T, PostgresError>
    where
        F: Future<Output = Result<T, PostgresError>>,
    {
        let mut names = 0;
        loop {
            let (savepoint, stream) = tokio::join!(self.savepoint(BEFORE_COPY), copy());
            savepoint?;
            match stream {
                Err(error)
                    if error.code() == Some(&SqlState::DUPLICATE_PSTATEMENT)
                        && names < MOST_NAMES =>
                {
                    names += 1;
                    self.roll_back_to(BEFORE_COPY).await?;
                }
                stream => return stream,
            }
        }
    }

    /// Runs one unnamed statement and returns the number of rows that it wrote.
    pub async fn execute(&self, text: &str) -> Result<u64, PostgresError> {
        match &self.via {
            Via::Wire(Connection { client, .. }) => within(client.execute_typed(text, &[])).await,
            Via::Script(script) => script.execute(text).await,
        }
    }

    /// Asks the server to end the running statement. The request travels on a connection of its
    /// own, and the caller still has to wait for the end of the statement.
    pub async fn cancel(&self) -> Result<(), PostgresError> {
        self.wire()?.cancel().await
    }
}

/// Waits for an answer of the server until the deadline.
pub async fn within<T>(
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(answer) => answer.map_err(PostgresError::from),
        Err(_) => Err(PostgresError::Silent(CALL_DEADLINE.as_secs())),
    }
}
