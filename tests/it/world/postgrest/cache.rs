//! PostgREST's schema cache: tables, columns and functions as they were when the cache was last
//! loaded. It does not see a change of the schema until it is reloaded.

use serde::Deserialize;
use tokio_postgres::{Client, Error};

use super::refusal::Refusal;

/// The tables and functions of the exposed schemas.
#[derive(Default)]
pub struct Cache {
    /// The tables, views and whatever else has rows, without partitions of their own tables.
    pub tables: Vec<Table>,
    /// The functions that can be called.
    pub functions: Vec<Function>,
}

/// A table or view.
#[derive(Clone, Debug, Deserialize)]
pub struct Table {
    pub schema: String,
    pub name: String,
    pub description: Option<String>,
    /// Some of insert, update and delete works.
    pub is_writable: bool,
    pub columns: Vec<Column>,
    /// In the order of the alphabet.
    pub key: Vec<String>,
}

/// A column.
#[derive(Clone, Debug, Deserialize)]
pub struct Column {
    pub name: String,
    pub description: Option<String>,
    pub is_nullable: bool,
    /// The type without its length, a domain's base type in its place.
    pub base_type: String,
    pub max_length: Option<i64>,
    pub default: Option<String>,
    pub labels: Vec<String>,
    /// The table and column that a foreign key of this column alone points to.
    pub parent: Option<(String, String)>,
}

/// A function.
#[derive(Clone, Debug, Deserialize)]
pub struct Function {
    pub schema: String,
    pub name: String,
    pub description: Option<String>,
    pub parameters: Vec<Parameter>,
    pub returns_set: bool,
    pub returns_rows: bool,
    pub returns_void: bool,
    pub is_volatile: bool,
    /// Its own statement timeout, which the request takes over.
    pub statement_timeout: Option<String>,
}

/// A parameter that is passed in.
#[derive(Clone, Debug, Deserialize)]
pub struct Parameter {
    pub name: String,
    #[serde(rename = "type")]
    pub type_name: String,
    pub is_required: bool,
    pub is_variadic: bool,
}

impl Cache {
    /// Looks the database over.
    pub async fn load(client: &Client, schemas: &[String]) -> Result<Self, Error> {
        let schemas = schemas.to_vec();
        client.batch_execute("begin read only; set local search_path to ''").await?;
        let tables: String = client.query_one(TABLES, &[&schemas]).await?.get(0);
        let functions: String = client.query_one(FUNCTIONS, &[&schemas]).await?.get(0);
        client.batch_execute("commit").await?;
        Ok(Self {
            tables: serde_json::from_str(&tables).expect("the query above makes these fields"),
            functions: serde_json::from_str(&functions)
                .expect("the query above makes these fields"),
        })
    }

    /// A table by its name.
    pub fn table(&self, schema: &str, name: &str) -> Result<&Table, Refusal> {
        let found = self.tables.iter().find(|table| table.schema == schema && table.name == name);
        found.ok_or_else(|| {
            let what = format!("'{schema}.{name}'");
            let message = format!("Could not find the table {what} in the schema cache");
            Refusal::new(404, "PGRST205", message)
        })
    }
}

/// A view's key is looked for by the names of its columns among the keys of the tables that it
/// reads, where the real one follows the view's own expressions.
const TABLES: &str = r"
with recursive bases(oid, base) as (
    select oid, oid from pg_catalog.pg_type where typtype <> 'd'
    union all
    select t.oid, b.base from pg_catalog.pg_type t join bases b on t.typbasetype = b.oid
        where t.typtype = 'd'),
keys as (
    select k.conrelid as of_table, a.attname as name from pg_catalog.pg_constraint k
        join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = any (k.conkey)
        where k.contype = 'p'
    union
    select v.oid, a.attname from pg_catalog.pg_class v
        join pg_catalog.pg_rewrite r on r.ev_class = v.oid
        join pg_catalog.pg_depend d
            on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = r.oid
            and d.refclassid = 'pg_catalog.pg_class'::regclass
        join pg_catalog.pg_constraint k
            on k.conrelid = d.refobjid and k.contype = 'p' and d.refobjsubid = any (k.conkey)
        join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
        where v.relkind in ('v', 'm') and exists (
            select from pg_catalog.pg_attribute shown
                where shown.attrelid = v.oid and shown.attname = a.attname))
