//! Reads people: the rows of the mapped table, with their links and shadows.

use std::time::{Duration, SystemTime};

use serde::Deserialize;

use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::mapping::{ContactMapping, Membership, StatusColumn};
use crate::engine::model::contacts::shadow::{AgreedState, Shadow};
use crate::engine::model::contacts::subscriber::{MailStatus, MailerLiteId};
use crate::jobs::contacts::ports::{IdRange, Link};

/// The mapped table and the state tables, as SQL names them.
pub struct ContactTables<'a> {
    /// The mapping.
    pub mapping: &'a ContactMapping,
    /// The primary key of the mapped table.
    pub key: &'a str,
    /// The schema of the state tables.
    pub schema: &'a str,
}

impl ContactTables<'_> {
    /// The statement that gives the links to subscribers with ids of a range.
    pub fn links(&self, range: &IdRange) -> Statement {
        let mut condition = "true".to_owned();
        let mut values = Vec::new();
        for (bound, comparison) in [(&range.below, "<"), (&range.from, ">=")] {
            if let Some(id) = bound {
                values.push(id.as_str().into());
                condition.push_str(&format!(
                    " and x.b_id::text::numeric {comparison} ${}::numeric",
                    values.len()
                ));
            }
        }
        Statement::rows(self.linked(&condition), values)
    }

    /// The statement that gives the links of rows with these addresses.
    pub fn links_by_email(&self, emails: &[Email]) -> Statement {
        let text = self.linked(&format!(
            "x.a_id in (select t.{key} from {table} as t where {address} = any($1))",
            key = sql::ident(self.key),
            table = sql::table(&self.mapping.table),
            address = self.address(),
        ));
        Statement::rows(text, [texts(emails).into()])
    }

    /// The statement that gives the links to these subscribers.
    pub fn links_by_subscriber(&self, ids: &[MailerLiteId]) -> Statement {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        Statement::rows(self.linked("x.b_id::text = any($1)"), [ids.into()])
    }

    /// The statement that gives links of rows that refuse mail where nobody has agreed on that.
    pub fn opt_outs(&self, most: u32) -> Statement {
        let refusing = match &self.mapping.status {
            Some(column) => format!(
                "x.a_id in (select t.{key} from {table} as t where {status} <> 'active')",
                key = sql::ident(self.key),
                table = sql::table(&self.mapping.table),
                status = status(column),
            ),
            None => "false".to_owned(),
        };
        let text = self.linked(&format!(
            "{refusing} and coalesce(s.agreed #>> '{{status,b}}', 'active') \
                 in ('active', 'unconfirmed') and s.agreed ->> 'is_gone' is null"
        ));
        Statement::rows(format!("{text} limit $1"), [i64::from(most).into()])
    }

    fn linked(&self, condition: &str) -> String {
        format!(
            "select jsonb_build_object('contact', x.a_id::text, 'subscriber', x.b_id::text, \
                 'row', c.contact, 'agreed', s.agreed, 'agreed_at', {agreed_at}, \
                 'open', (select jsonb_agg(jsonb_build_object('kind', o.kind, 'subject', o.subject, \
                     'base', o.base_value, 'a', o.a_value, 'b', o.b_value) order by o.subject) \
                     from {schema}.sync_conflicts as o \
                     where o.person = x.a_id::text and o.status = 'open'))::text \
             from {schema}.integration_crosswalk as x \
             left join {schema}.contact_shadows as s on s.a_id = x.a_id \
             left join lateral (select {contact} as contact from {table} as t \
                 where t.{key} = x.a_id and {filter}) as c on true \
             where {condition} order by x.a_id",
            agreed_at = micros("s.agreed_at"),
            contact = self.contact(),
            table = sql::table(&self.mapping.table),
            key = sql::ident(self.key),
            filter = self.filter(),
            schema = sql::ident(self.schema),
        )
    }

    /// The statement that gives the rows without a link that have one of these addresses.
    pub fn unlinked(&self, emails: &[Email]) -> Statement {
        let text = format!("{} and {} = any($1)", self.without_link(), self.address());
        Statement::rows(text, [texts(emails).into()])
    }

    /// The statement that gives the first rows without a link, in the order of their keys.
    pub fn new_rows(&self, after: Option<&ContactId>, most: u32) -> Statement {
        let key = sql::ident(self.key);
        let text = format!(
            "{} and ($1::text is null or t.{key} > $1::text::uuid) order by t.{key} limit $2",
            self.without_link()
        );
        let after = after.map(|id| id.as_str().to_owned());
        Statement::rows(text, [after.into(), i64::from(most).into()])
    }

    fn without_link(&self) -> String {
        format!(
            "select ({contact})::text from {table} as t where {filter} and not exists \
             (select from {schema}.integration_crosswalk as x where x.a_id = t.{key})",
            contact = self.contact(),
            table = sql::table(&self.mapping.table),
            filter = self.filter(),
            schema = sql::ident(self.schema),
            key = sql::ident(self.key),
        )
    }

    /// The statement that counts the rows and the links.
    pub fn counts(&self) -> Statement {
        let text = format!(
            "select (select count(*) from {table} as t where {filter}), \
             (select count(*) from {schema}.integration_crosswalk)",
            table = sql::table(&self.mapping.table),
            filter = self.filter(),
            schema = sql::ident(self.schema),
        );
        Statement::rows(text, [])
    }

    /// The condition of the rows that are read. People who asked to be forgotten often leave the
    /// mapping's own condition at the same time, and must be forgotten all the same.
    pub(super) fn filter(&self) -> String {
        let own = self.mapping.filter.as_deref();
        let own = own.map_or_else(|| "true".to_owned(), sql::condition);
        match &self.mapping.erased {
            Some(column) => format!("({own} or t.{} is not null)", sql::ident(column)),
            None => own,
        }
    }

    /// The address of a row as people are matched by it.
    pub fn address(&self) -> String {
        format!("lower(btrim(t.{}::text, e' \\t\\r\\n'))", sql::ident(&self.mapping.email))
    }

    /// The row as one JSON value, in the order of the mapping.
    pub(super) fn contact(&self) -> String {
        let mapping = self.mapping;
        let column = |name: &str| format!("t.{}", sql::ident(name));
        let values: Vec<String> =
            mapping.fields.iter().map(|rule| format!("{}::text", column(&rule.column))).collect();
        let members: Vec<String> = (mapping.groups.iter())
            .map(|rule| match &rule.member {
                Membership::When(condition) => {
                    format!("coalesce({}, false)", sql::condition(condition))
                }
                Membership::Column(name) => format!("coalesce({}, false)", column(name)),
            })
            .collect();
        let erased = (mapping.erased.as_deref())
            .map_or_else(|| "false".to_owned(), |name| format!("{} is not null", column(name)));
        let updated = mapping
            .updated
            .as_deref()
            .map_or_else(|| "null".to_owned(), |name| micros(&column(name)));
        format!(
            "jsonb_build_object('id', t.{key}::text, 'email', {email}::text, 'status', {status}, \
                 'consent', {consent}, \
                 'values', jsonb_build_array({values}), 'members', jsonb_build_array({members}), \
                 'erased', {erased}, 'updated', {updated})",
            key = sql::ident(self.key),
            email = column(&mapping.email),
            status = mapping.status.as_ref().map_or_else(|| "'active'".to_owned(), status),
            consent = (mapping.status.as_ref()).map_or_else(
                || "null".to_owned(),
                |status| format!("{}::text", column(&status.column))
            ),
            values = values.join(", "),
            members = members.join(", "),
        )
    }
}

