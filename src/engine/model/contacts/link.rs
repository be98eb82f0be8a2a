//! A link of the crosswalk: which row is which subscriber.

use super::conflict::Conflict;
use super::contact::{Contact, ContactId};
use super::shadow::Shadow;
use super::subscriber::MailerLiteId;

/// A link of the crosswalk, with what is known on its side A.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The row's key.
    pub contact: ContactId,
    /// The subscriber's id.
    pub subscriber: MailerLiteId,
    /// The row; none if it was deleted, or left the mapping's condition.
    pub row: Option<Contact>,
    /// The last agreement.
    pub shadow: Option<Shadow>,
    /// The questions that are open.
    pub open: Vec<Conflict>,
}
