//! The state after calls, ticks and outcomes, in seconds after an invented morning.

mod schedules;

use serde_json::Value;

use super::*;
use crate::demo::courier::{Attempt, DeliveryOutcome};
use crate::demo::qstash::{Millis, Refusal};

/// 2026-03-01T00:00:00Z.
const MORNING: Millis = 1_772_323_200_000;
const DESTINATION: &str = "http://host/a";

type Asked<'a> = &'a [(&'a str, &'a str)];

/// A state, and a clock that is set by hand.
struct Scene {
    state: State,
    now: Millis,
}

impl Scene {
    fn new() -> Self {
        Self { state: State::new("t"), now: MORNING }
    }

    fn at(&mut self, seconds: u64) -> &mut Self {
        self.now = MORNING + seconds * 1000;
        self
    }

    fn publish(&mut self, headers: &[(&str, &str)]) -> String {
        self.state.publish(order(DESTINATION, headers), self.now).unwrap().message_id
    }

    fn schedule(&mut self, headers: &[(&str, &str)]) -> Result<String, Refusal> {
        self.state.schedule(order(DESTINATION, headers), self.now)
    }

    fn due(&mut self) -> Vec<Attempt> {
        self.state.due_attempts(self.now)
    }

    fn due_ids(&mut self) -> Vec<String> {
        self.due().into_iter().map(|attempt| attempt.message_id).collect()
    }

    fn ends(&mut self, id: &str, delivered: DeliveryOutcome) {
        self.state.record_outcome(id, &delivered, self.now);
    }

    /// Seconds from the morning to the next event.
    fn next(&self) -> Option<u64> {
        self.state.next_event(self.now).map(|moment| (moment - MORNING) / 1000)
    }

    fn log_of(&self, id: &str) -> Vec<&'static str> {
        let log = self.state.log().iter().filter(|entry| entry.message.id == id);
        log.map(|entry| entry.state.name()).collect()
    }

    /// Lets every attempt fail, and tells at which seconds they were made.
    fn fails_at(&mut self, id: &str, delivered: DeliveryOutcome) -> Vec<u64> {
        let mut seconds = Vec::new();
        while let Some(next) = self.next() {
            for attempt in self.at(next).due() {
                if attempt.message_id == id {
                    seconds.push(next);
                }
                self.ends(&attempt.message_id, delivered.clone());
            }
        }
        seconds
    }
}

fn order(destination: &str, headers: &[(&str, &str)]) -> Order {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    Order { destination: destination.to_owned(), headers: headers.collect(), body: "body".into() }
}

fn failed(status: u16, headers: &[(&str, &str)]) -> DeliveryOutcome {
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    DeliveryOutcome::Answered { status, headers: headers.collect(), body: b"why".to_vec() }
}

#[test]
fn a_message_is_due_at_once_and_goes_when_it_is_delivered() {
    let mut scene = Scene::new();
    let id = scene.publish(&[]);

    let attempts = scene.due();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].retried, attempts[0].url.as_str()), (0, DESTINATION));
    assert_eq!(scene.due().len(), 0, "it is under way");
    scene.ends(&id, DeliveryOutcome::status(204));

    assert_eq!(scene.log_of(&id), ["CREATED", "ACTIVE", "DELIVERED"]);
    assert_eq!((scene.next(), scene.state.messages().count()), (None, 0));
}

#[test]
fn attempts_fall_at_the_documented_seconds_and_then_the_message_is_dead() {
    let cases: [(Asked, &[u64]); 4] = [
        (&[], &[0, 12, 160, 1968]),
        (&[("upstash-retries", "0")], &[0]),
        (&[("upstash-delay", "1m"), ("upstash-retries", "1")], &[60, 72]),
        (&[("upstash-retry-delay", "5000"), ("upstash-retries", "2")], &[0, 5, 10]),
    ];
    for (headers, expected) in cases {
        let mut scene = Scene::new();
        let id = scene.publish(headers);
        assert_eq!(scene.fails_at(&id, DeliveryOutcome::status(500)), expected, "{headers:?}");
        let letter = scene.state.dead_letters().first().expect("it is dead");
        assert_eq!((&letter.message.id, letter.response.status), (&id, 500));
    }
}

#[test]
fn only_489_with_the_header_is_final() {
    let header = ("Upstash-NonRetryable-Error", "true");
    let cases = [
        (failed(489, &[header]), 1),
        (failed(489, &[]), 4),
        (failed(500, &[header]), 4),
        (failed(301, &[]), 4),
        (DeliveryOutcome::Failed { reason: "refused".to_owned() }, 4),
    ];
    for (delivered, attempts) in cases {
        let mut scene = Scene::new();
        let id = scene.publish(&[]);
        assert_eq!(scene.fails_at(&id, delivered.clone()).len(), attempts, "{delivered:?}");
    }
}

