//! Cancelling messages, one or all that a filter meets. The filter is that of the logs and the dead
//! letter queue as well.

use std::sync::Arc;

use super::records::LogState;
use super::store::{Stage, State};
use crate::demo::qstash::Millis;
use crate::demo::qstash::message::{CALLER_IP, Message};

/// Which messages are meant: those that meet all that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these ids; empty is any id.
    pub message_ids: Vec<String>,
    /// The destination.
    pub url: Option<String>,
    /// The schedule.
    pub schedule_id: Option<String>,
    /// One of its labels.
    pub label: Option<String>,
    /// The flow control key.
    pub flow_key: Option<String>,
    /// The address of its publisher.
    pub caller_ip: Option<String>,
    /// Not earlier.
    pub from: Option<Millis>,
    /// Not later.
    pub to: Option<Millis>,
}

impl Filter {
    /// Says whether a message is meant; `time` is compared with the dates.
    pub fn matches(&self, message: &Message, time: Millis) -> bool {
        let same = |wanted: &Option<String>, is: Option<&String>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        let flow_key = message.terms.flow.as_ref().map(|flow| &flow.key);
        let labels = &message.terms.labels;
        (self.message_ids.is_empty() || self.message_ids.contains(&message.id))
            && same(&self.url, Some(&message.url))
            && same(&self.schedule_id, message.schedule_id.as_ref())
            && same(&self.flow_key, flow_key)
            && self.label.as_ref().is_none_or(|label| labels.contains(label))
            && self.caller_ip.as_ref().is_none_or(|ip| ip == CALLER_IP)
            && self.from.is_none_or(|from| from <= time)
            && self.to.is_none_or(|to| time <= to)
    }
}

impl State {
    /// Cancels a message; no attempt will begin any more. `false` where there is none.
    pub fn cancel(&mut self, id: &str, now: Millis) -> bool {
        let Some(underway) = self.underway.get_mut(id) else {
            return false;
        };
        let message = Arc::clone(&underway.message);
        if underway.stage == Stage::Active {
            underway.is_cancelled = true;
            self.note(LogState::CancelRequested, &message, now);
        } else {
            self.underway.remove(id);
            self.note(LogState::Cancelled, &message, now);
        }
        true
    }

    /// Cancels what the filter meets, `most` of it at most, and tells how many.
    pub fn cancel_all(&mut self, filter: &Filter, most: usize, now: Millis) -> usize {
        let messages = self.messages().filter(|m| filter.matches(m, m.created_at)).take(most);
        let ids: Vec<String> = messages.map(|message| message.id.clone()).collect();
        ids.iter().filter(|id| self.cancel(id, now)).count()
    }
}
