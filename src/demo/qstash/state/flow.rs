//! Flow control: how many deliveries with the same key are under way, and how many begin within a
//! period. The limits of the latest message count for all.

use super::records::Flow;
use super::store::State;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::FlowTerms;

impl State {
    pub(super) fn pace(&mut self, terms: &FlowTerms) {
        let flow = self.flows.entry(terms.key.clone()).or_insert_with(|| Flow::new(terms.clone()));
        flow.limits = terms.clone();
    }

    pub(super) fn flow_of(&mut self, message: &Message) -> Option<&mut Flow> {
        message.terms.flow.as_ref().and_then(|flow| self.flows.get_mut(&flow.key))
    }
}
