//! The outsides of contacts: their database, and the mailing list.
//!
//! - `quotas`: what all programs of a deployment may do together

pub mod quotas;

use std::time::Duration;

use async_trait::async_trait;

pub use super::desk::ports::{ContactDesk, ContactStanding, LogEntry, RecordedConflict};
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
pub use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::{MailerLiteId, Subscriber};
use crate::engine::model::fault::Fault;

/// The database of the contacts. Each method is one transaction.
#[async_trait]
pub trait ContactStore: Send + Sync {
    /// Makes the state tables, or fails if an older system's lack a column that is needed.
    async fn prepare(&self) -> Result<(), Fault>;

    /// Counts the rows and the links.
    async fn counts(&self) -> Result<ContactCounts, Fault>;

    /// Reads the links to subscribers with ids of a range. A row that is gone, or has left the
    /// mapping's condition, is none.
    async fn links(&self, range: &IdRange) -> Result<Vec<Link>, Fault>;

    /// Reads the links of the rows with these addresses, in any spelling.
    async fn links_by_email(&self, emails: &[Email]) -> Result<Vec<Link>, Fault>;

    /// Reads the links to these subscribers.
    async fn links_by_subscriber(&self, ids: &[MailerLiteId]) -> Result<Vec<Link>, Fault>;

    /// Reads links of rows that refuse mail where nobody has agreed on that yet.
    async fn opt_outs(&self, most: u32) -> Result<Vec<Link>, Fault>;

    /// Reads the rows without a link that have one of these addresses, in any spelling.
    async fn unlinked(&self, emails: &[Email]) -> Result<Vec<Contact>, Fault>;

    /// Reads the first rows without a link, in the order of their keys.
    async fn new_rows(&self, after: Option<&ContactId>, most: u32) -> Result<Vec<Contact>, Fault>;

    /// Saves people together: rows, links, shadows, conflicts and log. Returns the keys of those
    /// who were saved. Nothing of a person is saved whose row would be written, and has other values
    /// than those that the change was decided on, or is not in the mapping any more.
    async fn save(&self, run: &str, people: &[PersonCommit]) -> Result<Vec<ContactId>, Fault>;

    /// Reads the columns of the mapped table; none if there is no such table.
    async fn columns(&self) -> Result<Vec<TableColumn>, Fault>;

    /// Makes rows with their links and shadows, and returns the subscribers. Rows of one call
    /// are made together. None is made for an address that a row has already, also one that the
    /// mapping's condition leaves out.
    async fn import(&self, run: &str, people: &[NewRow]) -> Result<Vec<MailerLiteId>, Fault>;

    /// Keeps the questions about people who have no link. An open one about the same subject is
    /// brought up to date.
    async fn hold(&self, people: &[HeldPerson]) -> Result<(), Fault>;

    /// Reads the open questions about people without a link.
    async fn open_questions(&self, range: &StrangerRange) -> Result<Vec<OpenQuestion>, Fault>;

    /// Ends questions that nobody has to answer any more.
    async fn settle(&self, questions: &[OpenQuestion]) -> Result<(), Fault>;

    /// Returns those addresses whose person asked to be forgotten.
    async fn suppressed(&self, emails: &[Email]) -> Result<Vec<Email>, Fault>;

    /// Forgets a person here: link, shadow, questions, and the values in the log. The addresses
    /// are kept as keyed hashes alone, so that nobody brings the person back.
    async fn erase(&self, run: &str, person: &ErasedPerson) -> Result<(), Fault>;
}

/// A column of the mapped table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    /// The name.
    pub name: String,
    /// The type, as Postgres writes it.
    pub kind: String,
}

/// A row that is made for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow {
    /// The subscriber.
    pub subscriber: MailerLiteId,
    /// The values by their columns. Other columns have their defaults.
    pub values: Vec<(String, String)>,
    /// The state that both sides agree on.
    pub agreed: AgreedState,
}

/// A question about somebody who has no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPerson {
    /// The row, if there is one.
    pub contact: Option<ContactId>,
    /// The subscriber, if there is one.
    pub subscriber: Option<MailerLiteId>,
    /// The question.
    pub conflict: Conflict,
}

impl HeldPerson {
    /// The name of the person in `sync_conflicts`.
    pub fn person(&self) -> String {
        match (&self.contact, &self.subscriber) {
            (Some(contact), _) => contact.to_string(),
            (None, Some(subscriber)) => format!("b:{subscriber}"),
            (None, None) => "b:".to_owned(),
        }
    }
}

/// A range of people without a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StrangerRange {
    /// Subscribers by their ids.
    Subscribers(IdRange),
    /// Rows by their keys: those after the first key, up to the second one.
    Rows(Option<ContactId>, Option<ContactId>),
}

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The name of the person in `sync_conflicts`.
    pub person: String,
    /// The subject.
    pub subject: String,
}

/// A person who asked to be forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedPerson {
    /// The row.
    pub contact: ContactId,
    /// The subscribers who are or were the person's.
    pub subscribers: Vec<MailerLiteId>,
    /// The addresses that the person had.
    pub emails: Vec<Email>,
}

/// The progress of contacts, in the one row of `sync_state` that dashboards read. The row has a
/// value for each field, as `backfill`.
#[async_trait]
pub trait SyncStatusStore: Send + Sync {
    /// Reads all fields.
    async fn fields(&self) -> Result<serde_json::Map<String, serde_json::Value>, Fault>;

    /// Sets a field if it still has the value that was read; none: if it has none. Returns false,
    /// and sets nothing, if it has another one. Other fields stay.
    async fn swap(
        &self,
        field: &str,
        was: Option<&serde_json::Value>,
        value: &serde_json::Value,
    ) -> Result<bool, Fault>;
}

/// The numbers of rows and links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContactCounts {
    /// The rows that the mapping's condition lets in.
    pub rows: u64,
    /// The links of the crosswalk.
    pub links: u64,
}

/// A range of subscribers' ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdRange {
    /// All ids are smaller; none: there is no such bound.
    pub below: Option<MailerLiteId>,
    /// No id is smaller; none: there is no such bound.
    pub from: Option<MailerLiteId>,
}

/// The changes of one person that are saved together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonCommit {
    /// The row's key.
    pub contact: ContactId,
    /// The subscriber.
    pub subscriber: MailerLiteId,
    /// The row that the changes were decided on; none if they do not depend on it.
    pub decided: Option<Box<Contact>>,
    /// The changes of the row.
    pub row: Vec<ColumnChange>,
    /// The state that both sides agree on from now on.
    pub agreed: AgreedState,
    /// The questions that are open. Others of this person are closed.
    pub conflicts: Vec<Conflict>,
    /// The entries of the log.
    pub actions: Vec<LoggedAction>,
}

/// A change of one column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnChange {
    /// The column.
    pub column: String,
    /// The new value.
    pub value: Option<String>,
    /// The value that the change was decided on.
    pub was: Option<String>,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedAction {
    /// The name of the act, as in `update`.
    pub name: String,
    /// The values before and after.
    pub details: serde_json::Value,
}

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
