//! A webhook that people read: Slack's shape, which most chat services take.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;

use super::http::{Http, NoAnswer, once};
use crate::engine::model::fault::{Fault, Remedy, Step};
use crate::engine::model::secret::SecretText;
use crate::engine::ports::Notifier;

/// How long people's service may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Posts `{"text": ...}` to a URL, which is a secret in itself.
pub struct Webhook {
    http: Http,
    url: SecretText,
}

/// What the service answered.
#[derive(Debug, thiserror::Error)]
#[error("The webhook answered {0}")]
struct Refused(u16);

impl Webhook {
    /// A webhook that is reached when something is to be told.
    pub fn new(url: SecretText) -> Self {
        Self { http: Http::default(), url }
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn notify(&self, text: &str) -> Result<(), Fault> {
        let request = self.http.client().post(self.url.expose()).json(&json!({ "text": text }));
        match once(request, PATIENCE, PATIENCE).await {
            Ok(answered) if answered.status.is_success() => Ok(()),
            Ok(answered) => {
                let passes = answered.status.is_server_error() || answered.status.as_u16() == 429;
                let remedy = if passes { Remedy::Retry } else { Remedy::Operator };
                Err(fault(remedy).caused_by(Refused(answered.status.as_u16())))
            }
            Err(error @ (NoAnswer::Cut(_) | NoAnswer::Silent(_))) => {
                Err(fault(Remedy::Retry).caused_by(error))
            }
        }
    }
}

fn fault(remedy: Remedy) -> Fault {
    Fault::new(
        Step::Notify,
        remedy,
        "not_notified",
        "Nobody could be told",
        "check that SYNC_NOTIFY_URL is the webhook's current URL and that it can be reached",
    )
}
