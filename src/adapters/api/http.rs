//! An outbound call: its deadline, its repetitions and its errors. No error holds the URL, which
//! may be a secret, or the body.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};

use crate::adapters::trust::{self, Authorities, Named, UnusableAuthority, Witness};
use crate::engine::model::authority::RootCertificate;
use crate::engine::model::project::Project;

/// The time after which a person is told what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// The time that the other side may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before the second attempt; it doubles before each one after that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The number of attempts. More would only add to the load of a service that is down; the caller
/// may try again later.
const MOST_ATTEMPTS: u32 = 4;

/// The time after which a server that starts again is not asked any more: a project's API takes up
/// to ten seconds (facts/postgrest.md).
const LONGEST_RESTART: Duration = Duration::from_secs(15);

/// The longest `Retry-After` that is waited for: an invocation has seconds, and the caller may try
/// again later.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The time after which an idle connection is not used again. A frozen Lambda sandbox does not
/// notice that its peers are gone, and a call over such a connection may have been done or not.
const TRUSTED_IDLE: Duration = Duration::from_secs(10);

/// The bytes of an answer that are read, once they are unpacked: sixteen pages, for rows that are
/// larger than a page. A few kilobytes could unpack to gigabytes.
const LARGEST_ANSWER: usize = 64 << 20;

/// Makes outbound calls over connections that are kept.
#[derive(Debug, Default)]
pub struct Http {
    client: OnceLock<Client>,
    route: Route,
    authority: Option<RootCertificate>,
    unusable: OnceLock<UnusableAuthority>,
    /// Names the other side, if somebody is to be told that its first answer takes long.
    label: Option<String>,
    answered: OnceLock<()>,
}

/// The way to the other side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Route {
    /// The proxy that the environment names, if it names one (`HTTPS_PROXY`, `NO_PROXY`).
    #[default]
    ProxyIfSet,
    /// No proxy: the other side listens on this machine, and a proxy would read the keys that it is
    /// shown.
    Direct,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct HttpAnswer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The rest of the body was not read.
    pub cut: bool,
}

impl HttpAnswer {
    /// The body, as far as it is text.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

/// The rules by which a request is repeated.
pub struct RepeatRules<'a> {
    /// The time that all attempts may take together.
    pub patience: Duration,
    /// Says whether another attempt may get another answer.
    pub may_pass: &'a (dyn Fn(&HttpAnswer) -> bool + Sync),
    /// Says whether the server is about to start again, so that more attempts are of use.
    pub restarts: &'a (dyn Fn(&HttpAnswer) -> bool + Sync),
    /// A call that was cut is repeated too, although the service may have done it.
    pub after_cut: bool,
    /// Counts an attempt, before it is made.
    pub count: &'a (dyn Fn() + Sync),
    /// Says whether the part of a body that was read is enough; the number is the start of its
    /// newest bytes. If so, the connection is closed.
    pub is_enough: &'a (dyn Fn(&[u8], usize) -> bool + Sync),
}

/// The reason why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// There was no connection, so nothing was sent.
    #[error("No connection: {0}")]
    NoConnection(String),
    /// The network or the service ended the call.
    #[error("The call was cut: {0}")]
    Cut(String),
    /// The certificate of the other side does not prove who it is.
    #[error("No connection: {0}")]
    Certificate(String),
    /// The authorities that it must come from cannot be read.
    #[error(transparent)]
    Authority(#[from] UnusableAuthority),
    /// The answer took too long.
    #[error("No answer within {0} ms")]
    Timeout(u128),
    /// The answer is larger than the limit.
    #[error("The answer is larger than {0} MiB")]
    TooLarge(usize),
}

impl Http {
    /// Prepares calls that show a key to the service at this URL. If the URL has no encryption, the
    /// service is on this machine.
    pub fn with_key_for(url: &str) -> Self {
        let route = if url.starts_with("http://") { Route::Direct } else { Route::ProxyIfSet };
        Self { route, ..Self::default() }
    }

