//! QStash's API: messages that call this function, and the schedules that make them.
//!
//! - `wire`: the form of QStash's answers.
//! - `fault`: its errors, and who must act on them.

mod fault;
mod wire;

use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Method, RequestBuilder};

use crate::adapters::api::http::{Http, HttpAnswer};
use crate::engine::model::delivery::{Message, QueueId, Terms};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::secret::SecretText;
use crate::engine::ports::Queue;
use crate::jobs::schedules::ports::{PlannedSchedule, QueueSchedule, Schedules};

use fault::QStashError;

/// The time that a call about schedules may take, since a person waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of QStash for one account.
pub struct QStash {
    http: Http,
    url: String,
    token: SecretText,
}

impl QStash {
    /// Makes a client of QStash at its base URL, without a slash at its end.
    pub fn new(url: impl Into<String>, token: SecretText) -> Self {
        let url = url.into();
        Self { http: Http::with_key_for(&url), url, token }
    }

    /// Begins a request. The path holds the destination of a message as it is, with its query.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v2/{path}", self.url);
        self.http.client().request(method, url).bearer_auth(self.token.expose())
    }

    async fn send(
        &self,
        request: RequestBuilder,
        patience: Duration,
    ) -> Result<HttpAnswer, QStashError> {
        let answer = self.http.send(request, patience).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(QStashError::from_answer(&answer)),
        }
    }

    /// Changes a schedule that was there a moment ago.
    async fn change_schedule(&self, method: Method, path: &str) -> Result<(), Fault> {
        let request = self.request(method, &format!("schedules/{path}"));
        match self.send(request, PATIENCE).await {
            Ok(_) => Ok(()),
            Err(QStashError::NotFound) => Err(no_schedule()),
            Err(error) => Err(error.into_fault()),
        }
    }
}

fn no_schedule() -> Fault {
    Fault::new(
        Step::Queue,
        FaultCode::NoSchedule,
        "The schedule is gone",
        "list the schedules to see what is left; somebody has deleted it",
    )
}

/// Adds the headers of a message that is published now or by a schedule.
fn with_terms(request: RequestBuilder, terms: &Terms) -> RequestBuilder {
    let Terms { retries, retry_delay, timeout, failure_url, flow, label } = terms;
    let request = request
        .header("Content-Type", "application/json")
        .header("Upstash-Method", "POST")
        .header("Upstash-Retries", retries.to_string())
        .header("Upstash-Timeout", seconds(*timeout))
        .header("Upstash-Failure-Callback", failure_url)
        .header("Upstash-Flow-Control-Key", flow)
        .header("Upstash-Flow-Control-Value", "parallelism=1")
        .header("Upstash-Label", label);
    match retry_delay {
        Some(expression) => request.header("Upstash-Retry-Delay", expression),
        None => request,
    }
}

/// Spells a duration for QStash.
fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}

#[async_trait]
impl Queue for QStash {
    async fn publish(&self, message: &Message, patience: Duration) -> Result<QueueId, Fault> {
        let Message { url, body, once, delay, terms } = message;
        let mut request = self.request(Method::POST, &format!("publish/{url}"));
        request = with_terms(request, terms).body(body.clone());
        if !delay.is_zero() {
            request = request.header("Upstash-Delay", seconds(*delay));
        }
        if let Some(once) = once {
            request = request.header("Upstash-Deduplication-Id", once);
        }
        let published = async { wire::message_id(&self.send(request, patience).await?.text()) };
        published.await.map_err(QStashError::into_fault)
    }
}

#[async_trait]
impl Schedules for QStash {
    async fn list(&self) -> Result<Vec<QueueSchedule>, Fault> {
        let request = self.request(Method::GET, "schedules");
        let listed = async { wire::schedules(&self.send(request, PATIENCE).await?.text()) };
        listed.await.map_err(QStashError::into_fault)
    }

    async fn find(&self, id: &QueueId) -> Result<Option<QueueSchedule>, Fault> {
        let request = self.request(Method::GET, &format!("schedules/{id}"));
        match self.send(request, PATIENCE).await {
            Ok(answer) => wire::schedule(&answer.text()).map(Some),
            Err(QStashError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
        .map_err(QStashError::into_fault)
    }

    async fn put(&self, planned: &PlannedSchedule) -> Result<(), Fault> {
        let PlannedSchedule { pipeline: _, id, cron, url, body, terms } = planned;
        let request = self
            .request(Method::POST, &format!("schedules/{url}"))
            .header("Upstash-Cron", cron.to_string())
            .header("Upstash-Schedule-Id", id.as_str());
        let request = with_terms(request, terms).body(body.clone());
        self.send(request, PATIENCE).await.map_err(QStashError::into_fault)?;
        Ok(())
    }

    async fn pause(&self, id: &QueueId) -> Result<(), Fault> {
        self.change_schedule(Method::PATCH, &format!("{id}/pause")).await
    }

    async fn resume(&self, id: &QueueId) -> Result<(), Fault> {
        self.change_schedule(Method::PATCH, &format!("{id}/resume")).await
    }

    async fn delete(&self, id: &QueueId) -> Result<(), Fault> {
        let request = self.request(Method::DELETE, &format!("schedules/{id}"));
        match self.send(request, PATIENCE).await {
            // An earlier attempt may have deleted it, and its answer been lost.
            Ok(_) | Err(QStashError::NotFound) => Ok(()),
            Err(error) => Err(error.into_fault()),
        }
    }

    async fn signing_keys(&self) -> Result<[SecretText; 2], Fault> {
        let request = self.request(Method::GET, "keys");
        let keys = async { wire::keys(&self.send(request, PATIENCE).await?.text()) };
        keys.await.map_err(QStashError::into_fault)
    }
}
