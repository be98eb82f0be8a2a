//! Writes rows that came over an API as the lines that a COPY writes for the same values.

use std::borrow::Cow;

use serde::Deserialize;

use crate::adapters::postgres::rows::copy_frames::push_escaped;

/// A value as its type prints it, or nothing for NULL.
pub type Value<'a> = Option<Text<'a>>;

/// A text in JSON. It is borrowed if it has no escapes.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// Adds a row in COPY's text form (PostgreSQL documentation, COPY, "Text Format").
pub fn text(values: &[Value<'_>], line: &mut Vec<u8>) {
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            line.push(b'\t');
        }
        let Some(Text(value)) = value else {
            line.extend_from_slice(b"\\N");
            continue;
        };
        value.bytes().for_each(|byte| push_escaped(byte, line));
    }
    line.push(b'\n');
}

/// Adds a row in COPY's CSV form. A value is quoted if it has a special character. The empty text
/// is quoted too, since no text at all means NULL, and so is a lone `\.`, which would end the rows.
pub fn csv(values: &[Value<'_>], line: &mut Vec<u8>) {
    for (place, value) in values.iter().enumerate() {
        if place > 0 {
            line.push(b',');
        }
        let Some(Text(value)) = value else { continue };
        let ends_all = values.len() == 1 && value == "\\.";
        let is_special = |byte| matches!(byte, b',' | b'"' | b'\n' | b'\r');
        if !value.is_empty() && !ends_all && !value.bytes().any(is_special) {
            line.extend_from_slice(value.as_bytes());
            continue;
        }
        line.push(b'"');
        for byte in value.bytes() {
            if byte == b'"' {
                line.push(b'"');
            }
            line.push(byte);
        }
        line.push(b'"');
    }
    line.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(values: &[Option<&str>]) -> (String, String) {
        let values: Vec<Value<'_>> = values.iter().map(|value| value.map(Text::from)).collect();
        let (mut plain, mut comma) = (Vec::new(), Vec::new());
        text(&values, &mut plain);
        csv(&values, &mut comma);
        (String::from_utf8(plain).unwrap(), String::from_utf8(comma).unwrap())
    }

    #[test]
    fn values_are_escaped_or_quoted_where_copy_does_so() {
        let cases: [(&[Option<&str>], &str, &str); 6] = [
            (&[Some("a"), None, Some("")], "a\t\\N\t\n", "a,,\"\"\n"),
            (
                &[Some("\u{8}\u{c}\n\r\t\u{b}\\")],
                "\\b\\f\\n\\r\\t\\v\\\\\n",
                "\"\u{8}\u{c}\n\r\t\u{b}\\\"\n",
            ),
            (
                &[Some("\\N"), Some("it's \"so\", é")],
                "\\\\N\tit's \"so\", é\n",
                "\\N,\"it's \"\"so\"\", é\"\n",
            ),
            (&[Some("\\.")], "\\\\.\n", "\"\\.\"\n"),
            (&[Some("\\."), Some("\u{1f}")], "\\\\.\t\u{1f}\n", "\\.,\u{1f}\n"),
            (&[], "\n", "\n"),
        ];
        for (values, text, csv) in cases {
            assert_eq!(lines(values), (text.to_owned(), csv.to_owned()));
        }
    }
}
