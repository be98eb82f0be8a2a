//! Prints a row's values as a database prints them in a record, from the values that an API shows,
//! and finds the range of its key. A database hashes the same text, so both hashes can be compared.

use std::cmp::Ordering;

use md5::{Digest, Md5};

use super::super::call::rows;
use super::super::fault::RestError;
use super::order::Order;
use crate::engine::model::cursor::Cursor;
use crate::engine::model::range::{Comparison, FilledFrom, KeyRange, RowKey};
use crate::engine::model::shape::{MovedColumn, Shape};
use crate::engine::model::type_name::unmodified;

/// A row of the source.
#[derive(Clone, Copy)]
pub struct PrintedRow<'a> {
    /// The compared table.
    pub shape: &'a Shape,
    /// The row as a JSON object, the columns in the shape's order.
    pub row: &'a [u8],
}

impl PrintedRow<'_> {
    /// Hashes the row: 64 bits of the md5 of its text.
    pub fn digest(&self) -> Result<i64, RestError> {
        let mut values = Vec::with_capacity(self.shape.columns.len());
        for (place, column) in self.shape.columns.iter().enumerate() {
            values.push(self.value(place, column)?);
        }
        Ok(first_bits(&record(&values)))
    }

    /// Hashes each column.
    pub fn columns(&self) -> Result<Vec<String>, RestError> {
        let hash = |(place, column)| {
            let bits = first_bits(&record(&[self.value(place, column)?]));
            Ok(format!("{:016x}", bits.cast_unsigned()))
        };
        self.shape.columns.iter().enumerate().map(hash).collect()
    }

    /// Returns the key, printed as both sides print it.
    pub fn key(&self) -> Result<RowKey, RestError> {
        let value = |name: &String| {
            let (place, column) = moved_column(self.shape, name);
            let shown = self.cast(place, column)?;
            shown.map(|shown| key_text(column, shown)).ok_or_else(|| RestError::NoKey(name.clone()))
        };
        Ok(RowKey::new(self.shape.key.iter().map(value).collect::<Result<_, RestError>>()?))
    }

    /// Says whether the row is settled: the target has reached its cursor, and was filled with rows
    /// of its age.
    pub fn is_settled(&self, compared: &Comparison<'_>) -> Result<bool, RestError> {
        let is_reached = self.is_reached(compared.settled_to)?;
        Ok(is_reached && self.is_in_filled_span(compared.filled_from)?)
    }

    fn is_reached(&self, settled_to: Option<&str>) -> Result<bool, RestError> {
        let (Some(limit), Cursor::Column { name, .. }) = (settled_to, &self.shape.cursor) else {
            return Ok(true);
        };
        let (place, column) = moved_column(self.shape, name);
        let order = self.compare(place, column, limit)?;
        Ok(order.is_none_or(|order| order != Ordering::Greater))
    }

    /// Says whether the row is not older than the rows that the target was filled with. The column
    /// of its age stands behind the compared columns.
    fn is_in_filled_span(&self, filled_from: Option<&FilledFrom>) -> Result<bool, RestError> {
        let Some(FilledFrom { column, from }) = filled_from else { return Ok(true) };
        let order = self.compare(self.shape.columns.len(), column, from)?;
        Ok(order.is_none_or(|order| order != Ordering::Less))
    }

    /// Compares a column's value with another one. Returns nothing if the value is NULL.
    fn compare(
        &self,
        place: usize,
        column: &MovedColumn,
        other: &str,
    ) -> Result<Option<Ordering>, RestError> {
        let other = cast_to_text(column.printed_type(), other.to_owned());
        let shown = self.cast(place, column)?;
        Ok(shown.map(|shown| Order::of(column).compare(&shown, &other)))
    }

    /// Returns a column's value as a cast to text prints it.
    fn cast(&self, place: usize, column: &MovedColumn) -> Result<Option<String>, RestError> {
        Ok(rows::value(self.row, place)?.map(|shown| cast_to_text(&column.source_type, shown)))
    }

    /// Returns a column's value as a record prints it. If the two sides have different types, it is
    /// printed as text.
    fn value(&self, place: usize, column: &MovedColumn) -> Result<Option<String>, RestError> {
        let shown = self.cast(place, column)?;
        let is_same = column.source_type == column.target_type;
        Ok(shown.map(|shown| match unmodified(column.printed_type()).as_ref() {
            "boolean" if is_same => shown[..1].to_owned(),
            // A cast prints the length of every network, a record leaves out that of a single host.
            "inet" if is_same => {
                let whole = if shown.contains(':') { "/128" } else { "/32" };
                shown.strip_suffix(whole).unwrap_or(&shown).to_owned()
            }
            "character" | "bpchar" if !is_same => shown.trim_end_matches(' ').to_owned(),
            _ => shown,
        }))
    }
}

