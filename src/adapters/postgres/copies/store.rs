//! The sessions of full syncs and their spool, as the job knows them: each port method is one
//! transaction.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{nonces, peers, records, sessions, spool};
use crate::adapters::postgres::connection::pool::Pool;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::adapters::postgres::state::tables;
use crate::engine::model::address::Database;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Sha;
use crate::engine::model::meter::Meter;
use crate::engine::model::notice::NoticeState;
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::records::RecordsPosition;
use crate::engine::model::session::{
    NewSession, Phase, Progress, Restored, Session, SessionError, SessionId, SessionLease,
    SessionState,
};
use crate::engine::model::signature::Nonce;
use crate::jobs::full_sync::ports::{
    Claim, CopyStore, LeaseRenewal, PartName, PeerRecord, PutPart,
};

/// The database of a deployment, as full syncs know it.
pub struct PostgresCopies {
    pub(super) pool: Pool,
    pub(super) schema: String,
    pub(super) triggers: TargetTriggers,
}

impl PostgresCopies {
    /// A database that is reached when it is first needed, with the schema of the state tables.
    /// Calls of an API count in the meter.
    pub fn new(database: Database, state_schema: impl Into<String>, meter: Meter) -> Self {
        let pool = Pool::new(database, meter, Step::ConnectTarget);
        Self { pool, schema: state_schema.into(), triggers: TargetTriggers::default() }
    }

    /// Sets the policy for its triggers when a copy is written into it.
    #[must_use]
    pub fn with_triggers(self, triggers: TargetTriggers) -> Self {
        Self { triggers, ..self }
    }

    /// Runs a transaction of these statements, and reads their answers.
    async fn run<T, const N: usize>(
        &self,
        purpose: Purpose,
        statements: [Statement; N],
        read: impl FnOnce(&[Vec<Row>; N]) -> Result<T, PostgresError>,
    ) -> Result<T, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let answers = call.run_all(purpose, statements).await;
        call.end(answers.and_then(|answers| read(&answers)))
    }

    /// Runs a statement that looks, and reads its rows. Without state tables there are none.
    async fn look<T>(
        &self,
        statement: Statement,
        read: impl Fn(&Row) -> Result<T, PostgresError>,
    ) -> Result<Vec<T>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let rows = match call.run_all(Purpose::Look, [statement]).await {
            Err(error) if error.is_of_missing_tables() => Ok(Vec::new()),
            answers => answers.map(|[rows]| rows),
        };
        call.end(rows.and_then(|rows| rows.iter().map(read).collect()))
    }

    /// Runs a transaction whose first statement gives a row if it could be done, and whose last one
    /// gives a row if the session can be worked at.
    async fn work<const N: usize>(
        &self,
        session: &SessionId,
        statements: [Statement; N],
    ) -> Result<(), Fault> {
        let has_rows = |rows: Option<&Vec<Row>>| rows.is_some_and(|rows| !rows.is_empty());
        let read =
            |answers: &[Vec<Row>; N]| Ok((has_rows(answers.first()), has_rows(answers.last())));
        match self.run(Purpose::Write, statements, read).await? {
            (true, _) => Ok(()),
            (false, true) => Err(replaced()),
            (false, false) => Err(over(session)),
        }
    }
}

fn replaced() -> Fault {
    Fault::new(
        Step::State,
        FaultCode::LeaseLost,
        "Another export has replaced this one",
        "nothing to do: the full sync goes on with that one",
    )
}

/// The fault of a session that nobody can work at.
pub(super) fn over(session: &SessionId) -> Fault {
    Fault::new(
        Step::State,
        FaultCode::NoSession,
        format!("The session {session} is over, or never was here"),
        "start another full sync",
    )
}

