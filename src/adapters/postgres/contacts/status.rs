//! The progress of contacts: the row `sync_status` of `sync_state`, which dashboards read.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::store::PostgresContacts;
use crate::adapters::postgres::sql;
use crate::adapters::postgres::sql::statement::Statement;
use crate::adapters::postgres::sql::transaction::Purpose;
use crate::engine::model::fault::{Fault, Step};
use crate::jobs::contacts::ports::SyncStatusStore;

#[async_trait]
impl SyncStatusStore for PostgresContacts {
    async fn fields(&self) -> Result<Map<String, Value>, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let text = format!(
            "select value::text from {}.sync_state where key = 'sync_status'",
            sql::ident(&self.schema)
        );
        let read = async {
            let [rows] = call.run_all(Purpose::Look, [Statement::rows(text, [])]).await?;
            match rows.first() {
                Some(row) => Ok(serde_json::from_str(&row.get::<String>(0))?),
                None => Ok(Map::new()),
            }
        };
        call.end(read.await)
    }

    async fn swap(&self, field: &str, was: Option<&Value>, value: &Value) -> Result<bool, Fault> {
        let call = self.pool.call(Step::State, None).await?;
        let text = format!(
            "insert into {}.sync_state as s (key, value) \
             values ('sync_status', jsonb_build_object($1::text, $3::text::jsonb)) \
             on conflict (key) do update set value = s.value || excluded.value, updated_at = now() \
             where s.value -> $1 is not distinct from $2::text::jsonb returning key",
            sql::ident(&self.schema)
        );
        let values = [field.into(), was.map(Value::to_string).into(), value.to_string().into()];
        let swapped = async {
            let [rows] = call.run_all(Purpose::Write, [Statement::rows(text, values)]).await?;
            Ok(!rows.is_empty())
        };
        call.end(swapped.await)
    }
}
