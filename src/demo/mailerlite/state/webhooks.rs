//! Webhooks, and the deliveries that are due to them.

use serde_json::{Value, json};

use super::events::Event;
use super::person::Person;
use super::records::{Delivery, DueDelivery, Webhook, Webhooks};
use super::store::State;
use crate::demo::clock::Millis;
use crate::demo::mailerlite::stamp::Stamp;
use crate::demo::mailerlite::wire;

/// The number of the account in the payloads.
const ACCOUNT: u32 = 2_599_924;
/// The time for which events of a batchable webhook are collected.
const COLLECTING: Millis = 1000;
/// The delays before a failed delivery is repeated.
const RETRIES: [Millis; 3] = [10_000, 100_000, 1_000_000];

impl State {
    /// The webhooks, in the order in which they were made.
    pub fn webhooks(&self) -> impl Iterator<Item = &Webhook> {
        self.webhooks.hooks.values()
    }

    /// Adds a webhook, or replaces the one with its id.
    pub fn put_webhook(&mut self, webhook: Webhook) {
        self.webhooks.hooks.insert(webhook.id, webhook);
    }

    /// An id for a new webhook.
    pub fn webhook_id(&mut self) -> u64 {
        self.new_id()
    }

    /// Removes a webhook and what is due to it. Returns false if there is none with this id.
    pub fn delete_webhook(&mut self, id: u64) -> bool {
        self.webhooks.deliveries.retain(|_, delivery| delivery.hook != id);
        self.webhooks.hooks.remove(&id).is_some()
    }

    /// Tells an event to all webhooks that asked for it.
    pub(super) fn announce(&mut self, event: &Event, person: &Person, now: Millis) {
        let wants = |hook: &&Webhook| hook.enabled && hook.events.iter().any(|e| e == event.name);
        let hooks = self.webhooks().filter(wants).map(|hook| (hook.id, hook.batchable));
        let hooks: Vec<(u64, bool)> = hooks.collect();
        if hooks.is_empty() {
            return;
        }
        let payload = self.payload(event, person);
        for (hook, batchable) in hooks {
            self.webhooks.enqueue(hook, batchable, payload.clone(), now);
        }
    }

    fn payload(&self, event: &Event, person: &Person) -> Value {
        let subscriber = wire::subscriber_of_event(self, person);
        let Some(group) = event.group.and_then(|id| self.group(id)) else {
            let mut payload = subscriber;
            payload["event"] = event.name.into();
            payload["account_id"] = ACCOUNT.into();
            return payload;
        };
        json!({
            "type": event.name,
            "subscriber": subscriber,
            "group": { "id": group.id.to_string(), "name": group.name },
            "account_id": ACCOUNT,
        })
    }

    /// Starts the deliveries that are due.
    pub fn start_deliveries(&mut self, now: Millis) -> Vec<DueDelivery> {
        let Webhooks { hooks, deliveries, .. } = &mut self.webhooks;
        let due = deliveries.iter_mut().filter(|(_, d)| !d.is_active && d.due <= now);
        let start = |(id, delivery): (&u64, &mut Delivery)| {
            let hook = hooks.get(&delivery.hook)?;
            delivery.is_active = true;
            let body = match hook.batchable {
                true => json!({ "events": delivery.events, "total": delivery.events.len() }),
                false => delivery.events[0].clone(),
            };
            let (url, secret) = (hook.url.clone(), hook.secret.clone());
            let retried = delivery.retried;
            Some(DueDelivery { id: *id, url, secret, body: body.to_string(), retried })
        };
        due.filter_map(start).collect()
    }

    /// Ends a delivery, or plans its retry unless the answer was 2xx. `status` is none where no
    /// answer came in time.
    pub fn end_delivery(&mut self, id: u64, status: Option<u16>, now: Millis) {
        let Webhooks { hooks, deliveries, .. } = &mut self.webhooks;
        let Some(delivery) = deliveries.get_mut(&id) else { return };
        if let Some(hook) = hooks.get_mut(&delivery.hook) {
            hook.last_fired_at = Some(Stamp::of(now));
            hook.response_code = status;
        }
        let is_delivered = status.is_some_and(|status| (200..300).contains(&status));
        match RETRIES.get(delivery.retried) {
            Some(delay) if !is_delivered => {
                delivery.due = now + delay;
                delivery.retried += 1;
                delivery.is_active = false;
            }
            Some(_) | None => {
                deliveries.remove(&id);
            }
        }
    }

    /// The time of the next delivery.
    pub fn next_delivery(&self) -> Option<Millis> {
        let waiting = self.webhooks.deliveries.values().filter(|delivery| !delivery.is_active);
        waiting.map(|delivery| delivery.due).min()
    }

    /// Says whether no delivery is due or under way.
    pub fn is_quiet(&self, now: Millis) -> bool {
        let mut deliveries = self.webhooks.deliveries.values();
        deliveries.all(|delivery| !delivery.is_active && delivery.due > now)
    }

    /// The number of deliveries that are neither made nor given up.
    pub fn pending_deliveries(&self) -> usize {
        self.webhooks.deliveries.len()
    }
}

impl Webhooks {
    fn enqueue(&mut self, hook: u64, batchable: bool, payload: Value, now: Millis) {
        let collects =
            |d: &&mut Delivery| d.hook == hook && d.retried == 0 && !d.is_active && d.due > now;
        let collecting = self.deliveries.values_mut().find(collects).filter(|_| batchable);
        if let Some(delivery) = collecting {
            return delivery.events.push(payload);
        }
        let due = if batchable { now + COLLECTING } else { now };
        let events = vec![payload];
        self.last_delivery += 1;
        let delivery = Delivery { hook, events, due, retried: 0, is_active: false };
        self.deliveries.insert(self.last_delivery, delivery);
    }
}
