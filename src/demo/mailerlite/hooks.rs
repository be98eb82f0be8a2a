//! Delivers the events of webhooks that are due, signed, and records their outcomes. With the real
//! clock it never ends. A stepped clock stands while deliveries are under way.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::time::{sleep, timeout};

use super::service::Service;
use super::state::DueDelivery;
use crate::demo::clock::Millis;
use crate::demo::courier::{Attempt, DeliveryOutcome};

/// The time within which a destination has to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest sleep, after which it is noticed that the machine's clock was set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Delivers until the task is aborted, on the real clock.
pub async fn drive(service: Arc<Service>) {
    loop {
        deliver_due(&service).await;
        let now = service.clock.now();
        let next = service.state().next_delivery().unwrap_or(Millis::MAX);
        let sleep_time = Duration::from_millis(next.saturating_sub(now)).min(LONGEST_SLEEP);
        tokio::select! {
            () = service.changed.notified() => {}
            () = sleep(sleep_time) => {}
        }
    }
}

/// Delivers all that is due up to a moment, each at its own time, and sets the clock to that
/// moment.
pub async fn drive_until(service: &Service, until: Millis) {
    loop {
        deliver_due(service).await;
        let next = service.state().next_delivery();
        match next {
            Some(next) if next <= service.clock.now() => {}
            Some(next) if next <= until => service.clock.set(next),
            Some(_) | None => break service.clock.set(until),
        }
    }
}

async fn deliver_due(service: &Service) {
    let due = service.state().start_deliveries(service.clock.now());
    join_all(due.into_iter().map(|delivery| deliver(service, delivery))).await;
    service.ended.notify_waiters();
}

async fn deliver(service: &Service, delivery: DueDelivery) {
    let DueDelivery { id, url, secret, body, retried } = delivery;
    let attempt = Attempt {
        message_id: id.to_string(),
        schedule_id: None,
        retried: u32::try_from(retried).unwrap_or(u32::MAX),
        url,
        method: "POST".to_owned(),
        headers: vec![
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Signature".to_owned(), signature(&secret, body.as_bytes())),
        ],
        body: body.into(),
        timeout: PATIENCE,
    };
    let status = match timeout(PATIENCE, service.courier.deliver(&attempt)).await {
        Ok(DeliveryOutcome::Answered { status, .. }) => Some(status),
        Ok(DeliveryOutcome::Failed { .. } | DeliveryOutcome::Late { .. }) | Err(_) => None,
    };
    service.state().end_delivery(id, status, service.clock.now());
}

/// The HMAC-SHA-256 of a body in small hexadecimal letters.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_another_implementation_computes() {
        // The expected text was made with Python's hmac module.
        let expected = "b82fcb791acec57859b989b430a826488ce2e479fdf92326bd0a2e8375a42ba4";
        assert_eq!(signature("secret", b"payload"), expected);
    }
}
