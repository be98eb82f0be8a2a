//! The least that the same work takes over two APIs: one GET of the changed rows, and one POST of
//! the bytes that it answered to a function that upserts them, by the program's HTTP client over
//! new connections. No process is started.

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use tokio::runtime::Runtime;

use super::{CHANGED, Project};

/// The function that upserts orders, for the target of the floor.
pub const UPSERT: &str = "create function upsert_orders(json) returns void language sql as $$ \
    insert into orders select * from json_populate_recordset(null::orders, $1) \
    on conflict (id) do update set customer = excluded.customer, state = excluded.state, \
        amount = excluded.amount, weight = excluded.weight, tags = excluded.tags, \
        details = excluded.details, note = excluded.note, created_at = excluded.created_at, \
        updated_at = excluded.updated_at $$";

/// Moves the rows that are newer than a stamp.
pub fn change(
    runtime: &Runtime,
    source: &Project<'_>,
    target: &Project<'_>,
    since: &str,
) -> Duration {
    let stamp: String = url::form_urlencoded::byte_serialize(since.as_bytes()).collect();
    let read = format!(
        "{}/rest/v1/orders?updated_at=gte.{stamp}&order=updated_at.asc,id.asc",
        source.api.url()
    );
    let write = format!("{}/rest/v1/rpc/upsert_orders", target.api.url());
    // The client is built for TLS even where none is spoken.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().expect("a client can be built");
    let start = Instant::now();
    let rows = runtime.block_on(async {
        let answer = client.get(read).header("apikey", source.api.secret_key()).send().await;
        let rows = succeeded(answer).bytes().await.expect("the rows arrive");
        let post = client
            .post(write)
            .header("apikey", target.api.secret_key())
            .header("content-type", "application/json")
            .body(rows.clone());
        succeeded(post.send().await);
        rows
    });
    let duration = start.elapsed();
    let listed: Vec<serde::de::IgnoredAny> = serde_json::from_slice(&rows).expect("a list");
    assert_eq!(listed.len(), CHANGED as usize, "the floor carries other rows");
    duration
}

fn succeeded(answer: Result<Response, reqwest::Error>) -> Response {
    let answer = answer.expect("the stand-in answers");
    assert!(answer.status().is_success(), "the floor failed: {}", answer.status());
    answer
}
