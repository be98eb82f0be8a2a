//! The proof that a call between two deployments, or its answer, comes from somebody with their
//! key. The key itself never travels: a call that reaches a stranger gives nothing away.
//!
//! `Syncline-Signature: v1,t=<seconds>,n=<32 digits>,s=<64 digits>`. What is signed are the lines
//! `v1`, method, host, path with query, time, nonce and the SHA-256 of the body; of an answer
//! `v1-answer`, status, the call's nonce and the SHA-256 of the body. The host keeps a call to one
//! deployment from being shown to another one with the same key.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::engine::model::hex::hex;
use crate::engine::model::secret::SecretText;

/// The header of calls and answers.
pub const SIGNATURE_HEADER: &str = "syncline-signature";

/// The difference between both clocks, and the age of a call, that are accepted.
pub const CLOCK_WINDOW: Duration = Duration::from_secs(300);

/// The keys of a deployment: it signs with the first, and accepts both.
#[derive(Clone, Debug)]
pub struct PeerKeys {
    /// The key.
    pub current: SecretText,
    /// The key before the last rotation.
    pub previous: Option<SecretText>,
}

/// A call, as both sides see it.
#[derive(Clone, Copy, Debug)]
pub struct SignedCall<'a> {
    /// The method.
    pub method: &'a str,
    /// The host of the deployment that is called, with its port if it is not the scheme's own.
    pub host: &'a str,
    /// The path with its query.
    pub target: &'a str,
    /// The body.
    pub body: &'a [u8],
}

/// A number that is used once, as 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Makes a nonce of random bits.
    pub fn from_random(bits: [u8; 16]) -> Self {
        Self(hex(&bits))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The reason why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// There is none, or it is not in this form.
    #[error("The call has no signature of this version")]
    Missing,
    /// The text or the key is another one.
    #[error("The signature does not fit the call and the key")]
    Wrong,
    /// The key is right, and the time is not.
    #[error("The call was signed {0} s before or after the time of this deployment's clock")]
    Clock(u64),
}

/// Signs a call at a time, with the current key.
pub fn sign(keys: &PeerKeys, call: SignedCall<'_>, at: SystemTime, nonce: &Nonce) -> String {
    let seconds = seconds(at);
    let mac = mac(&keys.current, &call_text(call, seconds, nonce.as_str()));
    format!("v1,t={seconds},n={},s={}", nonce.as_str(), hex(&mac))
}

/// Checks a call's signature with both keys, and returns its nonce. The caller still has to check
/// that the nonce is new.
pub fn verify(
    keys: &PeerKeys,
    call: SignedCall<'_>,
    header: Option<&str>,
    now: SystemTime,
) -> Result<Nonce, BadSignature> {
    let (at, nonce, given) = header.and_then(fields).ok_or(BadSignature::Missing)?;
    if !fits(keys, &call_text(call, at, nonce), given) {
        return Err(BadSignature::Wrong);
    }
    let apart = at.abs_diff(seconds(now));
    match apart <= CLOCK_WINDOW.as_secs() {
        true => Ok(Nonce(nonce.to_owned())),
        false => Err(BadSignature::Clock(apart)),
    }
}

/// The nonce of a call's signature, whoever made it.
pub fn nonce_of(header: &str) -> Option<Nonce> {
    fields(header).map(|(_, nonce, _)| Nonce(nonce.to_owned()))
}

/// Signs an answer to the call with this nonce.
pub fn sign_answer(keys: &PeerKeys, status: u16, nonce: &Nonce, body: &[u8]) -> String {
    format!("v1,s={}", hex(&mac(&keys.current, &answer_text(status, nonce, body))))
}

/// Says whether an answer is one of somebody with the key to this very call.
pub fn is_answer(
    keys: &PeerKeys,
    status: u16,
    nonce: &Nonce,
    body: &[u8],
    header: Option<&str>,
) -> bool {
    let given = header.and_then(|header| header.strip_prefix("v1,s="));
    given.is_some_and(|given| fits(keys, &answer_text(status, nonce, body), given))
}

fn fits(keys: &PeerKeys, text: &str, given: &str) -> bool {
    let known = [Some(&keys.current), keys.previous.as_ref()];
    let fits = |key| bool::from(hex(&mac(key, text)).as_bytes().ct_eq(given.as_bytes()));
    known.into_iter().flatten().any(fits)
}

