//! The text of a request: columns, conditions and values, each in the spelling that PostgREST
//! reads.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::adapters::json_rows;
use crate::engine::model::shape::{MovedColumn, Shape};

/// The characters that have a meaning in a URL, or to PostgREST in one.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':');

/// The longest list of conditions in a URL. Gateways refuse URLs of 8 KiB (facts/postgrest.md,
/// section 1), and the columns stand in the URL, too.
const LONGEST_CONDITIONS: usize = 3_000;

/// Spells a text for a URL.
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// The words that PostgREST takes for its own where a condition's column stands.
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

/// Spells a column's name. Quotes keep a dot or a comma in it from being read as a separator.
pub fn column_name(column: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let is_plain = column.chars().all(plain) && !RESERVED.contains(&column);
    if is_plain && !column.is_empty() { column.to_owned() } else { quote(column) }
}

/// Quotes a value that stands among conditions, which end at commas and parentheses.
pub fn quote(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Spells the columns of rows that travel, in their order.
pub fn select_all(shape: &Shape) -> String {
    shape.columns.iter().map(select_column).collect::<Vec<_>>().join(",")
}

/// Spells some columns of a table.
pub fn select<'a>(shape: &Shape, names: impl Iterator<Item = &'a str>) -> String {
    let columns = names.map(|name| with_cast(name, shape.source_type(name)));
    columns.collect::<Vec<_>>().join(",")
}

/// Spells one column.
pub fn select_column(column: &MovedColumn) -> String {
    with_cast(&column.name, &column.source_type)
}

/// Casts a column to text if JSON does not show its values as they are.
fn with_cast(name: &str, type_name: &str) -> String {
    let cast = if json_rows::is_told_as_it_is(type_name) { "" } else { "::text" };
    format!("{}{cast}", column_name(name))
}

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query(String);

impl Query {
    /// Adds a parameter.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(&encode(key));
        self.0.push('=');
        self.0.push_str(&encode(value));
        self
    }

    /// Adds a parameter if there is one.
    #[must_use]
    pub fn with_some(self, parameter: Option<(String, String)>) -> Self {
        match parameter {
            Some((key, value)) => self.with(&key, &value),
            None => self,
        }
    }

    /// The parameters as they follow the URL's question mark.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The conditions for the rows after a position, where rows are ordered by these columns: a bound
/// of the first column, which an index finds, and a condition that tells equal values apart.
pub fn conditions_after(columns: &[(&str, &str)]) -> Vec<(String, String)> {
    let [(first, value), more @ ..] = columns else { return Vec::new() };
    if more.is_empty() {
        return vec![(column_name(first), format!("gt.{value}"))];
    }
    let mut alternatives = Vec::with_capacity(columns.len());
    for (at, (column, value)) in columns.iter().enumerate() {
        let equal = columns[..at].iter().map(|(column, value)| (column, "eq", value));
        let terms: Vec<String> = equal
            .chain([(column, "gt", value)])
            .map(|(column, operator, value)| {
                format!("{}.{operator}.{}", column_name(column), quote(value))
            })
            .collect();
        alternatives.push(match terms.as_slice() {
            [only] => only.clone(),
            all => format!("and({})", all.join(",")),
        });
    }
    vec![
        (column_name(first), format!("gte.{value}")),
        ("or".to_owned(), format!("({})", alternatives.join(","))),
    ]
}

/// The condition for the rows that have one of these values in these columns.
fn condition_among(columns: &[String], values: &[&Vec<String>]) -> (String, String) {
    if let [only] = columns {
        let all: Vec<String> = values.iter().map(|row| quote(&row[0])).collect();
        return (column_name(only), format!("in.({})", all.join(",")));
    }
    let row = |row: &&Vec<String>| {
        let pairs = columns.iter().zip(row.iter());
        let terms: Vec<String> = pairs
            .map(|(name, value)| format!("{}.eq.{}", column_name(name), quote(value)))
            .collect();
        format!("and({})", terms.join(","))
    };
    let rows: Vec<String> = values.iter().map(row).collect();
    ("or".to_owned(), format!("({})", rows.join(",")))
}

/// Spells the ascending order by these columns.
pub fn ascending(columns: &[String]) -> String {
    columns
        .iter()
        .map(|column| format!("{}.asc", column_name(column)))
        .collect::<Vec<_>>()
        .join(",")
}

/// The conditions for the rows that have one of these values in these columns, each of them short
/// enough for a URL.
pub fn conditions_among(columns: &[String], values: &[Vec<String>]) -> Vec<(String, String)> {
    let mut conditions = Vec::new();
    let (mut batch, mut length) = (Vec::new(), 0);
    for row in values {
        let longer: usize = columns
            .iter()
            .zip(row)
            .map(|(column, value)| encode(column).len() + encode(value).len() + 16)
            .sum();
        if length + longer > LONGEST_CONDITIONS && !batch.is_empty() {
            conditions.push(condition_among(columns, &batch));
            (batch, length) = (Vec::new(), 0);
        }
        batch.push(row);
        length += longer;
    }
    if !batch.is_empty() {
        conditions.push(condition_among(columns, &batch));
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_quoted_where_they_hold_marks() {
        for (column, named) in [("a_1", "a_1"), ("a.b", "\"a.b\""), ("order", "\"order\"")] {
            assert_eq!(column_name(column), named);
        }
        assert_eq!(quote("d\"q\\,)"), r#""d\"q\\,)""#);
        assert_eq!(encode("a b+&%é/#?"), "a%20b%2B%26%25%C3%A9%2F%23%3F");
    }

    #[test]
    fn rows_with_equal_cursors_are_told_apart_by_the_key() {
        let conditions = |columns: &[(&str, &str)]| {
            let parameters = conditions_after(columns).into_iter();
            parameters.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        assert_eq!(conditions(&[("id", "7")]), ["id=gt.7"]);
        assert_eq!(
            conditions(&[("at", "x"), ("id", "7"), ("n", "2")]),
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
        assert_eq!(condition_among(&columns[..1], &[&one, &two]).1, "in.(\"1\",\"2\")");
        assert_eq!(
            condition_among(&columns, &[&one, &two]).1,
            "(and(id.eq.\"1\",n.eq.\"a\"),and(id.eq.\"2\",n.eq.\"b\"))"
        );
    }

    #[test]
    fn keys_are_asked_for_in_urls_that_gateways_take() {
        let values: Vec<Vec<String>> = (0..500).map(|n| vec![format!("{n:036}")]).collect();
        let conditions = conditions_among(&["id".to_owned()], &values);
        assert!(conditions.len() > 1);
        for (_, condition) in &conditions {
            assert!(encode(condition).len() < 4_000, "{}", condition.len());
        }
        let asked: usize =
            conditions.iter().map(|(_, condition)| condition.split(',').count()).sum();
        assert_eq!(asked, 500);
    }
}
