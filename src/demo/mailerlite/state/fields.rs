//! The fields of the account. A field has a key, made from its first name, which survives a rename.

use serde_json::Value;

use crate::demo::mailerlite::Refusal;
use crate::demo::mailerlite::stamp::{Stamp, is_date};

/// The longest text in a field, in characters.
const LONGEST_TEXT: usize = 1024;
/// The longest name of a field or a group, in characters.
pub const LONGEST_NAME: usize = 255;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// A date, with or without a time.
    Date,
}

impl FieldKind {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Date => "date",
        }
    }

    /// The type with this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Text, Self::Number, Self::Date].into_iter().find(|kind| kind.name() == name)
    }
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub id: u64,
    /// The number under which people keep their values of this field.
    pub slot: u16,
    pub name: String,
    pub key: String,
    pub kind: FieldKind,
    pub is_default: bool,
}

/// The names and keys of the fields that every account has.
pub const DEFAULTS: [(&str, &str); 8] = [
    ("Name", "name"),
    ("Last name", "last_name"),
    ("Company", "company"),
    ("Country", "country"),
    ("City", "city"),
    ("Phone", "phone"),
    ("State", "state"),
    ("Zip", "z_i_p"),
];

impl Field {
    /// Reads a value that a client sends; none clears the field.
    pub fn read(&self, value: &Value) -> Result<Option<Box<str>>, Refusal> {
        let path = format!("fields.{}", self.key);
        let refused = |what: &str| {
            Refusal::invalid(&path, &format!("The fields.{} must be {what}.", self.key))
        };
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) if text.is_empty() => return Ok(None),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                return Err(refused("a text or a number"));
            }
        };
        match self.kind {
            FieldKind::Text if text.chars().count() > LONGEST_TEXT => {
                Err(refused("at most 1024 characters"))
            }
            FieldKind::Number if !text.parse::<f64>().is_ok_and(f64::is_finite) => {
                Err(refused("a number"))
            }
            FieldKind::Date if !is_date(&text) && Stamp::parse(&text).is_none() => {
                Err(refused("a date"))
            }
            FieldKind::Text | FieldKind::Number | FieldKind::Date => Ok(Some(text.into())),
        }
    }
}

/// Makes the key of a field from its name: `Loyalty tier` has the key `loyalty_tier`, and `ZIP` the
/// key `z_i_p`.
pub fn key(name: &str) -> String {
    let mut key = String::new();
    for word in name.split_whitespace() {
        let mut letters = word.chars();
        let first = letters.next().into_iter().flat_map(char::to_uppercase);
        for letter in first.chain(letters) {
            if letter.is_uppercase() && !key.is_empty() {
                key.push('_');
            }
            let is_kept = letter.is_alphanumeric() || letter == '_';
            key.extend(letter.to_lowercase().filter(|_| is_kept));
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_is_a_slug_of_the_name() {
        let cases = [
            ("Loyalty tier", "loyalty_tier"),
            ("ZIP", "z_i_p"),
            ("plan", "plan"),
            (" favourite  Colour! ", "favourite_colour"),
            ("last_login", "last_login"),
            ("!?", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(key(name), expected, "{name}");
        }
    }

    #[test]
    fn a_value_fits_the_type_of_its_field() {
        let field = |kind| Field {
            id: 1,
            slot: 0,
            name: "F".into(),
            key: "f".into(),
            kind,
            is_default: false,
        };
        let longest = "ü".repeat(1024);
        let cases = [
            (FieldKind::Text, json!("a"), Some(Some("a"))),
            (FieldKind::Text, json!(1.5), Some(Some("1.5"))),
            (FieldKind::Text, json!(""), Some(None)),
            (FieldKind::Text, json!(null), Some(None)),
            (FieldKind::Text, json!(longest), Some(Some(longest.as_str()))),
            (FieldKind::Text, json!(format!("{longest}ü")), None),
            (FieldKind::Text, json!(true), None),
            (FieldKind::Text, json!([]), None),
            (FieldKind::Number, json!("12"), Some(Some("12"))),
            (FieldKind::Number, json!(12), Some(Some("12"))),
            (FieldKind::Number, json!("twelve"), None),
            (FieldKind::Date, json!("2026-03-01"), Some(Some("2026-03-01"))),
            (FieldKind::Date, json!("2026-03-01 06:00:00"), Some(Some("2026-03-01 06:00:00"))),
            (FieldKind::Date, json!("1.3.2026"), None),
        ];
        for (kind, value, expected) in cases {
            let read = field(kind).read(&value).ok();
            let read = read.as_ref().map(Option::as_deref);
            assert_eq!(read, expected, "{kind:?} {value}");
        }
    }
}
