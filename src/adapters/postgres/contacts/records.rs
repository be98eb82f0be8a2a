//! New rows, open questions, and people who asked to be forgotten.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::rows::ContactTables;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::contacts::email::Email;
use crate::jobs::contacts::ports::{
    ErasedPerson, HeldPerson, IdRange, NewRow, OpenQuestion, StrangerRange,
};

impl ContactTables<'_> {
    /// The statement that makes rows with their links and shadows. It gives the subscribers. All
    /// people have values for the same columns.
    pub fn importing(&self, run: &str, people: &[NewRow]) -> Result<Statement, PostgresError> {
        let columns: BTreeSet<&str> =
            people.iter().flat_map(|person| &person.values).map(|(name, _)| &name[..]).collect();
        let stored = people.iter().map(|person| {
            let new: Map<String, Value> =
                person.values.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
            Ok(json!({
                "b_id": person.subscriber, "new": new,
                "agreed": serde_json::to_value(&person.agreed)?,
            }))
        });
        let stored: Result<Vec<Value>, serde_json::Error> = stored.collect();
        let text = format!(
            "with person as materialized (select gen_random_uuid() as a_id, p.* \
                 from jsonb_to_recordset($1::text::jsonb) as p (b_id text, new jsonb, \
                     agreed jsonb) \
                 where lower(btrim(p.new ->> {email}, e' \\t\\r\\n')) not in \
                     (select {address} from {table} as t where {address} is not null)), \
             made as (insert into {table} ({key}, {columns}) select p.a_id, {values} \
                 from person as p, jsonb_populate_record(null::{table}, p.new) as r), \
             linked as (insert into {schema}.integration_crosswalk (a_id, b_id) \
                 select p.a_id, r.b_id from person as p, jsonb_populate_record(\
                     null::{schema}.integration_crosswalk, \
                     jsonb_build_object('b_id', p.b_id)) as r), \
             agreed as (insert into {schema}.contact_shadows (a_id, b_id, agreed) \
                 select a_id, b_id, agreed from person), \
             gone as (update {schema}.sync_conflicts as o set status = 'gone', \
                     updated_at = clock_timestamp() from person as p \
                 where o.person = 'b:' || p.b_id and o.status = 'open'), \
             logged as (insert into {schema}.sync_log (run_id, a_id, b_id, action) \
                 select $2, a_id, b_id, 'import' from person) \
             select b_id from person",
            table = sql::table(&self.mapping.table),
            key = sql::ident(self.key),
            email = sql::literal(&self.mapping.email),
            address = self.address(),
            columns = sql::idents(columns.iter().copied()),
            values = sql::prefixed("r.", columns.iter().copied()),
            schema = sql::ident(self.schema),
        );
        let stored = serde_json::to_string(&stored?)?;
        Ok(Statement::rows(text, [stored.into(), run.into()]))
    }
}

/// The state tables of people, by their schema.
pub struct Records<'a>(pub &'a str);

