//! A call as it was received: its headers and body, what the queue says about it, and the time
//! until which it may run.

use std::time::{Duration, SystemTime};

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{Extensions, HeaderMap, Method, StatusCode};
use axum::response::Response;

use super::answer::Answer;
use crate::engine::model::delivery::{Delivery, QueueId};
use crate::engine::model::fault_code::FaultCode;

/// The time at the end of an invocation for the answer, and for a commit that takes longer than the
/// ones before it.
const DEADLINE_MARGIN: Duration = Duration::from_secs(2);

/// The time at the end of an invocation for the answer alone.
const ANSWER_MARGIN: Duration = Duration::from_millis(300);

/// The greatest age of a deadline that is used: `cargo lambda watch` sends one of 1970.
const OLDEST_DEADLINE: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest wait for the queue to accept a message if there is no deadline.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

/// The greatest number of retries that is used. No plan of QStash has more, and the header is not
/// signed, so it may have been changed.
pub const MOST_RETRIES: u32 = 1_000;

/// A call with its whole body.
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path as it was sent, without its query.
    pub path: String,
    /// The query as it was sent, without its question mark.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decoded from Lambda's base64.
    pub body: Bytes,
    /// The time at which it was received.
    pub now: SystemTime,
    /// The time at which Lambda ends the invocation; none outside Lambda.
    deadline: Option<SystemTime>,
}

impl<S: Send + Sync> FromRequest<S> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let now = SystemTime::now();
        let (parts, body) = request.into_parts();
        let (method, headers, path) =
            (parts.method.clone(), parts.headers.clone(), parts.uri.path().to_owned());
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let deadline = deadline(&parts.extensions, now);
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, state).await.map_err(|bad| unreadable(&bad))?;
        Ok(Self { method, path, query, headers, body, now, deadline })
    }
}

impl Call {
    /// The value of a header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The time at which the work must end, so that the answer is sent before the deadline.
    pub fn work_until(&self) -> Option<SystemTime> {
        self.deadline.map(|deadline| deadline - DEADLINE_MARGIN)
    }

    /// The time that a call after the work may take from now on.
    pub fn patience(&self, now: SystemTime) -> Duration {
        let Some(deadline) = self.deadline else { return LONGEST_PATIENCE };
        let time = (deadline - ANSWER_MARGIN).duration_since(now).unwrap_or_default();
        time.min(LONGEST_PATIENCE)
    }

    /// Reads the headers about the queue's message. They are not signed, so they are used only for
    /// a call whose signature was checked, and only for what the body does not say.
    pub fn delivery(&self) -> Option<Delivery> {
        let message = QueueId::parse(self.header("upstash-message-id")?).ok()?;
        let retried = self.header("upstash-retried").and_then(|text| text.parse().ok());
        let retried = retried.filter(|count| *count <= MOST_RETRIES);
        let schedule =
            self.header("upstash-schedule-id").and_then(|text| QueueId::parse(text).ok());
        Some(Delivery { message, retried: retried.unwrap_or(0), schedule })
    }
}

fn unreadable(rejected: &BytesRejection) -> Response {
    match rejected.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Answer::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            FaultCode::TooLarge,
            "The body is larger than any that this path takes",
        ),
        _ => Answer::refused(
            StatusCode::BAD_REQUEST,
            FaultCode::BadBody,
            "The body was cut on its way",
        ),
    }
}

fn deadline(extensions: &Extensions, now: SystemTime) -> Option<SystemTime> {
    let context = extensions.get::<lambda_http::Context>()?;
    usable(context.deadline, now)
}

fn usable(deadline_ms: u64, now: SystemTime) -> Option<SystemTime> {
    let deadline = SystemTime::UNIX_EPOCH + Duration::from_millis(deadline_ms);
    if now.duration_since(deadline).is_ok_and(|past| past > OLDEST_DEADLINE) {
        tracing::debug!(deadline_ms, "The invocation's deadline makes no sense and is not used");
        return None;
    }
    Some(deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(deadline: Option<SystemTime>, headers: &[(&'static str, &str)]) -> Call {
        let headers = headers.iter().map(|(name, value)| {
            (name.parse().expect("a header's name"), value.parse().expect("a header's value"))
        });
        Call {
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            headers: HeaderMap::from_iter(headers),
            body: Bytes::new(),
            now: SystemTime::UNIX_EPOCH,
            deadline,
        }
    }

    #[test]
    fn a_deadline_of_1970_counts_as_unknown() {
        assert_eq!(usable(600_000, SystemTime::now()), None);
    }

    #[test]
    fn the_work_ends_before_the_deadline_by_its_margin() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let call = call(usable(1_000_000_060_000, now), &[]);
        assert_eq!(call.work_until(), Some(now + Duration::from_secs(58)));
        let late = now + Duration::from_secs(59);
        assert_eq!(call.patience(late), Duration::from_millis(700));
        assert_eq!(call.patience(now), LONGEST_PATIENCE);
        assert_eq!(call.patience(late + Duration::from_secs(9)), Duration::ZERO);
        assert!(usable(999_999_999_000, now).is_some(), "a deadline that has just passed counts");
    }

    #[test]
    fn headers_of_the_queue_are_used_as_far_as_they_are_valid() {
        let delivery = |headers: &[(&'static str, &str)]| call(None, headers).delivery();
        let full = delivery(&[
            ("upstash-message-id", "msg_1"),
            ("upstash-retried", "2"),
            ("upstash-schedule-id", "syncline-a"),
        ]);
        let full = full.unwrap();
        assert_eq!((full.message.as_str(), full.retried), ("msg_1", 2));
        assert_eq!(full.schedule.unwrap().as_str(), "syncline-a");
        let odd = [("upstash-message-id", "msg_1"), ("upstash-retried", "-1")];
        assert_eq!(delivery(&odd).unwrap().retried, 0);
        assert_eq!(delivery(&[("upstash-message-id", "a b")]), None);
        assert_eq!(delivery(&[("upstash-retried", "1")]), None);
    }
}
