//! The mapping between a table of the database and the fields and groups of MailerLite, and the
//! rules by which both are merged. It stands in `[contacts]` of `syncline.toml`.

use std::collections::BTreeMap;

use crate::engine::model::table::TableName;

/// The mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactMapping {
    /// The table of the contacts. Its primary key is a uuid.
    pub table: TableName,
    /// The column of the address.
    pub email: String,
    /// The condition in SQL that says who is kept in step. A person who leaves it is left as they
    /// are on both sides.
    pub filter: Option<String>,
    /// The fate of subscribers whom the database does not know.
    pub import: ImportPolicy,
    /// People whom MailerLite does not know are created there.
    pub create: bool,
    /// The column of the consent.
    pub status: Option<StatusColumn>,
    /// The column that is set once a person asked to be forgotten.
    pub erased: Option<String>,
    /// The column of the time of a row's last change, for the policy `newest`.
    pub updated: Option<String>,
    /// The database takes over that a person subscribed again at MailerLite. Otherwise it is a
    /// conflict.
    pub accept_resubscribe: bool,
    /// The columns and fields that belong together.
    pub fields: Vec<FieldRule>,
    /// The groups that are managed. No other group is ever touched.
    pub groups: Vec<GroupRule>,
}

/// The fate of subscribers whom the database does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportPolicy {
    /// They are left alone.
    Off,
    /// A person decides on each.
    #[default]
    Hold,
    /// A row is made for each.
    Create,
}

/// The column of the consent, and its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusColumn {
    /// The column.
    pub column: String,
    /// The value of a person who wants no mail.
    pub unsubscribed: String,
    /// The value of a person who gets mail; none: nobody's return is written.
    pub active: Option<String>,
    /// The value of a person whose mail came back; none: a bounce is not written.
    pub bounced: Option<String>,
    /// The value of a person who called the mail junk; none: that of `unsubscribed`.
    pub junk: Option<String>,
}

/// The way that values may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Either side may change the value.
    #[default]
    Both,
    /// The database owns the value.
    ToMailerLite,
    /// MailerLite owns the value.
    FromMailerLite,
}

/// The rule for a value that both sides changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// The database wins.
    Database,
    /// MailerLite wins.
    MailerLite,
    /// The side wins whose record changed last. MailerLite has one time for all fields.
    Newest,
    /// A person decides.
    #[default]
    Hold,
}

/// The effect of a value that one side emptied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmptiedValue {
    /// The other side keeps its value.
    #[default]
    Keep,
    /// The other side is emptied, too.
    Clear,
}

/// A column and the field that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRule {
    /// The column.
    pub column: String,
    /// The key of the field, which outlives a renaming of the field.
    pub field: String,
    /// The way that values may take.
    pub direction: Direction,
    /// The rule for a value that both sides changed.
    pub conflict: ConflictPolicy,
    /// The rule for values that differ although nothing was ever agreed on.
    pub first: ConflictPolicy,
    /// The effect of an emptied value.
    pub emptied: EmptiedValue,
    /// Space around a value does not count when values are compared.
    pub trim: bool,
    /// The most characters that are written to MailerLite; a longer value is set apart, never cut.
    pub max_length: Option<usize>,
    /// The values of the field by the values of the column; empty: they are the same.
    pub values: BTreeMap<String, String>,
    /// The value of the field for all other values of the column.
    pub default: Option<String>,
}

/// A managed group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRule {
    /// The name of the group at MailerLite.
    pub group: String,
    /// The source of the membership.
    pub member: Membership,
    /// The group is made if MailerLite lacks it.
    pub create: bool,
}

/// The source of a membership in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// A condition in SQL on the row. The database owns the membership.
    When(String),
    /// A column of type boolean. Either side may change it.
    Column(String),
}

impl Membership {
    /// The column, if one holds the membership.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::When(_) => None,
            Self::Column(column) => Some(column),
        }
    }
}

impl FieldRule {
    /// A rule by which column and field have the same values, and either side may change them.
    pub fn plain(column: &str, field: &str) -> Self {
        Self {
            column: column.to_owned(),
            field: field.to_owned(),
            direction: Direction::Both,
            conflict: ConflictPolicy::Hold,
            first: ConflictPolicy::Hold,
            emptied: EmptiedValue::Keep,
            trim: true,
            max_length: None,
            values: BTreeMap::new(),
            default: None,
        }
    }
}
