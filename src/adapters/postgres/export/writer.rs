//! Writes the rows of an exported table in the format of the export.

use super::fault::unreadable;
use super::statements::{self, Statements};
use crate::adapters::postgres::rows::copy_frames;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Encoding;
use crate::engine::ports::export::{Format, Part};

/// Turns the messages of a COPY into lines, one for each row, in CSV after a line of names; or into
/// the rows of a binary COPY.
pub struct Writer<'a> {
    form: Form<'a>,
    /// The number of rows so far.
    pub rows: u64,
    /// The bytes that are not written to the output yet.
    pub chunk: Vec<u8>,
}

enum Form<'a> {
    Sql(Box<Statements<'a>>),
    Csv { has_names: bool },
    Jsonl { is_utf8: bool },
    Copy,
    BinaryCopy,
}

impl<'a> Writer<'a> {
    /// Begins the rows of a part.
    pub fn new(part: &'a Part, format: Format, is_utf8: bool) -> Self {
        let form = match format {
            Format::Sql => Form::Sql(Box::new(Statements::new(part))),
            Format::Csv => Form::Csv { has_names: false },
            Format::Jsonl => Form::Jsonl { is_utf8 },
            Format::Copy => Form::Copy,
            Format::BinaryCopy => Form::BinaryCopy,
        };
        Self { form, rows: 0, chunk: Vec::new() }
    }

    /// Returns the format of the export.
    pub fn format(&self) -> Format {
        match self.form {
            Form::Sql(_) => Format::Sql,
            Form::Csv { .. } => Format::Csv,
            Form::Jsonl { .. } => Format::Jsonl,
            Form::Copy => Format::Copy,
            Form::BinaryCopy => Format::BinaryCopy,
        }
    }

    /// Adds a message of the COPY.
    pub fn message(&mut self, message: &[u8]) -> Result<(), Fault> {
        match &mut self.form {
            Form::Csv { has_names: has_names @ false } => {
                *has_names = true;
                self.chunk.extend_from_slice(message);
                return Ok(());
            }
            Form::Csv { has_names: true } | Form::Copy => self.chunk.extend_from_slice(message),
            Form::BinaryCopy => match copy_frames::row_of_message(Encoding::Binary, message) {
                Some(row) => self.chunk.extend_from_slice(row),
                None => return Ok(()),
            },
            Form::Sql(statements) => {
                let row = copy_frames::row_of_message(Encoding::Text, message);
                let written = statements.row(row.unwrap_or_default(), &mut self.chunk);
                written.map_err(|error| unreadable(error.into()))?;
            }
            Form::Jsonl { is_utf8 } => {
                if !*is_utf8 && std::str::from_utf8(message).is_err() {
                    return Err(not_utf8());
                }
                statements::json_line(message, &mut self.chunk);
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Ends the rows of the part.
    pub fn end(&mut self) {
        if let Form::Sql(statements) = &mut self.form {
            statements.end(&mut self.chunk);
        }
    }
}

/// The fault of a row that is not UTF-8, as JSON has to be. A database without an encoding may hold
/// any bytes.
fn not_utf8() -> Fault {
    Fault::new(
        Step::Read,
        FaultCode::NotUtf8,
        "A row is not valid in UTF-8",
        "the database has no encoding, and JSON needs one: take --format sql or csv",
    )
}
