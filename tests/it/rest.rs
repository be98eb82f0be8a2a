//! Databases behind an API: what it costs, and what goes wrong there and nowhere else.

use crate::world::pair::{OverApi, Pair};

const JOBS: &str = "create table jobs (id bigint primary key, state text, tags text[], body jsonb, \
    updated_at timestamptz not null default now()); create index on jobs (updated_at);";

#[tokio::test]
async fn rows_move_whichever_side_is_behind_an_api() {
    for over in [OverApi::Source, OverApi::Target, OverApi::Both] {
        let pair = Pair::with(JOBS).await.over_api(over).await;
        pair.sql_source(
            "insert into jobs select n, 'state ' || n, array[n::text, null, 'a,\"b\\'], \
             jsonb_build_object('n', n, 'x', null) from generate_series(1, 2500) n; \
             insert into jobs values (2501, E'\\u2028\\n\\t\"\\\\', '[0:1]={a,b}', 'null')",
        )
        .await;
        let first = pair.sync().await.success();
        assert_eq!(first.rows("public.jobs"), [2501, 0, 0], "{over:?}");
        pair.assert_settled(&["jobs"]).await;
        pair.sql_source("update jobs set state = 'again' where id <= 10").await;
        pair.sync().await.success();
        pair.assert_settled(&["jobs"]).await;
    }
}