/// Refuses a table that no API can compare. A source's value is converted to the target's type
/// before it is compared, which no API offers: the two types must print every value alike.
pub fn refuse_incomparable(shape: &Shape) -> Result<(), RestError> {
    let kind = |name: &str| match unmodified(name).as_ref() {
        "smallint" | "integer" | "bigint" => "whole".to_owned(),
        "text" | "character varying" => "text".to_owned(),
        other => other.to_owned(),
    };
    let differs = |column: &MovedColumn| kind(&column.source_type) != kind(column.printed_type());
    // Equal numbers are one key only where the target sees numbers on both sides.
    let is_key = |column: &&MovedColumn| shape.key.contains(&column.name);
    let is_number =
        |name: &str| matches!(&*unmodified(name), "numeric" | "real" | "double precision");
    let is_number_in_domain = |column: &MovedColumn| {
        is_key(&column) && column.target_base.as_deref().is_some_and(is_number)
    };
    if shape.columns.iter().any(|column| differs(column) || is_number_in_domain(column)) {
        return Err(RestError::NoDigests);
    }
    // Where nothing but keys is compared, rows will be deleted by them.
    if shape.columns.iter().all(|column| is_key(&column)) {
        let is_rounded =
            |column: &&MovedColumn| ROUNDED.contains(&&*unmodified(column.printed_type()));
        if let Some(column) = shape.columns.iter().find(is_rounded) {
            return Err(RestError::HiddenType(column.name.clone()));
        }
    }
    Ok(())
}

/// The types whose values a column may round or pad, by a modifier that no API shows. The target
/// may spell such a key in another way, and its row would seem to be missing from the source, and
/// would be deleted.
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

/// Compares two keys, in the order that both sides have.
pub fn compare_keys(shape: &Shape, one: &RowKey, other: &RowKey) -> Ordering {
    let pairs = one.values().iter().zip(other.values()).zip(&shape.key);
    let orders = pairs
        .map(|((one, other), name)| Order::of(moved_column(shape, name).1).compare(one, other));
    orders.fold(Ordering::Equal, Ordering::then)
}

/// Returns the index of the range that holds a key, if one does.
pub fn range_of_key(shape: &Shape, ranges: &[KeyRange], key: &RowKey) -> Option<usize> {
    let before = |range: &KeyRange| {
        range.upto.as_ref().is_some_and(|upto| compare_keys(shape, key, upto) == Ordering::Greater)
    };
    let place = ranges.partition_point(before);
    let range = ranges.get(place)?;
    let is_within = range
        .after
        .as_ref()
        .is_none_or(|after| compare_keys(shape, key, after) == Ordering::Greater);
    is_within.then_some(place)
}

/// Returns a moved column with its place in a row.
pub fn moved_column<'a>(shape: &'a Shape, name: &str) -> (usize, &'a MovedColumn) {
    let place = shape.place(name).expect("key and cursor columns are among the moved ones");
    (place, &shape.columns[place])
}

/// Turns a value as JSON shows it into what a cast to text prints: a time has a blank in the place
/// of the T, and the zone's minutes only if there are some.
fn cast_to_text(type_name: &str, shown: String) -> String {
    match unmodified(type_name).as_ref() {
        "timestamp without time zone" => shown.replacen('T', " ", 1),
        "timestamp with time zone" => shown.replacen('T', " ", 1).replacen("+00:00", "+00", 1),
        _ => shown,
    }
}

/// Returns a key column's text. Equal numbers have one text, however they are spelled. Blanks at
/// the end do not count if the target's type pads its values, and do count if only the source's
/// does.
fn key_text(column: &MovedColumn, shown: String) -> String {
    let is_same = column.source_type == column.target_type;
    match unmodified(column.printed_type()).as_ref() {
        "numeric" if is_same && shown.contains('.') => {
            shown.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        "real" | "double precision" if is_same && shown == "-0" => "0".to_owned(),
        "character" | "bpchar" => shown.trim_end_matches(' ').to_owned(),
        _ => shown,
    }
}

/// Prints a record: NULL is empty, and a value that could be read as a separator is quoted.
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
                target_base: None,
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
            assert_eq!(cast_to_text(type_name, shown.to_owned()), text);
        }
    }
}
