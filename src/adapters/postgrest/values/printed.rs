//! A row's values as a database prints them in a record, told from what an API shows of them; and
//! the place of its key among ranges. A database hashes that text, so its hash can be compared with
//! one that is made here.

use std::cmp::Ordering;

use md5::{Digest, Md5};

use super::super::call::query;
use super::super::call::rows::text;
use super::super::fault::RestError;
use super::order::{self, Order};
use crate::engine::model::cursor::Cursor;
use crate::engine::model::json_rows;
use crate::engine::model::range::{Comparison, FilledFrom, KeyRange, RowKey};
use crate::engine::model::shape::{MovedColumn, Shape};
use crate::engine::model::type_name::unmodified;

/// A row of the source.
#[derive(Clone, Copy)]
pub struct Printed<'a> {
    /// What is compared.
    pub shape: &'a Shape,
    /// Its object, the columns in the shape's order.
    pub row: &'a [u8],
}

impl Printed<'_> {
    /// 64 bits of the md5 of the row's text.
    pub fn digest(&self) -> Result<i64, RestError> {
        let mut values = Vec::with_capacity(self.shape.columns.len());
        for (place, column) in self.shape.columns.iter().enumerate() {
            values.push(self.value(place, column)?);
        }
        Ok(first_bits(&record(&values)))
    }

    /// A hash of each column.
    pub fn columns(&self) -> Result<Vec<String>, RestError> {
        let hash = |(place, column)| {
            let bits = first_bits(&record(&[self.value(place, column)?]));
            Ok(format!("{:016x}", bits.cast_unsigned()))
        };
        self.shape.columns.iter().enumerate().map(hash).collect()
    }

    /// The key, printed alike on both sides.
    pub fn key(&self) -> Result<RowKey, RestError> {
        let value = |name: &String| {
            let (place, column) = of(self.shape, name);
            let shown = self.shown(place, column)?;
            shown.map(|shown| key_text(column, shown)).ok_or_else(|| RestError::NoKey(name.clone()))
        };
        Ok(RowKey::new(self.shape.key.iter().map(value).collect::<Result<_, RestError>>()?))
    }

    /// The key as the API shows it, which conditions are made of.
    pub fn raw_key(&self) -> Result<RowKey, RestError> {
        let value = |name: &String| {
            let (place, _) = of(self.shape, name);
            text(self.row, place)?.ok_or_else(|| RestError::NoKey(name.clone()))
        };
        Ok(RowKey::new(self.shape.key.iter().map(value).collect::<Result<_, RestError>>()?))
    }

    /// Whether the target has reached the row, and was filled with rows as old.
    pub fn is_settled(&self, compared: &Comparison<'_>) -> Result<bool, RestError> {
        Ok(self.is_reached(compared.settled_to)? && self.is_filled(compared.filled_from)?)
    }

    fn is_reached(&self, settled_to: Option<&str>) -> Result<bool, RestError> {
        let (Some(limit), Cursor::Column { name, .. }) = (settled_to, &self.shape.cursor) else {
            return Ok(true);
        };
        let (place, column) = of(self.shape, name);
        let order = self.against(place, column, limit)?;
        Ok(order.is_none_or(|order| order != Ordering::Greater))
    }

    /// The column stands behind the compared ones.
    fn is_filled(&self, filled_from: Option<&FilledFrom>) -> Result<bool, RestError> {
        let Some(FilledFrom { column, from }) = filled_from else { return Ok(true) };
        let order = self.against(self.shape.columns.len(), column, from)?;
        Ok(order.is_none_or(|order| order != Ordering::Less))
    }

    /// How a column's value stands to another; none where it is NULL.
    fn against(
        &self,
        place: usize,
        column: &MovedColumn,
        other: &str,
    ) -> Result<Option<Ordering>, RestError> {
        let other = as_text(&column.target_type, other.to_owned());
        let shown = self.shown(place, column)?;
        Ok(shown.map(|shown| Order::of(column).compare(&shown, &other)))
    }

    /// A column's value as a cast to text would print it.
    fn shown(&self, place: usize, column: &MovedColumn) -> Result<Option<String>, RestError> {
        Ok(text(self.row, place)?.map(|shown| as_text(&column.source_type, shown)))
    }

    /// A column's value in a record. Where the two sides have different types, it is printed as
    /// text.
    fn value(&self, place: usize, column: &MovedColumn) -> Result<Option<String>, RestError> {
        let shown = self.shown(place, column)?;
        let is_same = column.source_type == column.target_type;
        Ok(shown.map(|shown| match unmodified(&column.target_type).as_ref() {
            "boolean" if is_same => shown[..1].to_owned(),
            // A cast shows the length of every network, and a record none of a single host.
            "inet" if is_same => {
                let whole = if shown.contains(':') { "/128" } else { "/32" };
                shown.strip_suffix(whole).unwrap_or(&shown).to_owned()
            }
            "character" | "bpchar" if !is_same => shown.trim_end_matches(' ').to_owned(),
            _ => shown,
        }))
    }
}

