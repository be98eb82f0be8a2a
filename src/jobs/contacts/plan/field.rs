//! The merge of one value: the column's, the field's, and what both were when the sides agreed.
//!
//! A side has changed its value if it differs from the side's own spelling in the shadow. So a
//! value that the other side spells in its own way is no change, and no two sides correct each
//! other's spelling for ever.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::engine::model::contacts::conflict::ConflictKind;
use crate::engine::model::contacts::mapping::{ConflictPolicy, Direction, EmptiedValue, FieldRule};
use crate::engine::model::contacts::shadow::Agreed;

/// A value; none where it is NULL or was never set.
pub type Value = Option<String>;

/// A side of the contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContactSide {
    /// The database.
    A,
    /// MailerLite.
    B,
}

/// The outcome of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldMove {
    /// Neither side is written; both values are agreed on as they are.
    Keep,
    /// The database gets the value.
    ToA(Value),
    /// MailerLite gets the value.
    ToB(Value),
    /// A person decides, and neither side is written.
    Hold(ConflictKind),
    /// The value cannot go to the other side, and neither side is written.
    SetApart(SetApart),
}

/// The reason why a value cannot go to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SetApart {
    /// The value is longer than the rule allows.
    #[error("The value has more than {0} characters")]
    TooLong(usize),
    /// The rule has no value of the other side for it.
    #[error("`values` has no counterpart for the value, and there is no `default`")]
    Unmapped,
}

/// Merges a value. `newer` is the side whose record changed last, if both times are known.
pub fn merge(
    rule: &FieldRule,
    base: Option<&Agreed<Value>>,
    a: &Value,
    b: &Value,
    newer: Option<ContactSide>,
) -> FieldMove {
    let change = FieldChange { rule, a, b, newer };
    if change.is_equal() {
        return FieldMove::Keep;
    }
    let Some(base) = base else { return change.first() };
    match (!rule.is_same(&base.a, a), !rule.is_same(&base.b, b)) {
        (false, false) => FieldMove::Keep,
        (true, false) => change.follow_side(ContactSide::A),
        (false, true) => change.follow_side(ContactSide::B),
        (true, true) => change.merge_both_changes(),
    }
}

/// The values of both sides, which differ.
struct FieldChange<'a> {
    rule: &'a FieldRule,
    a: &'a Value,
    b: &'a Value,
    newer: Option<ContactSide>,
}

impl FieldChange<'_> {
    fn is_equal(&self) -> bool {
        self.rule.as_b(self.a).is_ok_and(|a| self.rule.is_same(&a, self.b))
    }

    /// One side changed the value: the other one follows, unless it owns the value.
    fn follow_side(&self, side: ContactSide) -> FieldMove {
        match self.owner() {
            Some(owner) => self.write(owner),
            None => self.write(side),
        }
    }

    fn merge_both_changes(&self) -> FieldMove {
        if let Some(owner) = self.owner() {
            return self.write(owner);
        }
        // An emptied value that empties nothing gives way to a value that somebody wrote.
        if self.rule.emptied == EmptiedValue::Keep {
            match (content(self.a), content(self.b)) {
                (None, Some(_)) => return self.write(ContactSide::B),
                (Some(_), None) => return self.write(ContactSide::A),
                _ => {}
            }
        }
        self.decide(self.rule.conflict, ConflictKind::BothChanged)
    }

    /// Nothing was ever agreed on: nobody emptied anything, so an empty side is filled.
    fn first(&self) -> FieldMove {
        let full = match (content(self.a), content(self.b)) {
            (Some(_), None) => Some(ContactSide::A),
            (None, Some(_)) => Some(ContactSide::B),
            _ => None,
        };
        match (self.owner(), full) {
            (Some(owner), Some(full)) if owner != full => FieldMove::Keep,
            (Some(owner), _) => self.write(owner),
            (None, Some(full)) => self.write(full),
            (None, None) => self.decide(self.rule.first, ConflictKind::First),
        }
    }

    fn decide(&self, policy: ConflictPolicy, kind: ConflictKind) -> FieldMove {
        match (policy, self.newer) {
            (ConflictPolicy::Database, _) => self.write(ContactSide::A),
            (ConflictPolicy::MailerLite, _) => self.write(ContactSide::B),
            (ConflictPolicy::Newest, Some(newer)) => self.write(newer),
            (ConflictPolicy::Newest, None) | (ConflictPolicy::Hold, _) => FieldMove::Hold(kind),
        }
    }

    fn owner(&self) -> Option<ContactSide> {
        match self.rule.direction {
            Direction::Both => None,
            Direction::ToMailerLite => Some(ContactSide::A),
            Direction::FromMailerLite => Some(ContactSide::B),
        }
    }

    /// Writes the value of this side to the other one.
    fn write(&self, side: ContactSide) -> FieldMove {
        let value = match side {
            ContactSide::A => self.a,
            ContactSide::B => self.b,
        };
        if content(value).is_none() && self.rule.emptied == EmptiedValue::Keep {
            return FieldMove::Keep;
        }
        let written = match side {
            ContactSide::A => self.rule.as_b(value).and_then(|value| self.rule.fit(value)),
            ContactSide::B => self.rule.as_a(value),
        };
        match (written, side) {
            (Err(reason), _) => FieldMove::SetApart(reason),
            (Ok(value), ContactSide::A) => FieldMove::ToB(value),
            (Ok(value), ContactSide::B) => FieldMove::ToA(value),
        }
    }
}

impl FieldRule {
    /// Says whether two values of one side are one: NULL and empty text are, and Unicode's
    /// compositions of one letter.
    pub fn is_same(&self, one: &Value, other: &Value) -> bool {
        self.normal(one) == self.normal(other)
    }

    fn normal<'v>(&self, value: &'v Value) -> Cow<'v, str> {
        let text = value.as_deref().unwrap_or_default();
        let text = if self.trim { text.trim() } else { text };
        match text.is_ascii() {
            true => Cow::Borrowed(text),
            false => Cow::Owned(text.nfc().collect()),
        }
    }

    /// The field's value for a column's.
    fn as_b(&self, a: &Value) -> Result<Value, SetApart> {
        let Some(text) = content(a).filter(|_| !self.values.is_empty()) else {
            return Ok(a.clone());
        };
        let known = self.values.get(text).or(self.default.as_ref());
        known.cloned().map(Some).ok_or(SetApart::Unmapped)
    }

    /// The column's value for a field's.
    fn as_a(&self, b: &Value) -> Result<Value, SetApart> {
        let Some(text) = content(b).filter(|_| !self.values.is_empty()) else {
            return Ok(b.clone());
        };
        let mut known = self.values.iter().filter(|(_, field)| *field == text);
        match (known.next(), known.next()) {
            (Some((column, _)), None) => Ok(Some(column.clone())),
            _ => Err(SetApart::Unmapped),
        }
    }

    fn fit(&self, b: Value) -> Result<Value, SetApart> {
        match (self.max_length, &b) {
            (Some(most), Some(text)) if text.chars().count() > most => Err(SetApart::TooLong(most)),
            _ => Ok(b),
        }
    }
}

fn content(value: &Value) -> Option<&str> {
    value.as_deref().filter(|text| !text.trim().is_empty())
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
