//! The mailing list: what syncs of contacts need of MailerLite.

use std::time::Duration;

use async_trait::async_trait;

use crate::engine::model::contacts::email::Email;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::engine::model::fault::Fault;

/// A mailing list. Every call counts against a limit of calls in a minute, which other programs of
/// the account share. No call waits for the limit: a throttled one fails with the code
/// `mailerlite_busy`, and `allowance` says how long.
#[async_trait]
pub trait MailingList: Send + Sync {
    /// Counts the subscribers.
    async fn total(&self) -> Result<u64, Fault>;

    /// Reads a page of subscribers with their groups, by falling id, after the page that gave the
    /// cursor.
    async fn page(&self, cursor: Option<&str>) -> Result<SubscriberPage, Fault>;

    /// Reads subscribers by address or id, with their groups, in the order asked for. It makes a
    /// call for every `MOST_WRITES` of them.
    async fn find(&self, names: &[SubscriberName]) -> Result<Vec<Found>, Fault>;

    /// Reads the fields that subscribers can have.
    async fn fields(&self) -> Result<Vec<ListField>, Fault>;

    /// Reads the groups.
    async fn groups(&self) -> Result<Vec<ListGroup>, Fault>;

    /// Makes a group. The name must not exist.
    async fn create_group(&self, name: &str) -> Result<ListGroup, Fault>;

    /// Makes at most `MOST_WRITES` changes in one call, and returns a verdict on each, in their
    /// order. A change can be made twice without harm.
    async fn write(&self, writes: &[SubscriberWrite]) -> Result<Vec<Verdict>, Fault>;

    /// Says how many calls are left, as far as the list has told.
    fn allowance(&self) -> Allowance;
}

/// The most changes of one call.
pub const MOST_WRITES: usize = 50;

/// A page of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberPage {
    /// The subscribers.
    pub subscribers: Vec<Subscriber>,
    /// Subscribers of whom the answer cannot be read.
    pub unreadable: Vec<UnreadableSubscriber>,
    /// The smallest id of the page.
    pub last: Option<MailerLiteId>,
    /// The cursor of the next page, if there is one. It does not expire.
    pub next: Option<String>,
}

/// The list's answer about one subscriber; none if the list does not have them, and the reason if
/// the answer cannot be read: nobody may take such a person for one who is gone.
pub type Found = Result<Option<Subscriber>, String>;

/// A subscriber of whom the answer cannot be read. Others of the same answer can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableSubscriber {
    /// The id, unless that is it.
    pub id: Option<MailerLiteId>,
    /// The reason.
    pub reason: String,
}

/// A name by which a subscriber is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriberName {
    /// The id.
    Id(MailerLiteId),
    /// The address.
    Email(Email),
}

/// A field that subscribers can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListField {
    /// The key, by which values are read and written.
    pub key: String,
    /// The title that people see.
    pub name: String,
    /// The type of the values.
    pub kind: FieldKind,
}

/// The type of a field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// A date.
    Date,
}

impl FieldKind {
    /// The name, as MailerLite has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
        }
    }
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListGroup {
    /// The id.
    pub id: MailerLiteId,
    /// The name. Two groups can have one name.
    pub name: String,
}

/// A change of one subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriberWrite {
    /// Makes a subscriber, or gives the fields to the one with the address. The status is left to
    /// the list.
    Create {
        /// The address.
        email: String,
        /// The values by the keys of the fields.
        fields: Vec<(String, Option<String>)>,
    },
    /// Gives values to a subscriber. Fields that are not named keep theirs.
    Update {
        /// The subscriber.
        id: MailerLiteId,
        /// The new address, if it changes.
        email: Option<String>,
        /// The values by the keys of the fields.
        fields: Vec<(String, Option<String>)>,
        /// The person is unsubscribed. There is no way back.
        unsubscribe: bool,
    },
    /// Adds a subscriber to a group.
    Join {
        /// The subscriber.
        id: MailerLiteId,
        /// The group.
        group: MailerLiteId,
    },
    /// Takes a subscriber out of a group.
    Leave {
        /// The subscriber.
        id: MailerLiteId,
        /// The group.
        group: MailerLiteId,
    },
    /// Forgets a subscriber, as the law has it.
    Forget {
        /// The subscriber.
        id: MailerLiteId,
    },
}

/// The list's answer to one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The subscriber is as the answer says.
    Saved(Subscriber),
    /// The change is made, and the answer does not show the subscriber.
    Done,
    /// The address is of a person who unsubscribed, and was not written. The id is told if the
    /// answer had it.
    Unsubscribed(Option<MailerLiteId>),
    /// The list does not have the subscriber or the group.
    Missing,
    /// The values were refused, with the list's reason, which can hold them.
    Rejected(String),
    /// The list could not do it now.
    Later,
    /// Nobody knows: the answer has no verdict, or none that can be read. The subscriber must be
    /// read before anything is said about the change.
    Unknown,
}

/// The calls that are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// The calls left in this minute, as the last answer told.
    pub calls: Option<u32>,
    /// The time until calls are taken again, if the last one was refused.
    pub pause: Option<Duration>,
}
