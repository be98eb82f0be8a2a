//! The consequence of an attempt: delivered, tried again later, or given up.

use std::sync::Arc;

use super::records::{DeadLetter, LogState, Response, TickState};
use super::store::{Stage, State, Underway};
use crate::demo::qstash::backoff;
use crate::demo::qstash::courier::Delivered;
use crate::demo::qstash::{Millis, Named};

/// The status by which a destination says that no retry will help; it counts with
/// [`NON_RETRYABLE`] alone.
const GIVE_UP: u16 = 489;
const NON_RETRYABLE: &str = "upstash-nonretryable-error";

enum Verdict {
    Delivered,
    Retry { due: Millis },
    GivenUp,
}

impl State {
    /// Takes the outcome of an attempt that [`State::due`] gave. One of a message that is not under
    /// way any more changes nothing.
    pub fn finished(&mut self, id: &str, delivered: &Delivered, now: Millis) {
        let Some(underway) = self.underway.remove(id) else {
            return;
        };
        let message = Arc::clone(&underway.message);
        let response = Response::of(delivered);
        if underway.is_cancelled {
            self.note(LogState::Cancelled, &message, now);
            return;
        }
        let verdict = verdict(&underway, delivered, now);
        self.record(&underway, &verdict, &response, now);
        let dlq_id = matches!(verdict, Verdict::GivenUp).then(|| self.ids.mint("dlq_"));
        if let Some(callback) = &message.terms.callback {
            self.call_back(callback, &underway, &response, None, now);
        }
        if let (Some(callback), Some(dlq_id)) = (&message.terms.failure_callback, &dlq_id) {
            self.call_back(callback, &underway, &response, Some(dlq_id), now);
        }
        match verdict {
            Verdict::Delivered => self.tick_ended(&message, TickState::Success),
            Verdict::GivenUp => {
                self.tick_ended(&message, TickState::Fail);
                let dlq_id = dlq_id.unwrap_or_default();
                self.dead.push(DeadLetter { dlq_id, message, response });
            }
            Verdict::Retry { due } => {
                let retried = underway.retried + 1;
                let underway = Underway { retried, stage: Stage::Waiting { due }, ..underway };
                self.underway.insert(id.to_owned(), underway);
            }
        }
    }

    fn record(&mut self, underway: &Underway, verdict: &Verdict, response: &Response, now: Millis) {
        let mut told = |state, next| {
            let entry = self.note(state, &underway.message, now);
            entry.response = Some(response.clone());
            entry.retried = underway.retried;
            entry.next_delivery = next;
        };
        match verdict {
            Verdict::Delivered => told(LogState::Delivered, None),
            Verdict::Retry { due } => {
                told(LogState::Error, Some(*due));
                told(LogState::Retry, Some(*due));
            }
            Verdict::GivenUp => {
                told(LogState::Error, None);
                told(LogState::Failed, None);
            }
        }
    }
}

fn verdict(underway: &Underway, delivered: &Delivered, now: Millis) -> Verdict {
    let (status, headers) = match delivered {
        Delivered::Answered { status, headers, .. } => (*status, headers.as_slice()),
        Delivered::Failed { .. } | Delivered::Late { .. } => (0, [].as_slice()),
    };
    let asks_to_give_up = status == GIVE_UP
        && headers.named(NON_RETRYABLE).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let terms = &underway.message.terms;
    match status {
        200..=299 => Verdict::Delivered,
        _ if asks_to_give_up || underway.retried >= terms.retries => Verdict::GivenUp,
        _ => Verdict::Retry { due: now + backoff::delay(terms, underway.retried, delivered) },
    }
}