/// A column in `select`: what JSON would tell wrongly is cast to text.
pub fn selected(column: &MovedColumn) -> String {
    let as_it_is = json_rows::is_told_as_it_is(&column.source_type);
    format!("{}{}", query::name(&column.name), if as_it_is { "" } else { "::text" })
}

/// A source's value takes the way into the target's type before it is compared, which no API
/// offers; where the two types may print a value differently, the source cannot be compared.
pub fn is_comparable(shape: &Shape) -> Result<(), RestError> {
    let kind = |name: &str| match unmodified(name).as_ref() {
        "smallint" | "integer" | "bigint" => "whole".to_owned(),
        "text" | "character varying" => "text".to_owned(),
        other => other.to_owned(),
    };
    let differs = |column: &MovedColumn| kind(&column.source_type) != kind(&column.target_type);
    if shape.columns.iter().any(differs) {
        return Err(RestError::NoDigests);
    }
    // Where nothing but keys is compared, rows are to go.
    let is_key = |column: &&MovedColumn| shape.key.contains(&column.name);
    if shape.columns.iter().all(|column| is_key(&column)) {
        let hides = |column: &&MovedColumn| ROUNDED.contains(&&*unmodified(&column.target_type));
        if let Some(column) = shape.columns.iter().find(hides) {
            return Err(RestError::HiddenType(column.name.clone()));
        }
    }
    Ok(())
}

/// Types whose values a column may round or pad, by a modifier that no API tells: a key that the
/// target spells otherwise would be taken for one that is gone.
const ROUNDED: [&str; 11] = [
    "numeric",
    "timestamp with time zone",
    "timestamp without time zone",
    "time with time zone",
    "time without time zone",
    "interval",
    "character",
    "bpchar",
    "bit",
    "bit varying",
    "real",
];

/// Whether a key column's own order is the same on both sides.
pub fn is_native(shape: &Shape, name: &str) -> bool {
    let (_, column) = of(shape, name);
    let types = [&column.source_type, &column.target_type];
    let is_whole =
        |name: &String| ["smallint", "integer", "bigint"].contains(&unmodified(name).as_ref());
    let same = unmodified(types[0]) == unmodified(types[1]) || types.into_iter().all(is_whole);
    same && order::is_native(types[0])
}

/// The order of two keys, which is the same on both sides.
pub fn compare(shape: &Shape, one: &RowKey, other: &RowKey) -> Ordering {
    let pairs = one.values().iter().zip(other.values()).zip(&shape.key);
    let orders = pairs.map(|((one, other), name)| {
        let (_, column) = of(shape, name);
        match is_native(shape, name) {
            true => Order::of(column).compare(one, other),
            false => one.as_bytes().cmp(other.as_bytes()),
        }
    });
    orders.fold(Ordering::Equal, Ordering::then)
}

/// The range that a key lies in, if it lies in one.
pub fn place(shape: &Shape, ranges: &[KeyRange], key: &RowKey) -> Option<usize> {
    let before = |range: &KeyRange| {
        range.upto.as_ref().is_some_and(|upto| compare(shape, key, upto) == Ordering::Greater)
    };
    let place = ranges.partition_point(before);
    let range = ranges.get(place)?;
    let is_within =
        range.after.as_ref().is_none_or(|after| compare(shape, key, after) == Ordering::Greater);
    is_within.then_some(place)
}

