//! A connection in use: its calls, each with a deadline, and how it comes back.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::connect::{Connection, connect};
use super::fault::PostgresError;
use super::row::Row;
use super::script::Script;
use super::sql::{self, Purpose};
use crate::adapters::project::Api;
use crate::engine::model::address::Address;
use crate::engine::model::database::DatabaseUrl;
use crate::engine::model::meter::Meter;

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
    place: Place,
    idle: Mutex<Option<Session>>,
}

/// Where a database is reached.
enum Place {
    /// At its server.
    Server(DatabaseUrl),
    /// Behind an API.
    Project(Arc<Api>),
}

/// A connection that one call has for itself.
pub struct Session {
    via: Via,
    used: Instant,
}

enum Via {
    Wire(Connection),
    Script(Script),
}

impl Pool {
    /// A database that is not reached yet.
    pub fn new(address: Address, meter: Meter) -> Self {
        let place = match address {
            Address::Postgres(url) => Place::Server(url),
            Address::Project(project) => Place::Project(Arc::new(Api::new(project, meter))),
        };
        Self { place, idle: Mutex::new(None) }
    }

    /// Whether its address is that of a transaction pooler.
    pub fn is_pooled(&self) -> bool {
        matches!(&self.place, Place::Server(url) if url.is_transaction_pooler())
    }

    /// Whether it is reached over an API, where rows are JSON.
    pub fn is_project(&self) -> bool {
        matches!(self.place, Place::Project(_))
    }

    /// The kept connection, or a new one.
    pub async fn take(&self) -> Result<Session, PostgresError> {
        let url = match &self.place {
            Place::Server(url) => url,
            Place::Project(api) => {
                let via = Via::Script(Script::new(api.clone()));
                return Ok(Session { via, used: Instant::now() });
            }
        };
        let kept = self.idle.lock().expect("no holder panics").take();
        if let Some(session) = kept
            && session.is_alive().await
        {
            return Ok(session);
        }
        Ok(Session { via: Via::Wire(connect(url).await?), used: Instant::now() })
    }

    /// Keeps the connection for the next call. It has no transaction open.
    pub fn give_back(&self, mut session: Session) {
        session.used = Instant::now();
        *self.idle.lock().expect("no holder panics") = Some(session);
    }
}

impl Session {
    async fn is_alive(&self) -> bool {
        let Via::Wire(Connection { client, .. }) = &self.via else { return true };
        if client.is_closed() {
            return false;
        }
        let ping = client.batch_execute("");
        self.used.elapsed() < TRUSTED_IDLE
            || matches!(tokio::time::timeout(PING_DEADLINE, ping).await, Ok(Ok(())))
    }

    /// The script, where there is no connection.
    pub fn script(&self) -> Option<&Script> {
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
            Via::Wire(_) => self.batch(&sql::begin(purpose)).await,
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

    /// Runs one unnamed statement. Calls that are joined travel together, in their order.
    pub async fn query(
        &self,
        text: &str,
        parameters: impl IntoIterator<Item = Parameter>,
    ) -> Result<Vec<Row>, PostgresError> {
        let client = match &self.via {
            Via::Wire(Connection { client, .. }) => client,
            Via::Script(script) => {
                return script.query(text, parameters.into_iter().collect()).await;
            }
        };
        let bound: Vec<_> = parameters.into_iter().map(Parameter::bound).collect();
        let answered = async {
            client.query_typed_raw(text, bound).await?.map_ok(Row::Wire).try_collect().await
        };
        within(answered).await
    }

    /// The same for a statement with its values.
    pub async fn ask(&self, statement: Statement) -> Result<Vec<Row>, PostgresError> {
        let Statement { text, values } = statement;
        self.query(&text, values).await
    }

    /// Runs one unnamed statement in a transaction of its own, with its settings pinned, in one
    /// round trip. A statement that fails leaves no transaction open.
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
        let Connection { client, .. } = self.wire()?;
        past_taken_names(self, || within(client.copy_out(text))).await
    }

    /// Begins to write what a COPY takes.
    pub async fn copy_in(&self, text: &str) -> Result<CopyInSink<Bytes>, PostgresError> {
        let Connection { client, .. } = self.wire()?;
        past_taken_names(self, || within(client.copy_in(text))).await
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
        let Connection { client, tls } = self.wire()?;
        within(client.cancel_token().cancel_query(tls.clone())).await
    }
}

/// How many names in a row may be taken.
const MOST_TAKEN: usize = 1_000;

/// The driver prepares a COPY under a name, counted up from s0 by each process. Behind a
/// transaction pooler another program's statement may have that name already: then the next one is
/// tried.
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

/// A statement with the values of its `$n`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Its text.
    pub text: String,
    /// The values, in their order.
    pub values: Vec<Parameter>,
}

/// A value for a statement's `$n`, with the type that saves the server the guess.
#[derive(Clone, Debug)]
pub enum Parameter {
    /// A `boolean`.
    Bool(bool),
    /// A `bigint`, or NULL.
    Int(Option<i64>),
    /// A `text`, or NULL.
    Text(Option<String>),
    /// A `text[]`, or NULL.
    Texts(Option<Vec<String>>),
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `boolean`.
    Bool,
    /// `bigint`.
    Int,
    /// `text`.
    Text,
    /// `text[]`.
    Texts,
}

impl Parameter {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Text(_) => Kind::Text,
            Self::Texts(_) => Kind::Texts,
        }
    }

    /// As the driver takes it.
    fn bound(self) -> (Box<dyn ToSql + Sync + Send>, Type) {
        match self {
            Self::Bool(value) => (Box::new(value), Type::BOOL),
            Self::Int(value) => (Box::new(value), Type::INT8),
            Self::Text(value) => (Box::new(value), Type::TEXT),
            Self::Texts(value) => (Box::new(value), Type::TEXT_ARRAY),
        }
    }

    /// As text that a cast to its type takes; none for NULL.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => value.map(|number| number.to_string()),
            Self::Text(value) => value,
            Self::Texts(value) => value.map(|texts| {
                let quoted = texts
                    .iter()
                    .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
                format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
            }),
        }
    }
}

macro_rules! parameter {
    ($($rust:ty => |$value:ident| $parameter:expr),+ $(,)?) => {
        $(impl From<$rust> for Parameter {
            fn from($value: $rust) -> Self {
                $parameter
            }
        })+
    };
}

parameter! {
    bool => |value| Self::Bool(value),
    i64 => |value| Self::Int(Some(value)),
    Option<i64> => |value| Self::Int(value),
    String => |value| Self::Text(Some(value)),
    Option<String> => |value| Self::Text(value),
    Vec<String> => |value| Self::Texts(Some(value)),
    Option<Vec<String>> => |value| Self::Texts(value),
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
