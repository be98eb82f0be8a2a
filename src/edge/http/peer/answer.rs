//! The answers to peers. They are signed, so that a pull believes what it was given.

use std::time::SystemTime;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use crate::engine::model::call_error::{CallError, RefusedCall};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::packed::{BadBody, is_packed, pack};
use crate::engine::model::signature::{Nonce, PeerKeys, SIGNATURE_HEADER, sign_answer};

/// Signs the answers to one call.
pub struct Signer<'a> {
    /// The keys.
    pub keys: &'a PeerKeys,
    /// The nonce of the call.
    pub nonce: &'a Nonce,
}

impl Signer<'_> {
    /// Answers with a value.
    pub fn json(&self, status: StatusCode, value: &impl Serialize) -> Response {
        let body = serde_json::to_vec(value).expect("our own shapes are JSON");
        self.packed(status, body)
    }

    /// Answers with JSON, which is packed if it is large.
    pub fn packed(&self, status: StatusCode, json: impl Into<Bytes>) -> Response {
        match pack(json) {
            Ok(body) if is_packed(&body) => self.answer(status, "application/gzip", body),
            Ok(body) => self.answer(status, "application/json", body),
            Err(bad) => self.fault(StatusCode::PAYLOAD_TOO_LARGE, &bad_body(bad)),
        }
    }

    /// Answers with bytes. Lambda sends other types than text as base64.
    pub fn bytes(&self, body: Bytes) -> Response {
        self.answer(StatusCode::OK, "application/octet-stream", body)
    }

    /// Answers with a fault.
    pub fn fault(&self, status: StatusCode, fault: &Fault) -> Response {
        let (code, step, chain) = (fault.code.name(), fault.step.name(), fault.chain());
        // A driver asks how a session stands before it has opened it.
        match fault.remedy {
            Remedy::Caller => tracing::info!(code, step, "Refused a peer's call: {chain}"),
            _ => tracing::error!(code, step, "A peer's call failed: {chain}"),
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = now.map_or(0, |since| since.as_secs());
        self.json(status, &RefusedCall { success: false, error: CallError::of(fault), time })
    }

    fn answer(&self, status: StatusCode, kind: &'static str, body: Bytes) -> Response {
        let signature = sign_answer(self.keys, status.as_u16(), self.nonce, &body);
        let signature = HeaderValue::try_from(signature).expect("digits are a header's value");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(SIGNATURE_HEADER, signature);
        response
    }
}

/// The fault of a body that does not travel.
pub fn bad_body(bad: BadBody) -> Fault {
    let (code, hint) = match bad {
        BadBody::TooLarge => (FaultCode::TooLarge, "copy fewer tables at once with --table"),
        BadBody::Unreadable => {
            (FaultCode::BadAction, "install the same release of Syncline on both deployments")
        }
    };
    Fault::new(Step::Peer, code, "The body of a call cannot be used", hint).caused_by(bad)
}

/// The status for a fault.
pub fn status(fault: &Fault) -> StatusCode {
    match (fault.code, fault.remedy) {
        (FaultCode::NotAllowed, _) => StatusCode::FORBIDDEN,
        (FaultCode::NoSession, _) => StatusCode::NOT_FOUND,
        (FaultCode::BadCopy | FaultCode::SessionOver | FaultCode::NotOurs, _) => {
            StatusCode::CONFLICT
        }
        (FaultCode::CopyLost, _) => StatusCode::GONE,
        (FaultCode::TooLarge, _) => StatusCode::PAYLOAD_TOO_LARGE,
        (FaultCode::Busy, _) => StatusCode::LOCKED,
        (_, Remedy::Retry) => StatusCode::SERVICE_UNAVAILABLE,
        (_, Remedy::Operator) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, Remedy::Caller) => StatusCode::BAD_REQUEST,
        (_, Remedy::Report) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
