//! Reads the facts of all tables of a side from its catalog, in one statement.

use std::collections::BTreeSet;

use crate::adapters::postgres::apply::triggers;
use crate::adapters::postgres::connection::session::Session;
use crate::adapters::postgres::fault::PostgresError;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::facts::{Facts, TableFacts};
use crate::engine::model::pipeline::TargetTriggers;
use crate::engine::model::table::{OWN_TABLES, TableName};

/// The statement that identifies a database by a text, which is the same by every way to reach it:
/// no two servers start at the same microsecond, and a database's object id is unique on its
/// server. Any role may read both.
///
/// Beside the text it returns the facts that decide whether the database can be written. Our
/// transactions are read-write, whatever default a role, a database or a pooler's session has. But
/// a whole server that is set read-only, as hosts do when a disk is full, is read-only on purpose.
pub const IDENTITY: &str = "select pg_postmaster_start_time()::text || ' ' || oid::text, \
     current_setting('server_version_num')::int4 / 10000, pg_is_in_recovery(), \
     case current_setting('default_transaction_read_only') when 'on' then exists (\
         select from pg_settings where name = 'default_transaction_read_only' \
         and source = 'configuration file') else false end, \
     has_database_privilege(oid, 'temporary'), oid::text \
     from pg_database where datname = current_database()";

/// The statement that returns the history of a database: its cluster, which its standbys share, and
/// the timeline, which ends when another server takes over or when a backup is restored to a point
/// in time.
///
/// Any role may call these functions unless somebody has revoked the right. So the statement runs
/// outside of the transaction, which a refusal would end. Without an answer the history has only
/// the database's number on its server.
pub const HISTORY: &str = "select pg_catalog.concat_ws(' ', s.system_identifier, c.timeline_id) \
     from pg_catalog.pg_control_system() as s, pg_catalog.pg_control_checkpoint() as c";

