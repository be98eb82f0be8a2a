//! The form of PostgREST's answers: lists of rows, and the description of a schema (Swagger 2.0).

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// The text between the brackets of a list; none if the body is no list. A list that was not read
/// to its end has no closing bracket.
pub fn list_items(body: Bytes, cut: bool) -> Option<Bytes> {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let end = body.len() - body.iter().rev().position(|byte| !byte.is_ascii_whitespace())?;
    let closed = cut || (end > start + 1 && body[end - 1] == b']');
    if body[start] != b'[' || !closed {
        return None;
    }
    let end = if cut { body.len() } else { end - 1 };
    let items = body.slice(start + 1..end);
    Some(if items.trim_ascii().is_empty() { Bytes::new() } else { items })
}

/// A schema.
#[derive(Debug, Deserialize)]
pub struct SchemaDescription {
    /// The tables and views, by name.
    #[serde(default)]
    pub definitions: BTreeMap<String, TableDescription>,
    /// The methods that each path takes.
    #[serde(default)]
    pub paths: BTreeMap<String, BTreeMap<String, serde::de::IgnoredAny>>,
}

/// A table or view.
#[derive(Debug, Deserialize)]
pub struct TableDescription {
    /// The columns that refuse NULL.
    #[serde(default)]
    pub required: Vec<String>,
    /// The columns, in their order.
    #[serde(default, deserialize_with = "in_order")]
    pub properties: Vec<(String, ColumnDescription)>,
}

/// A column.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnDescription {
    /// Its type.
    #[serde(default)]
    pub format: String,
    /// Its comment, and PostgREST's notes on keys.
    #[serde(default)]
    pub description: Option<String>,
    /// The longest text that it takes.
    #[serde(default)]
    pub max_length: Option<u32>,
    /// Its default, as far as the API shows it.
    #[serde(default)]
    pub default: Option<serde::de::IgnoredAny>,
}

/// Reads an object's members in their order, which is the columns'.
fn in_order<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Vec<(String, ColumnDescription)>, D::Error> {
    struct Members;
    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, ColumnDescription)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    from.deserialize_map(Members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_a_list_are_a_page() {
        for (body, cut, page) in [
            ("[]", false, Some("")),
            (" [ ] ", false, Some("")),
            ("[{\"a\":1}, \n {\"a\":2}]", false, Some("{\"a\":1}, \n {\"a\":2}")),
            ("[{\"a\":1}, \n {\"a\"", true, Some("{\"a\":1}, \n {\"a\"")),
            ("[{\"a\":1}", false, None),
            ("<html>", false, None),
            ("", false, None),
            ("[", false, None),
        ] {
            let items = list_items(Bytes::copy_from_slice(body.as_bytes()), cut);
            assert_eq!(items.as_deref(), page.map(str::as_bytes), "{body}");
        }
    }
}
