//! Trouble on demand: what goes wrong, for which calls, and how often.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use super::super::answer::Answer;

/// A failure that a call meets.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The gateway answers this status by itself, with the body that it has for it; PostgREST is
    /// not request. 429 and 503 say when to come again.
    Status(u16),
    /// The gateway answers this status after the work is committed, as if it had waited no longer.
    StatusAfter(u16),
    /// The gateway answers this body, of this status and content type.
    Body(u16, &'static str, &'static str),
    /// The connection ends before PostgREST is request.
    ResetBefore,
    /// The connection ends without an answer after the work is committed.
    ResetAfter,
    /// The connection ends in the middle of the answer's body.
    Truncated,
    /// The answer is whole to whoever counts its bytes, and ends in the middle of its body all the
    /// same.
    Halved,
    /// The connection ends after so many bytes of the answer's body.
    CutAfter(usize),
    /// The request is delivered twice; the second answer counts.
    Twice,
    /// The body comes twice, as one body of twice the length.
    Doubled,
    /// The answer waits for this long after the work is committed.
    Late(Duration),
    /// The answer waits after the work is committed until somebody lets it go.
    Held(Arc<Gate>),
    /// Somebody runs these statements, at this database, after the work is committed and before the
    /// answer.
    Meanwhile(String, String),
}

/// A gate at which an answer waits.
#[derive(Debug, Default)]
pub struct Gate {
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// Waits until the answer is there.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets it go.
    pub fn open(&self) {
        self.opened.notify_one();
    }

    /// Holds an answer.
    pub async fn hold(&self) {
        self.reached.notify_one();
        self.opened.notified().await;
    }
}

/// The time after which a client may come again after 429 and 503 of the gateway.
pub const RETRY_AFTER_SECONDS: &str = "1";

/// The calls that trouble waits for.
struct Plan {
    /// The text that the method and the path below the prefix must contain: `POST /jobs`.
    call_part: String,
    skip: usize,
    times: usize,
    trouble: Trouble,
}

/// All that waits.
#[derive(Default)]
pub struct Troubles(Mutex<Vec<Plan>>);

impl Troubles {
    /// Lets `skip` calls through, then strikes as often as it says.
    pub fn add(&self, call_part: &str, skip: usize, times: usize, trouble: Trouble) {
        let plan = Plan { call_part: call_part.to_owned(), skip, times, trouble };
        self.0.lock().expect("no holder panics").push(plan);
    }

    /// Returns the trouble that this call meets, if any: that of the first plan that waits for it.
    pub fn strike(&self, call: &str) -> Option<Trouble> {
        let mut plans = self.0.lock().expect("no holder panics");
        plans.retain(|plan| plan.times > 0);
        let plan = plans.iter_mut().find(|plan| call.contains(&plan.call_part))?;
        if plan.skip > 0 {
            plan.skip -= 1;
            return None;
        }
        plan.times -= 1;
        Some(plan.trouble.clone())
    }

    /// Nothing waits any more.
    pub fn forget(&self) {
        self.0.lock().expect("no holder panics").clear();
    }

    /// Says whether a trouble has not struck yet.
    pub fn is_waiting(&self) -> bool {
        self.0.lock().expect("no holder panics").iter().any(|plan| plan.times > 0)
    }
}

/// An answer of the gateway itself. Its bodies are not PostgREST's, and some are no JSON.
pub fn gateway_answer(status: u16) -> Answer {
    let json = |message: &str| {
        let body = serde_json::json!({ "message": message }).to_string();
        Answer::new(status, "application/json; charset=utf-8", body)
    };
    let mut answer = match status {
        402 => json("Service for this project is restricted due to exceeded quotas"),
        429 => json("API rate limit exceeded"),
        500 => json("An unexpected error occurred"),
        503 => json("name resolution failed"),
        504 => json("The upstream server is timing out"),
        540 => json("Project paused"),
        544 => json("The request timed out"),
        _ => Answer::new(
            status,
            "text/html; charset=UTF-8",
            format!("<html><head><title>{status}</title></head><body>error</body></html>"),
        ),
    };
    if matches!(status, 429 | 503) {
        answer.headers.push(("retry-after", RETRY_AFTER_SECONDS.to_owned()));
    }
    answer
}
