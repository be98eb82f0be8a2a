//! The CSV files of a folder, from which a gap is filled. The first line of a file shows its
//! delimiter, and its rows are read one by one in constant memory.
//!
//! - `decode`: a file's bytes as UTF-8.
//! - `read`: the rows of a text.
//! - `fault`: the errors of a file, and who must act on them.

mod decode;
mod fault;
mod read;

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;

use encoding_rs::Encoding;

use self::decode::{DecodedText, decode};
use self::fault::CsvError;
use self::read::Reader;
use crate::engine::model::fault::Fault;
use crate::jobs::gap::ports::{Folder, Knows, Record, Rows};

/// The most bytes of a header: enough for the names of 1,600 columns, the most of a table.
const HEADER_BYTES: u64 = 256 << 10;

/// The delimiters of values, the usual one first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A folder of files.
pub struct CsvFolder {
    path: PathBuf,
    encoding: Option<&'static Encoding>,
}

impl CsvFolder {
    /// Makes a folder. The encoding is for files without a byte order mark.
    pub fn new(path: impl Into<PathBuf>, encoding: Option<&str>) -> Result<Self, Fault> {
        let find = |name: &str| {
            Encoding::for_label(name.as_bytes())
                .ok_or_else(|| CsvError::NoSuchEncoding(name.to_owned()).of_argument())
        };
        Ok(Self { path: path.into(), encoding: encoding.map(find).transpose()? })
    }
}

impl Folder for CsvFolder {
    fn files(&self) -> Result<Vec<String>, Fault> {
        let folder_fault = |error| CsvError::Io(error).of_file(&self.path.display().to_string());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(folder_fault)? {
            let entry = entry.map_err(folder_fault)?;
            let is_csv = entry
                .path()
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
            if is_csv && entry.path().is_file() {
                names.extend(entry.file_name().into_string().ok());
            }
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, file: &str, knows: &Knows<'_>) -> Result<Box<dyn Rows>, Fault> {
        let bytes = File::open(self.path.join(file)).map_err(CsvError::Io);
        let rows = bytes.and_then(|bytes| FileRows::new(file, bytes, self.encoding, knows));
        rows.map(|rows| Box::new(rows) as Box<dyn Rows>).map_err(|error| error.of_file(file))
    }
}

/// The rows of one file.
struct FileRows {
    file: String,
    header: Vec<String>,
    reader: Reader<Box<dyn Read + Send>>,
}

impl FileRows {
    fn new(
        file: &str,
        bytes: impl Read + Send + 'static,
        encoding: Option<&'static Encoding>,
        knows: &Knows<'_>,
    ) -> Result<Self, CsvError> {
        let DecodedText { mut text, encoding } = decode(bytes, encoding).map_err(CsvError::Io)?;
        let mut head = Vec::new();
        let result = text.by_ref().take(HEADER_BYTES).read_to_end(&mut head);
        // The reader below reports bytes that cannot be decoded, with their line.
        result.or_else(|error| match error.kind() {
            std::io::ErrorKind::InvalidData => Ok(0),
            _ => Err(CsvError::Io(error)),
        })?;
        let (delimiter, line) = match declared_delimiter(&head) {
            Some((delimiter, length)) => {
                head.drain(..length);
                (delimiter, 2)
            }
            None => (likely_delimiter(&head, knows), 1),
        };
        let text: Box<dyn Read + Send> = Box::new(Cursor::new(head).chain(text));
        let mut reader = Reader::new(text, delimiter, encoding.name(), line);
        let header = reader.next()?.map(names).unwrap_or_default();
        Ok(Self { file: file.to_owned(), header, reader })
    }
}

impl Rows for FileRows {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next(&mut self) -> Result<Option<&Record>, Fault> {
        let (expected, file) = (self.header.len(), self.file.as_str());
        let record = self.reader.next().map_err(|error| error.of_file(file))?;
        match record {
            Some(record) if record.len() != expected => {
                let (line, found) = (record.line(), record.len());
                Err(CsvError::Ragged { line, found, expected }.of_file(file))
            }
            record => Ok(record),
        }
    }
}

fn names(record: &Record) -> Vec<String> {
    record.fields().map(|field| field.text.to_owned()).collect()
}

/// The delimiter that a first line like Excel's `sep=;` declares, and the length of that line.
fn declared_delimiter(head: &[u8]) -> Option<(u8, usize)> {
    let (word, rest) = head.split_at_checked(4)?;
    let delimiter = *rest.first().filter(|byte| byte.is_ascii())?;
    let end = match rest.get(1..)? {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return None,
    };
    word.eq_ignore_ascii_case(b"sep=").then_some((delimiter, 5 + end))
}

/// The delimiter with which the first line has the most known names. If several have as many, the
/// one that gives the most values.
fn likely_delimiter(head: &[u8], knows: &Knows<'_>) -> u8 {
    let score = |delimiter: u8| {
        let header = Reader::new(head, delimiter, "", 1).next().ok().flatten().map(names);
        let header = header.unwrap_or_default();
        (header.iter().filter(|name| knows(name)).count(), header.len())
    };
    let mut best = DELIMITERS[0];
    for &delimiter in &DELIMITERS[1..] {
        if score(delimiter) > score(best) {
            best = delimiter;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> (Vec<String>, Vec<Vec<String>>) {
        let knows = |name: &str| ["id", "name", "a;b"].contains(&name);
        let mut rows = FileRows::new("t.csv", Cursor::new(text.to_vec()), None, &knows).unwrap();
        let mut all = Vec::new();
        while let Some(record) = rows.next().unwrap() {
            all.push(names(record));
        }
        (rows.header, all)
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_the_expected_names() {
        for text in ["id,name\n1,x\n", "id;name\n1;x\n", "id\tname\n1\tx\n", "\"id\"|name\n1|x\n"] {
            let (header, rows) = rows(text.as_bytes());
            assert_eq!(
                (header, rows),
                (vec!["id".into(), "name".into()], vec![vec!["1".into(), "x".into()]])
            );
        }
        assert_eq!(rows(b"id,\"a;b\"\n").0, ["id", "a;b"]);
        assert_eq!(rows(b"SEP=;\r\nid;x,y,z\r\n").0, ["id", "x,y,z"]);
    }

    #[test]
    fn an_empty_file_has_no_header_and_a_header_alone_no_row() {
        assert_eq!(rows(b""), (Vec::new(), Vec::new()));
        assert_eq!(rows("\u{feff}".as_bytes()).0.len(), 0);
        assert_eq!(rows(b"id,name"), (vec!["id".into(), "name".into()], Vec::new()));
    }

    #[test]
    fn a_row_of_another_length_is_named_with_its_line() {
        let mut rows = FileRows::new("t.csv", &b"id,name\n1,x\n2\n"[..], None, &|_| false).unwrap();
        rows.next().unwrap();
        let fault = rows.next().unwrap_err();
        let chain = fault.chain();
        assert!(chain.contains("t.csv: Line 3 has 1 values, and the header has 2"), "{chain}");
    }
}