fn of<'a>(shape: &'a Shape, name: &str) -> (usize, &'a MovedColumn) {
    let place = shape.place(name).expect("key and cursor columns are among the moved ones");
    (place, &shape.columns[place])
}

/// What a cast to text prints of a value that JSON shows: times have a blank for the T, and the
/// zone's minutes only where there are some.
fn as_text(type_name: &str, shown: String) -> String {
    match unmodified(type_name).as_ref() {
        "timestamp without time zone" => shown.replacen('T', " ", 1),
        "timestamp with time zone" => shown.replacen('T', " ", 1).replacen("+00:00", "+00", 1),
        _ => shown,
    }
}

/// A key column's text. Numbers that are equal are one key, however they are spelled. The blanks at
/// its end are nothing where the target pads, and its own where only the source does.
fn key_text(column: &MovedColumn, shown: String) -> String {
    let is_same = column.source_type == column.target_type;
    match unmodified(&column.target_type).as_ref() {
        "numeric" if is_same && shown.contains('.') => {
            shown.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        "real" | "double precision" if is_same && shown == "-0" => "0".to_owned(),
        "character" | "bpchar" => shown.trim_end_matches(' ').to_owned(),
        _ => shown,
    }
}

/// The text of a record: NULL is nothing, and what could be taken for a separator is quoted.
fn record(values: &[Option<String>]) -> String {
    let mut text = String::from("(");
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        let Some(value) = value else { continue };
        let special =
            |letter: char| matches!(letter, '"' | '\\' | '(' | ')' | ',' | ' ' | '\t'..='\r');
        if !value.is_empty() && !value.contains(special) {
            text.push_str(value);
            continue;
        }
        text.push('"');
        text.push_str(&value.replace('\\', "\\\\").replace('"', "\"\""));
        text.push('"');
    }
    text.push(')');
    text
}

fn first_bits(text: &str) -> i64 {
    let hash = Md5::digest(text.as_bytes());
    let bits: [u8; 8] = hash[..8].try_into().expect("a hash has 16 bytes");
    i64::from_be_bytes(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_printed_as_a_server_prints_it() {
        let some = |text: &str| Some(text.to_owned());
        for (values, text) in [
            (&[some("1"), None, some("")][..], "(1,,\"\")"),
            (&[some("a b"), some("\"\\")], "(\"a b\",\"\"\"\\\\\")"),
            (&[some("(,)"), some("\u{b}"), some("ä\u{a0}")], "(\"(,)\",\"\u{b}\",ä\u{a0})"),
            (&[None], "()"),
        ] {
            assert_eq!(record(values), text);
        }
    }

    #[test]
    fn a_key_is_printed_as_the_target_has_it() {
        for (source, target, shown, key) in [
            ("character(3)", "character(3)", "a  ", "a"),
            ("character(3)", "text", "a  ", "a  "),
            ("text", "character(3)", "a  ", "a"),
            ("numeric", "numeric", "1.50", "1.5"),
            ("numeric", "text", "1.50", "1.50"),
        ] {
            let column = MovedColumn {
                name: "id".to_owned(),
                source_type: source.to_owned(),
                target_type: target.to_owned(),
                fixed: false,
                merges: false,
            };
            assert_eq!(key_text(&column, shown.to_owned()), key, "{source} {target}");
        }
    }

    #[test]
    fn times_are_printed_as_a_cast_prints_them() {
        let instant = "timestamp(3) with time zone";
        for (type_name, shown, text) in [
            (instant, "2026-01-02T03:04:05.6+00:00", "2026-01-02 03:04:05.6+00"),
            (instant, "0044-03-15T00:00:00+00:00 BC", "0044-03-15 00:00:00+00 BC"),
            (instant, "infinity", "infinity"),
            ("timestamp without time zone", "2026-01-02T03:04:05", "2026-01-02 03:04:05"),
            ("text", "T+00:00", "T+00:00"),
        ] {
            assert_eq!(as_text(type_name, shown.to_owned()), text);
        }
    }
}
