//! One call to a peer. Each attempt is signed anew, since a nonce is accepted once, and nothing of
//! an answer is believed before its signature is checked. The key itself never travels.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::LOCATION;

use super::fault::PeerError;
use crate::adapters::api::http::{Http, HttpAnswer, NoAnswer, retry_after, send_without_retry};
use crate::engine::model::call::{HttpCall, PeerCall};
use crate::engine::model::call_error::RefusedCall;
use crate::engine::model::packed::pack;
use crate::engine::model::peer::Peer;
use crate::engine::model::signature::{
    Nonce, PeerKeys, SIGNATURE_HEADER, SignedCall, is_answer, sign,
};

/// The time that all attempts of a call may take together. A part of 2 MiB needs 17 s of it over a
/// line of 1 Mbit/s, and a batch of 4 MiB 34 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// The time that a single attempt may take; a Lambda function of the template answers within 29 s.
const ATTEMPT: Duration = Duration::from_secs(60);

/// The number of attempts.
const MOST_ATTEMPTS: u32 = 5;

/// The pause before the second attempt; it doubles before each one after that.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause that a peer may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The meaning of a call that was cut, or that a server in between gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The call may be repeated.
    Repeats,
    /// The peer works on, and tells the outcome later.
    GoesOn,
}

/// An answer that a deployment with our key signed.
pub struct PeerAnswer {
    /// The work is done; otherwise it goes on.
    pub is_done: bool,
    /// The body.
    pub body: Bytes,
}

/// Makes the calls of one peer.
#[derive(Debug)]
pub struct PeerClient {
    peer: Peer,
    keys: PeerKeys,
    http: Http,
}

impl PeerClient {
    /// Prepares calls to a peer. No connection is made.
    pub fn new(peer: Peer, keys: PeerKeys) -> Self {
        let http = Http::with_key_for(peer.url());
        Self { peer, keys, http }
    }

    /// The peer, as the settings name it.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Makes a call, with this body if it is a part or a manifest that is packed.
    pub async fn answer(
        &self,
        call: &PeerCall,
        raw: Option<&Bytes>,
        cut: Cut,
    ) -> Result<PeerAnswer, PeerError> {
        let HttpCall { method, target, body } = call.to_http();
        let body = match (raw, body) {
            (Some(raw), _) => raw.clone(),
            (None, body) => pack(body.unwrap_or_default())?,
        };
        let until = Instant::now() + PATIENCE;
        let mut attempt = 0;
        loop {
            let error = match self.attempt(method, &target, &body, until).await {
                Ok(answer) => return Ok(answer),
                Err(PeerError::Cut(reason)) if cut == Cut::GoesOn => {
                    return Err(PeerError::Cut(reason));
                }
                Err(error) => error,
            };
            attempt += 1;
            let own = FIRST_PAUSE * (1 << attempt.min(8)) / 2;
            let pause = own.max(error.least_pause()).min(LONGEST_PAUSE);
            let is_last = attempt >= MOST_ATTEMPTS || Instant::now() + pause >= until;
            if is_last || !error.may_pass() {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        method: &str,
        target: &str,
        body: &Bytes,
        until: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let (home, nonce, now) = (self.peer.home(), nonce(), SystemTime::now());
        let full = format!("{}{target}", home.base);
        let signed = SignedCall { method, host: &home.host, target: &full, body };
        let signature = sign(&self.keys, signed, now, &nonce);
        let method = method.parse().expect("a method of ours is one of HTTP");
        let url = format!("{}{target}", self.peer.url());
        let request = self.http.client().request(method, url).body(body.clone());
        let request = request.header(SIGNATURE_HEADER, signature);
        let left = until.saturating_duration_since(Instant::now()).min(ATTEMPT);
        match send_without_retry(request, left, left).await {
            Ok(answer) => self.believe(answer, &nonce, now),
            Err(NoAnswer::NoConnection(reason)) => Err(PeerError::NoConnection(reason)),
            Err(error @ NoAnswer::TooLarge(_)) => Err(PeerError::Strange(error.to_string())),
            Err(error) => Err(PeerError::Cut(error.to_string())),
        }
    }

    /// Takes an answer if a deployment with our key signed it for this very call.
    fn believe(
        &self,
        answer: HttpAnswer,
        nonce: &Nonce,
        now: SystemTime,
    ) -> Result<PeerAnswer, PeerError> {
        let HttpAnswer { status, headers, body, cut: _ } = answer;
        let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
        let code = status.as_u16();
        if is_answer(&self.keys, code, nonce, &body, signature) {
            return read(status, body, now);
        }
        let wait = || retry_after(&headers, SystemTime::now()).unwrap_or_default();
        Err(match code {
            300..=399 => {
                let place = headers.get(LOCATION).and_then(|value| value.to_str().ok());
                PeerError::redirect(place.unwrap_or_default())
            }
            401 => PeerError::Refused,
            413 => PeerError::Strange("it takes no body of this size".to_owned()),
            429 | 503 => PeerError::Unavailable(code, wait()),
            // A server in front of the peer has given the call up; the peer may work on.
            502 | 504 => PeerError::Cut(format!("a server in front of it answered {code}")),
            500..=599 => PeerError::Unavailable(code, wait()),
            _ => PeerError::Strange(format!("it answered {code} without a valid signature")),
        })
    }
}

/// Reads an answer whose signature is right.
fn read(status: StatusCode, body: Bytes, now: SystemTime) -> Result<PeerAnswer, PeerError> {
    if status.is_success() {
        return Ok(PeerAnswer { is_done: status != StatusCode::ACCEPTED, body });
    }
    let refused: RefusedCall = serde_json::from_slice(&body).map_err(|_| PeerError::Unreadable)?;
    let RefusedCall { success: _, error, time } = refused;
    Err(match status {
        StatusCode::UNAUTHORIZED => PeerError::clock(now, time),
        _ => PeerError::Told(Box::new(error)),
    })
}

/// A new nonce, from the system's randomness.
fn nonce() -> Nonce {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).expect("the system has randomness");
    Nonce::from_random(bits)
}
