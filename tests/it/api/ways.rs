//! One source that is reached in several ways: by its API's tables, by our function behind the API,
//! and over a connection. The next run goes on where the last one stopped.

use syncline::engine::model::range::Side;
use syncline::wiring::App;

use crate::world::over_api::GRANTS;
use crate::world::pair::Pair;
use crate::world::postgrest::Standin;

const JOBS: &str = "create table jobs (id bigint primary key, name text, price numeric(10,2), \
    updated_at timestamptz(3) not null); create index on jobs (updated_at, id);";

/// Changes one row, and finds that change and nothing but rows around it.
async fn assert_goes_on(pair: &Pair, id: u32, way: &str) {
    pair.sql_source(&format!("update jobs set name = 'new', updated_at = now() where id = {id}"))
        .await;
    let changed = pair.sync().await.success().rows("public.jobs");
    assert_eq!(changed[..2], [0, 1], "{way}");
    // The plain API shows no open transaction: ten minutes are read again, a row each.
    assert!(changed[2] <= 15, "{way}: {} rows were read anew", changed[2]);
    pair.assert_settled(&["jobs"]).await;
}

#[tokio::test]
async fn a_source_that_is_reached_in_another_way_is_not_read_from_the_start() {
    let pair = Pair::with(JOBS).await;
    let rows = "insert into jobs select i, 'job', i, timestamptz '2026-01-01' + i * interval '1 min' \
        from generate_series(1, 2000) i";
    pair.sql_source(rows).await;
    let server = pair.source.url.clone();
    let api = Standin::over(&pair.source).await;
    let key = api.secret_key().to_owned();
    let pair = pair.set("SOURCE_DATABASE_URL", api.url()).set("SOURCE_SERVICE_ROLE_KEY", key);
    assert_eq!(pair.sync().await.success().rows("public.jobs"), [2_000, 0, 0]);
    pair.sync().await.success();
    assert_goes_on(&pair, 1, "by its tables").await;

    pair.sql_source(&App::project_sql(Side::Source, "public")).await;
    pair.sql_source(GRANTS).await;
    api.reload().await;
    assert_goes_on(&pair, 2, "by the function").await;

    let pair = pair.set("SOURCE_DATABASE_URL", server);
    let quiet = pair.sync().await.success();
    assert_eq!(quiet.rows("public.jobs"), [0, 0, 0], "nothing was to be read");

    pair.sql_source("drop function syncline_run").await;
    api.reload().await;
    let pair = pair.set("SOURCE_DATABASE_URL", api.url());
    assert_goes_on(&pair, 3, "by its tables again").await;
}
