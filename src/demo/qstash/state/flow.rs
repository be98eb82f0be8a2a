//! Flow control: how many deliveries with the same key are under way, and how many begin within a
//! period. The limits of the latest message count for all.

use super::records::Flow;
use super::store::State;
use crate::demo::qstash::Refused;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::FlowTerms;

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

    /// Counts the messages of a flow that wait, and those that are under way.
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
