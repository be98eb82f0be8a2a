//! The records that people look at: conflicts, the log, and how things stand.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::Value;

use super::store::PostgresContacts;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::contacts::conflict::{Conflict, ConflictState};
use crate::engine::model::contacts::contact::ContactId;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;
use crate::jobs::contacts::ports::{
    ContactDesk, ContactStanding, ContactStore, LogEntry, RecordedConflict,
};

/// The age at which a shadow is regenerated.
const STALE: &str = "30 days";

#[async_trait]
impl ContactDesk for PostgresContacts {
    async fn conflicts(&self, most: u32) -> Result<Vec<RecordedConflict>, Fault> {
        let text = self.recorded("o.status = 'open' order by o.id limit $1").await?;
        self.read(Statement::rows(text, [i64::from(most).into()]), recorded).await
    }

    async fn conflicts_of(&self, contact: &ContactId) -> Result<Vec<RecordedConflict>, Fault> {
        let condition = "o.status = 'open' and o.a_id = $1::text::uuid order by o.id";
        let text = self.recorded(condition).await?;
        self.read(Statement::rows(text, [contact.as_str().to_owned().into()]), recorded).await
    }

    async fn conflict(&self, id: i64) -> Result<Option<RecordedConflict>, Fault> {
        let text = self.recorded("o.id = $1").await?;
        Ok(self.read(Statement::rows(text, [id.into()]), recorded).await?.pop())
    }

    async fn restate(&self, id: i64, a: Option<&str>, b: Option<&str>) -> Result<(), Fault> {
        let text = format!(
            "update {}.sync_conflicts set a_value = $2, b_value = $3, \
                 updated_at = clock_timestamp() \
             where id = $1 and status = 'open' returning id",
            sql::ident(self.schema())
        );
        let [a, b] = [a, b].map(|value| value.map(str::to_owned).into());
        self.write(Statement::rows(text, [id.into(), a, b])).await.map(|_| ())
    }

    async fn close(&self, id: i64, answer: &str) -> Result<bool, Fault> {
        let text = format!(
            "update {}.sync_conflicts set status = 'resolved', resolution = $2, \
                 updated_at = clock_timestamp() \
             where id = $1 and status = 'open' returning id",
            sql::ident(self.schema())
        );
        let closed = self.write(Statement::rows(text, [id.into(), answer.to_owned().into()]));
        Ok(closed.await? > 0)
    }

    async fn log(&self, contact: &ContactId, most: u32) -> Result<Vec<LogEntry>, Fault> {
        // A log of an older system has no time, or one of another type.
        let text = format!(
            "select jsonb_build_object('at', (1000000 * extract(epoch from \
                     (to_jsonb(l) ->> 'created_at')::timestamptz))::int8, \
                 'run', l.run_id, 'action', l.action, 'details', l.details)::text \
             from {}.sync_log as l where l.a_id = $1::text::uuid \
             order by to_jsonb(l) ->> 'created_at' desc nulls last, \
                 (to_jsonb(l) ->> 'id')::numeric desc limit $2",
            sql::ident(self.schema())
        );
        let values = [contact.as_str().to_owned().into(), i64::from(most).into()];
        self.read(Statement::rows(text, values), entry).await
    }

    async fn standing(&self) -> Result<ContactStanding, Fault> {
        let text = format!(
            "select (select count(*) from {schema}.contact_shadows), \
                 (select count(*) from {schema}.contact_shadows \
                     where agreed_at < clock_timestamp() - interval '{STALE}'), \
                 (select count(*) from {schema}.sync_conflicts where status = 'open')",
            schema = sql::ident(self.schema())
        );
        let counts = self.counts().await?;
        let counted = self.read(Statement::rows(text, []), |row| {
            Ok(ContactStanding {
                rows: counts.rows,
                links: counts.links,
                shadows: row.count(0),
                stale_shadows: row.count(1),
                open_conflicts: row.count(2),
            })
        });
        Ok(counted.await?.pop().unwrap_or_default())
    }
}

impl PostgresContacts {
    /// The text that reads conflicts which meet a condition.
    async fn recorded(&self, condition: &str) -> Result<String, Fault> {
        Ok(format!(
            "select jsonb_build_object('id', o.id, 'contact', o.a_id::text, \
                 'subscriber', o.b_id, 'email', t.{email}::text, 'kind', o.kind, \
                 'subject', o.subject, 'base', o.base_value, 'a', o.a_value, 'b', o.b_value, \
                 'state', o.status, 'answer', o.resolution, \
                 'since', (1000000 * extract(epoch from o.created_at))::int8)::text \
             from {schema}.sync_conflicts as o left join {table} as t on t.{key} = o.a_id \
             where {condition}",
            email = sql::ident(&self.mapping().email),
            schema = sql::ident(self.schema()),
            table = sql::table(&self.mapping().table),
            key = sql::ident(self.key().await?),
        ))
    }
}

#[derive(Deserialize)]
struct StoredConflict {
    id: i64,
    contact: Option<ContactId>,
    subscriber: Option<MailerLiteId>,
    email: Option<String>,
    #[serde(flatten)]
    conflict: Conflict,
    state: ConflictState,
    answer: Option<String>,
    since: i64,
}

#[derive(Deserialize)]
struct StoredEntry {
    at: Option<i64>,
    run: Option<String>,
    action: String,
    details: Value,
}

fn recorded(row: &Row) -> Result<RecordedConflict, PostgresError> {
    let stored: StoredConflict = serde_json::from_str(&row.get::<String>(0))?;
    let StoredConflict { id, contact, subscriber, email, conflict, state, answer, since } = stored;
    let since = time(since);
    Ok(RecordedConflict { id, contact, subscriber, email, conflict, state, answer, since })
}

fn entry(row: &Row) -> Result<LogEntry, PostgresError> {
    let StoredEntry { at, run, action, details } = serde_json::from_str(&row.get::<String>(0))?;
    Ok(LogEntry { at: at.map(time), run, action, details })
}

fn time(micros: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs())
}
