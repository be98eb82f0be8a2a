//! A statement and the values that it is bound to.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::engine::model::hex::hex;

/// A statement with the values of its `$n`.
#[derive(Clone, Debug)]
pub struct Statement {
    /// The text.
    pub text: String,
    /// The values, in their order.
    pub values: Vec<Parameter>,
    /// The form of the answer.
    pub gives: Gives,
    /// The expected answer. With any other answer, the transaction is undone.
    pub expects: Option<Expects>,
}

/// The form of a statement's answer. A function that runs a statement has to know the form, since a
/// statement that only writes has no rows to read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Gives {
    /// Rows.
    Rows,
    /// One JSON value, to be passed on unread.
    Json,
    /// The number of rows that the statement wrote, if any.
    #[serde(rename = "nothing")]
    RowCount,
}

/// An expected answer, on which the rest of a transaction depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expects {
    /// One row at least.
    SomeRow,
    /// No row.
    NoRow,
}

impl Statement {
    /// Makes a statement that returns rows.
    pub fn rows(text: impl Into<String>, values: impl Into<Vec<Parameter>>) -> Self {
        Self { text: text.into(), values: values.into(), gives: Gives::Rows, expects: None }
    }

    /// Makes a statement that only writes.
    pub fn write(text: impl Into<String>, values: impl Into<Vec<Parameter>>) -> Self {
        Self { gives: Gives::RowCount, ..Self::rows(text, values) }
    }

    /// Sets the expected answer of the statement.
    pub fn expecting(self, answer: Expects) -> Self {
        Self { expects: Some(answer), ..self }
    }
}

/// The values of a statement whose text is still being built.
#[derive(Default)]
pub struct Parameters(pub Vec<Parameter>);

impl Parameters {
    /// Adds a value. Returns the `$n` that stands for it in the text.
    pub fn bind(&mut self, value: impl Into<Parameter>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }
}

/// A value for a statement's `$n`, with its type, so that the server need not infer it.
#[derive(Clone, Debug)]
pub enum Parameter {
    /// A `boolean`.
    Bool(bool),
    /// A `bigint`, or NULL.
    Int(Option<i64>),
    /// A `text`, or NULL.
    Text(Option<String>),
    /// A `text[]`, or NULL.
    Texts(Option<Vec<String>>),
    /// A `bytea`.
    Bytes(Bytes),
}

/// Bytes as the driver takes them. A part of a copy has megabytes, so they are not copied.
#[derive(Debug)]
struct SharedBytes(Bytes);

impl ToSql for SharedBytes {
    fn to_sql(
        &self,
        own_type: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        self.0.as_ref().to_sql(own_type, out)
    }

    fn accepts(own_type: &Type) -> bool {
        <&[u8] as ToSql>::accepts(own_type)
    }

    to_sql_checked!();
}

impl Parameter {
    /// Returns the name of the value's type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "boolean",
            Self::Int(_) => "bigint",
            Self::Text(_) => "text",
            Self::Texts(_) => "text[]",
            Self::Bytes(_) => "bytea",
        }
    }

    /// Returns the value and its type as the driver needs them.
    pub fn bound(self) -> (Box<dyn ToSql + Sync + Send>, Type) {
        match self {
            Self::Bool(value) => (Box::new(value), Type::BOOL),
            Self::Int(value) => (Box::new(value), Type::INT8),
            Self::Text(value) => (Box::new(value), Type::TEXT),
            Self::Texts(value) => (Box::new(value), Type::TEXT_ARRAY),
            Self::Bytes(value) => (Box::new(SharedBytes(value)), Type::BYTEA),
        }
    }

    /// Returns the value as text that can be cast to its type, or nothing for NULL.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => value.map(|number| number.to_string()),
            Self::Text(value) => value,
            Self::Bytes(value) => Some(format!("\\x{}", hex(&value))),
            Self::Texts(value) => value.map(|texts| {
                let quoted = texts
                    .iter()
                    .map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
                format!("{{{}}}", quoted.collect::<Vec<_>>().join(","))
            }),
        }
    }
}

macro_rules! parameter {
    ($($rust:ty => |$value:ident| $parameter:expr),+ $(,)?) => {
        $(impl From<$rust> for Parameter {
            fn from($value: $rust) -> Self {
                $parameter
            }
        })+
    };
}

parameter! {
    bool => |value| Self::Bool(value),
    i64 => |value| Self::Int(Some(value)),
    Option<i64> => |value| Self::Int(value),
    String => |value| Self::Text(Some(value)),
    Option<String> => |value| Self::Text(value),
    Vec<String> => |value| Self::Texts(Some(value)),
    Option<Vec<String>> => |value| Self::Texts(value),
    Bytes => |value| Self::Bytes(value),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Option<&str>> for Parameter {
    fn from(text: Option<&str>) -> Self {
        text.map(str::to_owned).into()
    }
}