fn fields(header: &str) -> Option<(u64, &str, &str)> {
    let rest = header.strip_prefix("v1,t=")?;
    let (at, rest) = rest.split_once(",n=")?;
    let (nonce, given) = rest.split_once(",s=")?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    (is_hex(nonce, 32) && is_hex(given, 64)).then_some(())?;
    Some((at.parse().ok()?, nonce, given))
}

fn call_text(call: SignedCall<'_>, at: u64, nonce: &str) -> String {
    let SignedCall { method, host, target, body } = call;
    let body = hex(&Sha256::digest(body));
    format!("v1\n{method}\n{host}\n{target}\n{at}\n{nonce}\n{body}")
}

fn answer_text(status: u16, nonce: &Nonce, body: &[u8]) -> String {
    format!("v1-answer\n{status}\n{}\n{}", nonce.as_str(), hex(&Sha256::digest(body)))
}

fn mac(key: &SecretText, text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: SignedCall<'_> =
        SignedCall { method: "POST", host: "a.example.com", target: "/p?q=1", body: b"body" };

    fn keys(current: &str, previous: Option<&str>) -> PeerKeys {
        PeerKeys { current: SecretText::new(current), previous: previous.map(SecretText::new) }
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn nonce() -> Nonce {
        Nonce::from_random([7; 16])
    }

    #[test]
    fn a_call_is_accepted_by_whoever_has_the_key_or_had_it_before_the_rotation() {
        let header = sign(&keys("old", None), CALL, at(1_000), &nonce());
        let verified = |keys| verify(&keys, CALL, Some(&header), at(1_300));
        assert_eq!(verified(keys("old", None)), Ok(nonce()));
        assert_eq!(verified(keys("new", Some("old"))), Ok(nonce()));
        assert_eq!(verified(keys("new", None)), Err(BadSignature::Wrong));
    }

    #[test]
    fn nothing_of_a_call_can_be_changed() {
        let keys = keys("key", None);
        let header = sign(&keys, CALL, at(1_000), &nonce());
        for call in [
            SignedCall { method: "GET", ..CALL },
            SignedCall { host: "b.example.com", ..CALL },
            SignedCall { target: "/p?q=2", ..CALL },
            SignedCall { body: b"bodY", ..CALL },
        ] {
            let verified = verify(&keys, call, Some(&header), at(1_000));
            assert_eq!(verified, Err(BadSignature::Wrong), "{call:?}");
        }
        let later = header.replace("t=1000", "t=1001");
        assert_eq!(verify(&keys, CALL, Some(&later), at(1_000)), Err(BadSignature::Wrong));
    }

    #[test]
    fn a_time_that_is_off_is_named_and_only_to_somebody_with_the_key() {
        let header = sign(&keys("key", None), CALL, at(1_000), &nonce());
        for (now, off) in [(1_301, 301), (699, 301)] {
            let verified = verify(&keys("key", None), CALL, Some(&header), at(now));
            assert_eq!(verified, Err(BadSignature::Clock(off)));
        }
        let stranger = verify(&keys("other", None), CALL, Some(&header), at(9_000));
        assert_eq!(stranger, Err(BadSignature::Wrong));
    }

    #[test]
    fn a_header_in_another_form_is_no_signature() {
        let zeros = "0".repeat(64);
        for header in [
            String::new(),
            "v1".to_owned(),
            format!("v2,t=1,n={},s={zeros}", &zeros[..32]),
            format!("v1,t=x,n={},s={zeros}", &zeros[..32]),
            format!("v1,t=1,n={},s={zeros}", &zeros[..31]),
            format!("v1,t=1,n={},s=", &zeros[..32]),
        ] {
            let verified = verify(&keys("key", None), CALL, Some(&header), at(1));
            assert_eq!(verified, Err(BadSignature::Missing), "{header}");
        }
        assert_eq!(verify(&keys("key", None), CALL, None, at(1)), Err(BadSignature::Missing));
    }

    #[test]
    fn an_answer_belongs_to_its_call() {
        let keys = keys("key", None);
        let header = sign_answer(&keys, 200, &nonce(), b"rows");
        let is = |status, nonce: &Nonce, body| is_answer(&keys, status, nonce, body, Some(&header));
        assert!(is(200, &nonce(), b"rows"));
        assert!(!is(201, &nonce(), b"rows"));
        assert!(!is(200, &Nonce::from_random([8; 16]), b"rows"));
        assert!(!is(200, &nonce(), b"row"));
        assert!(!is_answer(&keys, 200, &nonce(), b"rows", None));
    }
}
