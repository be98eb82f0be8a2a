//! A run's end: the lease goes back, the history has how it ended, and the pulse is kept that the
//! next run may find again.

use super::fault::PostgresError;
use super::session::Session;
use super::sql::Purpose;
use super::statement::Statement;
use super::{history, sql};
use crate::adapters::stored;
use crate::engine::model::lease::Lease;
use crate::engine::ports::{ClosedRun, KeptPulse};

/// Gives the lease back, if it is still ours, and records the end.
pub async fn close(
    session: &Session,
    schema: &str,
    lease: Lease,
    closed: &ClosedRun<'_>,
) -> Result<(), PostgresError> {
    let release = releasing(schema, lease.pipeline(), "fence", lease.fence().to_string());
    // Behind an API this is a call itself.
    let calls = closed.calls + u64::from(session.script().is_some());
    let ended = history::ending(schema, &ClosedRun { calls, ..*closed });
    let kept = async {
        match &closed.pulse {
            Some(pulse) => session.ask(keeping(schema, &lease, pulse)).await.map(|_| ()),
            None => Ok(()),
        }
    };
    let (begun, released, ended, kept, committed) = tokio::join!(
        session.begin(Purpose::Write),
        session.ask(release),
        session.ask(ended),
        kept,
        session.commit(),
    );
    begun?;
    released?;
    ended?;
    kept?;
    committed
}

/// What gives the lease back, if its `part` is still this.
fn releasing(schema: &str, pipeline: &str, part: &str, is: String) -> Statement {
    let text = format!(
        "update {}.sync_state set updated_at = now(), \
             value = value || jsonb_build_object('expires_at', clock_timestamp()) \
         where key = $1 and value ->> '{part}' = $2",
        sql::ident(schema)
    );
    Statement { text, values: vec![stored::lease_key(pipeline).into(), is.into()] }
}

/// What ends a run that has just begun, and gives its lease back, where `syncline.quiet` says that
/// there is nothing to do.
pub fn if_quiet(schema: &str, pipeline: &str, closed: &ClosedRun<'_>) -> [Statement; 2] {
    let release = releasing(schema, pipeline, "run", closed.id.to_string());
    [history::ending(schema, closed), release].map(|Statement { text, values }| {
        let text = format!("{text} and current_setting('syncline.quiet')::boolean");
        Statement { text, values }
    })
}

/// What keeps a pulse, with the checkpoints that it stands for, if the lease was ours to the end.
fn keeping(schema: &str, lease: &Lease, kept: &KeptPulse<'_>) -> Statement {
    let text = format!(
        "insert into {schema}.sync_state as s (key, value) \
         select $1, jsonb_build_object('pulse', $2::text, 'mark', $3::text, 'checkpoints', ({digest})) \
         from {schema}.sync_state as l where l.key = $5 and (l.value ->> 'fence')::int8 = $6 \
         on conflict (key) do update set value = excluded.value, updated_at = now()",
        schema = sql::ident(schema),
        digest = checkpoints_digest(schema, "$4"),
    );
    let KeptPulse { pulse, mark } = *kept;
    let values = vec![
        pulse_key(lease.pipeline()).into(),
        pulse.into(),
        mark.into(),
        stored::checkpoint_prefix(lease.pipeline()).into(),
        stored::lease_key(lease.pipeline()).into(),
        lease.fence().into(),
    ];
    Statement { text, values }
}

/// The key of a pipeline's pulse.
pub fn pulse_key(pipeline: &str) -> String {
    format!("pulse:{pipeline}")
}

/// What gives a text that changes with any checkpoint whose key begins with `prefix`, an
/// expression.
pub fn checkpoints_digest(schema: &str, prefix: &str) -> String {
    format!(
        "select coalesce(md5(string_agg(concat_ws(' ', c.key, c.value), chr(10) order by c.key)), '') \
         from {}.sync_state as c where starts_with(c.key, {prefix})",
        sql::ident(schema)
    )
}
