//! Decides what follows from an attempt: the message is delivered, retried later, or given up.

use std::sync::Arc;

use super::records::{DeadLetter, LogState, Response, TickState};
use super::store::{PendingMessage, Stage, State};
use crate::demo::courier::DeliveryOutcome;
use crate::demo::qstash::backoff;
use crate::demo::qstash::{HeaderLookup, Millis};

/// The status by which a destination says that no retry will help. It needs the header
/// [`NON_RETRYABLE`] as well.
const GIVE_UP: u16 = 489;
const NON_RETRYABLE: &str = "upstash-nonretryable-error";

enum Verdict {
    Delivered,
    Retry { due: Millis },
    GivenUp,
}

impl State {
    /// Takes the outcome of an attempt that [`State::due_attempts`] returned. The outcome of a
    /// message that is not pending any more changes nothing.
    pub fn record_outcome(&mut self, id: &str, outcome: &DeliveryOutcome, now: Millis) {
        let Some(pending) = self.pending.remove(id) else {
            return;
        };
        let message = Arc::clone(&pending.message);
        let response = Response::of(outcome);
        if pending.is_cancelled {
            self.log_step(LogState::Cancelled, &message, now);
            return;
        }
        let verdict = verdict(&pending, outcome, now);
        self.log_outcome(&pending, &verdict, &response, now);
        let dlq_id = matches!(verdict, Verdict::GivenUp).then(|| self.ids.mint("dlq_"));
        if let Some(callback) = &message.terms.callback {
            self.send_callback(callback, &pending, &response, None, now);
        }
        if let (Some(callback), Some(dlq_id)) = (&message.terms.failure_callback, &dlq_id) {
            self.send_callback(callback, &pending, &response, Some(dlq_id), now);
        }
        match verdict {
            Verdict::Delivered => self.set_tick_state(&message, TickState::Success),
            Verdict::GivenUp => {
                self.set_tick_state(&message, TickState::Fail);
                let dlq_id = dlq_id.unwrap_or_default();
                self.dead_letters.push(DeadLetter { dlq_id, message, response });
            }
            Verdict::Retry { due } => {
                let retried = pending.retried + 1;
                let pending = PendingMessage { retried, stage: Stage::Waiting { due }, ..pending };
                self.pending.insert(id.to_owned(), pending);
            }
        }
    }

    fn log_outcome(
        &mut self,
        pending: &PendingMessage,
        verdict: &Verdict,
        response: &Response,
        now: Millis,
    ) {
        let mut log = |state, next| {
            let entry = self.log_step(state, &pending.message, now);
            entry.response = Some(response.clone());
            entry.retried = pending.retried;
            entry.next_delivery = next;
        };
        match verdict {
            Verdict::Delivered => log(LogState::Delivered, None),
            Verdict::Retry { due } => {
                log(LogState::Error, Some(*due));
                log(LogState::Retry, Some(*due));
            }
            Verdict::GivenUp => {
                log(LogState::Error, None);
                log(LogState::Failed, None);
            }
        }
    }
}

fn verdict(pending: &PendingMessage, outcome: &DeliveryOutcome, now: Millis) -> Verdict {
    let (status, headers) = match outcome {
        DeliveryOutcome::Answered { status, headers, .. } => (*status, headers.as_slice()),
        DeliveryOutcome::Failed { .. } | DeliveryOutcome::Late { .. } => (0, [].as_slice()),
    };
    let is_not_retryable = status == GIVE_UP
        && headers.value(NON_RETRYABLE).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let terms = &pending.message.terms;
    match status {
        200..=299 => Verdict::Delivered,
        _ if is_not_retryable || pending.retried >= terms.retries => Verdict::GivenUp,
        _ => Verdict::Retry { due: now + backoff::delay(terms, pending.retried, outcome) },
    }
}