/// The statement that returns a row for each table, with the table's facts in the form in which
/// `TableFacts` is read from JSON.
///
/// - Views of all kinds, and the tables of an extension, are returned only if they are listed by
///   name: in the target, the tables of an extension are those of the version that is installed.
/// - `pg_index.indimmediate` leaves out deferrable keys, which do not identify a row while they are
///   violated.
/// - A collation that folds is defined by a user. The server's own collations have lower numbers.
/// - The server's `catalog/pg_trigger.h` defines the bits of `pg_trigger.tgtype`.
const TABLES: &str = r#"
select n.nspname::text, c.relname::text, jsonb_build_object(
    'relation', case c.relkind when 'r' then 'Table' when 'p' then 'Partitioned'
        when 'm' then 'Materialized' when 'v' then 'View' else 'Foreign' end,
    'storage', concat_ws(' ', c.oid, c.relfilenode,
        case c.relkind when 'v' then md5(pg_get_viewdef(c.oid)) end),
    'estimated_rows', greatest(c.reltuples, 0)::int8,
    'columns', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', a.attname,
            'number', a.attnum,
            'type_oid', a.atttypid::int8,
            'type_name', format_type(a.atttypid, a.atttypmod),
            'base_type', case when a.atttypid >= 16384 then (
                select format_type(b.typbasetype, b.typtypmod) from pg_type b
                where b.oid = a.atttypid and b.typtype = 'd') end,
            'not_null', a.attnotnull,
            'has_default', a.atthasdef or a.attidentity <> '',
            'generated', a.attgenerated <> '',
            'identity_always', a.attidentity = 'a',
            'folds', case when a.attcollation < 16384 then false else (
                select not l.collisdeterministic from pg_collation l where l.oid = a.attcollation) end,
            'serial', a.attidentity <> '' or coalesce(pg_get_expr(d.adbin, d.adrelid) like 'nextval(%', false)
        ) order by a.attnum), '[]')
        from pg_attribute a
        left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'keys', (
        select coalesce(jsonb_agg(k.columns order by k.indisprimary desc, k.size, k.name), '[]')
        from (
            select i.indisprimary, ic.relname as name, i.indnkeyatts as size,
                jsonb_agg(a.attname order by p.place) as columns, bool_and(a.attnotnull) as complete
            from pg_index i
            join pg_class ic on ic.oid = i.indexrelid
            cross join lateral unnest(i.indkey[0:i.indnkeyatts - 1]) with ordinality as p(attnum, place)
            left join pg_attribute a on a.attrelid = c.oid and a.attnum = p.attnum and p.attnum > 0
            where i.indrelid = c.oid and i.indisunique and i.indisvalid and i.indimmediate
                and i.indpred is null and i.indexprs is null
            group by i.indexrelid, i.indisprimary, ic.relname, i.indnkeyatts) as k
        where k.complete),
    'references', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'parent', concat(quote_ident(pn.nspname), '.', quote_ident(pc.relname)),
            'deferrable', f.condeferrable,
            'columns', (select jsonb_agg(a.attname order by p.place)
                from unnest(f.conkey) with ordinality as p(attnum, place)
                join pg_attribute a on a.attrelid = f.conrelid and a.attnum = p.attnum),
            'referenced', (select jsonb_agg(a.attname order by p.place)
                from unnest(f.confkey) with ordinality as p(attnum, place)
                join pg_attribute a on a.attrelid = f.confrelid and a.attnum = p.attnum)
        ) order by f.conname), '[]')
        from pg_constraint f
        join pg_class pc on pc.oid = f.confrelid
        join pg_namespace pn on pn.oid = pc.relnamespace
        where f.conrelid = c.oid and f.contype = 'f' and not exists (
            select from pg_constraint up where up.oid = f.conparentid and up.conrelid = f.conrelid)),
    'index_starts', (
        select coalesce(jsonb_agg(distinct a.attname), '[]')
        from pg_index i
        join pg_class ic on ic.oid = i.indexrelid
        join pg_am m on m.oid = ic.relam and m.amname = 'btree'
        join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
        where i.indrelid = c.oid and i.indisvalid and i.indpred is null and i.indkey[0] > 0),
    'triggers', (
        select coalesce(jsonb_agg(distinct jsonb_build_object(
            'name', t.tgname,
            'function_schema', fn.nspname,
            'function', p.proname,
            'state', case t.tgenabled when 'O' then 'Ordinary' when 'R' then 'Replica'
                when 'A' then 'Always' else 'Disabled' end,
            'each_row', t.tgtype & 1 <> 0,
            'before', t.tgtype & 2 <> 0,
            'events', jsonb_build_object('insert', t.tgtype & 4 <> 0, 'delete', t.tgtype & 8 <> 0,
                'update', t.tgtype & 16 <> 0))), '[]')
        from pg_trigger t
        join pg_proc p on p.oid = t.tgfoid
        join pg_namespace fn on fn.oid = p.pronamespace
        where not (t.tgisinternal and t.tgconstraint <> 0) and (t.tgrelid = c.oid or c.relkind = 'p' and t.tgrelid in (
            select relid from pg_partition_tree(c.oid)))),
    'trigger_duties', coalesce(case when c.relkind = 'p' or c.relhastriggers and exists (
        select from pg_trigger t where t.tgrelid = c.oid and not (t.tgisinternal and t.tgconstraint <> 0)) then jsonb_build_object(
        'deferrable_keys', exists (
            select from pg_constraint k
            where k.conrelid = c.oid and k.contype in ('p', 'u', 'x') and k.condeferrable),
        'referenced', (
            select coalesce(jsonb_agg(distinct a.attname), '[]')
            from pg_constraint f
            join pg_attribute a on a.attrelid = f.confrelid and a.attnum = any (f.confkey)
            where f.confrelid = c.oid and f.contype = 'f'),
        'unlockable_parents', (
            select coalesce(jsonb_agg(distinct concat(quote_ident(pn.nspname), '.', quote_ident(pc.relname))), '[]')
            from pg_constraint f
            join pg_class pc on pc.oid = f.confrelid
            join pg_namespace pn on pn.oid = pc.relnamespace
            where f.conrelid = c.oid and f.contype = 'f' and not exists (
                select from pg_constraint up where up.oid = f.conparentid and up.conrelid = f.conrelid) and not (
                has_schema_privilege(pn.oid, 'usage') and has_table_privilege(pc.oid, 'select')
                and has_any_column_privilege(pc.oid, 'update') and not row_security_active(pc.oid)))) end,
        '{"deferrable_keys": false, "referenced": [], "unlockable_parents": []}'),
    'privileges', jsonb_build_object(
        'select', has_table_privilege(c.oid, 'select'),
        'insert', has_table_privilege(c.oid, 'insert'),
        'update', has_table_privilege(c.oid, 'update'),
        'delete', has_table_privilege(c.oid, 'delete'),
        'rows_hidden', row_security_active(c.oid)),
    'told_by_api', false
)::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where case
    when $1::text[] is null then c.relkind in ('r', 'p') and n.nspname = 'public'
        and not c.relispartition and c.relname <> all ($3::text[])
        and not exists (select from pg_depend e
            where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
    else c.relkind in ('r', 'p', 'v', 'm', 'f')
        and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
end
order by 1, 2"#;

/// Reads the facts of the listed tables that exist, or of all tables in schema `public` except our
/// own and those of extensions. It takes one round trip beside that of the transaction's end.
pub async fn facts(
    session: &Session,
    tables: Option<&[TableName]>,
    policy: TargetTriggers,
) -> Result<Facts, PostgresError> {
    let probe = async {
        match policy {
            TargetTriggers::Fire => Ok(false),
            TargetTriggers::Auto | TargetTriggers::Suppress => {
                let [attempt, answer] = triggers::may_suppress();
                let (attempt, rows) =
                    tokio::join!(session.batch(&attempt.text), session.ask(answer));
                attempt?;
                Ok::<_, PostgresError>(rows?[0].get(0))
            }
        }
    };
    let (history, begin, identity, rows, may_suppress) = tokio::join!(
        session.query(HISTORY, []),
        session.begin(Purpose::Look),
        session.query(IDENTITY, []),
        session.ask(catalog(tables)),
        probe,
    );
    begin?;
    let (identity, rows) = (identity?, rows?);
    let may_suppress_triggers = may_suppress?;
    session.roll_back().await?;
    Ok(Facts {
        may_suppress_triggers,
        keeps_triggers: policy == TargetTriggers::Suppress && !may_suppress_triggers,
        ..read_facts(unless_refused(history)?.first(), &identity[0], &rows)?
    })
}

/// The statement that returns the tables, a row each: schema, name, and the other facts as JSON.
pub fn catalog(tables: Option<&[TableName]>) -> Statement {
    let listed = |part: fn(&TableName) -> &str| {
        tables.map(|all| all.iter().map(|table| part(table).to_owned()).collect::<Vec<_>>())
    };
    let (schemas, names) = (listed(TableName::schema), listed(TableName::name));
    let own = OWN_TABLES.map(str::to_owned).to_vec();
    Statement::rows(TABLES, [schemas.into(), names.into(), own.into()])
}

/// Returns the history, or nothing if the role may not see it.
fn unless_refused(history: Result<Vec<Row>, PostgresError>) -> Result<Vec<Row>, PostgresError> {
    match history {
        Err(PostgresError::Refused(_)) => Ok(Vec::new()),
        history => history,
    }
}

/// Reads the facts from the answers of these statements.
pub fn read_facts(
    history: Option<&Row>,
    identity: &Row,
    tables: &[Row],
) -> Result<Facts, PostgresError> {
    let history = history.map_or_else(String::new, |row| row.get(0));
    Ok(Facts {
        history: format!("{history} {}", identity.get::<String>(5)),
        identity: identity.get(0),
        standby: identity.get(2),
        read_only: identity.get(3),
        no_temporary_tables: !identity.get::<bool>(4),
        major: u32::try_from(identity.get::<i32>(1)).unwrap_or(0),
        tables: tables.iter().map(read_table).collect::<Result<_, _>>()?,
        ..Facts::default()
    })
}

fn read_table(row: &Row) -> Result<(TableName, TableFacts), PostgresError> {
    let name = TableName::new(row.get::<String>(0), row.get::<String>(1));
    Ok((name, serde_json::from_str(&row.get::<String>(2))?))
}

/// Returns the tables that have no row. It runs in a transaction for its time limit: a table that
/// somebody has locked is reported within seconds.
pub async fn empty_tables(
    session: &Session,
    tables: &[TableName],
) -> Result<BTreeSet<TableName>, PostgresError> {
    if tables.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = session.run_in_own_transaction(Purpose::Look, &empty_sql(tables), []).await?;
    Ok(named(tables, &rows))
}

/// Finds the same inside of a transaction.
pub async fn empty_in_transaction(
    session: &Session,
    tables: &[TableName],
) -> Result<BTreeSet<TableName>, PostgresError> {
    if tables.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(named(tables, &session.query(&empty_sql(tables), []).await?))
}

/// The statement that gives the places of the tables without rows.
fn empty_sql(tables: &[TableName]) -> String {
    let look = |(place, name): (usize, &TableName)| {
        format!("select {place} where not exists (select from {} limit 1)", sql::table(name))
    };
    tables.iter().enumerate().map(look).collect::<Vec<_>>().join(" union all ")
}

/// The tables at the places that a statement has given.
fn named(tables: &[TableName], places: &[Row]) -> BTreeSet<TableName> {
    let table = |row: &Row| tables.get(usize::try_from(row.get::<i32>(0)).ok()?).cloned();
    places.iter().filter_map(table).collect()
}

/// Returns the types that this database does not know. They are named as `format_type` prints them.
pub async fn unknown_types(
    session: &Session,
    types: &BTreeSet<String>,
) -> Result<BTreeSet<String>, PostgresError> {
    let names: Vec<String> = types.iter().cloned().collect();
    let unknown = "select t from unnest($1::text[]) as t where to_regtype(t) is null";
    let rows = session.run_in_own_transaction(Purpose::Look, unknown, [names.into()]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
