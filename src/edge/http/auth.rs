//! The check of the caller: QStash by its signature, a person by the admin token, and nobody else.

use axum::http::Method;

use super::call::Call;
use super::secret::{BadSecret, Secret};
use super::signature::{self, BadKey, SigningKeys};
use crate::wiring::App;

/// The header that a signed call carries.
const SIGNATURE: &str = "upstash-signature";

/// The keys and the token that callers are checked with.
pub struct Keys {
    signing: Option<SigningKeys>,
    admin: Option<Secret>,
    url: Option<String>,
}

/// A key or token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadCredential {
    /// A signing key.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// The admin token.
    #[error("SYNC_ADMIN_TOKEN cannot be used")]
    Token(#[from] BadSecret),
}

/// A caller who was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// QStash, which repeats a call that failed.
    Queue,
    /// A person with the admin token, whose calls are not repeated.
    Person,
}

/// The caller is unknown. The log has the reason; the answer has none.
#[derive(Debug)]
pub struct Unknown;

impl Keys {
    /// The keys that the operator set.
    pub fn of(app: &App) -> Result<Self, BadCredential> {
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

    /// Checks the caller of a sync. If the call has a signature, the signature alone decides.
    /// Otherwise it needs the admin token, and a `POST` also `x-manual-trigger: true`.
    pub fn caller(&self, call: &Call) -> Result<Caller, Unknown> {
        let is_manual =
            call.method == Method::GET || call.header("x-manual-trigger") == Some("true");
        if call.header(SIGNATURE).is_none() && !is_manual {
            tracing::warn!("Refused a call with neither a signature nor x-manual-trigger");
            return Err(Unknown);
        }
        self.signed_or_person(call)
    }

    /// Checks a caller by the signature, or by the admin token if there is none.
    pub fn signed_or_person(&self, call: &Call) -> Result<Caller, Unknown> {
        match call.header(SIGNATURE).is_some() {
            true => self.queue(call).map(|()| Caller::Queue),
            false => self.person(call).map(|()| Caller::Person),
        }
    }

    /// Lets only QStash in.
    pub fn queue(&self, call: &Call) -> Result<(), Unknown> {
        let Some(token) = call.header(SIGNATURE) else {
            tracing::warn!("Refused a call without a signature");
            return Err(Unknown);
        };
        let (Some(keys), Some(url)) = (&self.signing, &self.url) else {
            tracing::warn!("Refused a signed call: APP_URL or the signing keys are not set");
            return Err(Unknown);
        };
        let url = format!("{url}{}", call.path);
        match signature::verify(keys, token, &url, &call.body, call.now) {
            Ok(verified) => {
                tracing::debug!(key = %verified.signed_with(), "Accepted a signed call");
                Ok(())
            }
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "Refused a signed call");
                Err(Unknown)
            }
        }
    }

    /// Lets only a person with the admin token in.
    pub fn person(&self, call: &Call) -> Result<(), Unknown> {
        let Some(admin) = &self.admin else {
            tracing::warn!("Refused a manual call: SYNC_ADMIN_TOKEN is not set");
            return Err(Unknown);
        };
        let token = call.header("authorization").and_then(bearer);
        if token.is_some_and(|token| admin.matches(token)) {
            return Ok(());
        }
        tracing::warn!("Refused a manual call: the admin token is missing or wrong");
        Err(Unknown)
    }
}

/// The token of `Authorization: Bearer ...`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
