//! The sessions, and who works at them. All times are those of the database's clock.
//!
//! A session whose `status` is running is so until its `lease_until`, and was interrupted then.
//! Nothing has to notice that: it is derived when the record is read.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::{Parameter, Statement};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::manifest::Sha;
use crate::engine::model::notice::NoticeState;
use crate::engine::model::session::{
    CopyOptions, Direction, Method, NewSession, Phase, Progress, Restored, Role, Session,
    SessionError, SessionId, SessionLease, SessionState,
};
use crate::jobs::full_sync::ports::{Claim, Extent, LeaseRenewal};

/// The end of the time for which a session that nobody holds counts as running: the next worker, or
/// the next call of the peer, is on its way.
macro_rules! handover {
    () => {
        "clock_timestamp() + interval '30 seconds'"
    };
}

/// The assignments that record a sign of life of whoever works at a session without its lease.
pub const TOUCH: &str = concat!(
    "updated_at = clock_timestamp(), lease_until = case when lease_holder is null then ",
    handover!(),
    " else lease_until end"
);

/// A session's state.
const STATE: &str = "case when status <> 'running' then status \
    when lease_until > clock_timestamp() then 'running' else 'interrupted' end";

/// The assignments that end the present stretch of work at a phase, and add its time.
const TIMED: &str = "phase_since = null, \
    phase_millis = case when phase_since is null then phase_millis else PHASE_MILLIS end";

/// The times of a session's phases with that of the present stretch of work.
const PHASE_MILLIS: &str = "phase_millis || jsonb_build_object(phase, \
    coalesce((phase_millis ->> phase)::int8, 0) \
    + (1000 * extract(epoch from clock_timestamp() - phase_since))::int8)";

/// The milliseconds for which somebody holds a session; 0 if nobody does.
const LEASE_LEFT: &str = "case when status = 'running' and lease_holder is not null \
    and lease_until > clock_timestamp() \
    then ceil(1000 * extract(epoch from lease_until - clock_timestamp()))::int8 else 0 end";

/// The statement that makes a session's record, unless it is there.
pub fn opening(schema: &str, session: &NewSession) -> Result<Statement, PostgresError> {
    let NewSession { id, peer, role, direction, method, options } = session;
    let text = format!(
        "insert into {}.full_sync_sessions \
             (session_id, peer, role, direction, method, phase, status, options, lease_until) \
         values ($1, $2, $3, $4, $5, $6, 'running', $7::jsonb, {}) on conflict do nothing",
        sql::ident(schema),
        handover!(),
    );
    let values: [Parameter; 7] = [
        id.as_str().into(),
        peer.as_str().into(),
        role.name().into(),
        direction.name().into(),
        method.name().into(),
        Phase::Backup.name().into(),
        serde_json::to_string(options)?.into(),
    ];
    Ok(Statement::write(text, values))
}

/// The statement that gives one session.
pub fn reading(schema: &str, session: &SessionId) -> Statement {
    let text = format!("{} where session_id = $1", select(schema));
    Statement::rows(text, [session.as_str().into()])
}

/// The statement that gives the latest sessions, the newest first.
pub fn listing(schema: &str, most: u32) -> Statement {
    let text = format!("{} order by started_at desc, session_id limit $1", select(schema));
    Statement::rows(text, [i64::from(most).into()])
}

fn select(schema: &str) -> String {
    let micros = |time: &str| format!("(1000000 * extract(epoch from {time}))::int8");
    format!(
        "select jsonb_build_object('id', session_id, 'peer', peer, 'role', role, \
             'direction', direction, 'method', method, 'options', options, 'state', {STATE}, \
             'phase', phase, 'export', export_id, 'manifest', manifest_sha, 'restored', report, \
             'progress', jsonb_build_object('bytes', bytes_done, 'bytes_total', bytes_total, \
                 'rows', rows_done, 'rows_total', rows_total, 'speed', transfer_speed), \
             'error', case when error_code is not null then jsonb_build_object('code', error_code, \
                 'message', error_message, 'hint', error_hint) end, \
             'started_at', {started}, 'updated_at', {updated}, 'finished_at', {completed}, \
             'lease_left', {LEASE_LEFT}, 'phase_millis', phase_millis)::text from {schema}.full_sync_sessions",
        schema = sql::ident(schema),
        started = micros("started_at"),
        updated = micros("updated_at"),
        completed = micros("completed_at"),
    )
}