/// The status that a value of the column stands for.
fn status(column: &StatusColumn) -> String {
    let cases = [
        (Some(&column.unsubscribed), MailStatus::Unsubscribed),
        (column.bounced.as_ref(), MailStatus::Bounced),
        (column.junk.as_ref(), MailStatus::Junk),
    ];
    let cases = cases.into_iter().filter_map(|(value, status)| Some((value?, status)));
    let cases: String = cases
        .map(|(value, status)| format!(" when {} then '{}'", sql::literal(value), status.name()))
        .collect();
    format!("case t.{}::text{cases} else 'active' end", sql::ident(&column.column))
}

fn micros(time: &str) -> String {
    format!("(1000000 * extract(epoch from {time}))::int8")
}

fn texts(emails: &[Email]) -> Vec<String> {
    emails.iter().map(|email| email.as_str().to_owned()).collect()
}

#[derive(Deserialize)]
struct StoredContact {
    id: ContactId,
    email: Option<String>,
    status: MailStatus,
    consent: Option<String>,
    values: Vec<Option<String>>,
    members: Vec<bool>,
    erased: bool,
    updated: Option<i64>,
}

#[derive(Deserialize)]
struct StoredLink {
    contact: ContactId,
    subscriber: MailerLiteId,
    row: Option<StoredContact>,
    agreed: Option<AgreedState>,
    agreed_at: Option<i64>,
    open: Option<Vec<Conflict>>,
}

/// Reads a contact from a row of these statements.
pub fn contact(row: &Row) -> Result<Contact, PostgresError> {
    Ok(into_contact(serde_json::from_str(&row.get::<String>(0))?))
}

/// Reads a link from a row of these statements.
pub fn link(row: &Row) -> Result<Link, PostgresError> {
    let StoredLink { contact, subscriber, row, agreed, agreed_at, open } =
        serde_json::from_str(&row.get::<String>(0))?;
    let shadow = agreed.zip(agreed_at).map(|(agreed, at)| Shadow {
        contact: contact.clone(),
        subscriber: subscriber.clone(),
        agreed,
        agreed_at: time(at),
    });
    Ok(Link {
        contact,
        subscriber,
        row: row.map(into_contact),
        shadow,
        open: open.unwrap_or_default(),
    })
}

fn into_contact(stored: StoredContact) -> Contact {
    let StoredContact { id, email, status, consent, values, members, erased, updated } = stored;
    let updated_at = updated.map(time);
    Contact { id, email, status, consent, values, members, is_erased: erased, updated_at }
}

fn time(micros: i64) -> SystemTime {
    let since = Duration::from_micros(micros.unsigned_abs());
    match micros < 0 {
        true => SystemTime::UNIX_EPOCH - since,
        false => SystemTime::UNIX_EPOCH + since,
    }
}
