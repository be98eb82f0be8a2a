//! Makes the `Upstash-Signature` of a delivery as QStash does, and hostile variants of it for
//! tests. It is written from the public description of the token, and shares no code with the check
//! of signatures, so that neither can hide an error of the other.

use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The time for which a token is valid. QStash signs each attempt anew, so five minutes are enough.
const LIFETIME: Duration = Duration::from_secs(300);

/// Go's zero time in Unix seconds, which real tokens have in "not before".
const NOT_BEFORE: i64 = -62_135_596_800;

/// The header of every real token, byte for byte.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Signs deliveries with one signing key.
#[derive(Clone)]
pub struct Signer {
    key: String,
}

impl Signer {
    /// Makes a signer from the text of a signing key. QStash uses its bytes and decodes nothing.
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned() }
    }

    /// Makes the token of a delivery of `body` to `url` at `now`, in the form of real tokens.
    pub fn sign(&self, url: &str, body: &[u8], now: SystemTime) -> String {
        let issued = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let claims = Claims {
            aud: "",
            body: URL_SAFE.encode(Sha256::digest(body)),
            exp: issued + LIFETIME.as_secs(),
            iat: issued,
            iss: "Upstash",
            jti: format!("jwt_{}", random_letters()),
            nbf: NOT_BEFORE,
            sub: url,
        };
        let claims = serde_json::to_string(&claims).expect("texts and numbers are JSON");
        self.sign_claims(HEADER, &claims)
    }

    /// Signs any header and claims with HMAC-SHA-256, also those that QStash never makes.
    pub fn sign_claims(&self, header_json: &str, claims_json: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header_json),
            URL_SAFE_NO_PAD.encode(claims_json)
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }
}

/// Makes a signing key in the form of the real ones: `sig_` and 28 letters or digits.
pub fn random_key() -> String {
    format!("sig_{}", random_letters())
}

/// The claims in the order of real tokens, which is the alphabet's.
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    body: String,
    exp: u64,
    iat: u64,
    iss: &'a str,
    jti: String,
    nbf: i64,
    sub: &'a str,
}

/// 28 random letters and digits. Bytes from 248 up are dropped, since 248 is a multiple of 62 and
/// keeping them would favour the first letters.
fn random_letters() -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(28);
    while text.len() < 28 {
        let mut bytes = [0_u8; 28];
        getrandom::fill(&mut bytes).expect("the system has a source of random bytes");
        let usable = bytes.iter().filter(|byte| **byte < 248);
        let letters = usable.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        text.extend(letters.take(28 - text.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r";

    fn decoded(segment: &str) -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(segment).unwrap()).unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_says_what_a_live_one_says_in_the_same_order() {
        let token = Signer::new(KEY).sign("https://host/p?a=1", b"", at(1_780_000_000));

        let segments: Vec<&str> = token.split('.').collect();
        let claims = decoded(segments[1]);
        let (before, rest) = claims.split_once(r#""jti":"jwt_"#).unwrap();
        assert_eq!(segments.len(), 3);
        assert_eq!(decoded(segments[0]), HEADER);
        assert_eq!(
            before,
            r#"{"aud":"","body":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=","exp":1780000300,"iat":1780000000,"iss":"Upstash","#
        );
        assert_eq!(rest.split_at(28).1, r#"","nbf":-62135596800,"sub":"https://host/p?a=1"}"#);
    }

    #[test]
    fn the_mac_is_the_one_another_implementation_computes() {
        // The expected text was made with Python's hmac and base64 modules.
        let token = Signer::new(KEY).sign_claims(HEADER, r#"{"iss":"Upstash"}"#);

        assert_eq!(
            token,
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJVcHN0YXNoIn0.8L7YRi0zOWO1nRPaaEX-Ohm0117tomac6vXUC5rKW9w"
        );
    }

    #[test]
    fn two_tokens_for_the_same_delivery_have_ids_of_their_own() {
        let signer = Signer::new(KEY);

        assert_ne!(
            signer.sign("https://host/", b"x", at(1)),
            signer.sign("https://host/", b"x", at(1))
        );
    }

    #[test]
    fn a_random_key_looks_like_a_real_one() {
        let key = random_key();

        assert_eq!(key.len(), 32);
        assert!(key.starts_with("sig_"), "{key}");
        assert!(key[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        assert_ne!(key, random_key());
    }
}