/// Reads a session from a row of these statements.
pub fn read(row: &Row) -> Result<Session, PostgresError> {
    let stored: StoredSession = serde_json::from_str(&row.get::<String>(0))?;
    Ok(stored.into_model())
}

/// The statements that take a session's lease, and tell why it cannot be taken. What an earlier
/// attempt has recorded is forgotten, but for tables that it has saved.
pub fn claiming(schema: &str, held: &SessionLease, lease: Duration) -> [Statement; 2] {
    let schema = sql::ident(schema);
    let taking = format!(
        "update {schema}.full_sync_sessions set lease_holder = $2, \
             lease_until = clock_timestamp() + $3 * interval '1 millisecond', \
             updated_at = clock_timestamp(), phase_since = null, report = case \
                 when (options ->> 'per_table')::bool then report - 'refused' end, \
             error_code = null, error_message = null, error_hint = null \
         where session_id = $1 and status = 'running' and (lease_holder is null \
             or lease_holder = $2 or lease_until <= clock_timestamp()) returning 1"
    );
    let telling = format!(
        "select status, {LEASE_LEFT} from {schema}.full_sync_sessions where session_id = $1"
    );
    let (session, holder) = (held.session.as_str(), held.holder.as_str());
    [
        Statement::rows(taking, [session.into(), holder.into(), millis(lease).into()]),
        Statement::rows(telling, [session.into()]),
    ]
}

/// Reads the outcome of a claim.
pub fn claim([taken, told]: &[Vec<Row>; 2]) -> Result<Claim, PostgresError> {
    if !taken.is_empty() {
        return Ok(Claim::Ours);
    }
    let Some(row) = told.first() else { return Ok(Claim::Missing) };
    Ok(match state(&row.get::<String>(0))? {
        SessionState::Running | SessionState::Interrupted => {
            Claim::Busy(Duration::from_millis(row.get::<i64>(1).unsigned_abs()))
        }
        over => Claim::Over(over),
    })
}

/// The statements that renew a session's lease and record its progress, and tell who holds it.
pub fn renewing(
    schema: &str,
    held: &SessionLease,
    lease: Duration,
    phase: Phase,
    progress: &Progress,
) -> [Statement; 2] {
    let schema = sql::ident(schema);
    let Progress { bytes, bytes_total, rows, rows_total, speed } = *progress;
    let renewing = format!(
        "update {schema}.full_sync_sessions set updated_at = clock_timestamp(), \
             lease_until = clock_timestamp() + $3 * interval '1 millisecond', phase = $4, \
             phase_since = case when phase = $4 then coalesce(phase_since, clock_timestamp()) \
                 else clock_timestamp() end, \
             phase_millis = case when phase = $4 or phase_since is null then phase_millis \
                 else {PHASE_MILLIS} end, \
             bytes_done = $5, bytes_total = $6, rows_done = $7, rows_total = $8, \
             transfer_speed = $9, \
             estimated_completion = clock_timestamp() + $10 * interval '1 millisecond' \
         where session_id = $1 and lease_holder = $2 and status = 'running' returning 1"
    );
    let telling = format!("select status from {schema}.full_sync_sessions where session_id = $1");
    let session = held.session.as_str();
    let mut values: Vec<Parameter> = vec![
        session.into(),
        held.holder.as_str().into(),
        millis(lease).into(),
        phase.name().into(),
    ];
    values.extend([bytes, bytes_total, rows, rows_total, speed].map(|number| whole(number).into()));
    values.push(Parameter::Int(progress.left().map(millis)));
    [Statement::rows(renewing, values), Statement::rows(telling, [session.into()])]
}

