//! Attempts to deliver a message to its destination. Tests wrap a courier of their own around
//! [`HttpCourier`] to lose, double or delay deliveries.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Method, redirect};

/// An attempt to deliver a message.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The message's id, equal in all its attempts.
    pub message_id: String,
    /// The schedule that produced the message.
    pub schedule_id: Option<String>,
    /// The number of attempts before.
    pub retried: u32,
    /// The destination.
    pub url: String,
    /// The HTTP method.
    pub method: String,
    /// The headers, with the signature once the attempt is signed.
    pub headers: Vec<(String, String)>,
    /// The message's body.
    pub body: Bytes,
    /// The time after which the attempt is given up.
    pub timeout: Duration,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub enum DeliveryOutcome {
    /// The destination answered.
    Answered {
        /// The status; 2xx is success.
        status: u16,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// No answer came.
    Failed {
        /// The reason in words.
        reason: String,
    },
    /// The answer comes later on QStash's clock, and the attempt lasts until then. With a stepped
    /// clock a run lasts for hours in this way.
    Late {
        /// The time until the answer.
        after: Duration,
        /// The outcome at that time.
        then: Box<DeliveryOutcome>,
    },
}

impl DeliveryOutcome {
    /// An answer that has only a status.
    pub fn status(status: u16) -> Self {
        Self::Answered { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// Delivers messages to their destinations. Attempts of several messages run at the same time.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Makes one attempt. The caller drops this future after the attempt's timeout.
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome;
}

/// Delivers over HTTP, straight to the destination: no proxy, no redirect followed.
pub struct HttpCourier {
    client: Client,
}

impl HttpCourier {
    /// Makes a courier, which has no connection yet.
    pub fn new() -> Result<Self, reqwest::Error> {
        // The client is built for TLS even where none is spoken.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::builder().no_proxy().no_gzip().redirect(redirect::Policy::none()).build()?;
        Ok(Self { client })
    }

    async fn send(&self, attempt: &Attempt) -> Result<DeliveryOutcome, reqwest::Error> {
        let method = Method::from_bytes(attempt.method.as_bytes()).unwrap_or(Method::POST);
        let mut call = self.client.request(method, &attempt.url).body(attempt.body.clone());
        for (name, value) in &attempt.headers {
            call = call.header(name, value);
        }
        let answer = call.send().await?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let headers = headers.collect();
        let status = answer.status().as_u16();
        Ok(DeliveryOutcome::Answered { status, headers, body: answer.bytes().await?.to_vec() })
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn deliver(&self, attempt: &Attempt) -> DeliveryOutcome {
        match self.send(attempt).await {
            Ok(delivered) => delivered,
            Err(error) => DeliveryOutcome::Failed { reason: chain(&error) },
        }
    }
}

fn chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
