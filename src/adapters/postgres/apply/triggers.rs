//! Keeps the target's ordinary triggers from firing while rows are written. Postgres keeps foreign
//! keys by triggers, which do not fire then, either: `foreign_keys` checks the rows instead.
//!
//! The plan has decided which tables that is done for. It is asked once more with each page, since
//! a table may have been altered meanwhile: one keeps its triggers whose unique constraint can
//! wait, because triggers check it; to which others point by more than the key of the sync, because
//! triggers follow a change of such a value; whose parents the role may not lock; or with a foreign
//! key whose column gets a default. Rows are deleted with triggers where foreign keys point to
//! them: triggers keep, or take along, what points to the row.

use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::engine::model::shape::Shape;
use crate::engine::model::trigger::Firing;

/// The statements that suppress triggers until the transaction's end, or until a savepoint before
/// is rolled back to. The parameter is set by a statement and no call of `set_config`, because
/// Supabase lets its `postgres` role set it by intercepting the statement.
fn replica_role() -> String {
    owner_fallback("set local session_replication_role = replica", "syncline_suppress_triggers")
}

/// A statement, for which a function of the database's owner is called where the role has no right
/// to it (`infra/sql/api/suppress_triggers.sql`). A function of anybody else is not called: whoever
/// may create functions in `public` could have his own run by our role.
fn owner_fallback(statement: &str, function: &str) -> String {
    format!(
        "begin {statement}; exception when insufficient_privilege then \
         if exists (select from pg_catalog.pg_proc as f \
             join pg_catalog.pg_roles as r on r.oid = f.proowner \
             where f.oid = pg_catalog.to_regprocedure('public.{function}()') and f.prosecdef \
                 and (r.rolsuper or r.oid in (select d.datdba from pg_catalog.pg_database as d \
                     where d.datname = pg_catalog.current_database()))) \
         then perform public.{function}(); else raise; end if; end; "
    )
}

/// Two statements that ask whether the role may suppress triggers: one that tries it, and one that
/// gives the answer. On Supabase a role may that `has_parameter_privilege` knows nothing of.
/// Nothing of the try remains, and what is caught there is not in the server's log.
pub fn may_suppress() -> [Statement; 2] {
    let attempt = Statement::write(
        format!(
            "do $syncline$ begin \
               perform pg_catalog.set_config('syncline.may_suppress', 'false', true); \
               begin {} raise sqlstate 'SL001'; \
               exception when sqlstate 'SL001' then \
                 perform pg_catalog.set_config('syncline.may_suppress', 'true', true); \
               when insufficient_privilege then null; end; \
             end $syncline$",
            replica_role()
        ),
        [],
    );
    let answer = "select current_setting('syncline.may_suppress')::bool as may_suppress";
    [attempt, Statement::rows(answer, [])]
}

/// The statement before rows of the table are written that suppresses its triggers, with a
/// semicolon behind it; empty where they fire.
pub fn suppress(shape: &Shape) -> String {
    match shape.triggers {
        Firing::Fire => String::new(),
        Firing::Suppress => {
            format!(
                "do $syncline$ begin if not {} then {} end if; end $syncline$; ",
                has_duties(shape),
                replica_role()
            )
        }
    }
}

/// The statement before rows are inserted that suppresses the table's triggers, if some of them
/// fire for inserts.
pub fn suppress_for_inserts(shape: &Shape) -> String {
    match shape.triggers {
        Firing::Fire => String::new(),
        Firing::Suppress => format!(
            "do $syncline$ begin if exists (select from pg_catalog.pg_trigger as t \
             where (t.tgrelid = {table} or t.tgrelid in (select relid from pg_catalog.pg_partition_tree({table}))) \
                 and not (t.tgisinternal and t.tgconstraint <> 0) and t.tgenabled = 'O' \
                 and t.tgtype & 4 = 4) and not {} then {} end if; end $syncline$; ",
            has_duties(shape),
            replica_role(),
            table =
                format_args!("{}::pg_catalog.regclass", sql::literal(&sql::table(&shape.table))),
        ),
    }
}

/// The statement that suppresses the server's own triggers for rows that are copied into the table,
/// if the role may and those do no other work than foreign keys'.
pub fn suppress_for_copy(shape: &Shape) -> String {
    format!(
        "do $syncline$ begin if not {} then {} end if; \
         exception when insufficient_privilege then null; end $syncline$",
        has_duties(shape),
        replica_role()
    )
}

/// The statement before rows of the table are deleted, likewise.
pub fn suppress_for_deletes(shape: &Shape) -> String {
    match shape.triggers {
        Firing::Suppress if shape.mark.is_none() => format!(
            "do $syncline$ begin if not exists (select from pg_catalog.pg_constraint \
             where contype = 'f' and confrelid = {}::pg_catalog.regclass) \
             then {} end if; end $syncline$; ",
            sql::literal(&sql::table(&shape.table)),
            replica_role()
        ),
        _ => suppress(shape),
    }
}

/// The statement before rows of the table are written in a transaction that has suppressed the
/// triggers of another one.
pub fn switch(shape: &Shape) -> String {
    format!("{}{}", resume(), suppress(shape))
}

/// The statement that lets triggers fire again.
pub fn resume() -> String {
    format!(
        "do $syncline$ begin \
         if pg_catalog.current_setting('session_replication_role') = 'replica' then {} end if; \
         end $syncline$; ",
        owner_fallback("set local session_replication_role to default", "syncline_fire_triggers")
    )
}

/// The condition under which the server's own triggers do work that nothing else does.
fn has_duties(shape: &Shape) -> String {
    let table = format!("{}::pg_catalog.regclass", sql::literal(&sql::table(&shape.table)));
    let names = |names: &mut dyn Iterator<Item = &str>| {
        let literals: Vec<String> = names.map(sql::literal).collect();
        format!("array[{}]::text[]", literals.join(", "))
    };
    let key = names(&mut shape.key.iter().map(String::as_str));
    let moved = names(&mut shape.columns.iter().map(|column| column.name.as_str()));
    format!(
        "exists (select from pg_catalog.pg_constraint as k where \
           k.conrelid = {table} and k.contype in ('p', 'u', 'x') and k.condeferrable \
           or k.confrelid = {table} and k.contype = 'f' and not k.confkey <@ array(\
             select a.attnum from pg_catalog.pg_attribute as a \
             where a.attrelid = k.confrelid and a.attname = any ({key})) \
           or k.conrelid = {table} and k.contype = 'f' and not exists (\
             select from pg_catalog.pg_constraint as up where up.oid = k.conparentid and up.conrelid = k.conrelid) and (\
             not pg_catalog.has_schema_privilege((select c.relnamespace from pg_catalog.pg_class as c \
               where c.oid = k.confrelid), 'usage') \
             or not pg_catalog.has_table_privilege(k.confrelid, 'select') \
             or not pg_catalog.has_any_column_privilege(k.confrelid, 'update') \
             or pg_catalog.row_security_active(k.confrelid) \
             or exists (select from pg_catalog.pg_attribute as a where a.attrelid = k.conrelid \
               and a.attnum = any (k.conkey) and a.atthasdef and a.attname <> all ({moved}))))"
    )
}
