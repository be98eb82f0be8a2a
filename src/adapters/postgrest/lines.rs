//! A page's rows as the target takes them: the key and the values of each, and the objects of a
//! request's body.
//!
//! Values pass as they are written, digit by digit. JSON alone is put in as what it is: as a string
//! it would be stored as one (facts/postgrest.md, section 3).

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::fault::RestError;
use super::read::text;
use super::target_fault::Refusal;
use crate::engine::model::deletes::{Mark, MarkKind};
use crate::engine::model::json_rows::{self, Member};
use crate::engine::model::page::Page;
use crate::engine::model::range::RowKey;
use crate::engine::model::shape::Shape;
use crate::engine::model::type_name::unmodified;

/// The columns that a target takes of a table.
pub struct Taken<'a> {
    /// The agreement.
    pub shape: &'a Shape,
    /// The columns that the target computes.
    pub computed: &'a BTreeSet<String>,
}

impl<'a> Taken<'a> {
    /// The names and places of the columns that are written and compared.
    pub fn columns(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let (shape, computed) = (self.shape, self.computed);
        let named = shape.columns.iter().map(|column| column.name.as_str()).enumerate();
        named.filter(move |(_, name)| !computed.contains(*name))
    }
}

/// A row of a page.
pub struct Line {
    /// Its key.
    pub key: RowKey,
    /// The object that it lies in.
    bytes: Bytes,
}

impl Line {
    /// The rows of a page.
    pub fn of_page(shape: &Shape, page: &Page) -> Result<Vec<Self>, RestError> {
        let rows = json_rows::rows(&page.bytes)?;
        let line = |row| {
            let bytes = page.bytes.slice(row);
            Ok(Self { key: key(shape, &bytes)?, bytes })
        };
        rows.into_iter().map(line).collect()
    }

    /// A column's value.
    pub fn value(&self, place: usize) -> Result<Option<Vec<u8>>, RestError> {
        Ok(json_rows::text(&self.bytes, place)?)
    }

    /// The same as text.
    pub fn text(&self, place: usize) -> Result<Option<String>, RestError> {
        text(&self.bytes, place)
    }

    /// The values of a row that was read from the target are those of this one, in every byte.
    pub fn is_same(&self, taken: &Taken<'_>, there: &[u8]) -> Result<bool, RestError> {
        let mut columns = taken.columns();
        columns.try_fold(true, |same, (place, _)| {
            Ok(same && self.value(place)? == json_rows::text(there, place)?)
        })
    }

    /// Writes the object that the target takes for it; a row that JSON cannot tell is refused.
    pub fn object(
        &self,
        taken: &Taken<'_>,
        into: &mut Vec<u8>,
    ) -> Result<Result<(), Refusal>, RestError> {
        let start = into.len();
        for (place, member) in json_rows::members(&self.bytes).enumerate() {
            let member = member?;
            let column = &taken.shape.columns[place];
            if taken.computed.contains(&column.name) {
                continue;
            }
            into.push(if into.len() == start { b'{' } else { b',' });
            into.extend_from_slice(&serde_json::to_vec(&column.name)?);
            into.push(b':');
            match member {
                Member::Null => into.extend_from_slice(b"null"),
                Member::Bare(bare) => into.extend_from_slice(bare),
                Member::Quoted(_) if is_json(&column.target_type) => {
                    if let Err(refusal) = nested(&self.bytes, place, into)? {
                        into.truncate(start);
                        return Ok(Err(refusal));
                    }
                }
                Member::Quoted(quoted) => {
                    into.push(b'"');
                    into.extend_from_slice(quoted);
                    into.push(b'"');
                }
            }
        }
        if let Some(Mark { column, kind }) = &taken.shape.mark {
            into.push(b',');
            into.extend_from_slice(&serde_json::to_vec(column)?);
            into.extend_from_slice(match kind {
                MarkKind::Time => b":null",
                MarkKind::Flag => b":false",
            });
        }
        into.push(b'}');
        Ok(Ok(()))
    }
}

/// The key that stands in a row's object.
pub fn key(shape: &Shape, row: &[u8]) -> Result<RowKey, RestError> {
    let value = |column: &String| {
        let place = shape.place(column).expect("key columns are among the moved ones");
        text(row, place)?.ok_or_else(|| RestError::NoKey(column.clone()))
    };
    Ok(RowKey::new(shape.key.iter().map(value).collect::<Result<_, RestError>>()?))
}

/// The key of a row of which nothing but the key was asked for.
pub fn bare_key(shape: &Shape, row: &[u8]) -> Result<RowKey, RestError> {
    let value = |(place, column): (usize, &String)| {
        text(row, place)?.ok_or_else(|| RestError::NoKey(column.clone()))
    };
    let values = shape.key.iter().enumerate().map(value).collect::<Result<_, RestError>>()?;
    Ok(RowKey::new(values))
}

fn is_json(type_name: &str) -> bool {
    ["json", "jsonb"].contains(&unmodified(type_name).as_ref())
}