    /// Prepares the calls of a project's API, with the authorities that its certificate must have.
    pub fn of_project(project: &Project) -> Self {
        let authority = project.authority().map(|authority| authority.certificate.clone());
        let label = format!("the {}'s API at {}", project.side().name(), project.label());
        Self { authority, label: Some(label), ..Self::with_key_for(project.api()) }
    }

    /// The client, made at the first call: a function that never calls out pays nothing.
    pub fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let authorities = Authorities::read(self.authority.as_ref());
            let authorities = authorities.unwrap_or_else(|unusable| {
                let _ = self.unusable.set(unusable);
                Authorities::none()
            });
            client(self.route, authorities)
        })
    }

    /// Sends a request that may be repeated without harm, until the answer is no 429 or 5xx, or the
    /// patience is over. A `Retry-After` of a few seconds is the least pause.
    pub async fn send(
        &self,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<HttpAnswer, NoAnswer> {
        let rules = RepeatRules {
            patience,
            may_pass: &|answer| is_passing(answer.status),
            restarts: &|_| false,
            after_cut: true,
            count: &|| (),
            is_enough: &|_, _| false,
        };
        self.repeat(request, &rules).await
    }

    /// Sends a request, and repeats it by the caller's rules.
    pub async fn repeat(
        &self,
        request: RequestBuilder,
        rules: &RepeatRules<'_>,
    ) -> Result<HttpAnswer, NoAnswer> {
        if let Some(unusable) = self.unusable.get() {
            return Err(unusable.clone().into());
        }
        let RepeatRules { patience, may_pass, restarts, after_cut, count, is_enough } = *rules;
        let (start, mut pauses) = (Instant::now(), Pauses::default());
        let until = start + patience;
        loop {
            count();
            // A request that could not be built has no copy; sending it returns the error.
            let Some(copy) = request.try_clone() else {
                return send_without_retry(request, patience, patience).await;
            };
            let left = until.saturating_duration_since(Instant::now());
            let call = Box::pin(send_once_until(copy, left, patience, is_enough));
            let answer = Box::pin(self.warned(call)).await;
            let (least, restarts) = match &answer {
                Ok(answer) if may_pass(answer) => {
                    (retry_after(&answer.headers, SystemTime::now()), restarts(answer))
                }
                Err(NoAnswer::NoConnection(_)) => (None, false),
                Err(NoAnswer::Cut(_)) if after_cut => (None, false),
                _ => return answer,
            };
            let pause = pauses.next(least.unwrap_or_default(), restarts, start.elapsed());
            let left = until.saturating_duration_since(Instant::now());
            match pause.filter(|pause| *pause < left) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return answer,
            }
        }
    }
}

