//! The check of a mapping against both sides: its columns, its fields with their types, and its
//! groups.

use std::time::Duration;

use super::field_types;
use super::paced::{PacedList, Stop};
use super::ports::{FieldKind, ListField, ListGroup, TableColumn};
use super::sides::ContactSides;
use crate::engine::model::contacts::mapping::{Direction, Membership};
use crate::engine::model::contacts::subscriber::MailerLiteId;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The time that the check may take.
const PATIENCE: Duration = Duration::from_secs(90);

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
    /// No sync can be made. Otherwise the rest goes on.
    pub stops: bool,
}

/// The groups of a mapping as MailerLite has them.
#[derive(Debug, Default)]
pub struct FoundGroups {
    /// The ids, in the mapping's order.
    pub ids: Vec<Option<MailerLiteId>>,
    /// The problems.
    pub problems: Vec<MappingProblem>,
}

/// Checks the mapping.
pub async fn check(sides: &ContactSides<'_>) -> Result<CheckedMapping, Fault> {
    let list = PacedList::new(sides.list, sides.clock, PATIENCE);
    let columns = sides.store.columns().await?;
    let mut problems = check_columns(sides, &columns);
    let read = async {
        let fields = list.fields().await?;
        Ok((fields, match_groups(sides, &list.groups().await?)))
    };
    let (fields, groups) = match read.await {
        Ok(read) => read,
        Err(Stop::Fault(fault)) => return Err(fault),
        Err(Stop::Here) => {
            let message = "MailerLite takes no more calls for a while";
            let hint = "try again in two minutes";
            return Err(Fault::new(Step::Plan, FaultCode::MailerliteBusy, message, hint));
        }
    };
    problems.extend(check_fields(sides, &fields, &columns));
    problems.extend(groups.problems);
    Ok(CheckedMapping { groups: groups.ids, problems })
}

/// Finds the mapping's groups, and makes those that it says unless nothing may be written. A name
/// that two groups have stops the sync: nobody knows which one is meant.
pub async fn find_groups(
    sides: &ContactSides<'_>,
    list: &PacedList<'_>,
    may_create: bool,
) -> Result<FoundGroups, Stop> {
    if sides.mapping.groups.is_empty() {
        return Ok(FoundGroups::default());
    }
    let groups = list.groups().await?;
    let mut found = match_groups(sides, &groups);
    if let Some(problem) = found.problems.iter().find(|problem| problem.stops) {
        let (message, hint) = (&problem.message, &problem.hint);
        let code = FaultCode::MailerliteRefused;
        return Err(Fault::new(Step::Plan, code, message.clone(), hint.clone()).into());
    }
    for (rule, id) in sides.mapping.groups.iter().zip(&mut found.ids) {
        if id.is_none() && rule.create && may_create {
            *id = Some(list.create_group(&rule.group).await?.id);
        }
    }
    Ok(found)
}

fn match_groups(sides: &ContactSides<'_>, groups: &[ListGroup]) -> FoundGroups {
    let mut found = FoundGroups::default();
    for rule in &sides.mapping.groups {
        let mut named = groups.iter().filter(|group| group.name == rule.group);
        let (first, second) = (named.next(), named.next());
        let name = &rule.group;
        if second.is_some() {
            found.problems.push(MappingProblem {
                subject: name.clone(),
                message: format!("MailerLite has several groups with the name {name}"),
                hint: "rename all but one of them in MailerLite".to_owned(),
                stops: true,
            });
        } else if first.is_none() && !rule.create {
            found.problems.push(MappingProblem {
                subject: name.clone(),
                message: format!("MailerLite has no group with the name {name}"),
                hint: "make the group, correct `group`, or set `create = true`".to_owned(),
                stops: false,
            });
        }
        found.ids.push(first.map(|group| group.id.clone()));
    }
    found
}

fn check_columns(sides: &ContactSides<'_>, columns: &[TableColumn]) -> Vec<MappingProblem> {
    let mapping = sides.mapping;
    let problem = |subject: &str, message: String, hint: &str| MappingProblem {
        subject: subject.to_owned(),
        message,
        hint: hint.to_owned(),
        stops: true,
    };
    if columns.is_empty() {
        let message = format!("The database has no table {}", mapping.table);
        return vec![problem(&mapping.table.to_string(), message, "correct `table` in [contacts]")];
    }
    let rules = mapping.fields.iter().map(|rule| rule.column.as_str());
    let members = mapping.groups.iter().filter_map(|rule| rule.member.column());
    let others = [
        Some(mapping.email.as_str()),
        mapping.status.as_ref().map(|status| status.column.as_str()),
        mapping.erased.as_deref(),
        mapping.updated.as_deref(),
    ];
    let named = others.into_iter().flatten().chain(rules).chain(members);
    let is_missing = |name: &&str| !columns.iter().any(|column| column.name == **name);
    let mut problems: Vec<MappingProblem> = named
        .filter(is_missing)
        .map(|name| {
            let message = format!("The table {} has no column {name}", mapping.table);
            problem(name, message, "correct the name in [contacts], or add the column")
        })
        .collect();
    for rule in &mapping.groups {
        let Membership::Column(name) = &rule.member else { continue };
        let column = columns.iter().find(|column| column.name == *name);
        if let Some(column) = column.filter(|column| column.kind != "boolean") {
            let message = format!("The column {name} of a group is of type {}", column.kind);
            problems.push(problem(name, message, "name a column of type boolean, or use `when`"));
        }
    }
    problems
}

fn check_fields(
    sides: &ContactSides<'_>,
    fields: &[ListField],
    columns: &[TableColumn],
) -> Vec<MappingProblem> {
    let mut problems = Vec::new();
    for rule in &sides.mapping.fields {
        let key = &rule.field;
        let mut problem = |message: String, hint: String| {
            problems.push(MappingProblem { subject: key.clone(), message, hint, stops: false });
        };
        let Some(field) = fields.iter().find(|field| field.key == *key) else {
            let titled = fields.iter().find(|field| field.name.eq_ignore_ascii_case(key));
            let hint = match titled {
                Some(field) => format!("write the field's key, `{}`", field.key),
                None => "make the field in MailerLite, or correct its key in [contacts]".to_owned(),
            };
            problem(format!("MailerLite has no field with the key {key}"), hint);
            continue;
        };
        let takes_text = !rule.values.is_empty() && rule.direction != Direction::FromMailerLite;
        if takes_text {
            if field.kind != FieldKind::Text {
                let hint = "use a field of type text for values that `values` names".to_owned();
                problem(format!("The field {key} does not hold text"), hint);
            }
            continue;
        }
        let Some(column) = columns.iter().find(|column| column.name == rule.column) else {
            continue;
        };
        if let Some(hint) = field_types::misfit(field.kind, &column.kind, rule.direction) {
            let (name, kind, field) = (&column.name, &column.kind, field.kind.name());
            let message = format!(
                "The column {name} is of type {kind} and the field {key} of type {field}, so one \
                 side refuses values of the other"
            );
            problem(message, hint.to_owned());
        }
    }
    problems
}
