//! Flow control: how many deliveries with the same key are under way, and how many begin within a
//! period. The limits of the latest message count for all.

use super::{Hindrance, State};
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::FlowTerms;
use crate::demo::qstash::{Millis, Refused};

/// The pace of one key.
#[derive(Clone, Debug)]
pub struct Flow {
    /// The limits that count now.
    pub limits: FlowTerms,
    /// Nothing begins.
    pub is_paused: bool,
    /// Messages do not change the parallelism.
    pub pins_parallelism: bool,
    /// Messages do not change the rate.
    pub pins_rate: bool,
    /// When the present period began.
    pub period_start: Millis,
    /// How many began in it.
    pub begun: u32,
}

impl Flow {
    fn new(limits: FlowTerms) -> Self {
        Self {
            limits,
            is_paused: false,
            pins_parallelism: false,
            pins_rate: false,
            period_start: 0,
            begun: 0,
        }
    }

    /// What the messages share.
    pub fn key(&self) -> &str {
        &self.limits.key
    }

    fn period_end(&self) -> Millis {
        self.period_start.saturating_add(self.limits.period)
    }

    pub(super) fn hindrance(&self, active: usize, now: Millis) -> Hindrance {
        let is_full = self.limits.parallelism.is_some_and(|most| active >= most as usize);
        let is_spent = self.limits.rate.is_some_and(|most| self.begun >= most);
        match self.is_paused || is_full {
            true => Hindrance::Unknown,
            false if is_spent && now < self.period_end() => Hindrance::Until(self.period_end()),
            false => Hindrance::None,
        }
    }

    pub(super) fn count(&mut self, now: Millis) {
        if now >= self.period_end() {
            self.period_start = now;
            self.begun = 0;
        }
        self.begun += 1;
    }
}

impl State {
    /// All flows that messages named.
    pub fn flows(&self) -> impl Iterator<Item = &Flow> {
        self.flows.values()
    }

    /// The flow of a key; changing it changes the pace at once.
    pub fn flow(&mut self, key: &str) -> Result<&mut Flow, Refused> {
        let not_found = || Refused::not_found(format!("flow control key {key} not found"));
        self.flows.get_mut(key).ok_or_else(not_found)
    }

    /// The flow of a key, made where there is none: one can be paused before its first message.
    pub fn flow_on_demand(&mut self, key: &str) -> &mut Flow {
        let limits = FlowTerms { key: key.to_owned(), parallelism: None, rate: None, period: 1000 };
        self.flows.entry(key.to_owned()).or_insert_with(|| Flow::new(limits))
    }

    /// How many messages of a flow wait, and how many are under way.
    pub fn flow_load(&self, key: &str) -> (usize, usize) {
        let of_flow = |message: &&std::sync::Arc<Message>| {
            message.terms.flow.as_ref().is_some_and(|flow| flow.key == key)
        };
        let active = self.active_of(key);
        (self.messages().filter(of_flow).count() - active, active)
    }

    pub(super) fn pace(&mut self, terms: &FlowTerms) {
        let flow = self.flows.entry(terms.key.clone()).or_insert_with(|| Flow::new(terms.clone()));
        if !flow.pins_parallelism {
            flow.limits.parallelism = terms.parallelism;
        }
        if !flow.pins_rate {
            flow.limits.rate = terms.rate;
            flow.limits.period = terms.period;
        }
    }

    pub(super) fn flow_of(&mut self, message: &Message) -> Option<&mut Flow> {
        message.terms.flow.as_ref().and_then(|flow| self.flows.get_mut(&flow.key))
    }
}
