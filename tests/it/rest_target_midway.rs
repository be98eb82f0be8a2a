//! What befalls a run midway over a target's tables.

use crate::rest_target::{JOBS, SECONDS, jobs, project};

#[tokio::test]
async fn a_run_of_some_tables_leaves_those_to_be_read_again_that_an_overtaken_run_may_have_written()
{
    let (pair, _api) = project(&format!("{JOBS} create table notes (id int primary key);")).await;
    pair.sql_source(&jobs(1, 20, SECONDS)).await;
    pair.sync().await.success();
    pair.sql_target(
        "insert into sync_metadata (run_id, pipeline, sync_type, sync_status) \
         select 'dead', pipeline, sync_type, 'running' from sync_metadata limit 1",
    )
    .await;
    pair.sync().await.success();
    // The last that it wrote, an hour ago.
    pair.sql_target(
        "update jobs set name = 'older' where id = 20; \
         update sync_metadata set ended_at = ended_at - interval '1 hour' where run_id = 'dead'; \
         update sync_state set value = '{\"until\": \"2026-01-01T00:00:00Z\"}' where key like 'overtaken:%'",
    )
    .await;
    pair.sync_with(&[("SYNC_TABLES", "notes")]).await.success();
    pair.sync().await.success();
    pair.assert_settled(&["jobs"]).await;
}