#[async_trait]
impl CopyStore for PostgresCopies {
    async fn open(&self, session: &NewSession) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let opened = async {
            tables::prepare(&call, &self.schema).await?;
            let opening = sessions::opening(&self.schema, session)?;
            call.run_all(Purpose::Write, [opening]).await.map(drop)
        };
        call.end(opened.await)
    }

    async fn session(&self, session: &SessionId) -> Result<Option<Session>, Fault> {
        let found = self.look(sessions::reading(&self.schema, session), sessions::read).await?;
        Ok(found.into_iter().next())
    }

    async fn sessions(&self, most: u32) -> Result<Vec<Session>, Fault> {
        self.look(sessions::listing(&self.schema, most), sessions::read).await
    }

    async fn hold(&self, held: &SessionLease, lease: Duration) -> Result<Claim, Fault> {
        let statements = sessions::claiming(&self.schema, held, lease);
        self.run(Purpose::Write, statements, sessions::claim).await
    }

    async fn renew_lease(
        &self,
        held: &SessionLease,
        lease: Duration,
        phase: Phase,
        progress: &Progress,
    ) -> Result<LeaseRenewal, Fault> {
        let statements = sessions::renewing(&self.schema, held, lease, phase, progress);
        self.run(Purpose::Write, statements, sessions::renewed).await
    }

    async fn release(
        &self,
        held: &SessionLease,
        error: Option<&SessionError>,
        refused: Option<&Restored>,
    ) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let released = async {
            let releasing = sessions::releasing(&self.schema, held, error, refused)?;
            call.run_all(Purpose::Write, [releasing]).await.map(drop)
        };
        call.end(released.await)
    }

    async fn expire(&self, session: Option<&SessionId>) -> Result<u64, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let expelling = sessions::expelling(&self.schema, session);
        let number = match call.run_all(Purpose::Write, [expelling]).await {
            Err(error) if error.is_of_missing_tables() => Ok(0),
            answers => answers.map(|[rows]| rows[0].get::<i64>(0).unsigned_abs()),
        };
        call.end(number)
    }

    async fn record_loss(&self, session: &SessionId, error: &SessionError) -> Result<(), Fault> {
        let interrupting = sessions::interrupting(&self.schema, session, error);
        self.run(Purpose::Write, [interrupting], |_| Ok(())).await
    }

    async fn end(
        &self,
        session: &SessionId,
        end: SessionState,
        restored: Option<&Restored>,
    ) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let ended = async {
            let ending = sessions::ending(&self.schema, session, end, restored)?;
            let [dropping, reclaiming] = spool::dropping(&self.schema, session);
            call.run_all(Purpose::Write, [ending, dropping, reclaiming]).await.map(drop)
        };
        call.end(ended.await)
    }

    async fn begin_export(&self, session: &SessionId, export: &str) -> Result<(), Fault> {
        self.work(session, spool::beginning(&self.schema, session, export)).await
    }

    async fn put_part(
        &self,
        session: &SessionId,
        part: &PartName<'_>,
        sha: &Sha,
        bytes: &Bytes,
    ) -> Result<PutPart, Fault> {
        let saving = spool::saving(&self.schema, session, part, sha, bytes);
        self.run(Purpose::Write, [saving], |[rows]| Ok(spool::saved(rows, sha))).await
    }

    async fn part(&self, session: &SessionId, part: &PartName<'_>) -> Result<Option<Bytes>, Fault> {
        let reading = spool::reading(&self.schema, session, part);
        let bytes = |[_, rows]: &[Vec<Row>; 2]| {
            Ok(rows.first().map(|row| Bytes::from(row.get::<Vec<u8>>(0))))
        };
        self.run(Purpose::Write, reading, bytes).await
    }

    async fn parts(&self, session: &SessionId) -> Result<Vec<(u32, Sha)>, Fault> {
        let read = |row: &Row| {
            let number = u32::try_from(row.get::<i64>(0)).unwrap_or(u32::MAX);
            Ok((number, Sha::recorded(row.get::<String>(1))))
        };
        self.look(spool::listing(&self.schema, session), read).await
    }

    async fn position(&self, session: &SessionId) -> Result<Option<RecordsPosition>, Fault> {
        let reading = records::reading_position(&self.schema, session);
        let found = self.look(reading, records::position).await?;
        Ok(found.into_iter().next())
    }

    async fn put_position(
        &self,
        held: &SessionLease,
        position: &RecordsPosition,
    ) -> Result<bool, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let saved = async {
            let saving = records::saving_position(&self.schema, held, position)?;
            call.run_all(Purpose::Write, [saving]).await.map(|[rows]| !rows.is_empty())
        };
        call.end(saved.await)
    }

    async fn put_manifest(
        &self,
        session: &SessionId,
        export: &str,
        sha: &Sha,
        manifest: &Bytes,
    ) -> Result<(), Fault> {
        // JSON, which is always UTF-8. Bytes that are not would no longer have their hash.
        let manifest = String::from_utf8_lossy(manifest);
        let saving = spool::saving_manifest(&self.schema, session, export, sha, &manifest);
        self.work(session, saving).await
    }

    async fn manifest(&self, session: &SessionId) -> Result<Option<Bytes>, Fault> {
        let read = |row: &Row| Ok(Bytes::from(row.get::<String>(0)));
        let found = self.look(spool::reading_manifest(&self.schema, session), read).await?;
        Ok(found.into_iter().next())
    }

    async fn put_notified(
        &self,
        session: &SessionId,
        state: Option<NoticeState>,
    ) -> Result<bool, Fault> {
        let notifying = sessions::notifying(&self.schema, session, state);
        self.run(Purpose::Write, [notifying], |[rows]| Ok(!rows.is_empty())).await
    }

    async fn other_spools(&self, session: &SessionId, too_many: u64) -> Result<u64, Fault> {
        let thinning = spool::thinning(&self.schema, session, too_many);
        let count = |[rows]: &[Vec<Row>; 1]| {
            Ok(rows.first().map_or(0, |row| row.get::<i64>(0).unsigned_abs()))
        };
        self.run(Purpose::Write, [thinning], count).await
    }

    async fn sweep(&self) -> Result<(), Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let [dropping, reclaiming] = spool::sweeping(&self.schema);
        let expiring = sessions::expiring(&self.schema);
        let statements = [expiring, dropping, reclaiming];
        let swept = match call.run_all(Purpose::Write, statements).await {
            Err(error) if error.is_of_missing_tables() => Ok(()),
            swept => swept.map(drop),
        };
        call.end(swept)
    }

    async fn record_peer(&self, peer: &str, is_online: bool) -> Result<PeerRecord, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let recorded = async {
            tables::prepare(&call, &self.schema).await?;
            let recording = peers::recording(&self.schema, peer, is_online);
            call.run_all(Purpose::Write, [recording]).await
        };
        let recorded = recorded.await;
        call.end(recorded.map(|[rows]| peers::record(&rows[0])))
    }

    async fn is_new(&self, nonce: &Nonce) -> Result<bool, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let remember = || call.run_all(Purpose::Write, nonces::remembering(&self.schema, nonce));
        let answers = async {
            match remember().await {
                // Nobody has called this deployment before.
                Err(error) if error.is_of_missing_tables() => {
                    tables::prepare(&call, &self.schema).await?;
                    remember().await
                }
                answers => answers,
            }
        };
        let answers = answers.await;
        call.end(answers.map(|[_, rows]| !rows.is_empty()))
    }
}
