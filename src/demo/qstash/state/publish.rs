//! Accepting messages: to a URL or to all of a group, at most once for a deduplication key.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::records::{Order, Published, Receipt};
use super::store::State;
use crate::demo::qstash::message::Message;
use crate::demo::qstash::terms::{Deduplication, Terms, check_url};
use crate::demo::qstash::{Millis, Refused};

/// The time for which a deduplication key is remembered.
const REMEMBERED: Millis = 10 * 60 * 1000;

/// An order whose headers were read, with where it comes from.
pub(super) struct Draft {
    pub destination: String,
    pub terms: Terms,
    pub asked: Vec<(String, String)>,
    pub body: Bytes,
    pub schedule_id: Option<String>,
}

/// A destination that was looked up.
struct Target {
    url: String,
    group: Option<String>,
    endpoint: Option<String>,
}

impl State {
    /// Accepts a message for its destination, or one for each endpoint of a group.
    pub fn publish(&mut self, order: Order, now: Millis) -> Result<Published, Refused> {
        let Order { destination, headers, body } = order;
        let terms = Terms::read(&headers)?;
        let schedule_id = None;
        self.send(Draft { destination, terms, asked: headers, body, schedule_id }, now)
    }

    pub(super) fn send(&mut self, draft: Draft, now: Millis) -> Result<Published, Refused> {
        let targets = self.targets(&draft.destination)?;
        if let Some(flow) = &draft.terms.flow {
            self.pace(flow);
        }
        let is_group = targets.iter().any(|target| target.group.is_some());
        let mut receipts: Vec<Receipt> =
            targets.into_iter().map(|target| self.send_to(target, &draft, now)).collect();
        match receipts.pop() {
            Some(only) if !is_group => Ok(Published::One(only)),
            last => Ok(Published::Group(receipts.into_iter().chain(last).collect())),
        }
    }

    fn send_to(&mut self, target: Target, draft: &Draft, now: Millis) -> Receipt {
        let key = deduplication_key(&target, draft);
        self.seen.retain(|_, (_, until)| *until > now);
        if let Some((message_id, _)) = key.as_ref().and_then(|key| self.seen.get(key)) {
            let message_id = message_id.clone();
            return Receipt { message_id, url: target.url, deduplicated: true };
        }
        let id = self.ids.mint("msg_");
        if let Some(key) = key {
            self.seen.insert(key, (id.clone(), now + REMEMBERED));
        }
        let Target { url, group, endpoint } = target;
        let terms = draft.terms.clone();
        let delayed = now + terms.delay.unwrap_or(0);
        let message = Message {
            id: id.clone(),
            url: url.clone(),
            group,
            endpoint,
            schedule_id: draft.schedule_id.clone(),
            body: draft.body.clone(),
            not_before: terms.not_before.unwrap_or(delayed).max(now),
            terms,
            asked: draft.asked.clone(),
            created_at: now,
        };
        self.accept(message, now);
        Receipt { message_id: id, url, deduplicated: false }
    }

    /// Publishes a message again under a new id; `changes` go over the headers it came with.
    pub(super) fn send_again(
        &mut self,
        message: &Arc<Message>,
        changes: &[(String, String)],
        now: Millis,
    ) -> Result<String, Refused> {
        let is_changed = |name: &str| changes.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        let kept = message.asked.iter().filter(|(name, _)| !is_changed(name));
        let asked: Vec<_> = kept.chain(changes).cloned().collect();
        // A dead letter is not the message that the key was given to.
        let mut terms = match asked.is_empty() {
            true => message.terms.clone(),
            false => Terms::read(&asked)?,
        };
        terms.deduplication = None;
        if !is_changed("upstash-not-before") {
            terms.not_before = None;
        }
        let target = Target {
            url: message.url.clone(),
            group: message.group.clone(),
            endpoint: message.endpoint.clone(),
        };
        let draft = Draft {
            destination: message.url.clone(),
            terms,
            asked,
            body: message.body.clone(),
            schedule_id: message.schedule_id.clone(),
        };
        Ok(self.send_to(target, &draft, now).message_id)
    }

    fn targets(&self, destination: &str) -> Result<Vec<Target>, Refused> {
        if let Some(group) = self.groups.get(destination) {
            let name = Some(destination.to_owned());
            let targets = group.endpoints.iter().map(|endpoint| Target {
                url: endpoint.url.clone(),
                group: name.clone(),
                endpoint: endpoint.name.clone(),
            });
            return Ok(targets.collect());
        }
        check_url(destination)
            .map_err(|why| Refused::bad(format!("invalid destination url: {why}")))?;
        Ok(vec![Target { url: destination.to_owned(), group: None, endpoint: None }])
    }
}

/// Each endpoint of a group has its own message, so the key is theirs as well.
fn deduplication_key(target: &Target, draft: &Draft) -> Option<String> {
    let id = match draft.terms.deduplication.as_ref()? {
        Deduplication::Id(id) => format!("id {id}"),
        Deduplication::Content => {
            let mut hash = Sha256::new();
            let headers = format!("{:?}", draft.terms.headers);
            for part in [draft.destination.as_bytes(), headers.as_bytes(), &draft.body] {
                hash.update(part.len().to_be_bytes());
                hash.update(part);
            }
            format!("content {:?}", hash.finalize())
        }
    };
    Some(match target.group {
        None => id,
        Some(_) => format!("{id} {}", target.url),
    })
}
