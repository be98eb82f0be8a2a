//! A run's beginning at a server, statement by statement.

use std::time::Duration;

use tokio_postgres::error::SqlState;

use super::begun::{OpenRows, begun};
use super::checkpoints::{all_checkpoints, done_by_chain};
use super::lease::{lease_left, take_lease};
use super::tables::prepare;
use super::{history, rejects};
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::ports::{NewRun, Opened};

/// Takes the lease and records the start, in a constant number of round trips once the state
/// tables are there.
pub async fn open(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Opened, PostgresError> {
    prepare(session, schema).await?;
    for _ in 1..MOST_TRIES {
        match one_by_one(session, schema, run).await {
            // Behind an API the transaction is run twice, and whoever had the lease has let it go,
            // or the other way round.
            Err(PostgresError::Changed) => session.roll_back().await?,
            opened => return opened,
        }
    }
    one_by_one(session, schema, run).await
}

/// The most times that one run is opened anew because others came between: as many as may begin at
/// once.
const MOST_TRIES: usize = 10;

async fn one_by_one(
    session: &Session,
    schema: &str,
    run: &NewRun<'_>,
) -> Result<Opened, PostgresError> {
    session.begin(Purpose::Write).await?;
    // Asked after the lease was waited for: of two deliveries of one message at once, the second
    // sees what the first has done.
    let (taken, finished) = tokio::join!(
        session.ask(take_lease(schema, run)),
        session.ask(history::finished(schema, run))
    );
    let taken = match taken {
        // The holder is saving a page right now and has the row locked.
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            session.roll_back().await?;
            return Ok(Opened::Busy(run.lease.min(ONE_PAGE)));
        }
        taken => taken?,
    };
    if let Some(past) = finished?.first() {
        let past = history::past_run(past)?;
        session.roll_back().await?;
        return Ok(Opened::Finished(past));
    }
    let Some(taken) = taken.first() else {
        let left = lease_left(session, schema, run).await?;
        session.roll_back().await?;
        return Ok(Opened::Busy(left));
    };
    let [close_dead, start] = history::record_start(schema, run);
    let (closed, started, checkpoints, done, set_aside, committed) = tokio::join!(
        session.ask(close_dead),
        session.ask(start),
        session.ask(all_checkpoints(schema, run.pipeline)),
        session.ask(done_by_chain(schema, run)),
        session.ask(rejects::counts(schema, run.pipeline)),
        session.commit(),
    );
    closed?;
    started?;
    let (checkpoints, done, set_aside) = (checkpoints?, done?, set_aside?);
    committed?;
    begun(run, &OpenRows { taken, checkpoints: &checkpoints, done: &done, set_aside: &set_aside })
        .map(Opened::Run)
}

/// The longest time that a page's transaction usually holds the row of the lease.
const ONE_PAGE: Duration = Duration::from_secs(10);
