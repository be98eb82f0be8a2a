//! Writes the rows of an exported table: the messages of a COPY, turned into a format.

use super::fault::unreadable;
use super::statements::{self, Statements};
use crate::adapters::postgres::rows::copy_frames;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::page::Encoding;
use crate::engine::ports::export::{Format, Part};

/// Turns a COPY's messages into lines: a row each, after the line of names in CSV.
pub struct Writer<'a> {
    form: Form<'a>,
    /// The number of rows so far.
    pub rows: u64,
    /// The bytes that are written and not handed on.
    pub chunk: Vec<u8>,
}

enum Form<'a> {
    Sql(Box<Statements<'a>>),
    Csv { named: bool },
    Jsonl { is_utf8: bool },
    Copy,
}

impl<'a> Writer<'a> {
    /// Nothing is written yet.
    pub fn of(part: &'a Part, format: Format, is_utf8: bool) -> Self {
        let form = match format {
            Format::Sql => Form::Sql(Box::new(Statements::of(part))),
            Format::Csv => Form::Csv { named: false },
            Format::Jsonl => Form::Jsonl { is_utf8 },
            Format::Copy => Form::Copy,
        };
        Self { form, rows: 0, chunk: Vec::new() }
    }

    /// The format.
    pub fn format(&self) -> Format {
        match self.form {
            Form::Sql(_) => Format::Sql,
            Form::Csv { .. } => Format::Csv,
            Form::Jsonl { .. } => Format::Jsonl,
            Form::Copy => Format::Copy,
        }
    }

    /// Adds a message.
    pub fn message(&mut self, message: &[u8]) -> Result<(), Fault> {
        match &mut self.form {
            Form::Csv { named: named @ false } => {
                *named = true;
                self.chunk.extend_from_slice(message);
                return Ok(());
            }
            Form::Csv { named: true } | Form::Copy => self.chunk.extend_from_slice(message),
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

    /// No message follows.
    pub fn end(&mut self) {
        if let Form::Sql(statements) = &mut self.form {
            statements.end(&mut self.chunk);
        }
    }
}

/// JSON is UTF-8, and the bytes of a database without an encoding need not be.
fn not_utf8() -> Fault {
    Fault::new(
        Step::Read,
        FaultCode::NotUtf8,
        "A row is not valid in UTF-8",
        "the database has no encoding, and JSON needs one: take --format sql or csv",
    )
}
