//! MailerLite's API: the subscribers of an account, its fields and its groups.
//!
//! - `batch`: many changes in one call, and the verdict on each
//! - `wire`: the form of the answers
//! - `fault`: the errors, and who must act on them
//!
//! The API has no filter for what changed, and takes 120 calls a minute. So the list is walked in
//! pages of 1,000, and changes go in batches of 50.

mod batch;
mod fault;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::adapters::api::http::{Http, HttpAnswer, RepeatRules, retry_after};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::meter::Meter;
use crate::engine::model::secret::SecretText;
use crate::jobs::contacts::ports::quotas::{CALLS, Quotas};
use crate::jobs::contacts::ports::{
    Allowance, Found, ListField, ListGroup, MOST_WRITES, MailingList, SubscriberName,
    SubscriberPage, SubscriberWrite, Verdict,
};

use fault::MailerLiteError;

/// The time that a call may take with its repetitions. A batch of 50 is as slow as its changes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The subscribers of a page, and of a page where the account allows no more: the reference names
/// no maximum (facts/mailerlite.md, section 4).
const PAGE: usize = 1000;
const SMALL_PAGE: usize = 100;

/// A client of MailerLite for one account.
pub struct MailerLite {
    http: Http,
    url: String,
    key: SecretText,
    meter: Meter,
    page: AtomicUsize,
    allowance: Mutex<Allowance>,
    quotas: Option<Arc<dyn Quotas>>,
}

impl MailerLite {
    /// Makes a client of MailerLite at its base URL, without a slash at its end.
    pub fn new(url: impl Into<String>, key: SecretText, meter: Meter) -> Self {
        let url = url.into();
        Self {
            http: Http::with_key_for(&url),
            url,
            key,
            meter,
            page: AtomicUsize::new(PAGE),
            allowance: Mutex::default(),
            quotas: None,
        }
    }

    /// Makes only calls that the quota of all programs of the deployment has left.
    pub fn within(self, quotas: Arc<dyn Quotas>) -> Self {
        Self { quotas: Some(quotas), ..self }
    }