/// Reads the answer to a renewal.
pub fn renewed([renewed, told]: &[Vec<Row>; 2]) -> Result<LeaseRenewal, PostgresError> {
    if !renewed.is_empty() {
        return Ok(LeaseRenewal::Ours);
    }
    let told = told.first().map(|row| state(&row.get::<String>(0))).transpose()?;
    Ok(match told {
        Some(SessionState::Cancelled) => LeaseRenewal::Cancelled,
        Some(SessionState::Completed) => LeaseRenewal::Completed,
        _ => LeaseRenewal::Lost,
    })
}

/// The statement that gives a session's lease back. With an error the session is interrupted at
/// once.
pub fn releasing(
    schema: &str,
    held: &SessionLease,
    error: Option<&SessionError>,
    refused: Option<&Restored>,
) -> Result<Statement, PostgresError> {
    let text = format!(
        "update {}.full_sync_sessions set updated_at = clock_timestamp(), lease_holder = null, \
             lease_until = case when $3 is null then {} end, estimated_completion = null, {timed}, \
             error_code = coalesce($3, error_code), \
             error_message = case when $3 is null then error_message else $4 end, \
             error_hint = case when $3 is null then error_hint else $5 end, \
             report = coalesce($6::jsonb, report) \
         where session_id = $1 and lease_holder = $2 and status = 'running'",
        sql::ident(schema),
        handover!(),
        timed = timed(),
    );
    let [code, message, hint] = columns(error);
    let refused = refused.map(serde_json::to_string).transpose()?;
    let (session, holder) = (held.session.as_str(), held.holder.as_str());
    let values = [session.into(), holder.into(), code, message, hint, refused.into()];
    Ok(Statement::write(text, values))
}

/// The statement that takes the lease of a running session, or of all, from whoever holds it. It
/// gives their number.
pub fn expelling(schema: &str, session: Option<&SessionId>) -> Statement {
    let text = format!(
        "with expelled as (update {}.full_sync_sessions set updated_at = clock_timestamp(), \
             lease_holder = null, lease_until = null, estimated_completion = null \
             where status = 'running' and lease_until > clock_timestamp() \
                 and ($1 is null or session_id = $1) returning 1) \
         select count(*) from expelled",
        sql::ident(schema)
    );
    Statement::rows(text, [session.map(SessionId::as_str).into()])
}

/// The statement that interrupts a session with a reason, unless somebody works at it.
pub fn interrupting(schema: &str, session: &SessionId, error: &SessionError) -> Statement {
    let text = format!(
        "update {}.full_sync_sessions set updated_at = clock_timestamp(), lease_until = null, \
             lease_holder = null, estimated_completion = null, \
             error_code = $2, error_message = $3, error_hint = $4 \
         where session_id = $1 and status = 'running' \
             and (lease_holder is null or lease_until <= clock_timestamp())",
        sql::ident(schema)
    );
    let [code, message, hint] = columns(Some(error));
    Statement::write(text, [session.as_str().into(), code, message, hint])
}

/// The statement that ends a session for good, unless it is over.
pub fn ending(
    schema: &str,
    session: &SessionId,
    end: SessionState,
    restored: Option<&Restored>,
) -> Result<Statement, PostgresError> {
    let text = format!(
        "update {}.full_sync_sessions set updated_at = clock_timestamp(), \
             completed_at = clock_timestamp(), status = $2, lease_holder = null, \
             lease_until = null, estimated_completion = null, manifest = null, \
             error_code = null, error_message = null, error_hint = null, \
             report = coalesce($3::jsonb, report) \
         where session_id = $1 and status = 'running'",
        sql::ident(schema)
    );
    let report = restored.map(serde_json::to_string).transpose()?;
    Ok(Statement::write(text, [session.as_str().into(), end.name().into(), report.into()]))
}

