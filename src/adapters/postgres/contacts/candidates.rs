//! The tables that may be the table of the contacts, in whatever schema they are.

use crate::adapters::postgres::PostgresSource;
use crate::adapters::postgres::sql::row::Row;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::table::TableName;

/// The schemas of a Supabase project that are its own. They have addresses, too, such as those of
/// the people who may log in.
const OF_SUPABASE: &str = "'auth', 'storage', 'realtime', 'vault', 'extensions', 'graphql', \
     'graphql_public', 'pgbouncer', 'net', 'cron', 'pgsodium', 'supabase_functions', \
     'supabase_migrations'";

impl PostgresSource {
    /// Finds the tables that have a column with `mail` in its name and that this role may read,
    /// without the system's own and those of extensions.
    pub async fn tables_of_addresses(&self) -> Result<Vec<TableName>, Fault> {
        let text = format!(
            "select n.nspname::text, c.relname::text \
             from pg_class as c join pg_namespace as n on n.oid = c.relnamespace \
             where c.relkind in ('r', 'p') and n.nspname !~ '^pg_' \
                 and n.nspname not in ('information_schema', {OF_SUPABASE}) \
                 and case when has_schema_privilege(n.oid, 'usage') \
                     then has_table_privilege(c.oid, 'select') else false end \
                 and not exists (select from pg_depend as d where d.objid = c.oid \
                     and d.classid = 'pg_class'::regclass and d.deptype = 'e') \
                 and exists (select from pg_attribute as a where a.attrelid = c.oid \
                     and a.attnum > 0 and not a.attisdropped and a.attname ~* 'mail') \
             order by 1, 2"
        );
        let call = self.pool.call(Step::Plan, None).await?;
        let asked = Statement::rows(text, []);
        let [rows] = call.end(call.run_all(Purpose::Look, [asked]).await)?;
        let name = |row: &Row| TableName::new(row.get::<String>(0), row.get::<String>(1));
        Ok(rows.iter().map(name).collect())
    }
}