    async fn take_call(&self) -> Result<(), MailerLiteError> {
        let Some(quotas) = &self.quotas else { return Ok(()) };
        match quotas.take(&CALLS, 1).await.map_err(MailerLiteError::Quotas)? {
            None => Ok(()),
            pause @ Some(_) => {
                let allowance = Allowance { calls: Some(0), pause };
                *self.allowance.lock().expect("no holder panics") = allowance;
                Err(MailerLiteError::Busy)
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.client().request(method, format!("{}/{path}", self.url));
        let request = request.header("Accept", "application/json");
        request.header("Content-Type", "application/json").bearer_auth(self.key.expose())
    }

    /// Sends a call. All calls can be repeated without harm. One that is throttled is not: the
    /// pause can be longer than an invocation.
    async fn send(&self, request: RequestBuilder) -> Result<HttpAnswer, MailerLiteError> {
        self.take_call().await?;
        let rules = RepeatRules {
            patience: PATIENCE,
            // The reference calls a 408 its own fault.
            may_pass: &|answer| answer.status == 408 || answer.status.is_server_error(),
            restarts: &|_| false,
            after_cut: true,
            count: &|| self.meter.count(),
            is_enough: &|_, _| false,
        };
        let answer = self.http.repeat(request, &rules).await?;
        let allowance = Allowance {
            calls: header(&answer, "X-RateLimit-Remaining"),
            pause: (answer.status == 429)
                .then(|| retry_after(&answer.headers, SystemTime::now()).unwrap_or(MINUTE)),
        };
        *self.allowance.lock().expect("no holder panics") = allowance;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(wire::error(&answer)),
        }
    }

    async fn read(&self, path: &str, step: Step) -> Result<Value, Fault> {
        let answer = async { wire::json(&self.send(self.request(Method::GET, path)).await?) };
        answer.await.map_err(|error| error.into_fault(step))
    }

    /// Reads all entries of a list with numbered pages.
    async fn read_all<T>(
        &self,
        path: &str,
        entry: impl Fn(&Value) -> Result<T, MailerLiteError>,
    ) -> Result<Vec<T>, Fault> {
        let mut entries = Vec::new();
        for page in 1.. {
            let answer = self.read(&format!("{path}&page={page}"), Step::Plan).await?;
            let read =
                wire::entries(&answer, &entry).map_err(|error| error.into_fault(Step::Plan))?;
            let is_last = read.is_empty() || wire::is_last_page(&answer);
            entries.extend(read);
            if is_last {
                break;
            }
        }
        Ok(entries)
    }

    async fn batch(&self, requests: Vec<Value>, step: Step) -> Result<Vec<batch::Response>, Fault> {
        let count = requests.len();
        let request = self.request(Method::POST, "batch");
        let request = request.body(json!({ "requests": requests }).to_string());
        let answer = self.send(request).await.map_err(|error| error.into_fault(step))?;
        Ok(batch::responses(&answer.body, count))
    }
}

/// The span of the limit, where an answer does not say how long to wait.
const MINUTE: Duration = Duration::from_secs(60);

fn header(answer: &HttpAnswer, name: &str) -> Option<u32> {
    answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[async_trait]
impl MailingList for MailerLite {
    async fn total(&self) -> Result<u64, Fault> {
        let answer = self.read("subscribers?limit=0", Step::Read).await?;
        wire::total(&answer).map_err(|error| error.into_fault(Step::Read))
    }

    async fn page(&self, cursor: Option<&str>) -> Result<SubscriberPage, Fault> {
        loop {
            let limit = self.page.load(Ordering::Relaxed);
            // The links of an answer lack limit and groups, so its cursor alone is used.
            let mut path = format!("subscribers?limit={limit}&include=groups");
            if let Some(cursor) = cursor {
                path.push_str(&format!(
                    "&cursor={}",
                    utf8_percent_encode(cursor, NON_ALPHANUMERIC)
                ));
            }
            let request = self.request(Method::GET, &path);
            let read = async { wire::page(&wire::json(&self.send(request).await?)?) };
            match read.await {
                Err(MailerLiteError::Refused { status: 422, .. }) if limit > SMALL_PAGE => {
                    self.page.store(SMALL_PAGE, Ordering::Relaxed);
                }
                read => return read.map_err(|error| error.into_fault(Step::Read)),
            }
        }
    }

    async fn find(&self, names: &[SubscriberName]) -> Result<Vec<Found>, Fault> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(MOST_WRITES) {
            let requests = names.iter().map(batch::finding).collect();
            for (name, response) in names.iter().zip(self.batch(requests, Step::Read).await?) {
                let read = response.subscriber(name);
                found.push(read.map_err(|error| error.into_fault(Step::Read))?);
            }
        }
        Ok(found)
    }

    async fn fields(&self) -> Result<Vec<ListField>, Fault> {
        self.read_all("fields?limit=100", wire::field).await
    }

    async fn groups(&self) -> Result<Vec<ListGroup>, Fault> {
        self.read_all("groups?limit=1000", wire::group).await
    }

    async fn create_group(&self, name: &str) -> Result<ListGroup, Fault> {
        let request =
            self.request(Method::POST, "groups").body(json!({ "name": name }).to_string());
        let created = async { wire::created_group(&wire::json(&self.send(request).await?)?) };
        created.await.map_err(|error| error.into_fault(Step::Write))
    }

    async fn write(&self, writes: &[SubscriberWrite]) -> Result<Vec<Verdict>, Fault> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let requests = writes.iter().map(batch::writing).collect();
        let responses = self.batch(requests, Step::Write).await?;
        Ok(writes.iter().zip(responses).map(|(write, response)| response.verdict(write)).collect())
    }

    fn allowance(&self) -> Allowance {
        *self.allowance.lock().expect("no holder panics")
    }
}