impl Http {
    /// Waits for a call. Warns after a while if the other side has never answered: a later answer
    /// may take long because there is much to do.
    async fn warned<T>(
        &self,
        call: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let warning = async {
            match &self.label {
                Some(label) if self.answered.get().is_none() => {
                    tokio::time::sleep(SILENCE).await;
                    tracing::warn!("Waiting for an answer of {label}: 2 s so far");
                    std::future::pending().await
                }
                _ => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = call => ended,
            never = warning => never,
        };
        if ended.is_ok() {
            let _ = self.answered.set(());
        }
        ended
    }
}

/// The pauses between the attempts of one call.
#[derive(Default)]
struct Pauses(u32);

impl Pauses {
    /// The pause before the next attempt, or none if there is to be no other. A server that answers
    /// `Retry-After: 0` while it starts would use up all attempts within milliseconds: what it asks
    /// for is the least pause.
    fn next(&mut self, least: Duration, restarts: bool, elapsed: Duration) -> Option<Duration> {
        let own = (FIRST_PAUSE * (1 << self.0.min(8))).min(LONGEST_PAUSE);
        self.0 += 1;
        let is_last = self.0 >= MOST_ATTEMPTS && !(restarts && elapsed < LONGEST_RESTART);
        (!is_last && least <= LONGEST_PAUSE).then_some(own.max(least))
    }
}

/// Builds a client that follows no redirect: it might lead to somebody who would be shown the key.
fn client(route: Route, authorities: Authorities) -> Client {
    let tls = trust::tls(&Witness::new(authorities, Some(Named(true))));
    let built = Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(TRUSTED_IDLE)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")));
    let built = match route {
        Route::ProxyIfSet => built,
        Route::Direct => built.no_proxy(),
    };
    built.build().expect("a client with these settings can be built")
}

/// Sends a request that must not be repeated.
pub async fn send_without_retry(
    request: RequestBuilder,
    left: Duration,
    patience: Duration,
) -> Result<HttpAnswer, NoAnswer> {
    send_once_until(request, left, patience, &|_, _| false).await
}

async fn send_once_until(
    request: RequestBuilder,
    left: Duration,
    patience: Duration,
    is_enough: &(dyn Fn(&[u8], usize) -> bool + Sync),
) -> Result<HttpAnswer, NoAnswer> {
    let timeout = || NoAnswer::Timeout(patience.as_millis());
    let cut = |error: reqwest::Error| match (error.is_connect(), error.is_timeout()) {
        (true, true) => NoAnswer::Timeout(CONNECT_TIMEOUT.as_millis()),
        (true, false) if is_of_certificate(&error) => NoAnswer::Certificate(error_text(error)),
        (true, false) => NoAnswer::NoConnection(error_text(error)),
        (false, true) => timeout(),
        (false, false) => NoAnswer::Cut(error_text(error)),
    };
    let call = async {
        let mut response = request.send().await.map_err(cut)?;
        let (status, headers) = (response.status(), response.headers().clone());
        // The length in the header is only a hint.
        let length = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(length.unwrap_or_default().min(LARGEST_ANSWER));
        while let Some(chunk) = response.chunk().await.map_err(cut)? {
            let known = body.len();
            if known + chunk.len() > LARGEST_ANSWER {
                return Err(NoAnswer::TooLarge(LARGEST_ANSWER >> 20));
            }
            body.extend_from_slice(&chunk);
            if is_enough(&body, known) {
                return Ok(HttpAnswer { status, headers, body: body.into(), cut: true });
            }
        }
        Ok(HttpAnswer { status, headers, body: body.into(), cut: false })
    };
    tokio::time::timeout(left, call).await.unwrap_or_else(|_| Err(timeout()))
}

/// The error's text with its causes, without the URL.
fn error_text(error: reqwest::Error) -> String {
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

/// Says whether a certificate was not believed.
fn is_of_certificate(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // What such an error wraps is not its source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|error| error as _).or_else(|| error.source());
    }
    false
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The pause that an answer asks for, in seconds or as a date (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(SystemTime::from(date.timestamp()).duration_since(now).unwrap_or_default())
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

    /// The pauses of a call whose every answer asks for that pause.
    fn pauses(least: Duration, restarts: bool) -> Vec<Duration> {
        let (mut pauses, mut elapsed) = (Pauses::default(), Duration::ZERO);
        std::iter::from_fn(|| {
            let pause = pauses.next(least, restarts, elapsed)?;
            elapsed += pause;
            Some(pause)
        })
        .collect()
    }

    #[test]
    fn retry_after_is_the_least_pause_and_does_not_end_the_back_off() {
        let millis =
            |pauses: Vec<Duration>| -> Vec<_> { pauses.iter().map(Duration::as_millis).collect() };
        assert_eq!(millis(pauses(Duration::ZERO, false)), [200, 400, 800]);
        assert_eq!(millis(pauses(Duration::from_millis(500), false)), [500, 500, 800]);
        assert_eq!(millis(pauses(Duration::from_secs(6), false)), []);
    }

    #[test]
    fn a_restart_of_ten_seconds_is_waited_out_and_no_longer_one() {
        for least in [Duration::ZERO, Duration::from_secs(1)] {
            let waited: Duration = pauses(least, true).iter().sum();
            assert!(waited > Duration::from_secs(11), "{waited:?}");
            assert!(waited <= LONGEST_RESTART + LONGEST_PAUSE, "{waited:?}");
        }
    }
}
