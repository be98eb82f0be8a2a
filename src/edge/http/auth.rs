//! Who calls: QStash by its signature, a person by the admin token. Nobody else.

use std::time::SystemTime;

use axum::http::{HeaderMap, Method};

use super::call::header;
use super::secret::{BadSecret, Secret};
use super::signature::{self, BadKey, SigningKeys};
use crate::engine::model::run::Trigger;
use crate::wiring::App;

/// What callers are checked with.
pub struct Keys {
    signing: Option<SigningKeys>,
    admin: Option<Secret>,
    url: Option<String>,
}

/// A key or token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadDoor {
    /// A signing key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The admin token.
    #[error("SYNC_ADMIN_TOKEN cannot be used")]
    Token(#[from] BadSecret),
}

/// The call is not let in. The answer says nothing of why; the log has said it.
#[derive(Debug)]
pub struct Unknown;

impl Keys {
    /// The keys that the operator set.
    pub fn of(app: &App) -> Result<Self, BadDoor> {
        let next = app.next_key.as_ref().map(|key| key.expose());
        let signing = match &app.current_key {
            Some(current) => Some(SigningKeys::new(current.expose(), next)?),
            None => None,
        };
        let admin = match &app.admin_token {
            Some(token) => Some(Secret::parse(token.expose())?),
            None => None,
        };
        Ok(Self { signing, admin, url: app.url.clone() })
    }

    /// Why the call was made, if it may be made: a signature decides alone where there is one;
    /// without one a `POST` needs `x-manual-trigger: true` and any call the admin token.
    pub fn trigger(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Trigger, Unknown> {
        match header(headers, "upstash-signature") {
            Some(token) => self.signed(path, token, body, now),
            None => self.manual(method, headers),
        }
    }

    fn signed(
        &self,
        path: &str,
        token: &str,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Trigger, Unknown> {
        let (Some(keys), Some(url)) = (&self.signing, &self.url) else {
            tracing::warn!("Refused a signed call: APP_URL or the signing keys are not set");
            return Err(Unknown);
        };
        match signature::verify(keys, token, &format!("{url}{path}"), body, now) {
            Ok(verified) => {
                tracing::debug!(key = %verified.signed_with(), "Accepted a signed call");
                Ok(Trigger::Scheduled)
            }
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "Refused a signed call");
                Err(Unknown)
            }
        }
    }

    fn manual(&self, method: &Method, headers: &HeaderMap) -> Result<Trigger, Unknown> {
        let asked = method == Method::GET || header(headers, "x-manual-trigger") == Some("true");
        let Some(admin) = &self.admin else {
            tracing::warn!("Refused a manual call: SYNC_ADMIN_TOKEN is not set");
            return Err(Unknown);
        };
        let shown = header(headers, "authorization").and_then(bearer);
        let known = shown.is_some_and(|token| admin.matches(token));
        match (asked, known) {
            (true, true) => Ok(Trigger::Manual),
            (false, _) => {
                tracing::warn!("Refused a call with neither a signature nor x-manual-trigger");
                Err(Unknown)
            }
            (true, false) => {
                tracing::warn!("Refused a manual call: the admin token is missing or wrong");
                Err(Unknown)
            }
        }
    }
}

/// The token of `Authorization: Bearer ...`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
