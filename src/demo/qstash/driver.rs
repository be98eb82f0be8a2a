//! Carries deliveries out: begins what is due, takes the outcomes, and waits for what comes next.
//! With the real clock it never ends; with a stepped one it jumps from one event to the next up to
//! a moment, and time stands while a delivery is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};

use super::Millis;
use super::courier::{Attempt, Delivered};
use super::desk::{Desk, Late};

/// The longest sleep of the driver, so that a clock that was set is noticed.
const NAP: Duration = Duration::from_secs(30);

/// The deliveries that a driver began; they end with it.
#[derive(Default)]
struct Round {
    tasks: JoinSet<Delivered>,
    messages: HashMap<Id, String>,
}

/// Delivers for ever, on the real clock.
pub async fn drive(desk: Arc<Desk>) {
    let mut round = Round::default();
    loop {
        round.begin(&desk);
        let now = desk.clock.now();
        let next = next_event(&desk, now).unwrap_or(Millis::MAX);
        let nap = Duration::from_millis(next.saturating_sub(now)).min(NAP);
        tokio::select! {
            () = round.one_ended(&desk), if !round.tasks.is_empty() => {}
            () = desk.changed.notified() => {}
            () = sleep(nap) => {}
        }
    }
}

/// Delivers all that falls due up to a moment, at its moment each, and lets the clock arrive there.
pub async fn drive_until(desk: &Arc<Desk>, until: Millis) {
    let mut round = Round::default();
    loop {
        round.begin(desk);
        if !round.tasks.is_empty() {
            tokio::select! {
                () = round.one_ended(desk) => {}
                () = desk.changed.notified() => {}
            }
            continue;
        }
        match next_event(desk, desk.clock.now()) {
            Some(next) if next <= until => desk.clock.set(next),
            _ => break desk.clock.set(until),
        }
    }
}

/// When something will be due next.
pub fn next_event(desk: &Desk, now: Millis) -> Option<Millis> {
    let late = desk.late().iter().map(|late| late.at).min();
    late.into_iter().chain(desk.state().next_event(now)).min()
}

impl Round {
    fn begin(&mut self, desk: &Arc<Desk>) {
        let now = desk.clock.now();
        let arrived: Vec<Late> = desk.late().extract_if(.., |late| late.at <= now).collect();
        for late in arrived {
            take(desk, &late.message_id, late.delivered);
        }
        let due = desk.state().due(now);
        for attempt in due {
            let message_id = attempt.message_id.clone();
            let task = self.tasks.spawn(deliver(Arc::clone(desk), attempt));
            self.messages.insert(task.id(), message_id);
        }
    }

    /// Waits for one delivery and takes its outcome.
    async fn one_ended(&mut self, desk: &Desk) {
        let (task, delivered) = match self.tasks.join_next_with_id().await {
            None => return,
            Some(Ok(ended)) => ended,
            Some(Err(why)) => (why.id(), Delivered::Failed { why: why.to_string() }),
        };
        if let Some(message_id) = self.messages.remove(&task) {
            take(desk, &message_id, delivered);
        }
    }
}

/// Hands an outcome to the state, or puts it off.
fn take(desk: &Desk, message_id: &str, delivered: Delivered) {
    let now = desk.clock.now();
    match delivered {
        Delivered::Late { after, then } => {
            let after = Millis::try_from(after.as_millis()).unwrap_or(Millis::MAX);
            let message_id = message_id.to_owned();
            let at = now.saturating_add(after);
            desk.late().push(Late { at, message_id, delivered: *then });
        }
        delivered => desk.state().finished(message_id, &delivered, now),
    }
    desk.ended.notify_waiters();
}

async fn deliver(desk: Arc<Desk>, mut attempt: Attempt) -> Delivered {
    desk.sign(&mut attempt);
    let delivered = timeout(attempt.timeout, desk.courier.deliver(&attempt)).await;
    delivered.unwrap_or_else(|_| Delivered::Failed { why: "the destination timed out".to_owned() })
}
