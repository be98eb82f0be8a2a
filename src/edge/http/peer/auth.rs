//! The check of a peer's call. The log has the reason of a refusal; a stranger is told none.

use super::door::PeerDoor;
use crate::edge::http::call::Call;
use crate::engine::model::fault::Fault;
use crate::engine::model::signature::{
    BadSignature, Nonce, SIGNATURE_HEADER, SignedCall, nonce_of, verify,
};

/// The reason why a call is not let in.
#[derive(Debug)]
pub enum Refusal {
    /// The caller is unknown, or the call was made before.
    Stranger,
    /// The caller has the key, and another time.
    Clock {
        /// The nonce of the call, which its answer is signed with.
        nonce: Nonce,
        /// The seconds between both clocks.
        apart: u64,
    },
    /// The caller has the key, and it cannot be told whether the call was made before.
    Unchecked(Nonce, Fault),
}

impl PeerDoor {
    /// Lets a call in once, and returns its nonce.
    pub(super) async fn check(&self, call: &Call) -> Result<Nonce, Refusal> {
        let Some(home) = &self.home else {
            tracing::warn!("Refused a peer's call: APP_URL is not set");
            return Err(Refusal::Stranger);
        };
        let target = format!("{}{}?{}", home.base, call.path, call.query);
        let target = target.strip_suffix('?').unwrap_or(&target);
        let method = call.method.as_str();
        let signed = SignedCall { method, host: &home.host, target, body: &call.body };
        let header = call.header(SIGNATURE_HEADER);
        match verify(&self.keys, signed, header, call.now) {
            Ok(nonce) => self.check_nonce(nonce).await,
            Err(refusal) => {
                tracing::warn!(reason = %refusal, "Refused a peer's call");
                match (refusal, header.and_then(nonce_of)) {
                    (BadSignature::Clock(apart), Some(nonce)) => {
                        Err(Refusal::Clock { nonce, apart })
                    }
                    _ => Err(Refusal::Stranger),
                }
            }
        }
    }

    async fn check_nonce(&self, nonce: Nonce) -> Result<Nonce, Refusal> {
        match self.store.is_new(&nonce).await {
            Ok(true) => Ok(nonce),
            Ok(false) => {
                tracing::warn!("Refused a peer's call: it was made before");
                Err(Refusal::Stranger)
            }
            Err(fault) => Err(Refusal::Unchecked(nonce, fault)),
        }
    }
}