select coalesce(json_agg(json_build_object(
    'schema', n.nspname, 'name', c.relname,
    'description', pg_catalog.obj_description(c.oid, 'pg_class'),
    'is_writable', pg_catalog.pg_relation_is_updatable(c.oid, true) & 28 <> 0,
    'columns', (
        select coalesce(json_agg(json_build_object(
            'name', a.attname,
            'description', pg_catalog.col_description(c.oid, a.attnum),
            'is_nullable', not (a.attnotnull or t.typtype = 'd' and t.typnotnull),
            'base_type', pg_catalog.format_type(b.base,
                case when base.typnamespace = 'pg_catalog'::regnamespace then null
                    else a.atttypmod end),
            'max_length', information_schema._pg_char_max_length(
                information_schema._pg_truetypid(a.*, t.*),
                information_schema._pg_truetypmod(a.*, t.*)),
            'default', case
                when t.typbasetype <> 0 and d.adbin is null
                    then pg_catalog.pg_get_expr(t.typdefaultbin, 0)
                when a.attidentity = 'd' then format('nextval(%L)', (
                    select s.objid::regclass from pg_catalog.pg_depend s
                        where s.refobjid = c.oid and s.refobjsubid = a.attnum and s.deptype = 'i'))
                when a.attgenerated = 's' then null
                else pg_catalog.pg_get_expr(d.adbin, d.adrelid) end,
            'labels', (
                select coalesce(json_agg(e.enumlabel order by e.enumsortorder), '[]')
                    from pg_catalog.pg_enum e where e.enumtypid = b.base),
            'parent', (
                select json_build_array(p.relname, pa.attname) from pg_catalog.pg_constraint f
                    join pg_catalog.pg_class p on p.oid = f.confrelid
                    join pg_catalog.pg_attribute pa
                        on pa.attrelid = f.confrelid and pa.attnum = f.confkey[1]
                    where f.conrelid = c.oid and f.contype = 'f' and f.conkey = array[a.attnum]
                    order by f.conname limit 1)
            ) order by a.attnum), '[]')
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        join bases b on b.oid = t.oid
        join pg_catalog.pg_type base on base.oid = b.base
        left join pg_catalog.pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'key', (
        select coalesce(json_agg(k.name order by k.name), '[]') from keys k
            where k.of_table = c.oid)
    ) order by n.nspname, c.relname), '[]')::text
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'v', 'm', 'f', 'p') and not c.relispartition and n.nspname = any ($1)";

const FUNCTIONS: &str = r"
select coalesce(json_agg(json_build_object(
    'schema', n.nspname, 'name', p.proname,
    'description', pg_catalog.obj_description(p.oid, 'pg_proc'),
    'parameters', passed.parameters,
    'returns_set', p.proretset,
    'returns_rows', t.typtype = 'c'
        or coalesce(p.proargmodes::text[] && array['t', 'b', 'o'], false),
    'returns_void', p.prorettype = 'void'::regtype,
    'is_volatile', p.provolatile = 'v',
    'statement_timeout', (
        select split_part(setting, '=', 2) from unnest(p.proconfig) as setting
            where setting like 'statement_timeout=%')
    ) order by n.nspname, p.proname), '[]')::text
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
join pg_catalog.pg_type t on t.oid = p.prorettype
cross join lateral (
    select coalesce(json_agg(json_build_object(
        'name', coalesce(p.proargnames[place], ''),
        'type', pg_catalog.format_type(type, null),
        'is_required', nth <= p.pronargs - p.pronargdefaults,
        'is_variadic', mode = 'v') order by nth), '[]') as parameters,
        count(*) filter (where coalesce(p.proargnames[place], '') = '') as unnamed,
        count(*) as total,
        coalesce(bool_and(type in ('json'::regtype, 'jsonb'::regtype)), false) as is_json
    from (
        select place, type, mode, row_number() over (order by place) as nth
        from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]))
            with ordinality as every(type, place)
        cross join lateral (select coalesce(p.proargmodes[place]::text, 'i') as mode) as how
        where mode in ('i', 'b', 'v')) as each) as passed
where p.prokind = 'f' and n.nspname = any ($1)
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and (passed.unnamed = 0 or passed.total = 1 and passed.is_json)";
