//! The text of a request: columns, conditions and values, each in the spelling that PostgREST
//! reads.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::engine::model::json_rows;
use crate::engine::model::shape::Shape;

/// All that has a meaning in a URL, or to PostgREST in one.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// The longest list of conditions in a URL. Gateways refuse URLs of 8 KiB (facts/postgrest.md,
/// section 1), and the columns stand in it too.
const LONGEST_CONDITIONS: usize = 3_000;

/// A text in a URL.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// What PostgREST takes for its own where a condition's column stands.
const RESERVED: [&str; 10] = [
    "select",
    "order",
    "limit",
    "offset",
    "columns",
    "on_conflict",
    "and",
    "or",
    "not.and",
    "not.or",
];

/// A column's name. Quotes keep a dot or a comma in it from being read as ours.
pub fn name(column: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_plain = column.chars().all(plain) && !RESERVED.contains(&column);
    if is_plain && !column.is_empty() { column.to_owned() } else { quoted(column) }
}

/// A value between conditions, which end at commas and parentheses.
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The columns of rows that travel, in their order: what JSON would tell wrongly is cast to text.
pub fn columns(shape: &Shape) -> String {
    let column = |name: &str, type_name: &str| {
        let cast = if json_rows::is_told_as_it_is(type_name) { "" } else { "::text" };
        format!("{}{cast}", self::name(name))
    };
    let columns = shape.columns.iter().map(|of| column(&of.name, &of.source_type));
    columns.collect::<Vec<_>>().join(",")
}

/// The same of some columns alone.
pub fn some<'a>(shape: &Shape, names: impl Iterator<Item = &'a str>) -> String {
    let columns = names.map(|column| {
        let cast =
            if json_rows::is_told_as_it_is(shape.source_type(column)) { "" } else { "::text" };
        format!("{}{cast}", name(column))
    });
    columns.collect::<Vec<_>>().join(",")
}

/// What a request asks for, put together.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&encoded(key));
        self.0.push('=');
        self.0.push_str(&encoded(value));
        self
    }

    /// Adds a parameter where there is one.
    #[must_use]
    pub fn with_some(self, parameter: Option<(String, String)>) -> Self {
        match parameter {
            Some((key, value)) => self.with(&key, &value),
            None => self,
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rows after a position, where rows are ordered by these columns: the first column's bound,
/// which an index finds, and the condition that tells equal values apart.
pub fn after(columns: &[(&str, &str)]) -> Vec<(String, String)> {
    let [(first, value), more @ ..] = columns else { return Vec::new() };
    if more.is_empty() {
        return vec![(name(first), format!("gt.{value}"))];
    }
    let mut alternatives = Vec::with_capacity(columns.len());
    for (at, (column, value)) in columns.iter().enumerate() {
        let equal = columns[..at].iter().map(|(of, value)| (of, "eq", value));
        let terms: Vec<String> = equal
            .chain([(column, "gt", value)])
            .map(|(of, operator, value)| format!("{}.{operator}.{}", name(of), quoted(value)))
            .collect();
        alternatives.push(match terms.as_slice() {
            [only] => only.clone(),
            all => format!("and({})", all.join(",")),
        });
    }
    vec![
        (name(first), format!("gte.{value}")),
        ("or".to_owned(), format!("({})", alternatives.join(","))),
    ]
}

/// The rows that have one of these values in these columns.
pub fn among(columns: &[String], values: &[&Vec<String>]) -> (String, String) {
    if let [only] = columns {
        let all: Vec<String> = values.iter().map(|row| quoted(&row[0])).collect();
        return (name(only), format!("in.({})", all.join(",")));
    }
    let row = |row: &&Vec<String>| {
        let pairs = columns.iter().zip(row.iter());
        let terms: Vec<String> =
            pairs.map(|(of, value)| format!("{}.eq.{}", name(of), quoted(value))).collect();
        format!("and({})", terms.join(","))
    };
    let rows: Vec<String> = values.iter().map(row).collect();
    ("or".to_owned(), format!("({})", rows.join(",")))
}

/// The order by these columns.
pub fn order(columns: &[String]) -> String {
    columns.iter().map(|column| format!("{}.asc", name(column))).collect::<Vec<_>>().join(",")
}

/// The conditions for rows with these values, each short enough for a URL.
pub fn batches(columns: &[String], values: &[Vec<String>]) -> Vec<(String, String)> {
    let mut batches = Vec::new();
    let (mut batch, mut length) = (Vec::new(), 0);
    for row in values {
        let own: usize = columns
            .iter()
            .zip(row)
            .map(|(column, value)| encoded(column).len() + encoded(value).len() + 16)
            .sum();
        if length + own > LONGEST_CONDITIONS && !batch.is_empty() {
            batches.push(among(columns, &batch));
            (batch, length) = (Vec::new(), 0);
        }
        batch.push(row);
        length += own;
    }
    if !batch.is_empty() {
        batches.push(among(columns, &batch));
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted_where_they_hold_marks() {
        for (column, named) in [("a_1", "a_1"), ("a.b", "\"a.b\""), ("order", "\"order\"")] {
            assert_eq!(name(column), named);
        }
        assert_eq!(quoted("d\"q\\,)"), r#""d\"q\\,)""#);
        assert_eq!(encoded("a b+&%é/#?"), "a%20b%2B%26%25%C3%A9%2F%23%3F");
    }

    #[test]
    fn what_comes_after_is_told_apart_by_the_key() {
        let told = |columns: &[(&str, &str)]| {
            let parameters = after(columns).into_iter();
            parameters.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(told(&[("id", "7")]), ["id=gt.7"]);
        assert_eq!(
            told(&[("at", "x"), ("id", "7"), ("n", "2")]),
            [
                "at=gte.x",
                "or=(at.gt.\"x\",and(at.eq.\"x\",id.gt.\"7\"),and(at.eq.\"x\",id.eq.\"7\",n.gt.\"2\"))"
            ]
        );
    }

    #[test]
    fn several_keys_are_asked_for_at_once() {
        let (one, two) =
            (vec!["1".to_owned(), "a".to_owned()], vec!["2".to_owned(), "b".to_owned()]);
        let columns = ["id".to_owned(), "n".to_owned()];
        assert_eq!(among(&columns[..1], &[&one, &two]).1, "in.(\"1\",\"2\")");
        assert_eq!(
            among(&columns, &[&one, &two]).1,
            "(and(id.eq.\"1\",n.eq.\"a\"),and(id.eq.\"2\",n.eq.\"b\"))"
        );
    }

    #[test]
    fn keys_are_asked_for_in_urls_that_gateways_take() {
        let values: Vec<Vec<String>> = (0..500).map(|n| vec![format!("{n:036}")]).collect();
        let batches = batches(&["id".to_owned()], &values);
        assert!(batches.len() > 1);
        for (_, condition) in &batches {
            assert!(encoded(condition).len() < 4_000, "{}", condition.len());
        }
        let asked: usize = batches.iter().map(|(_, among)| among.split(',').count()).sum();
        assert_eq!(asked, 500);
    }
}
