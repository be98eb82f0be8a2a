//! The least that the same work takes over two APIs: one GET of the changed rows, and one POST that
//! upserts the very bytes that it answered, by the HTTP client that the program has, over new
//! connections. There is no start of a process in it.

use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use tokio::runtime::Runtime;

use super::{CHANGED, Project};

/// Carries the rows over that are newer than a stamp.
pub fn change(
    runtime: &Runtime,
    source: &Project<'_>,
    target: &Project<'_>,
    since: &str,
) -> Duration {
    let (of_source, of_target) = (&source.api, &target.api);
    let stamp: String = url::form_urlencoded::byte_serialize(since.as_bytes()).collect();
    let read = format!(
        "{}/rest/v1/orders?updated_at=gte.{stamp}&order=updated_at.asc,id.asc",
        of_source.url()
    );
    let write = format!("{}/rest/v1/orders?on_conflict=id", of_target.url());
    // The client is built for TLS even where none is spoken.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().expect("a client can be built");
    let begun = Instant::now();
    let rows = runtime.block_on(async {
        let got = client.get(read).header("apikey", of_source.secret_key()).send().await;
        let rows = succeeded(got).bytes().await.expect("the rows arrive");
        let post = client
            .post(write)
            .header("apikey", of_target.secret_key())
            .header("content-type", "application/json")
            .header("prefer", "resolution=merge-duplicates,return=minimal")
            .body(rows.clone());
        succeeded(post.send().await);
        rows
    });
    let took = begun.elapsed();
    let listed: Vec<serde::de::IgnoredAny> = serde_json::from_slice(&rows).expect("a list");
    assert_eq!(listed.len(), CHANGED as usize, "the floor carries other rows");
    took
}

fn succeeded(answered: Result<Response, reqwest::Error>) -> Response {
    let answered = answered.expect("the stand-in answers");
    assert!(answered.status().is_success(), "the floor failed: {}", answered.status());
    answered
}
