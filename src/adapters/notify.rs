//! A webhook for notices: Slack gets a text, other services and programs an object with more
//! fields.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use super::api::http::{Http, send_without_retry};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::{FaultCode, Remedy};
use crate::engine::model::notice::Notice;
use crate::engine::model::run::RunId;
use crate::engine::model::secret::SecretText;
use crate::engine::ports::Notifier;

/// A webhook at a URL, which is a secret in itself.
pub struct Webhook {
    http: Http,
    url: SecretText,
}

/// The service refused the notice.
#[derive(Debug, thiserror::Error)]
#[error("The webhook answered {0}")]
struct WebhookError(u16);

impl Webhook {
    /// Makes a webhook that is reached when there is a notice.
    pub fn new(url: SecretText) -> Self {
        Self { http: Http::default(), url }
    }
}

#[async_trait]
impl Notifier for Webhook {
    async fn notify(&self, notice: &Notice, patience: Duration) -> Result<(), Fault> {
        let url = self.url.expose();
        let body = if takes_text_alone(url) { slack_body(notice) } else { full_body(notice) };
        let request = self.http.client().post(url).json(&body);
        match send_without_retry(request, patience, patience).await {
            Ok(answered) if answered.status.is_success() => Ok(()),
            Ok(answered) => {
                let passes = answered.status.is_server_error() || answered.status.as_u16() == 429;
                let remedy = if passes { Remedy::Retry } else { Remedy::Operator };
                Err(fault(remedy).caused_by(WebhookError(answered.status.as_u16())))
            }
            Err(error) => Err(fault(Remedy::Retry).caused_by(error)),
        }
    }
}

/// Says whether the service takes a text alone. Slack refuses fields that it does not know; Discord
/// takes Slack's form at a path that ends so.
fn takes_text_alone(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    url.host_str() == Some("hooks.slack.com") || url.path().ends_with("/slack")
}

fn slack_body(notice: &Notice) -> Value {
    json!({ "text": notice.text })
}

/// The body for other services: chats read `text` and ignore the other fields.
fn full_body(notice: &Notice) -> Value {
    let Notice { pipeline, state, run, at, text } = notice;
    json!({
        "text": text,
        "pipeline": pipeline,
        "state": state.name(),
        "run_id": run.as_ref().map(RunId::as_str),
        "timestamp": humantime::format_rfc3339_millis(*at).to_string(),
    })
}

fn fault(remedy: Remedy) -> Fault {
    let hint = "check that SYNC_NOTIFY_URL is the webhook's current URL and that it can be reached";
    Fault {
        remedy,
        ..Fault::new(Step::Notify, FaultCode::NotNotified, "Nobody could be told", hint)
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::engine::model::notice::NoticeState;

    #[test]
    fn slack_gets_the_text_alone_and_others_what_programs_need() {
        for (url, alone) in [
            ("https://hooks.slack.com/services/T0/B0/secret", true),
            ("https://discord.com/api/webhooks/1/secret/slack", true),
            ("https://discord.com/api/webhooks/1/secret", false),
            ("https://example.com/hooks.slack.com", false),
            ("https://hooks.slack.com.example.com/", false),
        ] {
            assert_eq!(takes_text_alone(url), alone, "{url}");
        }
        let notice = Notice {
            pipeline: "p".to_owned(),
            state: NoticeState::Recovered,
            run: Some(RunId::recorded("r")),
            at: SystemTime::UNIX_EPOCH,
            text: "It works again".to_owned(),
        };
        assert_eq!(slack_body(&notice), json!({ "text": "It works again" }));
        let expected = json!({
            "text": "It works again", "pipeline": "p", "state": "recovered", "run_id": "r",
            "timestamp": "1970-01-01T00:00:00.000Z",
        });
        assert_eq!(full_body(&notice), expected);
    }
}
