//! The keys of a project, old and new, and the check of the tokens that arrive in the end.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use syncline::demo::Signer;

use super::refusal::Refusal;

/// The secret that Supabase's local stack has on every machine.
const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// The most that the clock of a token's maker may be off.
const LEEWAY_SECONDS: i64 = 30;

/// Far enough ahead that no run of the tests sees it: legacy keys live for ten years.
const LIFETIME_SECONDS: i64 = 315_360_000;

/// The keys that a project's gateway knows.
pub struct Keys {
    signer: Signer,
    /// The legacy key that may do all.
    pub service: String,
    /// The legacy key for browsers.
    pub anon: String,
    /// The new key that may do all; it is no token.
    pub secret: String,
    /// The new key for browsers; it is no token.
    pub publishable: String,
}

/// Whom the database serves.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The role in the database.
    pub role: String,
    /// The token's claims, as functions may read them.
    pub claims: String,
}

impl Identity {
    /// Nobody has said who they are.
    pub fn is_anonymous(&self) -> bool {
        self.role == "anon"
    }
}

impl Keys {
    /// The keys of a new project.
    pub fn new() -> Self {
        let signer = Signer::new(SECRET);
        let legacy = |role: &str| {
            let now = seconds();
            let claims = json!({
                "iss": "supabase-demo", "role": role, "iat": now, "exp": now + LIFETIME_SECONDS,
            });
            signer.sign_claims(HEADER, &claims.to_string())
        };
        let (service, anon) = (legacy("service_role"), legacy("anon"));
        let secret = "sb_secret_an-invented-key_00000000".to_owned();
        let publishable = "sb_publishable_an-invented-key_00000000".to_owned();
        Self { signer, service, anon, secret, publishable }
    }

    /// The token that stands for an `apikey`; none where there is no such key.
    pub fn token_of(&self, key: &str) -> Option<&str> {
        if key == self.service || key == self.secret {
            return Some(&self.service);
        }
        (key == self.anon || key == self.publishable).then_some(&self.anon)
    }

    /// A token of the project with claims of the caller's.
    pub fn sign(&self, claims: &Value) -> String {
        self.signer.sign_claims(HEADER, &claims.to_string())
    }

    /// Whom a bearer's token stands for. Without a token, and without a role in it, it is `anon`.
    pub fn identity(&self, bearer: Option<&str>) -> Result<Identity, Refusal> {
        let claims = match bearer {
            Some(token) => self.claims(token)?,
            None => json!({}),
        };
        let within = |name: &str, late: bool| match &claims[name] {
            Value::Null => Ok(true),
            Value::Number(at) => {
                let ahead = at.as_f64().unwrap_or(0.0) as i64 - seconds();
                Ok(if late { ahead >= -LEEWAY_SECONDS } else { ahead <= LEEWAY_SECONDS })
            }
            _ => Err(bad_claims(format!("The JWT '{name}' claim must be a number"))),
        };
        if !within("exp", true)? {
            return Err(bad_claims("JWT expired"));
        }
        if !within("nbf", false)? {
            return Err(bad_claims("JWT not yet valid"));
        }
        if !within("iat", false)? {
            return Err(bad_claims("JWT issued at future"));
        }
        let role = claims["role"].as_str().unwrap_or("anon").to_owned();
        let mut claims = claims;
        claims["role"] = role.clone().into();
        Ok(Identity { role, claims: claims.to_string() })
    }

    fn claims(&self, token: &str) -> Result<Value, Refusal> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, _] = parts[..] else {
            return Err(bad_token(format!("Expected 3 parts in JWT; got {}", parts.len())));
        };
        let text = |part: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
            String::from_utf8(bytes).ok()
        };
        let parts = text(header).zip(text(claims));
        let (header, claims) =
            parts.ok_or_else(|| bad_token("JWT cryptographic operation failed"))?;
        if self.signer.sign_claims(&header, &claims) != token {
            return Err(bad_token("No suitable key or wrong key type")
                .details("None of the keys was able to decode the JWT"));
        }
        serde_json::from_str(&claims).map_err(|_| bad_claims("Parsing claims failed"))
    }
}

fn bad_token(message: impl Into<String>) -> Refusal {
    invalid("PGRST301", message.into())
}

fn bad_claims(message: impl Into<String>) -> Refusal {
    invalid("PGRST303", message.into())
}

fn invalid(code: &str, message: String) -> Refusal {
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{message}\"");
    Refusal::new(401, code, message).header("www-authenticate", challenge)
}

fn seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    i64::try_from(since.as_secs()).expect("within the age of the universe")
}
