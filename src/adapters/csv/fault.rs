//! The errors of a file, and who must act on each.

use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The reason why a file cannot be read as rows. Lines count from 1, as in an editor.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The file or the folder cannot be read.
    #[error("It cannot be read")]
    Io(#[source] std::io::Error),
    /// The bytes are not what the encoding allows.
    #[error("Line {line} is not text in {encoding}")]
    NotText {
        /// The line.
        line: u64,
        /// The encoding that was expected.
        encoding: &'static str,
    },
    /// No text that Postgres stores holds a NUL character; UTF-16 that is read as UTF-8 is full of
    /// them.
    #[error("Line {line} holds a NUL character")]
    Nul {
        /// The line.
        line: u64,
    },
    /// A quoted value has no end.
    #[error("The quote that is open at the end of the file begins in the row of line {line}")]
    Unclosed {
        /// The first line of the row.
        line: u64,
    },
    /// Something follows a quoted value before the next delimiter.
    #[error("Line {line} goes on after a closing quote")]
    StrayQuote {
        /// The line.
        line: u64,
    },
    /// A row is longer than the limit.
    #[error("The row that begins in line {line} is longer than {most} MiB")]
    TooLong {
        /// The first line of the row.
        line: u64,
        /// The limit.
        most: usize,
    },
    /// A row has more or fewer values than the header has names.
    #[error("Line {line} has {found} values, and the header has {expected}")]
    Ragged {
        /// The first line of the row.
        line: u64,
        /// The number of values in the row.
        found: usize,
        /// The number of names in the header.
        expected: usize,
    },
    /// There is no encoding of that name.
    #[error("No encoding is called {0}")]
    NoSuchEncoding(String),
}

impl CsvError {
    /// The remedy as a sentence.
    fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) => "check that it is there and that this user may read it",
            Self::NotText { .. } => {
                "export it as UTF-8, or name its encoding: --encoding windows-1252 for what Excel \
                 writes in Western Europe, --encoding utf-16le for its Unicode text"
            }
            Self::Nul { .. } => {
                "if the file is UTF-16, say --encoding utf-16le or utf-16be; otherwise remove the \
                 character, which Postgres cannot store"
            }
            Self::Unclosed { .. } | Self::TooLong { .. } => {
                "close the quote there; inside of a quoted value a quote is written twice"
            }
            Self::StrayQuote { .. } => "inside of a quoted value a quote is written twice",
            Self::Ragged { .. } => {
                "quote values that hold the delimiter or a line's end, or export the file again"
            }
            Self::NoSuchEncoding(_) => {
                "name it as web browsers do: utf-8, utf-16le, windows-1252, iso-8859-15, shift_jis"
            }
        }
    }

    /// The fault of a file.
    pub fn of_file(self, file: &str) -> Fault {
        let hint = self.hint();
        let message = format!("Cannot read {file}");
        Fault::new(Step::Read, FaultCode::BadFile, message, hint).caused_by(self)
    }

    /// The fault of an argument.
    pub fn of_argument(self) -> Fault {
        let hint = self.hint();
        Fault::of_call(FaultCode::BadEncoding, self.to_string(), hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::fault_code::Remedy;

    #[test]
    fn each_error_names_the_file_the_line_and_what_to_do() {
        let ragged = CsvError::Ragged { line: 7, found: 3, expected: 4 };
        let not_text = CsvError::NotText { line: 2, encoding: "UTF-8" };
        for (error, said, to_do) in [
            (ragged, "Line 7 has 3 values, and the header has 4", "export the file again"),
            (not_text, "Line 2 is not text in UTF-8", "--encoding windows-1252"),
            (CsvError::Nul { line: 1 }, "Line 1 holds a NUL", "--encoding utf-16le"),
            (CsvError::Unclosed { line: 9 }, "in the row of line 9", "written twice"),
            (CsvError::StrayQuote { line: 3 }, "Line 3 goes on", "written twice"),
            (CsvError::TooLong { line: 5, most: 64 }, "line 5 is longer than 64 MiB", "close"),
        ] {
            let fault = error.of_file("orders.csv");
            assert!(fault.chain().starts_with("Cannot read orders.csv: "), "{}", fault.chain());
            assert!(fault.chain().contains(said), "{}", fault.chain());
            assert!(fault.hint.contains(to_do), "{}", fault.hint);
            assert!(!fault.stops_the_run());
        }
        let argument = CsvError::NoSuchEncoding("klingon".into()).of_argument();
        assert_eq!(argument.remedy, Remedy::Caller);
    }
}