#[test]
fn an_answer_chooses_when_it_is_tried_again() {
    let mut scene = Scene::new();
    let id = scene.publish(&[("upstash-retries", "2")]);
    assert_eq!(scene.fails_at(&id, failed(429, &[("retry-after", "30")])), [0, 30, 60]);
    assert_eq!(
        scene.log_of(&id),
        [
            "CREATED", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "ERROR",
            "FAILED"
        ]
    );
}

#[test]
fn a_key_of_deduplication_counts_for_ten_minutes() {
    let mut scene = Scene::new();
    let with_id = [("upstash-deduplication-id", "d")];
    let first = scene.publish(&with_id);
    for id in scene.due_ids() {
        scene.ends(&id, DeliveryOutcome::status(200));
    }
    assert_eq!(scene.at(599).publish(&with_id), first, "also after its delivery");
    assert_ne!(scene.at(600).publish(&with_id), first);
}

#[test]
fn a_callback_tells_of_each_attempt_and_a_failure_callback_of_the_last() {
    let mut scene = Scene::new();
    let id = scene.publish(&[
        ("upstash-retries", "1"),
        ("upstash-callback", "http://host/c"),
        ("upstash-failure-callback", "http://host/f"),
        ("content-type", "text/plain"),
    ]);
    let mut told = Vec::new();
    while let Some(next) = scene.next() {
        for attempt in scene.at(next).due() {
            let is_message = attempt.message_id == id;
            let delivered =
                if is_message { failed(503, &[]) } else { DeliveryOutcome::status(200) };
            if !is_message {
                let body: Value = serde_json::from_slice(&attempt.body).unwrap();
                told.push((attempt.url.clone(), body));
            }
            scene.ends(&attempt.message_id, delivered);
        }
    }
    let urls: Vec<&str> = told.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!(urls, ["http://host/c", "http://host/c", "http://host/f"]);
    let last = &told[2].1;
    assert_eq!(last["sourceMessageId"], id);
    assert_eq!(
        (&last["status"], &last["retried"], &last["maxRetries"]),
        (&503.into(), &1.into(), &1.into())
    );
    assert_eq!((&last["body"], &last["sourceBody"]), (&"d2h5".into(), &"Ym9keQ==".into()));
    assert_eq!(last["sourceHeader"]["Content-Type"][0], "text/plain");
    assert_eq!(last["dlqId"], scene.state.dead_letters()[0].dlq_id);
}

#[test]
fn a_failure_callback_that_fails_is_retried_and_calls_nobody_back() {
    let mut scene = Scene::new();
    let failure = [("upstash-failure-callback", "http://host/f"), ("upstash-retries", "0")];
    let with_retries = ("upstash-failure-callback-retries", "1");
    let id = scene.publish(&[failure[0], failure[1], with_retries]);
    let mut urls = Vec::new();
    while let Some(next) = scene.next() {
        for attempt in scene.at(next).due() {
            urls.push(attempt.url.clone());
            scene.ends(&attempt.message_id, DeliveryOutcome::status(500));
        }
    }
    assert_eq!(urls, [DESTINATION, "http://host/f", "http://host/f"]);
    assert_eq!(scene.state.dead_letters().len(), 2);
    assert_eq!(scene.log_of(&id).last(), Some(&"FAILED"));
}

#[test]
fn parallelism_is_counted_per_key_and_freed_by_each_end() {
    let mut scene = Scene::new();
    let flow = [("upstash-flow-control-key", "k"), ("upstash-flow-control-value", "parallelism=2")];
    let ids: Vec<String> = (0..3).map(|_| scene.publish(&flow)).collect();
    let free = scene.publish(&[]);

    assert_eq!(scene.due_ids(), [&ids[0], &ids[1], &free].map(String::clone));
    assert_eq!(scene.next(), None, "the third waits for an end, not for a time");
    scene.ends(&ids[1], DeliveryOutcome::status(500));
    assert_eq!(scene.due_ids(), [ids[2].clone()], "who waits for a retry is not under way");
}

#[test]
fn a_cancelled_message_begins_no_attempt_and_one_under_way_no_other() {
    let mut scene = Scene::new();
    let active = scene.publish(&[]);
    scene.due();
    let waiting = scene.publish(&[("upstash-delay", "1h")]);

    assert!(scene.state.cancel(&active, MORNING) && scene.state.cancel(&waiting, MORNING));
    assert!(!scene.state.cancel(&waiting, MORNING), "it is gone");
    scene.ends(&active, DeliveryOutcome::status(500));

    assert_eq!(scene.log_of(&active), ["CREATED", "ACTIVE", "CANCEL_REQUESTED", "CANCELLED"]);
    assert_eq!(scene.log_of(&waiting), ["CREATED", "CANCELLED"]);
    assert_eq!(scene.next(), None);
}

#[test]
fn a_destination_without_a_scheme_is_refused_in_the_service_s_words() {
    let refused = Scene::new().state.publish(order("host/a", &[]), MORNING).unwrap_err();
    assert_eq!(
        (refused.status, refused.error.as_str()),
        (400, "invalid destination url: endpoint has invalid scheme, add http:// or https://")
    );
}
