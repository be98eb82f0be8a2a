//! The health check. It needs no credential, and reaches no database.

use axum::Json;
use serde_json::{Value, json};

/// Answers with the version.
pub async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}