/// The statement that proves that a session is still held and records the outcome, for the end of
/// the transaction that writes rows of its copy; with all of them the session is completed. It
/// gives no row if the session is not held any more. The row stays locked until the transaction
/// ends, so nobody can end the session in between.
pub fn completing(
    schema: &str,
    held: &SessionLease,
    restored: &Restored,
    extent: Extent,
) -> Result<Statement, PostgresError> {
    let end = match extent {
        Extent::Some => String::new(),
        Extent::All => format!(
            ", completed_at = clock_timestamp(), status = 'completed', {}, manifest = null, \
             lease_holder = null, lease_until = null, estimated_completion = null, \
             error_code = null, error_message = null, error_hint = null",
            timed()
        ),
    };
    let text = format!(
        "update {}.full_sync_sessions set updated_at = clock_timestamp(), report = $3::jsonb{end} \
         where session_id = $1 and lease_holder = $2 and status = 'running' returning 1",
        sql::ident(schema)
    );
    let report = serde_json::to_string(restored)?;
    let values = [held.session.as_str().into(), held.holder.as_str().into(), report.into()];
    Ok(Statement::rows(text, values))
}

/// The statement that records what people are notified of. It gives no row if they were already.
pub fn notifying(schema: &str, session: &SessionId, state: Option<NoticeState>) -> Statement {
    let text = format!(
        "update {}.full_sync_sessions set notified = $2 \
         where session_id = $1 and notified is distinct from $2 returning 1",
        sql::ident(schema)
    );
    Statement::rows(text, [session.as_str().into(), state.map(NoticeState::name).into()])
}

fn timed() -> String {
    TIMED.replace("PHASE_MILLIS", PHASE_MILLIS)
}

/// The statement that gives up sessions that nobody has touched for a day.
pub fn expiring(schema: &str) -> Statement {
    let text = format!(
        "update {}.full_sync_sessions set completed_at = clock_timestamp(), status = 'failed', \
             lease_holder = null, lease_until = null, estimated_completion = null, manifest = null, \
             error_code = $1, error_message = 'Nobody went on with the full sync for a day', \
             error_hint = 'start another one: the copy of this one was dropped' \
         where status = 'running' and updated_at < clock_timestamp() - interval '1 day' \
             and (lease_until <= clock_timestamp()) is not false",
        sql::ident(schema)
    );
    Statement::write(text, [FaultCode::CopyLost.name().into()])
}

/// A session as `select` writes it.
#[derive(Deserialize)]
struct StoredSession {
    id: SessionId,
    peer: String,
    role: Role,
    direction: Direction,
    method: Method,
    options: CopyOptions,
    state: SessionState,
    phase: Phase,
    progress: Progress,
    export: Option<String>,
    manifest: Option<Sha>,
    restored: Option<Restored>,
    error: Option<SessionError>,
    started_at: u64,
    updated_at: u64,
    finished_at: Option<u64>,
    lease_left: u64,
    phase_millis: BTreeMap<Phase, u64>,
}

impl StoredSession {
    fn into_model(self) -> Session {
        let Self { id, peer, role, direction, method, options, state, phase, progress, .. } = self;
        let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        Session {
            new: NewSession { id, peer, role, direction, method, options },
            state,
            phase,
            progress,
            export: self.export,
            manifest: self.manifest,
            restored: self.restored,
            error: self.error,
            started_at: at(self.started_at),
            updated_at: at(self.updated_at),
            finished_at: self.finished_at.map(at),
            lease_left: Duration::from_millis(self.lease_left),
            phase_millis: self.phase_millis,
        }
    }
}

/// Reads a state's name. One that we do not know was written by another version.
fn state(name: &str) -> Result<SessionState, PostgresError> {
    Ok(serde_json::from_value(name.into())?)
}

fn columns(error: Option<&SessionError>) -> [Parameter; 3] {
    let texts =
        |error: &SessionError| [&error.code, &error.message, &error.hint].map(String::clone);
    error.map_or([const { None }; 3], |error| texts(error).map(Some)).map(Parameter::from)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
