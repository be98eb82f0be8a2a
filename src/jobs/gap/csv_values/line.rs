//! Writes a row's values, which are texts, as a line of a page: text COPY or JSON.

use crate::engine::model::page::Encoding;
use crate::engine::model::shape::MovedColumn;

/// A line that is being written, with one value for each moved column, in their order.
pub struct Line<'a> {
    bytes: &'a mut Vec<u8>,
    columns: std::slice::Iter<'a, MovedColumn>,
    form: Form,
    at: usize,
}

/// The form of a line.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// The form of text COPY.
    Copy,
    /// A JSON object.
    Json,
}

impl Form {
    /// The form of lines in a page's encoding.
    pub fn of(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Json => Self::Json,
            Encoding::Text | Encoding::Binary => Self::Copy,
        }
    }
}

impl<'a> Line<'a> {
    /// Begins a line at the end of the bytes.
    pub fn new(columns: &'a [MovedColumn], form: Form, bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, columns: columns.iter(), form, at: 0 }
    }

    /// Adds a value; none stands for NULL.
    pub fn add(&mut self, value: Option<&str>) {
        let column = self.columns.next().expect("there is a value for each column, and no more");
        match self.form {
            Form::Copy => {
                if self.at > 0 {
                    self.bytes.push(b'\t');
                }
                write_field(self.bytes, value);
            }
            Form::Json => {
                self.bytes.push(if self.at > 0 { b',' } else { b'{' });
                self.json(&column.name);
                self.bytes.push(b':');
                match value {
                    None => self.bytes.extend_from_slice(b"null"),
                    Some(value) => self.json(value),
                }
            }
        }
        self.at += 1;
    }

    fn json(&mut self, text: &str) {
        serde_json::to_writer(&mut *self.bytes, text).expect("memory takes a text");
    }

    /// Ends the line.
    pub fn end(self) {
        match self.form {
            Form::Copy => self.bytes.push(b'\n'),
            Form::Json => self.bytes.extend_from_slice(b"}\n"),
        }
    }
}

/// Adds a value to a line of COPY's text form.
fn write_field(line: &mut Vec<u8>, value: Option<&str>) {
    let Some(value) = value else {
        line.extend_from_slice(b"\\N");
        return;
    };
    for byte in value.bytes() {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\t' => line.extend_from_slice(b"\\t"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            plain => line.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of two columns.
    fn line(form: Form, values: [Option<&str>; 2]) -> String {
        let columns = ["id", "a\"b"].map(|name| MovedColumn {
            name: name.to_owned(),
            source_type: "text".to_owned(),
            target_type: "text".to_owned(),
            target_base: None,
            fixed: false,
            merges: false,
        });
        let mut bytes = Vec::new();
        let mut line = Line::new(&columns, form, &mut bytes);
        values.into_iter().for_each(|value| line.add(value));
        line.end();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_value_is_escaped_as_its_form_asks_for() {
        let values = [Some("a\\b\tc\r\nd\"e"), None];
        assert_eq!(line(Form::Copy, values), "a\\\\b\\tc\\r\\nd\"e\t\\N\n");
        assert_eq!(
            line(Form::Json, values),
            "{\"id\":\"a\\\\b\\tc\\r\\nd\\\"e\",\"a\\\"b\":null}\n"
        );
    }
}
