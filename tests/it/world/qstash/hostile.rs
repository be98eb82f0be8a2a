//! Tokens that QStash did not make, or not for this call, each with the name of its flaw.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use syncline::demo::{Signer, random_key};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// All forged tokens for a call of `url` with `body`.
pub fn tokens(signer: &Signer, url: &str, body: &str) -> Vec<(&'static str, String)> {
    let now = SystemTime::now();
    let sign = |url: &str, body: &str, at| signer.sign(url, body.as_bytes(), at);
    let good = sign(url, body, now);
    let (unsigned, mac) = good.rsplit_once('.').expect("a token has parts");
    let (first, rest) = url.split_at("http".len());
    vec![
        ("signed for another body", sign(url, "another body", now)),
        ("signed for another path", sign(&format!("{url}/more"), body, now)),
        ("signed for another host", sign("https://other.example.com/path", body, now)),
        ("signed for a query", sign(&format!("{url}?a=1"), body, now)),
        (
            "signed for another spelling",
            sign(&format!("{}{rest}", first.to_uppercase()), body, now),
        ),
        ("too old", sign(url, body, now - Duration::from_secs(400))),
        ("of the future", sign(url, body, now + Duration::from_secs(1_000))),
        ("of a stranger", Signer::new(&random_key()).sign(url, body.as_bytes(), now)),
        ("of an empty key", Signer::new("").sign(url, body.as_bytes(), now)),
        ("without its MAC", format!("{unsigned}.")),
        ("without its last part", unsigned.to_owned()),
        ("with a longer MAC", format!("{good}x")),
        ("with a padded MAC", format!("{good}=")),
        ("with a part more", format!("{good}.{mac}")),
        (
            "of no algorithm",
            signer.sign_claims(r#"{"alg":"none","typ":"JWT"}"#, &claims(url, body)),
        ),
        ("of another algorithm", signer.sign_claims(r#"{"alg":"HS512"}"#, &claims(url, body))),
        (
            "with a critical extension",
            signer.sign_claims(r#"{"alg":"HS256","crit":["x"]}"#, &claims(url, body)),
        ),
        ("of another issuer", changed(signer, url, body, "iss", json!("Somebody"))),
        ("without an issuer", changed(signer, url, body, "iss", Value::Null)),
        ("without a subject", changed(signer, url, body, "sub", Value::Null)),
        ("without an end", changed(signer, url, body, "exp", Value::Null)),
        ("with an end in words", changed(signer, url, body, "exp", json!("never"))),
        (
            "that lives for a year",
            changed(signer, url, body, "exp", json!(seconds(now) + 31_536_000)),
        ),
        ("without a body's hash", changed(signer, url, body, "body", Value::Null)),
        ("whose claims are a list", signer.sign_claims(HEADER, "[1]")),
        ("that is no token", "not a token".to_owned()),
        ("that is empty", String::new()),
        ("that is very long", "x".repeat(9_000)),
    ]
}

/// A token with one claim set or, with null, taken away.
fn changed(signer: &Signer, url: &str, body: &str, name: &str, value: Value) -> String {
    let mut claims: Value = serde_json::from_str(&claims(url, body)).expect("claims are JSON");
    let claims_object = claims.as_object_mut().expect("claims are an object");
    match value {
        Value::Null => drop(claims_object.remove(name)),
        value => drop(claims_object.insert(name.to_owned(), value)),
    }
    signer.sign_claims(HEADER, &claims.to_string())
}

fn claims(url: &str, body: &str) -> String {
    let now = seconds(SystemTime::now());
    let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(body));
    json!({
        "aud": "", "body": hash, "exp": now + 300, "iat": now, "iss": "Upstash", "jti": "jwt_1",
        "nbf": -62_135_596_800_i64, "sub": url,
    })
    .to_string()
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A valid token of the same claims, which shows that a forged one is refused for its change alone.
pub fn good(signer: &Signer, url: &str, body: &str) -> String {
    signer.sign_claims(HEADER, &claims(url, body))
}
