//! The ports of an import besides the engine's: files of rows, and a target that tries rows without
//! keeping them.

use async_trait::async_trait;

use crate::engine::model::fault::Fault;
use crate::engine::model::page::Page;
use crate::engine::model::reject::RejectedRow;
use crate::engine::model::run::Tally;
use crate::engine::model::shape::Shape;

/// Says whether a header is likely to hold a name.
pub type Knows<'a> = dyn Fn(&str) -> bool + 'a;

/// A folder of files with rows.
pub trait Folder: Send + Sync {
    /// The names of the files that may hold rows, in order.
    fn files(&self) -> Result<Vec<String>, Fault>;

    /// Opens a file and reads its header, in the dialect that finds most of the known names in it.
    /// Each call begins at the first row again.
    fn open(&self, file: &str, knows: &Knows<'_>) -> Result<Box<dyn Rows>, Fault>;
}

/// The rows of one open file. However long the file is, only one row of it is in memory.
pub trait Rows: Send {
    /// The names in the first line; none in an empty file.
    fn header(&self) -> &[String];

    /// The next row, which has as many values as the header has names; none at the end. The fault
    /// names the line, and no row comes after it.
    fn next(&mut self) -> Result<Option<&Record>, Fault>;
}

/// One row of a file.
#[derive(Debug, Default)]
pub struct Record {
    line: u64,
    text: String,
    ends: Vec<(usize, bool)>,
}

/// One value of a row, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The text, without quotes.
    pub text: &'a str,
    /// The value stood in quotes.
    pub quoted: bool,
}

impl Record {
    /// Makes the row that begins in this line. `text` has its values one after the other; `ends`
    /// has the end of each, and whether it stood in quotes.
    pub fn new(line: u64, text: String, ends: Vec<(usize, bool)>) -> Self {
        Self { line, text, ends }
    }

    /// Empties the row's buffers for the next row.
    pub fn into_buffers(self) -> (Vec<u8>, Vec<(usize, bool)>) {
        let (mut bytes, mut ends) = (self.text.into_bytes(), self.ends);
        bytes.clear();
        ends.clear();
        (bytes, ends)
    }

    /// The line of the file that the row begins in.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Says whether the row has no value.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value at this place.
    pub fn field(&self, place: usize) -> Field<'_> {
        let (end, quoted) = self.ends[place];
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before].0);
        Field { text: &self.text[start..end], quoted }
    }

    /// All values, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        (0..self.len()).map(|place| self.field(place))
    }
}

/// A target that can try rows without keeping them.
#[async_trait]
pub trait Rehearse: Send + Sync {
    /// Begins a trial. Whatever it does is undone when it is dropped, and nobody else ever sees it.
    async fn rehearse(&self) -> Result<Box<dyn Rehearsal>, Fault>;
}

/// One trial, whose pages see the rows of the pages before.
#[async_trait]
pub trait Rehearsal: Send {
    /// Writes a page as `Target::commit` does. A fault undoes that page alone, unless the
    /// connection is lost.
    async fn page(&mut self, shape: &Shape, page: &Page) -> Result<PageOutcome, Fault>;
}

/// The outcome of a page.
#[derive(Debug, Default)]
pub struct PageOutcome {
    /// The counts of the page.
    pub tally: Tally,
    /// The rows that the target rejected.
    pub rejected: Vec<RejectedRow>,
}
