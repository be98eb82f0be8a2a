//! The rows of a text, one at a time. They tell what the csv crates throw away: that a value stood
//! in quotes. `psql` writes NULL as nothing and the empty text as two quotes.
//!
//! Rows end with a line feed, a carriage return or both; a blank line is no row. Lines inside of
//! quotes count. Whatever is ambiguous is an error and no guess.

use std::io::{ErrorKind, Read};

use super::fault::CsvError;
use crate::jobs::gap::ports::Record;

/// The bytes that are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The longest row. A quote that is never closed swallows the rest of the file, and memory is
/// bounded by this.
const LONGEST_ROW: usize = 64 << 20;

/// Reads rows whose values one byte delimits.
pub struct Reader<R> {
    from: R,
    delimiter: u8,
    encoding: &'static str,
    piece: Vec<u8>,
    at: usize,
    filled: usize,
    /// The line of the next byte.
    line: u64,
    /// The last byte was a carriage return: a line feed after it begins no line of its own.
    returned: bool,
    /// That line feed belongs to the end of the row before it, and is skipped.
    skips: bool,
    record: Record,
}

/// The part of a value that the reader is at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePart {
    Start,
    Bare,
    Quoted,
    /// After a quote inside of quotes: it ends the value, or another one follows and both are one.
    Closing,
}

impl<R: Read> Reader<R> {
    /// Reads from the beginning of a text, which is this line of the file. An error names the
    /// encoding for a row that is no UTF-8.
    pub fn new(from: R, delimiter: u8, encoding: &'static str, line: u64) -> Self {
        let (piece, record) = (vec![0; PIECE_BYTES], Record::default());
        let (returned, skips) = (false, false);
        Self { from, delimiter, encoding, piece, at: 0, filled: 0, line, returned, skips, record }
    }

    /// The next row that is not blank; none at the end.
    pub fn next(&mut self) -> Result<Option<&Record>, CsvError> {
        loop {
            let (mut bytes, mut ends) = std::mem::take(&mut self.record).emptied();
            let Some(line) = self.row(&mut bytes, &mut ends)? else { return Ok(None) };
            let not_text = |before: &[u8]| {
                let line = line + before.iter().filter(|byte| **byte == b'\n').count() as u64;
                CsvError::NotText { line, encoding: self.encoding }
            };
            let text = String::from_utf8(bytes)
                .map_err(|error| not_text(&error.as_bytes()[..error.utf8_error().valid_up_to()]))?;
            // Two values that are no text may be one where they stand side by side.
            if let Some((end, _)) = ends.iter().find(|(end, _)| !text.is_char_boundary(*end)) {
                return Err(not_text(&text.as_bytes()[..*end]));
            }
            let is_blank = text.is_empty() && matches!(ends[..], [(_, false)]);
            self.record = Record::new(line, text, ends);
            if !is_blank {
                return Ok(Some(&self.record));
            }
        }
    }

    /// Reads one row, blank or not, and returns the line that it begins in; none at the end.
    fn row(
        &mut self,
        bytes: &mut Vec<u8>,
        ends: &mut Vec<(usize, bool)>,
    ) -> Result<Option<u64>, CsvError> {
        let mut next = self.byte()?;
        if next.is_none() {
            return Ok(None);
        }
        // The count has a line feed that was skipped, and must not have the one that ends this row.
        let first_line = self.line - u64::from(matches!(next, Some(b'\n' | b'\r')));
        let mut part = ValuePart::Start;
        loop {
            let Some(byte) = next else {
                if part == ValuePart::Quoted {
                    return Err(CsvError::Unclosed { line: first_line });
                }
                ends.push((bytes.len(), part == ValuePart::Closing));
                return Ok(Some(first_line));
            };
            part = match (part, byte) {
                (ValuePart::Start, b'"') => ValuePart::Quoted,
                (ValuePart::Quoted, b'"') => ValuePart::Closing,
                (ValuePart::Quoted, _) | (ValuePart::Closing, b'"') => {
                    self.keep(bytes, byte, first_line)?;
                    ValuePart::Quoted
                }
                (_, b'\n' | b'\r') => {
                    ends.push((bytes.len(), part == ValuePart::Closing));
                    self.skips = byte == b'\r';
                    return Ok(Some(first_line));
                }
                (_, byte) if byte == self.delimiter => {
                    ends.push((bytes.len(), part == ValuePart::Closing));
                    ValuePart::Start
                }
                (ValuePart::Closing, _) => return Err(CsvError::StrayQuote { line: self.line }),
                (ValuePart::Start | ValuePart::Bare, byte) => {
                    self.keep(bytes, byte, first_line)?;
                    ValuePart::Bare
                }
            };
            next = self.byte()?;
        }
    }

    fn keep(&self, bytes: &mut Vec<u8>, byte: u8, first_line: u64) -> Result<(), CsvError> {
        if byte == 0 {
            return Err(CsvError::Nul { line: self.line });
        }
        if bytes.len() >= LONGEST_ROW {
            return Err(CsvError::TooLong { line: first_line, most: LONGEST_ROW >> 20 });
        }
        bytes.push(byte);
        Ok(())
    }

    /// Reads the next byte and counts its line.
    fn byte(&mut self) -> Result<Option<u8>, CsvError> {
        loop {
            if self.at == self.filled {
                self.fill()?;
                if self.filled == 0 {
                    return Ok(None);
                }
            }
            let byte = self.piece[self.at];
            self.at += 1;
            let (follows, skips) = (self.returned, self.skips);
            self.returned = byte == b'\r';
            self.skips = false;
            match byte {
                b'\n' if follows && skips => continue,
                b'\n' if follows => {}
                b'\n' | b'\r' => self.line += 1,
                _ => {}
            }
            return Ok(Some(byte));
        }
    }

    fn fill(&mut self) -> Result<(), CsvError> {
        self.at = 0;
        self.filled = loop {
            match self.from.read(&mut self.piece) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    let encoding = self.encoding;
                    return Err(CsvError::NotText { line: self.line, encoding });
                }
                Err(error) => return Err(CsvError::Io(error)),
            }
        };
        Ok(())
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
