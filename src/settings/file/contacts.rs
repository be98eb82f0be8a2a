//! Reads `[contacts]`: the mapping between a table and the fields and groups of MailerLite, and the
//! caps of a run.

use std::collections::{BTreeMap, BTreeSet};

use super::walk::{Section, Walk};
use crate::engine::model::contacts::limits::{ChangeKind, Limit, Limits};
use crate::engine::model::contacts::mapping::{
    ConflictPolicy, ContactMapping, Direction, EmptiedValue, FieldRule, GroupRule, ImportPolicy,
    Membership, StatusColumn,
};
use crate::engine::model::table::TableName;
use crate::settings::errors::Problem;

/// The `[contacts]` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContacts {
    /// The mapping.
    pub mapping: ContactMapping,
    /// The caps of a run.
    pub limits: Limits,
}

const DIRECTIONS: [(&str, Direction); 3] = [
    ("both", Direction::Both),
    ("to-mailerlite", Direction::ToMailerLite),
    ("from-mailerlite", Direction::FromMailerLite),
];

const POLICIES: [(&str, ConflictPolicy); 4] = [
    ("hold", ConflictPolicy::Hold),
    ("database", ConflictPolicy::Database),
    ("mailerlite", ConflictPolicy::MailerLite),
    ("newest", ConflictPolicy::Newest),
];

const IMPORTS: [(&str, ImportPolicy); 3] =
    [("off", ImportPolicy::Off), ("hold", ImportPolicy::Hold), ("create", ImportPolicy::Create)];

const EMPTIED: [(&str, EmptiedValue); 2] =
    [("keep", EmptiedValue::Keep), ("clear", EmptiedValue::Clear)];

/// The keys of `[contacts.limits]` for the kinds of changes.
const LIMITS: [(&str, ChangeKind); 6] = [
    ("create", ChangeKind::Create),
    ("update", ChangeKind::Update),
    ("unsubscribe", ChangeKind::Unsubscribe),
    ("join_group", ChangeKind::JoinGroup),
    ("leave_group", ChangeKind::LeaveGroup),
    ("rejected", ChangeKind::Rejected),
];