/// Puts a text in as the JSON that it is.
fn nested(row: &[u8], place: usize, into: &mut Vec<u8>) -> Result<Result<(), Refusal>, RestError> {
    let refused = |code: &str, reason: &str| {
        Ok(Err(Refusal { code: code.to_owned(), reason: reason.to_owned() }))
    };
    let text = text(row, place)?.unwrap_or_default();
    // What follows the value would be read as the row's own members.
    if serde_json::from_str::<&RawValue>(&text).is_err() {
        return refused("22P02", "The text is no JSON");
    }
    if text.trim() == "null" {
        let reason = "The API stores the JSON null as NULL, which is another value; it takes the \
            function that `syncline project-sql target` prints, or a connection";
        return refused("0A000", reason);
    }
    into.extend_from_slice(text.as_bytes());
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::cursor::Cursor;
    use crate::engine::model::facts::Relation;
    use crate::engine::model::page::Encoding;
    use crate::engine::model::pipeline::Policy;
    use crate::engine::model::shape::MovedColumn;
    use crate::engine::model::table::TableName;

    fn shape(columns: &[(&str, &str)]) -> Shape {
        let column = |(name, type_name): &(&str, &str)| MovedColumn {
            name: (*name).to_owned(),
            source_type: (*type_name).to_owned(),
            target_type: (*type_name).to_owned(),
            fixed: false,
            merges: false,
        };
        Shape {
            table: TableName::new("public", "t"),
            origin: String::new(),
            columns: columns.iter().map(column).collect(),
            key: vec!["id".to_owned()],
            cursor: Cursor::Whole,
            filter: None,
            policy: Policy::SourceWins,
            encoding: Encoding::Json,
            source: Relation::Table,
            target: Relation::Table,
            estimated_rows: 0,
            mark: None,
            lookback: None,
        }
    }

    fn lines(shape: &Shape, rows: &str) -> Vec<Line> {
        let bytes = Bytes::copy_from_slice(rows.as_bytes());
        Line::of_page(shape, &Page { bytes, ..Page::empty() }).unwrap()
    }

    fn objects(shape: &Shape, computed: &[&str], rows: &str) -> Vec<Result<String, String>> {
        let computed = computed.iter().map(|&name| name.to_owned()).collect();
        let taken = Taken { shape, computed: &computed };
        let object = |line: &Line| {
            let mut into = Vec::new();
            let written = line.object(&taken, &mut into).unwrap();
            written.map(|()| String::from_utf8(into).unwrap()).map_err(|of| of.code)
        };
        lines(shape, rows).iter().map(object).collect()
    }

    #[test]
    fn values_pass_as_they_are_written() {
        let shape = shape(&[("id", "bigint"), ("a \"b\"", "text"), ("n", "numeric")]);
        let rows = "{\"id\":9223372036854775807,\"a \\\"b\\\"\":\"\\u2028\\n\\\"\",\"n\":0.10}, \n {\"id\":2,\"a \\\"b\\\"\":null,\"n\":1}";
        assert_eq!(
            objects(&shape, &[], rows),
            [
                Ok(r#"{"id":9223372036854775807,"a \"b\"":"\u2028\n\"","n":0.10}"#.to_owned()),
                Ok(r#"{"id":2,"a \"b\"":null,"n":1}"#.to_owned()),
            ]
        );
        assert_eq!(
            objects(&shape, &["n"], r#"{"id":1,"a":"","n":5}"#)[0],
            Ok(r#"{"id":1,"a \"b\"":""}"#.to_owned())
        );
    }

    #[test]
    fn json_is_put_in_as_json_and_nothing_else_is_put_in_with_it() {
        let shape = shape(&[("id", "int"), ("raw", "jsonb")]);
        for (raw, object) in [
            (r#""{\"a\": 1.0}""#, Ok(r#"{"id":1,"raw":{"a": 1.0}}"#)),
            (r#""\"null\"""#, Ok(r#"{"id":1,"raw":"null"}"#)),
            ("null", Ok(r#"{"id":1,"raw":null}"#)),
            (r#"" null\n""#, Err("0A000")),
            (r#""1,\"id\":2""#, Err("22P02")),
            (r#""""#, Err("22P02")),
        ] {
            let row = format!("{{\"id\":1,\"raw\":{raw}}}");
            let expected = object.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(objects(&shape, &[], &row), [expected], "{raw}");
        }
    }

    #[test]
    fn a_row_is_the_same_in_every_byte_of_what_the_target_does_not_compute() {
        let shape = shape(&[("id", "int"), ("n", "numeric"), ("sum", "int")]);
        let line = &lines(&shape, r#"{"id":1,"n":0.10,"sum":3}"#)[0];
        let same = |computed: &[&str], there: &str| {
            let computed = computed.iter().map(|&name| name.to_owned()).collect();
            line.is_same(&Taken { shape: &shape, computed: &computed }, there.as_bytes()).unwrap()
        };
        assert!(same(&[], r#"{"id":1,"n":0.10,"sum":3}"#));
        assert!(!same(&[], r#"{"id":1,"n":0.1,"sum":3}"#));
        assert!(!same(&[], r#"{"id":1,"n":0.10,"sum":4}"#));
        assert!(same(&["sum"], r#"{"id":1,"n":0.10,"sum":4}"#));
    }
}
