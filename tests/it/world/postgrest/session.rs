//! The way to the database: few connections of the role `authenticator`, and a transaction for each
//! request in which it becomes the role that asks.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error};

use super::connect;
use super::keys::Identity;
use super::refusal::Refusal;

/// The default of the real one; the eleventh request waits.
const CONNECTIONS: usize = 10;

/// The longest time that a request waits for a connection.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The most runs of a transaction that others keep from its end. The real one does not count; a
/// test that brings about nothing else should end.
const MOST_RUNS: usize = 10;

/// The connections.
pub struct Pool {
    /// The database as `authenticator` sees it.
    pub url: String,
    idle: Mutex<Vec<Client>>,
    free: Semaphore,
}

/// One request's work in the database.
pub struct Work<'a> {
    /// The caller.
    pub identity: &'a Identity,
    /// It may write.
    pub writes: bool,
    /// Settings of its transaction.
    pub settings: Vec<(&'static str, String)>,
    /// One statement with the columns of [`Outcome`], in their order.
    pub statement: String,
    /// The statement's only parameter, a text.
    pub body: Option<String>,
}

/// The result of a statement.
#[derive(Debug)]
pub struct Outcome {
    /// The number of all rows, if they were counted.
    pub total: Option<i64>,
    /// The number of rows in the answer.
    pub rows: i64,
    /// The answer's body.
    pub body: String,
}

impl Pool {
    /// A pool that connects when it is used.
    pub fn new(url: String) -> Self {
        Self { url, idle: Mutex::default(), free: Semaphore::new(CONNECTIONS) }
    }

    /// Runs the work in a transaction of its own, and commits it if the check of the outcome
    /// agrees. A deadlock or a conflict of transactions is run again.
    pub async fn run(
        &self,
        work: &Work<'_>,
        check: impl Fn(&Outcome) -> Result<(), Refusal>,
    ) -> Result<Outcome, Refusal> {
        let waited = tokio::time::timeout(LONGEST_WAIT, self.free.acquire()).await;
        let _permit = waited.map_err(|_| {
            let message = "Timed out acquiring connection from connection pool.";
            Refusal::new(504, "PGRST003", message)
        })?;
        let mut runs = 0;
        loop {
            runs += 1;
            let client = self.client().await?;
            let done = transact(&client, work, &check).await;
            if done.is_err() && !client.is_closed() {
                // What cannot be rolled back is a connection that is gone.
                let _ = client.batch_execute("rollback").await;
            }
            if !client.is_closed() {
                self.idle.lock().expect("no holder panics").push(client);
            }
            match done {
                Err(refusal) if refusal.is_run_again() && runs < MOST_RUNS => {}
                done => return done,
            }
        }
    }

    async fn client(&self) -> Result<Client, Refusal> {
        let idle = self.idle.lock().expect("no holder panics").pop();
        match idle.filter(|client| !client.is_closed()) {
            Some(client) => Ok(client),
            None => connect(&self.url).await.map_err(|error| {
                Refusal::new(503, "PGRST000", "Database connection error.")
                    .details(error.to_string())
                    .header("retry-after", "0")
            }),
        }
    }
}

async fn transact(
    client: &Client,
    work: &Work<'_>,
    check: &impl Fn(&Outcome) -> Result<(), Refusal>,
) -> Result<Outcome, Refusal> {
    let refused = |error: Error| Refusal::of_database(&error, work.identity.is_anonymous());
    let access = if work.writes { "read write" } else { "read only" };
    let begin = format!("begin isolation level read committed {access}");
    client.batch_execute(&begin).await.map_err(refused)?;
    let settings = work.settings.iter().map(|(name, value)| (*name, value.as_str()));
    let claims = ("request.jwt.claims", work.identity.claims.as_str());
    let role = ("role", work.identity.role.as_str());
    // The real one passes over a zone that it does not know; this one tells it apart by asking
    // alone.
    let (zone, joined): (Vec<_>, Vec<_>) =
        settings.chain([claims, role]).partition(|(name, _)| *name == "timezone");
    set(client, &zone).await.map_err(|_| Refusal::unknown("the time zone of the request"))?;
    set(client, &joined).await.map_err(refused)?;
    let body = work.body.as_ref().map(|body| (body as _, Type::TEXT));
    let parameters: Vec<_> = body.into_iter().collect();
    let rows = client.query_typed(&work.statement, &parameters).await.map_err(refused)?;
    let row = rows.first().expect("an aggregate has one row");
    let outcome = Outcome {
        total: row.get(0),
        rows: row.get(1),
        body: row.get::<_, Option<String>>(2).unwrap_or_default(),
    };
    check(&outcome)?;
    // A constraint that waits for the end of the transaction speaks here.
    client.batch_execute("commit").await.map_err(refused)?;
    Ok(outcome)
}

/// Settings of the transaction, in one statement and in their order, as the real one has it: what
/// stands before the role is set with the rights of `authenticator`.
async fn set(client: &Client, settings: &[(&str, &str)]) -> Result<(), Error> {
    if settings.is_empty() {
        return Ok(());
    }
    let one = |at: usize| format!("set_config(${}, ${}, true)", 2 * at + 1, 2 * at + 2);
    let each: Vec<String> = (0..settings.len()).map(one).collect();
    let values: Vec<_> = settings
        .iter()
        .flat_map(|(name, value)| [(name as _, Type::TEXT), (value as _, Type::TEXT)])
        .collect();
    client.query_typed(&format!("select {}", each.join(", ")), &values).await.map(drop)
}
