//! The outsides of contacts: their database here, and more in the files beside.
//!
//! - `list`: the mailing list
//! - `quotas`: what all programs of a deployment may do together

mod list;
pub mod quotas;

use async_trait::async_trait;

pub use super::desk::ports::{ContactDesk, ContactStanding, LogEntry, RecordedConflict};
use crate::engine::model::contacts::conflict::Conflict;
use crate::engine::model::contacts::contact::{Contact, ContactId};
use crate::engine::model::contacts::email::Email;
pub use crate::engine::model::contacts::link::Link;
use crate::engine::model::contacts::shadow::AgreedState;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;
pub use list::{
    Allowance, FieldKind, Found, ListField, ListGroup, MOST_WRITES, MailingList, SubscriberName,
    SubscriberPage, SubscriberWrite, UnreadableSubscriber, Verdict,
};

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