impl Walk<'_> {
    /// Reads the section; none if it is missing or incomplete.
    pub(super) fn contacts(&mut self, root: &mut Section<'_>) -> Option<FileContacts> {
        let mut section = self.section(root, "contacts")?;
        let table = self.required_text(&mut section, "table").and_then(|(text, span)| {
            let table = TableName::parse(&text);
            table.map_err(|bad| self.report(&span, Some("table"), bad.into())).ok()
        });
        let email = self.required_column(&mut section, "email");
        let updated = self.own_column(&mut section, "updated");
        let mapping = ContactMapping {
            filter: self.text(&mut section, "where").map(|(filter, _)| filter),
            import: self.choice(&mut section, "import", &IMPORTS).unwrap_or_default(),
            create: self.switch(&mut section, "create").unwrap_or(true),
            status: self.status(&mut section),
            erased: self.own_column(&mut section, "erased"),
            accept_resubscribe: self.switch(&mut section, "accept_resubscribe").unwrap_or(false),
            fields: self.fields(&mut section, updated.is_some()),
            groups: self.groups(&mut section),
            updated,
            table: table.clone().unwrap_or_else(|| TableName::new("", "")),
            email: email.clone().unwrap_or_default(),
        };
        let has_active = mapping.status.as_ref().is_some_and(|status| status.active.is_some());
        if mapping.accept_resubscribe && !has_active {
            self.report(&section.span, Some("accept_resubscribe"), Problem::NoActive);
        }
        let limits = self.limits(&mut section);
        self.refuse_unknown(&section);
        table.and(email).map(|_| FileContacts { mapping, limits })
    }

    fn status(&mut self, contacts: &mut Section<'_>) -> Option<StatusColumn> {
        let mut section = self.section(contacts, "status")?;
        let column = self.required_column(&mut section, "column");
        let unsubscribed = self.required_text(&mut section, "unsubscribed");
        let status = StatusColumn {
            column: column?,
            unsubscribed: unsubscribed?.0,
            active: self.text(&mut section, "active").map(|(value, _)| value),
            bounced: self.text(&mut section, "bounced").map(|(value, _)| value),
            junk: self.text(&mut section, "junk").map(|(value, _)| value),
        };
        self.refuse_unknown(&section);
        Some(status)
    }

    fn fields(&mut self, contacts: &mut Section<'_>, has_updated: bool) -> Vec<FieldRule> {
        let mut rules: Vec<FieldRule> = Vec::new();
        for mut section in self.sections(contacts, "field") {
            let Some(rule) = self.field(&mut section, has_updated) else { continue };
            // Two columns of one field would take turns, and so would two fields that write one
            // column.
            let same_field = rules.iter().any(|other| other.field == rule.field);
            let same_column = rules.iter().any(|other| {
                let both = [other, &rule];
                other.column == rule.column
                    && both.iter().all(|rule| rule.direction != Direction::ToMailerLite)
            });
            if same_field {
                self.report(&section.span, Some("field"), Problem::Duplicate(rule.field.clone()));
            } else if same_column {
                self.report(&section.span, Some("column"), Problem::Duplicate(rule.column.clone()));
            }
            rules.push(rule);
        }
        rules
    }

    fn field(&mut self, section: &mut Section<'_>, has_updated: bool) -> Option<FieldRule> {
        let column = self.required_column(section, "column");
        let field = self.required_text(section, "field");
        let direction = self.choice(section, "direction", &DIRECTIONS).unwrap_or_default();
        let rule = FieldRule {
            direction,
            conflict: self.policy(section, "conflict", has_updated),
            first: self.policy(section, "first", has_updated),
            emptied: self.choice(section, "empty", &EMPTIED).unwrap_or_default(),
            trim: self.switch(section, "trim").unwrap_or(true),
            max_length: self.count(section, "max_length").and_then(|most| most.try_into().ok()),
            values: self.values(section, direction),
            default: self.text(section, "default").map(|(value, _)| value),
            column: column.clone().unwrap_or_default(),
            field: field.clone().map(|(key, _)| key).unwrap_or_default(),
        };
        self.refuse_unknown(section);
        column.and(field).map(|_| rule)
    }

    fn policy(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        has_updated: bool,
    ) -> ConflictPolicy {
        let policy = self.choice(section, key, &POLICIES).unwrap_or_default();
        if policy == ConflictPolicy::Newest && !has_updated {
            self.report(&section.span, Some(key), Problem::NoUpdated);
        }
        policy
    }

    /// Reads the values of a field by those of its column. A value that comes back from MailerLite
    /// must stand for one value of the column.
    fn values(
        &mut self,
        section: &mut Section<'_>,
        direction: Direction,
    ) -> BTreeMap<String, String> {
        let values = self.text_map(section, "values");
        let mut targets = BTreeSet::new();
        let twice = values.values().find(|value| !targets.insert(value.as_str()));
        if let Some(twice) = twice.filter(|_| direction != Direction::ToMailerLite) {
            self.report(&section.span, Some("values"), Problem::TwoMeanings(twice.clone()));
        }
        values
    }

    fn groups(&mut self, contacts: &mut Section<'_>) -> Vec<GroupRule> {
        let mut rules: Vec<GroupRule> = Vec::new();
        for mut section in self.sections(contacts, "group") {
            let Some(rule) = self.group(&mut section) else { continue };
            if rules.iter().any(|other| other.group == rule.group) {
                self.report(&section.span, Some("group"), Problem::Duplicate(rule.group.clone()));
            }
            rules.push(rule);
        }
        rules
    }

    fn group(&mut self, section: &mut Section<'_>) -> Option<GroupRule> {
        let group = self.required_text(section, "group");
        let condition = self.text(section, "when").map(|(condition, _)| condition);
        let column = self.own_column(section, "column");
        let direction = self.choice(section, "direction", &DIRECTIONS);
        let create = self.switch(section, "create").unwrap_or(false);
        self.refuse_unknown(section);
        let member = match (condition, column) {
            (Some(condition), None) => Membership::When(condition),
            (None, Some(column)) => Membership::Column(column),
            (Some(_), Some(_)) | (None, None) => {
                self.report(&section.span, None, Problem::OneMembership);
                return None;
            }
        };
        let (word, possible) = match member {
            Membership::When(_) => ("to-mailerlite", Direction::ToMailerLite),
            Membership::Column(_) => ("both", Direction::Both),
        };
        if direction.is_some_and(|direction| direction != possible) {
            self.report(&section.span, Some("direction"), Problem::GroupDirection(word));
        }
        Some(GroupRule { group: group?.0, member, create })
    }

    fn limits(&mut self, contacts: &mut Section<'_>) -> Limits {
        let mut limits = Limits::default();
        let Some(mut section) = self.section(contacts, "limits") else { return limits };
        for (key, kind) in LIMITS {
            if let Some((text, span)) = self.number_or_text(&mut section, key) {
                match Limit::parse(&text) {
                    Ok(limit) => drop(limits.by_kind.insert(kind, limit)),
                    Err(bad) => self.report(&span, Some(key), bad.into()),
                }
            }
        }
        limits.per_day = self.count(&mut section, "per_day").unwrap_or(limits.per_day);
        self.refuse_unknown(&section);
        limits
    }

    fn required_column(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<String> {
        self.required_text(section, key).map(|column| self.column(key, column))
    }

    fn own_column(&mut self, section: &mut Section<'_>, key: &'static str) -> Option<String> {
        self.text(section, key).map(|column| self.column(key, column))
    }
}

#[cfg(test)]
#[path = "contacts_tests.rs"]
mod tests;
