//! Makes the deliveries that are due, and records their outcomes. With the real clock the driver
//! never ends. With a stepped clock it jumps from one event to the next up to a moment, and the
//! clock stands while a delivery is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

use super::Millis;
use super::service::{LateOutcome, Service};
use crate::demo::courier::{Attempt, DeliveryOutcome};

/// The longest sleep of the driver, after which it notices that the machine's clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The deliveries that a driver has started. They are aborted when it ends.
#[derive(Default)]
struct Deliveries {
    tasks: JoinSet<DeliveryOutcome>,
    messages: HashMap<Id, String>,
}

/// Delivers until the task is aborted, on the real clock.
pub async fn drive(service: Arc<Service>) {
    let mut deliveries = Deliveries::default();
    loop {
        deliveries.start_due(&service);
        let now = service.clock.now();
        let next = next_event(&service, now).unwrap_or(Millis::MAX);
        let sleep_time = Duration::from_millis(next.saturating_sub(now)).min(LONGEST_SLEEP);
        tokio::select! {
            () = deliveries.record_next(&service), if !deliveries.tasks.is_empty() => {}
            () = service.changed.notified() => {}
            () = sleep(sleep_time) => {}
        }
    }
}

/// Delivers all messages that are due up to a moment, each at its own time, and sets the clock to
/// that moment.
pub async fn drive_until(service: &Arc<Service>, until: Millis) {
    let mut deliveries = Deliveries::default();
    loop {
        deliveries.start_due(service);
        if !deliveries.tasks.is_empty() {
            tokio::select! {
                () = deliveries.record_next(service) => {}
                () = service.changed.notified() => {}
            }
            continue;
        }
        match next_event(service, service.clock.now()) {
            Some(next) if next <= until => service.clock.set(next),
            _ => break service.clock.set(until),
        }
    }
}

/// The time of the next tick, delivery or delayed outcome.
pub fn next_event(service: &Service, now: Millis) -> Option<Millis> {
    let late = service.late_outcomes().iter().map(|late| late.at).min();
    late.into_iter().chain(service.state().next_event(now)).min()
}

impl Deliveries {
    fn start_due(&mut self, service: &Arc<Service>) {
        let now = service.clock.now();
        let outcomes: Vec<LateOutcome> =
            service.late_outcomes().extract_if(.., |late| late.at <= now).collect();
        for late in outcomes {
            record(service, &late.message_id, late.outcome);
        }
        let due = service.state().due_attempts(now);
        for attempt in due {
            let message_id = attempt.message_id.clone();
            let task = self.tasks.spawn(deliver(Arc::clone(service), attempt));
            self.messages.insert(task.id(), message_id);
        }
    }

    /// Waits for the end of one delivery, and records its outcome.
    async fn record_next(&mut self, service: &Service) {
        let (task, outcome) = match self.tasks.join_next_with_id().await {
            None => return,
            Some(Ok(outcome)) => outcome,
            Some(Err(error)) => (error.id(), DeliveryOutcome::Failed { reason: error.to_string() }),
        };
        if let Some(message_id) = self.messages.remove(&task) {
            record(service, &message_id, outcome);
        }
    }
}

/// Records an outcome in the state, or keeps it until its time.
fn record(service: &Service, message_id: &str, outcome: DeliveryOutcome) {
    let now = service.clock.now();
    match outcome {
        DeliveryOutcome::Late { after, then } => {
            let after = Millis::try_from(after.as_millis()).unwrap_or(Millis::MAX);
            let message_id = message_id.to_owned();
            let at = now.saturating_add(after);
            service.late_outcomes().push(LateOutcome { at, message_id, outcome: *then });
        }
        outcome => service.state().record_outcome(message_id, &outcome, now),
    }
    service.ended.notify_waiters();
}

async fn deliver(service: Arc<Service>, mut attempt: Attempt) -> DeliveryOutcome {
    service.sign(&mut attempt);
    let outcome = timeout(attempt.timeout, service.courier.deliver(&attempt)).await;
    outcome.unwrap_or_else(|_| DeliveryOutcome::Failed {
        reason: "the destination timed out".to_owned(),
    })
}
