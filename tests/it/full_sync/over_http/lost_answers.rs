//! A peer that does each call, and whose answers are lost on their way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use syncline::engine::model::session::{CopyOptions, Direction, Restored};

use crate::full_sync::deployments::Deployments;

/// The number of answers to each method and address.
type Answers = Arc<Mutex<BTreeMap<String, u32>>>;

/// Loses the first answer, the third one, and so on.
async fn lose(State(answers): State<Answers>, request: Request, next: Next) -> Response {
    let address = format!("{} {}", request.method(), request.uri());
    let response = next.run(request).await;
    let mut answers = answers.lock().expect("no holder panics");
    let count = answers.entry(address).or_insert(0);
    *count += 1;
    match *count % 2 {
        1 => StatusCode::BAD_GATEWAY.into_response(),
        _ => response,
    }
}

fn rows(restored: &Restored) -> (u64, u64, u64) {
    restored.tables.values().fold((0, 0, 0), |(inserted, updated, unchanged), table| {
        (inserted + table.inserted, updated + table.updated, unchanged + table.unchanged)
    })
}

#[tokio::test]
async fn every_second_answer_of_the_peer_may_be_lost() {
    let schema = "create table orders (id int primary key, name text)";
    let filled = "insert into orders select n, 'o' || n from generate_series(1, 500) as n";
    for direction in [Direction::Pull, Direction::Push] {
        let both = Deployments::with(schema).await;
        let from = if direction == Direction::Pull { &both.there } else { &both.here };
        from.sql(filled).await;
        let answers = Answers::default();
        let layer = from_fn_with_state(Arc::clone(&answers), lose);
        let there = both.there.open_door_with(|routes| routes.layer(layer)).await;
        for expected in [(500, 0, 0), (0, 0, 500)] {
            let session =
                both.session(direction, CopyOptions { verify: true, ..CopyOptions::default() });
            let restored = both.drive_with(&there.peer, &session).await.expect("it is copied");
            assert_eq!(rows(&restored), expected, "{direction:?}");
            both.assert_equal(&["orders"]).await;
        }
        let lost: u32 =
            answers.lock().expect("no holder panics").values().map(|n| n.div_ceil(2)).sum();
        assert!(lost >= 12, "{lost} answers were lost");
    }
}
