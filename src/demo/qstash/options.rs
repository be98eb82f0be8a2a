//! The options of a local QStash.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use crate::demo::clock::Time;
use crate::demo::courier::Courier;

/// The token of the public development server, which SDKs in development mode use. No secret.
pub const PUBLIC_TOKEN: &str =
    "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0=";
/// The current signing key of the public development server.
pub const PUBLIC_CURRENT_KEY: &str = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r";
/// The next signing key of the public development server.
pub const PUBLIC_NEXT_KEY: &str = "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs";

/// The options of a local QStash. The default is a free port, random credentials and the real time.
#[derive(Clone, Default)]
pub struct Options {
    /// The port of the API on this machine; 0 is a free one.
    pub port: u16,
    /// The token that calls must carry; random if none.
    pub token: Option<String>,
    /// The current and the next signing key; random if none.
    pub keys: Option<(String, String)>,
    /// The time that its clock shows.
    pub time: Time,
    /// The courier that delivers; over HTTP if none.
    pub courier: Option<Arc<dyn Courier>>,
}

impl Options {
    /// Returns the default options with a clock that stands until it is stepped.
    pub fn stepped(start: SystemTime) -> Self {
        Self { time: Time::SteppedFrom(start), ..Self::default() }
    }

    /// Sets the public token and keys, which SDKs in development mode expect.
    pub fn with_public_credentials(mut self) -> Self {
        self.token = Some(PUBLIC_TOKEN.to_owned());
        self.keys = Some((PUBLIC_CURRENT_KEY.to_owned(), PUBLIC_NEXT_KEY.to_owned()));
        self
    }

    /// Sets the courier.
    pub fn with_courier(mut self, courier: Arc<dyn Courier>) -> Self {
        self.courier = Some(courier);
        self
    }
}

/// The reason why a local QStash does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is in use, or this process may not listen on it.
    #[error("Cannot listen on 127.0.0.1:{port}")]
    Port {
        /// The port of the options.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The HTTP client cannot be built.
    #[error("Cannot call over HTTP")]
    Courier(#[from] reqwest::Error),
}
