//! A connection in use: its calls, each with a deadline, and how it comes back.

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

/// After how long we stop waiting for an answer: a little after the server should have ended the
/// statement by itself.
const CALL_DEADLINE: Duration = Duration::from_secs(transaction::STATEMENT_TIMEOUT.as_secs() + 10);

/// A connection idle for longer is asked whether it is still there before it is trusted: a frozen
/// Lambda sandbox loses its peers without noticing.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// The time that this question may take.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// The most names in a row that are passed over because another program holds them.
const MOST_NAMES: usize = 1_000;

/// The savepoint before a COPY.
const BEFORE_COPY: &str = "before_copy";

/// A connection that one transaction at a time has for itself.
pub struct Session {
    via: Via,
    used: Instant,
    /// It is not to be used again, although its transaction goes well.
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

    /// A script, which runs behind an API.
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

    /// The connection between two transactions; none if it is spent.
    pub fn rested(mut self) -> Option<Self> {
        self.used = Instant::now();
        (!*self.spent.get_mut()).then_some(self)
    }

    /// Says whether a connection that was kept can be trusted.
    pub async fn is_alive(&self) -> bool {
        let Via::Wire(Connection { client, .. }) = &self.via else { return true };
        if client.is_closed() {
            return false;
        }
        let ping = client.batch_execute("");
        self.used.elapsed() < TRUSTED_IDLE
            || matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(())))
    }

    /// The script, where there is no connection.
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

    /// Begins a transaction for a purpose, with its settings pinned.
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

    /// Runs statements that prepare for others. Their refusal may be reported by those alone.
    pub async fn prepare(&self, text: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Prepare(text)]).await
    }

    /// Sets a savepoint and runs statements that prepare for others behind it.
    pub async fn attempt(&self, savepoint: &str, text: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Savepoint(savepoint), Control::Prepare(text)]).await
    }

    /// Sets a savepoint.
    pub async fn savepoint(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Savepoint(name)]).await
    }

    /// Undoes what came after a savepoint, which stays.
    pub async fn roll_back_to(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::RollBackTo(name)]).await
    }

    /// Forgets a savepoint.
    pub async fn release(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::Release(name)]).await
    }

    /// Undoes what came after a savepoint, and forgets it.
    pub async fn undo(&self, name: &str) -> Result<(), PostgresError> {
        self.control(&[Control::RollBackTo(name), Control::Release(name)]).await
    }

    /// Undoes the transaction.
    pub async fn roll_back(&self) -> Result<(), PostgresError> {
        self.control(&[Control::RollBack]).await
    }

    /// Ends the transaction, and keeps what it did.
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

    /// Runs one unnamed statement for its rows. Calls that are joined travel together, in their
    /// order.
    pub async fn query(
        &self,
        text: &str,
        parameters: impl Into<Vec<Parameter>>,
    ) -> Result<Vec<Row>, PostgresError> {
        self.ask(Statement::rows(text, parameters)).await
    }

    /// Runs one unnamed statement; one that only writes gives no rows.
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

    /// Runs one statement in a transaction of its own and gives its rows.
    pub async fn alone(
        &self,
        purpose: Purpose,
        text: &str,
        parameters: impl Into<Vec<Parameter>>,
    ) -> Result<Vec<Row>, PostgresError> {
        let [rows] = self.run_all(purpose, [Statement::rows(text, parameters)]).await?;
        Ok(rows)
    }

    /// Runs a statement that gives one JSON value, and passes that on unread; none over a
    /// connection, where rows are copied.
    pub async fn json(&self, text: &str) -> Result<Option<Bytes>, PostgresError> {
        match &self.via {
            Via::Wire(_) => Ok(None),
            Via::Script(script) => script.json(text).await.map(Some),
        }
    }

    /// Adds a statement that loads a page of JSON rows, which is its `$2`; the next statement
    /// reports its refusal. Returns false, and does nothing, over a connection, where rows are
    /// copied.
    pub fn load(&self, statement: impl FnOnce() -> String, page: impl FnOnce() -> Bytes) -> bool {
        if let Via::Script(script) = &self.via {
            script.load(statement(), page());
        }
        self.script().is_some()
    }

    /// Refuses to make tables over an API: that is a person's work there.
    pub fn may_define(&self) -> Result<(), PostgresError> {
        match &self.via {
            Via::Wire(_) => Ok(()),
            Via::Script(_) => Err(PostgresError::NoState),
        }
    }

    /// Says whether statements are run a second time by the server, with the transaction's next
    /// ones. What the server has counted includes the first run then.
    pub fn is_replayed(&self) -> bool {
        self.script().is_some()
    }

    /// Names the statement that renews the lease for as long as a transaction is replayed.
    pub fn renew_by(&self, proof: impl FnOnce() -> Statement) {
        if let Via::Script(script) = &self.via {
            script.renew_by(proof());
        }
    }

    /// Begins to read what a COPY sends.
    pub async fn copy_out(&self, text: &str) -> Result<CopyOutStream, PostgresError> {
        let Connection { client, .. } = self.wire()?;
        self.past_foreign_names(|| within(client.copy_out(text))).await
    }

    /// Begins to write what a COPY takes.
    pub async fn copy_in(&self, text: &str) -> Result<CopyInSink<Bytes>, PostgresError> {
        let Connection { client, .. } = self.wire()?;
        self.past_foreign_names(|| within(client.copy_in(text))).await
    }

    /// Begins a COPY. The driver prepares it under a name, counted up from s0 by each process, and
    /// behind a transaction pooler another program's statement may have that name already: then
    /// the next one is tried, behind a savepoint.
    async fn past_foreign_names<T, F>(&self, copy: impl Fn() -> F) -> Result<T, PostgresError>
    where
        F: Future<Output = Result<T, PostgresError>>,
    {
        let mut passed_over = 0;
        loop {
            let (savepoint, stream) = tokio::join!(self.savepoint(BEFORE_COPY), copy());
            savepoint?;
            match stream {
                Err(error)
                    if error.code() == Some(&SqlState::DUPLICATE_PSTATEMENT)
                        && passed_over < MOST_NAMES =>
                {
                    passed_over += 1;
                    self.roll_back_to(BEFORE_COPY).await?;
                }
                stream => return stream,
            }
        }
    }

    /// Runs one unnamed statement that answers nothing but how many rows it wrote.
    pub async fn execute(&self, text: &str) -> Result<u64, PostgresError> {
        match &self.via {
            Via::Wire(Connection { client, .. }) => within(client.execute_typed(text, &[])).await,
            Via::Script(script) => script.execute(text).await,
        }
    }

    /// Asks the server to end the running statement. It is a hint on a connection of its own; the
    /// caller still has to wait for the statement's end.
    pub async fn cancel(&self) -> Result<(), PostgresError> {
        self.wire()?.cancel().await
    }
}

/// Waits for an answer of the server, but not for ever.
pub async fn within<T>(
    call: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, PostgresError> {
    match tokio::time::timeout(CALL_DEADLINE, call).await {
        Ok(answer) => answer.map_err(PostgresError::from),
        Err(_) => Err(PostgresError::Silent(CALL_DEADLINE.as_secs())),
    }
}
