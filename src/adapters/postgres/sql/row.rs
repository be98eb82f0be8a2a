//! A row of an answer, however it came: in Postgres' own protocol, or as JSON from our function
//! behind an API. Its values are read by their places.

use std::time::SystemTime;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use tokio_postgres::types::FromSqlOwned;

/// A row of an answer.
#[derive(Debug)]
pub enum Row {
    /// As the driver gives it.
    Wire(tokio_postgres::Row),
    /// As `row_to_json` wrote it.
    Json(JsonRow),
}

impl Row {
    /// The value of the column at this place, from 0. Our statements and what is read of them
    /// belong together: a value of another type is a defect of ours.
    pub fn get<T: Answer>(&self, at: usize) -> T {
        match self {
            Self::Wire(row) => row.get(at),
            Self::Json(JsonRow(values)) => {
                let value = values.get(at).expect("the statement has a column at this place");
                T::of_json(value).expect("the statement's column has this type")
            }
        }
    }
}

/// A row's values in the order of its columns, whose names may be the same.
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

/// A type that a value of an answer can be read as.
pub trait Answer: FromSqlOwned {
    /// Reads what `row_to_json` writes; none where it is something else.
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
    fn values_are_found_by_place_whatever_their_columns_are_called() {
        let text = r#"{"?column?":9007199254740993,"?column?":null,"a":["x",null],"z":true,
            "t":"2026-01-02T03:04:05.123456+00:00"}"#;
        let row = Row::Json(serde_json::from_str(text).expect("a row"));
        assert_eq!(row.get::<i64>(0), 9_007_199_254_740_993);
        assert_eq!(row.get::<Option<String>>(1), None);
        assert_eq!(row.get::<Vec<Option<String>>>(2), [Some("x".to_owned()), None]);
        assert!(row.get::<bool>(3));
        let since = row.get::<SystemTime>(4).duration_since(SystemTime::UNIX_EPOCH).expect("later");
        assert_eq!(since.as_micros() % 1_000_000, 123_456);
    }
}
