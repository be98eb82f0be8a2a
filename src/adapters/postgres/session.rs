//! A connection in use: its calls, each with a deadline, and how it comes back.

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, CopyInSink, CopyOutStream, Row};

use super::connect::{Connection, connect};
use super::fault::PostgresError;
use super::sql::{self, Purpose};
use crate::engine::model::database::DatabaseUrl;

/// After how long we stop waiting for an answer: a little after the server should have ended the
/// statement by itself.
const CALL_DEADLINE: Duration = Duration::from_secs(sql::STATEMENT_TIMEOUT.as_secs() + 10);

/// A connection idle for longer is asked whether it is still there before it is trusted: a frozen
/// Lambda sandbox loses its peers without noticing.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// How long that question may take.
const PING_DEADLINE: Duration = Duration::from_secs(2);

/// One database, reached when it is first needed. The connection is kept between calls; each call
/// takes it, uses it for one transaction and gives it back. A call that fails drops it, and the
/// server rolls back whatever was open.
pub struct Pool {
    url: DatabaseUrl,
    idle: Mutex<Option<Session>>,
}

/// A connection that one call has for itself.
pub struct Session {
    connection: Connection,
    used: Instant,
}

impl Pool {
    /// A database that is not reached yet.
    pub fn new(url: DatabaseUrl) -> Self {
        Self { url, idle: Mutex::new(None) }
    }

    /// Whether its address is that of a transaction pooler.
    pub fn is_pooled(&self) -> bool {
        self.url.is_transaction_pooler()
    }

    /// The kept connection, or a new one.
    pub async fn take(&self) -> Result<Session, PostgresError> {
        let kept = self.idle.lock().expect("no holder panics").take();
        if let Some(session) = kept
            && session.is_alive().await
        {
            return Ok(session);
        }
        Ok(Session { connection: connect(&self.url).await?, used: Instant::now() })
    }

    /// Keeps the connection for the next call. It has no transaction open.
    pub fn give_back(&self, mut session: Session) {
        session.used = Instant::now();
        *self.idle.lock().expect("no holder panics") = Some(session);
    }
}

impl Session {
    async fn is_alive(&self) -> bool {
        if self.client().is_closed() {
            return false;
        }
        let ping = self.client().batch_execute("");
        self.used.elapsed() < TRUSTED_IDLE
            || matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(())))
    }

    /// The driver's client.
    pub fn client(&self) -> &Client {
        &self.connection.client
    }

    /// Begins a transaction for a purpose, with its settings pinned.
    pub async fn begin(&self, purpose: Purpose) -> Result<(), PostgresError> {
        self.batch(&sql::begin(purpose)).await
    }

    /// Runs statements without parameters or answers in one round trip.
    pub async fn batch(&self, text: &str) -> Result<(), PostgresError> {
        within(self.client().batch_execute(text)).await
    }

    /// Runs one unnamed statement. Calls that are joined travel together, in their order.
    pub async fn query(
        &self,
        text: &str,
        parameters: impl IntoIterator<Item = Parameter>,
    ) -> Result<Vec<Row>, PostgresError> {
        let bound: Vec<_> = parameters.into_iter().map(|of| (of.value, of.kind)).collect();
        let answered = async {
            self.client().query_typed_raw(text, bound).await?.try_collect::<Vec<Row>>().await
        };
        within(answered).await
    }

    /// Runs one unnamed statement in a transaction of its own, with its settings pinned, in one round
    /// trip. A statement that fails leaves no transaction open.
    pub async fn alone(
        &self,
        purpose: Purpose,
        text: &str,
        parameters: impl IntoIterator<Item = Parameter>,
    ) -> Result<Vec<Row>, PostgresError> {
        let (begun, answered, ended) =
            tokio::join!(self.begin(purpose), self.query(text, parameters), self.batch("commit"));
        begun?;
        let rows = answered?;
        ended?;
        Ok(rows)
    }

    /// Begins to read what a COPY sends.
    pub async fn copy_out(&self, text: &str) -> Result<CopyOutStream, PostgresError> {
        past_taken_names(self, || within(self.client().copy_out(text))).await
    }

    /// Begins to write what a COPY takes.
    pub async fn copy_in(&self, text: &str) -> Result<CopyInSink<Bytes>, PostgresError> {
        past_taken_names(self, || within(self.client().copy_in(text))).await
    }

    /// Runs one unnamed statement that answers nothing but how many rows it wrote.
    pub async fn execute(&self, text: &str) -> Result<u64, PostgresError> {
        within(self.client().execute_typed(text, &[])).await
    }

    /// Asks the server to end the running statement. It is a hint on a connection of its own; the
    /// caller still has to wait for the statement's end.
    pub async fn cancel(&self) -> Result<(), PostgresError> {
        let token = self.client().cancel_token();
        within(token.cancel_query(self.connection.tls.clone())).await
    }
}

/// How many names in a row may be taken.
const MOST_TAKEN: usize = 1_000;

/// The driver prepares a COPY under a name, counted up from s0 by each process. Behind a transaction
/// pooler another program's statement may have that name already: then the next one is tried.
async fn past_taken_names<T, F>(
    session: &Session,
    attempt: impl Fn() -> F,
) -> Result<T, PostgresError>
where
    F: Future<Output = Result<T, PostgresError>>,
{
    for _ in 0..MOST_TAKEN {
        match attempt().await {
            Err(error) if error.code() == Some(&SqlState::DUPLICATE_PSTATEMENT) => {
                session.batch(&format!("rollback to savepoint {}", sql::BEFORE_COPY)).await?;
            }
            answered => return answered,
        }
    }
    attempt().await
}

/// A value for a statement's `$n`, with the type that saves the server the guess.
pub struct Parameter {
    value: Box<dyn ToSql + Sync + Send>,
    kind: Type,
}

macro_rules! parameter {
    ($($rust:ty => $kind:ident),+ $(,)?) => {
        $(impl From<$rust> for Parameter {
            fn from(value: $rust) -> Self {
                Self { value: Box::new(value), kind: Type::$kind }
            }
        })+
    };
}

parameter! {
    bool => BOOL,
    i64 => INT8,
    Option<i64> => INT8,
    String => TEXT,
    Option<String> => TEXT,
    Vec<String> => TEXT_ARRAY,
    Option<Vec<String>> => TEXT_ARRAY,
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<&str>> for Parameter {
    fn from(text: Option<&str>) -> Self {
        text.map(str::to_owned).into()
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
