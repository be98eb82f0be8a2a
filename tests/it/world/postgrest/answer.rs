//! Answers, before the gateway has touched them.

use axum::body::Body;
use axum::response::Response;

/// Status, headers and body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status; Supabase's gateway has some of its own above 511.
    pub status: u16,
    /// The headers, in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with a body.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// An answer without one.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// As the server sends it.
    pub fn response(self) -> Response {
        let Self { status, headers, body } = self;
        let response = headers
            .into_iter()
            .fold(Response::builder().status(status), |response, (n, v)| response.header(n, v));
        response.body(Body::from(body)).expect("headers of our own are well-formed")
    }
}
