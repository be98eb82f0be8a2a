//! One attempt to hand a message to its destination, and who makes it. Tests put a courier of their
//! own around [`HttpCourier`] to lose, double or delay what it carries.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Client, Method, redirect};

/// A delivery to be made now; it is signed already.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The message; all attempts of it have the same.
    pub message_id: String,
    /// The schedule that produced the message.
    pub schedule_id: Option<String>,
    /// The number of attempts before.
    pub retried: u32,
    /// The destination.
    pub url: String,
    /// The HTTP method.
    pub method: String,
    /// All that it is sent, the signature included.
    pub headers: Vec<(String, String)>,
    /// The message's bytes.
    pub body: Bytes,
    /// The time after which the attempt is given up.
    pub timeout: Duration,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub enum Delivered {
    /// The destination answered.
    Answered {
        /// Its status; 2xx is success.
        status: u16,
        /// Its headers.
        headers: Vec<(String, String)>,
        /// Its bytes.
        body: Vec<u8>,
    },
    /// Nobody answered.
    Failed {
        /// In words.
        why: String,
    },
    /// So much later on the emulator's clock; until then the message is under way. With a stepped
    /// clock this is how a run lasts for hours.
    Late {
        /// The time until then.
        after: Duration,
        /// The outcome then.
        then: Box<Delivered>,
    },
}

impl Delivered {
    /// An answer with nothing but its status.
    pub fn status(status: u16) -> Self {
        Self::Answered { status, headers: Vec::new(), body: Vec::new() }
    }
}

/// Carries messages to their destinations. Attempts of several messages come at the same time.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Makes one attempt. It is given up after the attempt's timeout.
    async fn deliver(&self, attempt: &Attempt) -> Delivered;
}

/// Delivers over HTTP, straight to the destination: no proxy, no redirect followed.
pub struct HttpCourier {
    client: Client,
}

impl HttpCourier {
    /// Takes no connection yet.
    pub fn new() -> Result<Self, reqwest::Error> {
        // The client is built for TLS even where none is spoken.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::builder().no_proxy().no_gzip().redirect(redirect::Policy::none()).build()?;
        Ok(Self { client })
    }

    async fn send(&self, attempt: &Attempt) -> Result<Delivered, reqwest::Error> {
        let method = Method::from_bytes(attempt.method.as_bytes()).unwrap_or(Method::POST);
        let mut call = self.client.request(method, &attempt.url).body(attempt.body.clone());
        for (name, value) in &attempt.headers {
            call = call.header(name, value);
        }
        let answer = call.send().await?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let named = answer.headers().iter();
        let headers = named.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let headers = headers.collect();
        let status = answer.status().as_u16();
        Ok(Delivered::Answered { status, headers, body: answer.bytes().await?.to_vec() })
    }
}

#[async_trait]
impl Courier for HttpCourier {
    async fn deliver(&self, attempt: &Attempt) -> Delivered {
        match self.send(attempt).await {
            Ok(delivered) => delivered,
            Err(error) => Delivered::Failed { why: chain(&error) },
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
