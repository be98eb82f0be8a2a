//! One outbound call: its deadline, its repetitions, and what may be told of it. No error holds
//! the URL, which may be a secret, nor the body.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use rustls::{ClientConfig, RootCertStore};

/// How long the other side may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Before the second attempt; twice as long before each one after it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// More would only add to the load of a service that is down; what is left is the caller's to try
/// again later.
const MOST_ATTEMPTS: u32 = 4;

/// Makes outbound calls over connections that are kept.
#[derive(Debug, Default)]
pub struct Http {
    client: OnceLock<Client>,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The rest of the body was not read.
    pub cut: bool,
}

impl Answered {
    /// The body, as far as it is text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// How a request is repeated.
pub struct Repeating<'a> {
    /// How long all attempts may take together.
    pub patience: Duration,
    /// Whether an answer passes if it is asked for again.
    pub passes: &'a (dyn Fn(&Answered) -> bool + Sync),
    /// Whether a call that was cut is made again: the other side may have done what it asked.
    pub after_a_cut: bool,
    /// Is told of each attempt before it is made.
    pub counts: &'a (dyn Fn() + Sync),
    /// Whether what was read of a body is enough. The connection is not kept then.
    pub suffices: &'a (dyn Fn(&[u8]) -> bool + Sync),
}

/// No answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The network, or the other side, ended the call.
    #[error("The call was cut: {0}")]
    Cut(String),
    /// It took too long.
    #[error("No answer within {0} ms")]
    Silent(u128),
}

impl Http {
    /// The client, made at the first call: a function that never calls out pays nothing.
    pub fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let built = Client::builder()
                .tls_backend_preconfigured(tls())
                .connect_timeout(CONNECT_TIMEOUT)
                .redirect(redirect::Policy::none())
                .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")));
            built.build().expect("a client with these settings can be built")
        })
    }

    /// Sends a request that may be repeated without harm, until it is answered otherwise than with
    /// 429 or 5xx, or until patience is over. A `Retry-After` that patience allows is kept.
    pub async fn send(
        &self,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<Answered, NoAnswer> {
        let how = Repeating {
            patience,
            passes: &|answered| is_passing(answered.status),
            after_a_cut: true,
            counts: &|| (),
            suffices: &|_| false,
        };
        self.repeat(request, &how).await
    }

    /// The same for whoever knows better which answers pass.
    pub async fn repeat(
        &self,
        request: RequestBuilder,
        how: &Repeating<'_>,
    ) -> Result<Answered, NoAnswer> {
        let Repeating { patience, passes, after_a_cut, counts, suffices } = *how;
        let until = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            counts();
            // None of a request that could not be built; the call says why.
            let Some(again) = request.try_clone() else {
                return once(request, patience, patience).await;
            };
            let left = until.saturating_duration_since(Instant::now());
            let answered = once_until(again, left, patience, suffices).await;
            let wait = match &answered {
                Ok(answered) if passes(answered) => {
                    retry_after(&answered.headers, SystemTime::now()).unwrap_or(pause)
                }
                Err(NoAnswer::Cut(_)) if after_a_cut => pause,
                _ => return answered,
            };
            let left = until.saturating_duration_since(Instant::now());
            if attempt >= MOST_ATTEMPTS || wait >= left {
                return answered;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }
}

/// Sends a request that must not be repeated.
pub async fn once(
    request: RequestBuilder,
    left: Duration,
    patience: Duration,
) -> Result<Answered, NoAnswer> {
    once_until(request, left, patience, &|_| false).await
}

async fn once_until(
    request: RequestBuilder,
    left: Duration,
    patience: Duration,
    suffices: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Answered, NoAnswer> {
    let silent = || NoAnswer::Silent(patience.as_millis());
    let cut = |error: reqwest::Error| match error.is_timeout() {
        true => silent(),
        false => NoAnswer::Cut(told(error)),
    };
    let call = async {
        let mut response = request.send().await.map_err(cut)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(cut)? {
            body.extend_from_slice(&chunk);
            if suffices(&body) {
                return Ok(Answered { status, headers, body: body.into(), cut: true });
            }
        }
        Ok(Answered { status, headers, body: body.into(), cut: false })
    };
    tokio::time::timeout(left, call).await.unwrap_or_else(|_| Err(silent()))
}

/// The error with its causes, without the URL.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(SystemTime::from(date.timestamp()).duration_since(now).unwrap_or_default())
}

/// The public authorities alone, and ring: reading the system's files costs a cold start more.
fn tls() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: SystemTime = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        for (text, expected) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2015 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "{text}");
        }
    }
}
