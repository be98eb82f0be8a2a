//! The cost of a quiet run: the same round trips however many tables there are.

use crate::world::cluster;
use crate::world::pair::Pair;
use crate::world::proxy::Proxy;

/// The exchanges of a quiet run with the source and with the target.
async fn quiet_exchanges(tables: usize) -> (u64, u64) {
    let table = |at| {
        format!(
            "create table t{at} (id int primary key, updated_at timestamptz not null); \
             create index on t{at} (updated_at, id);"
        )
    };
    let pair = Pair::with(&(0..tables).map(table).collect::<String>()).await;
    for at in 0..tables {
        pair.sql_source(&format!("insert into t{at} values (1, '2026-01-01')")).await;
    }
    pair.sync().await.success();
    let port = cluster().port();
    let (before_source, before_target) = (Proxy::before(port).await, Proxy::before(port).await);
    let source = before_source.url(&pair.source.url, port);
    let target = before_target.url(&pair.target.url, port);
    let set = [("SOURCE_DATABASE_URL", source.as_str()), ("TARGET_DATABASE_URL", &target)];

    let answer = pair.sync_with(&set).await.success();

    assert_eq!(answer.body["statistics"]["tables"], serde_json::json!({}), "it was quiet");
    (before_source.exchanges(), before_target.exchanges())
}

#[tokio::test]
async fn a_quiet_run_has_as_many_round_trips_for_40_tables_as_for_3() {
    let few = quiet_exchanges(3).await;
    assert_eq!(quiet_exchanges(40).await, few);
    assert!(few.0 > 0 && few.1 > 0, "{few:?}");
}