impl Records<'_> {
    /// The statement that keeps questions about people who have no link.
    pub fn holding(&self, people: &[HeldPerson]) -> Result<Statement, PostgresError> {
        let stored: Vec<Value> = people
            .iter()
            .map(|held| {
                json!({
                    "person": held.person(), "a_id": held.contact, "b_id": held.subscriber,
                    "kind": held.conflict.kind, "subject": held.conflict.subject,
                    "base": held.conflict.base, "a": held.conflict.a, "b": held.conflict.b,
                })
            })
            .collect();
        let text = format!(
            "insert into {}.sync_conflicts as o \
             (person, a_id, b_id, kind, subject, base_value, a_value, b_value) \
             select * from jsonb_to_recordset($1::text::jsonb) as p (person text, a_id uuid, \
                 b_id text, kind text, subject text, base text, a text, b text) \
             on conflict (person, subject) where status = 'open' do update set \
             kind = excluded.kind, base_value = excluded.base_value, a_value = excluded.a_value, \
             b_value = excluded.b_value, updated_at = clock_timestamp() \
             where (o.kind, o.base_value, o.a_value, o.b_value) is distinct from \
                 (excluded.kind, excluded.base_value, excluded.a_value, excluded.b_value)",
            sql::ident(self.0)
        );
        Ok(Statement::write(text, [serde_json::to_string(&stored)?.into()]))
    }

    /// The statement that gives the open questions about people without a link.
    pub fn open_questions(&self, range: &StrangerRange) -> Statement {
        let (of, bounds) = match range {
            StrangerRange::Subscribers(IdRange { below, from }) => (
                "o.person like 'b:%'",
                [
                    ("<", below.as_ref().map(ToString::to_string)),
                    (">=", from.as_ref().map(ToString::to_string)),
                ],
            ),
            StrangerRange::Rows(after, until) => (
                "o.person = o.a_id::text and not exists (select from {schema}.integration_crosswalk \
                     as x where x.a_id = o.a_id)",
                [
                    (">", after.as_ref().map(ToString::to_string)),
                    ("<=", until.as_ref().map(ToString::to_string)),
                ],
            ),
        };
        let (value, kind) = match range {
            StrangerRange::Subscribers(_) => (
                "case when o.person like 'b:%' then coalesce(nullif(substr(o.person, 3), ''), '0')::numeric end",
                "numeric",
            ),
            StrangerRange::Rows(..) => ("o.a_id", "uuid"),
        };
        let schema = sql::ident(self.0);
        let mut text = format!(
            "select o.person, o.subject from {schema}.sync_conflicts as o \
             where o.status = 'open' and {}",
            of.replace("{schema}", &schema)
        );
        let mut values = Vec::new();
        for (comparison, bound) in bounds {
            if let Some(bound) = bound {
                values.push(bound.into());
                text.push_str(&format!(
                    " and {value} {comparison} ${}::text::{kind}",
                    values.len()
                ));
            }
        }
        Statement::rows(text, values)
    }

    /// The statement that ends questions.
    pub fn settling(&self, questions: &[OpenQuestion]) -> Statement {
        let text = format!(
            "update {}.sync_conflicts as o set status = 'gone', updated_at = clock_timestamp() \
             from unnest($1, $2) as q (person, subject) \
             where o.status = 'open' and o.person = q.person and o.subject = q.subject",
            sql::ident(self.0)
        );
        let people: Vec<String> = questions.iter().map(|asked| asked.person.clone()).collect();
        let subjects: Vec<String> = questions.iter().map(|asked| asked.subject.clone()).collect();
        Statement::write(text, [people.into(), subjects.into()])
    }

    /// The statement that gives the addresses whose person asked to be forgotten.
    pub fn suppressed(&self, emails: &[Email]) -> Statement {
        let text = format!(
            "select e from unnest($1) as e \
             where {} in (select email_hash from {}.contact_tombstones)",
            self.hash("e"),
            sql::ident(self.0)
        );
        Statement::rows(text, [texts(emails).into()])
    }

    /// The statements that forget a person.
    pub fn erasing(&self, run: &str, person: &ErasedPerson) -> [Statement; 7] {
        let schema = sql::ident(self.0);
        let a_id = || person.contact.as_str().into();
        let ids: Vec<String> = person.subscribers.iter().map(ToString::to_string).collect();
        let b_ids = || ids.clone().into();
        let key = format!(
            "insert into {schema}.sync_state (key, value) values ('contact_hash', \
                 jsonb_build_object('key', concat(gen_random_uuid(), gen_random_uuid()))) \
             on conflict (key) do nothing"
        );
        let tombstones = format!(
            "insert into {schema}.contact_tombstones (email_hash) select {} from unnest($1) as e \
             on conflict (email_hash) do nothing",
            self.hash("e")
        );
        let shadow = format!("delete from {schema}.contact_shadows where a_id = $1::text::uuid");
        let link =
            format!("delete from {schema}.integration_crosswalk where a_id = $1::text::uuid");
        let conflicts = format!(
            "delete from {schema}.sync_conflicts where a_id = $1::text::uuid or b_id = any($2)"
        );
        let values = format!(
            "update {schema}.sync_log set details = '{{}}' \
             where (a_id = $1::text::uuid or b_id::text = any($2)) and details <> '{{}}'"
        );
        let logged = format!(
            "insert into {schema}.sync_log (run_id, a_id, action) \
             values ($1, $2::text::uuid, 'erase')"
        );
        [
            Statement::write(key, []),
            Statement::write(tombstones, [texts(&person.emails).into()]),
            Statement::write(shadow, [a_id()]),
            Statement::write(link, [a_id()]),
            Statement::write(conflicts, [a_id(), b_ids()]),
            Statement::write(values, [a_id(), b_ids()]),
            Statement::write(logged, [run.into(), a_id()]),
        ]
    }

    /// The hash of an address with a key that this database alone has: whoever has a list of
    /// addresses cannot try them against a copy of the tombstones.
    fn hash(&self, email: &str) -> String {
        format!(
            "encode(sha256(convert_to((select value ->> 'key' from {}.sync_state \
                 where key = 'contact_hash') || ':' || {email}, 'UTF8')), 'hex')",
            sql::ident(self.0)
        )
    }
}

fn texts(emails: &[Email]) -> Vec<String> {
    emails.iter().map(|email| email.as_str().to_owned()).collect()
}
