//! The function at its public URL, as QStash reaches it.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;

use super::api::http::Http;
use crate::jobs::schedules::ports::{Function, FunctionError};

/// The time that the function may take to answer: a cold start is shorter.
const PATIENCE: Duration = Duration::from_secs(10);

/// The function, called over HTTP.
#[derive(Debug, Default)]
pub struct PublicFunction {
    http: Http,
}

#[async_trait]
impl Function for PublicFunction {
    async fn version(&self, url: &str) -> Result<String, FunctionError> {
        #[derive(Deserialize)]
        struct Health {
            status: String,
            version: String,
        }
        let request = self.http.client().get(url);
        let answered = self.http.send(request, PATIENCE).await;
        let answered = answered.map_err(|error| FunctionError::Silent(error.to_string()))?;
        if !answered.status.is_success() {
            return Err(FunctionError::Refused(answered.status.as_u16()));
        }
        match serde_json::from_slice(&answered.body) {
            Ok(Health { status, version }) if status == "ok" => Ok(version),
            _ => Err(FunctionError::Stranger),
        }
    }
}
