//! Writes people: their rows, links, shadows, conflicts and log, all of a batch in one statement.
//!
//! A row is written only if all of its mapped columns still have the values that the merge was
//! decided on. If somebody changed one meanwhile, nothing of the person is saved, and the caller
//! merges anew.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::rows::ContactTables;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::Contact;
use crate::engine::model::contacts::mapping::GroupRule;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::jobs::contacts::ports::PersonCommit;

/// A person as the statement reads them.
#[derive(Serialize)]
struct StoredCommit<'a> {
    a_id: &'a str,
    b_id: &'a str,
    new: Map<String, Value>,
    was: Map<String, Value>,
    decided: Option<Value>,
    agreed: &'a AgreedState,
    conflicts: &'a [Conflict],
    actions: Vec<StoredAction<'a>>,
}

#[derive(Serialize)]
struct StoredAction<'a> {
    action: &'a str,
    details: Value,
}

/// The statement that saves a batch of people. An older system's crosswalk may have ids that are
/// numbers, so they get the column's own type. It gives the keys of those who were saved.
pub fn saving(
    tables: &ContactTables<'_>,
    run: &str,
    people: &[PersonCommit],
) -> Result<Statement, PostgresError> {
    let columns: BTreeSet<&str> =
        people.iter().flat_map(|person| &person.row).map(|change| change.column.as_str()).collect();
    let stored: Vec<StoredCommit<'_>> = people.iter().map(stored).collect();
    let changed = match columns.is_empty() {
        true => "select null::uuid as a_id where false".to_owned(),
        false => changing(tables, &columns),
    };
    let text = format!(
        "with person as (select * from jsonb_to_recordset($1::text::jsonb) as p (a_id uuid, \
             b_id text, new jsonb, was jsonb, decided jsonb, agreed jsonb, conflicts jsonb, actions jsonb)), \
         changed as ({changed}), \
         saved as (select p.* from person as p \
             where p.new = '{{}}' or p.a_id in (select c.a_id from changed as c)), \
         linked as (insert into {schema}.integration_crosswalk as x (a_id, b_id) \
             select p.a_id, r.b_id from saved as p, jsonb_populate_record(\
                 null::{schema}.integration_crosswalk, jsonb_build_object('b_id', p.b_id)) as r \
             on conflict (a_id) do update set b_id = excluded.b_id \
             where x.b_id is distinct from excluded.b_id), \
         agreed as (insert into {schema}.contact_shadows as s (a_id, b_id, agreed) \
             select a_id, b_id, agreed from saved on conflict (a_id) do update set \
             b_id = excluded.b_id, agreed = excluded.agreed, agreed_at = excluded.agreed_at \
             where (s.b_id, s.agreed) is distinct from (excluded.b_id, excluded.agreed) \
                 or s.agreed_at < clock_timestamp() - interval '30 days'), \
         held as (insert into {schema}.sync_conflicts as o \
             (person, a_id, b_id, kind, subject, base_value, a_value, b_value) \
             select p.a_id::text, p.a_id, p.b_id, c ->> 'kind', c ->> 'subject', c ->> 'base', \
                 c ->> 'a', c ->> 'b' from saved as p, jsonb_array_elements(p.conflicts) as c \
             on conflict (person, subject) where status = 'open' do update set \
             kind = excluded.kind, base_value = excluded.base_value, a_value = excluded.a_value, \
             b_value = excluded.b_value, updated_at = clock_timestamp() \
             where (o.kind, o.base_value, o.a_value, o.b_value) is distinct from \
                 (excluded.kind, excluded.base_value, excluded.a_value, excluded.b_value)), \
         gone as (update {schema}.sync_conflicts as o set status = 'gone', \
                 updated_at = clock_timestamp() from saved as p \
             where o.status = 'open' and (o.person = 'b:' || p.b_id or o.person = p.a_id::text \
                 and not exists (select from jsonb_array_elements(p.conflicts) as c \
                     where c ->> 'subject' = o.subject))), \
         logged as (insert into {schema}.sync_log (run_id, a_id, b_id, action, details) \
             select $2, p.a_id, p.b_id, a ->> 'action', a -> 'details' \
             from saved as p, jsonb_array_elements(p.actions) as a) \
         select a_id::text from saved order by a_id",
        schema = sql::ident(tables.schema),
    );
    let people = serde_json::to_string(&stored)?;
    Ok(Statement::rows(text, [people.into(), run.into()]))
}

/// The statement that writes the rows. A column that a person's change does not name keeps its
/// value, and the record gives a text the column's own type.
fn changing(tables: &ContactTables<'_>, columns: &BTreeSet<&str>) -> String {
    let (mut sets, mut guards) = (Vec::new(), Vec::new());
    for column in columns {
        let (name, text) = (sql::ident(column), sql::literal(column));
        sets.push(format!("{name} = case when p.new ? {text} then r.{name} else t.{name} end"));
        let is_membership = |rule: &GroupRule| rule.member.column() == Some(*column);
        let value = match tables.mapping.groups.iter().any(is_membership) {
            true => format!("coalesce(t.{name}, false)"),
            false => format!("t.{name}"),
        };
        guards.push(format!(
            "(not p.new ? {text} or {value}::text is not distinct from p.was ->> {text})"
        ));
    }
    format!(
        "update {table} as t set {sets} from person as p, \
             jsonb_populate_record(null::{table}, p.new) as r \
         where t.{key} = p.a_id and p.new <> '{{}}' and {guards} and exists (\
             select from (select t.*) as t where {filter} \
                 and (p.decided is null or {contact} - 'updated' = p.decided)) \
         returning t.{key} as a_id",
        table = sql::table(&tables.mapping.table),
        filter = tables.filter(),
        contact = tables.contact(),
        sets = sets.join(", "),
        key = sql::ident(tables.key),
        guards = guards.join(" and "),
    )
}

fn stored(person: &PersonCommit) -> StoredCommit<'_> {
    let values = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    let row = || person.row.iter();
    StoredCommit {
        a_id: person.contact.as_str(),
        b_id: person.subscriber.as_str(),
        new: row().map(|change| (change.column.clone(), values(&change.value))).collect(),
        was: row().map(|change| (change.column.clone(), values(&change.was))).collect(),
        decided: person.decided.as_deref().map(decided),
        agreed: &person.agreed,
        conflicts: &person.conflicts,
        actions: (person.actions.iter())
            .map(|action| StoredAction { action: &action.name, details: action.details.clone() })
            .collect(),
    }
}

/// The row as `ContactTables` reads it. The time of its last change is left out: it moves with
/// columns that no merge looks at.
fn decided(row: &Contact) -> Value {
    json!({
        "id": row.id, "email": row.email, "status": row.status.name(), "consent": row.consent,
        "values": row.values, "members": row.members, "erased": row.is_erased,
    })
}
