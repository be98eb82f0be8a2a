//! A row of an answer, in either form: of Postgres' own protocol, or as JSON from our function
//! behind an API. The values of a row are read by the positions of their columns.

use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use tokio_postgres::types::FromSqlOwned;

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// The row as the driver gives it.
    Wire(tokio_postgres::Row),
    /// The row as `row_to_json` wrote it.
    Json(JsonRow),
}

impl Row {
    /// Returns the value of the column at this position, counted from 0. Each statement and the
    /// code that reads its answer belong together: a value of another type is a defect of ours.
    pub fn get<T: Answer>(&self, at: usize) -> T {
        match self {
            Self::Wire(row) => row.get(at),
            Self::Json(JsonRow(values)) => {
                let value = values.get(at).expect("the statement has a column at this place");
                T::of_json(value).expect("the statement's column has this type")
            }
        }
    }

    /// Returns a number of rows. A number that cannot be one counts as none.
    pub fn count(&self, at: usize) -> u64 {
        u64::try_from(self.get::<i64>(at)).unwrap_or(0)
    }
}

/// A row's values in the order of its columns. Two columns may have the same name.
#[derive(Debug)]
pub struct JsonRow(Vec<Value>);

impl<'de> Deserialize<'de> for JsonRow {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = JsonRow;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a row as an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonRow, A::Error> {
                let mut values = Vec::new();
                while let Some((_, value)) = map.next_entry::<serde::de::IgnoredAny, Value>()? {
                    values.push(value);
                }
                Ok(JsonRow(values))
            }
        }

        from.deserialize_map(InOrder)
    }
}

/// A type of the values in an answer.
pub trait Answer: FromSqlOwned {
    /// Reads a value that `row_to_json` wrote. Returns nothing if the value has another type.
    fn of_json(value: &Value) -> Option<Self>;
}

impl Answer for bool {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Answer for i32 {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_i64()?.try_into().ok()
    }
}

impl Answer for i64 {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Answer for String {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Answer for Vec<u8> {
    fn of_json(value: &Value) -> Option<Self> {
        let digits = value.as_str()?.strip_prefix("\\x")?.as_bytes().chunks(2);
        let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        digits.map(byte).collect()
    }
}

impl Answer for SystemTime {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_str()?.parse::<jiff::Timestamp>().ok().map(Into::into)
    }
}

impl<T: Answer> Answer for Option<T> {
    fn of_json(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::of_json(value).map(Some),
        }
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn of_json(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(T::of_json).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_position_whatever_their_columns_are_called() {
        let text = r#"{"?column?":9007199254740993,"?column?":null,"a":["x",null],"z":true,
            "t":"2026-01-02T03:04:05.123456+00:00","b":"\\x00ff5c"}"#;
        let row = Row::Json(serde_json::from_str(text).expect("a row"));
        assert_eq!(row.get::<i64>(0), 9_007_199_254_740_993);
        assert_eq!(row.get::<Option<String>>(1), None);
        assert_eq!(row.get::<Vec<Option<String>>>(2), [Some("x".to_owned()), None]);
        assert!(row.get::<bool>(3));
        let since = row.get::<SystemTime>(4).duration_since(SystemTime::UNIX_EPOCH).expect("later");
        assert_eq!(since.as_micros() % 1_000_000, 123_456);
        assert_eq!(row.get::<Vec<u8>>(5), [0, 0xff, b'\\']);
    }
}
