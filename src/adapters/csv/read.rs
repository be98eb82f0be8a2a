//! Reads the rows of a text, one at a time. A value knows whether it was in quotes, which the csv
//! crates do not report: `psql` writes NULL as nothing and the empty text as two quotes.
//!
//! A row ends with a line feed, a carriage return or both, and a blank line is not a row. Lines
//! inside of quotes are counted. Anything ambiguous is an error.

use std::io::{ErrorKind, Read};

use super::fault::CsvError;
use crate::jobs::gap::ports::Record;

/// The bytes that are read at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The longest row. After a quote that is never closed, the rest of the file is one row, and this
/// limits its memory.
const LONGEST_ROW: usize = 64 << 20;

/// Reads rows whose values are separated by one byte.
pub struct Reader<R> {
    text: R,
    delimiter: u8,
    encoding: &'static str,
    piece: Vec<u8>,
    /// The position of the next byte in the piece.
    position: usize,
    /// The number of bytes in the piece.
    length: usize,
    /// The line of the next byte.
    line: u64,
    /// The last byte was a carriage return: a line feed after it does not begin another line.
    after_return: bool,
    /// The carriage return ended a row: a line feed after it is skipped.
    skips_feed: bool,
    record: Record,
}

/// The part of a value that the next byte is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValuePart {
    Start,
    Bare,
    Quoted,
    /// A quote inside of quotes came before: it ends the value, unless another quote follows, and
    /// both stand for one.
    Closing,
}

impl<R: Read> Reader<R> {
    /// Reads a text that begins in this line of the file. The encoding is for errors about bytes
    /// that are not UTF-8.
    pub fn new(text: R, delimiter: u8, encoding: &'static str, line: u64) -> Self {
        Self {
            text,
            delimiter,
            encoding,
            piece: vec![0; PIECE_BYTES],
            position: 0,
            length: 0,
            line,
            after_return: false,
            skips_feed: false,
            record: Record::default(),
        }
    }

    /// The next row that is not blank; none at the end.
    pub fn next(&mut self) -> Result<Option<&Record>, CsvError> {
        loop {
            let (mut bytes, mut ends) = std::mem::take(&mut self.record).into_buffers();
            let Some(line) = self.row(&mut bytes, &mut ends)? else { return Ok(None) };
            let not_text = |before: &[u8]| {
                let line = line + before.iter().filter(|byte| **byte == b'\n').count() as u64;
                CsvError::NotText { line, encoding: self.encoding }
            };
            let text = String::from_utf8(bytes)
                .map_err(|error| not_text(&error.as_bytes()[..error.utf8_error().valid_up_to()]))?;
            // Bytes of two neighbouring values may form a character that is in neither of them.
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
        // `byte` has counted a line feed that was skipped, as it should, and one that ends this
        // row.
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
                    self.push(bytes, byte, first_line)?;
                    ValuePart::Quoted
                }
                (_, b'\n' | b'\r') => {
                    ends.push((bytes.len(), part == ValuePart::Closing));
                    self.skips_feed = byte == b'\r';
                    return Ok(Some(first_line));
                }
                (_, byte) if byte == self.delimiter => {
                    ends.push((bytes.len(), part == ValuePart::Closing));
                    ValuePart::Start
                }
                (ValuePart::Closing, _) => return Err(CsvError::StrayQuote { line: self.line }),
                (ValuePart::Start | ValuePart::Bare, byte) => {
                    self.push(bytes, byte, first_line)?;
                    ValuePart::Bare
                }
            };
            next = self.byte()?;
        }
    }

    fn push(&self, bytes: &mut Vec<u8>, byte: u8, first_line: u64) -> Result<(), CsvError> {
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
            if self.position == self.length {
                self.fill()?;
                if self.length == 0 {
                    return Ok(None);
                }
            }
            let byte = self.piece[self.position];
            self.position += 1;
            let (after_return, skips_feed) = (self.after_return, self.skips_feed);
            self.after_return = byte == b'\r';
            self.skips_feed = false;
            match byte {
                b'\n' if after_return && skips_feed => continue,
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.line += 1,
                _ => {}
            }
            return Ok(Some(byte));
        }
    }

    fn fill(&mut self) -> Result<(), CsvError> {
        self.position = 0;
        self.length = loop {
            match self.text.read(&mut self.piece) {
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
