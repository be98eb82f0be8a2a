//! The files of an export. A file has its name once all of the export is there; until then its name
//! ends with `.partial`, so that nobody takes it for whole, and holds the process's id, so that two
//! exports to one name do not write into each other's.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::compression::{Compressed, Compression};
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::table::{DEFAULT_SCHEMA, TableName};
use crate::engine::ports::export::{Format, Output};

/// The letters that the name of a table may hold and the name of a file may not, on one system or
/// another; and `%`, which such a letter is written with.
const NOT_IN_FILES: &str = "/\\:*?\"<>|%";

/// The place that an export goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// To whoever reads our output.
    Stdout,
    /// To the same, once all of it is there: until then it may have to be taken back, and waits in
    /// this folder.
    StdoutAtLast(PathBuf),
    /// All of it to one file.
    File(PathBuf),
    /// To a file a table.
    Directory(PathBuf),
}

impl Place {
    /// Reads a path. SQL is one file. Otherwise a path is a directory if it is one, or ends like
    /// one, and what has no ending.
    pub fn of(path: Option<&Path>, format: Format) -> Self {
        let Some(path) = path.filter(|path| path.as_os_str() != "-") else {
            return Self::Stdout;
        };
        let ends_like_one = path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let is_directory = path.is_dir() || ends_like_one || path.extension().is_none();
        match format != Format::Sql && is_directory {
            true => Self::Directory(path.to_owned()),
            false => Self::File(path.to_owned()),
        }
    }

    /// Changes the place for rows that may have to be taken back. A file may be, until it is
    /// finished; what goes to stdout waits in a folder.
    #[must_use]
    pub fn at_last(self, waiting_in: PathBuf) -> Self {
        match self {
            Self::Stdout => Self::StdoutAtLast(waiting_in),
            other => other,
        }
    }
}

/// The files of one export. Those that are not finished are removed when it is dropped.
pub struct Files {
    place: Place,
    format: Format,
    compression: Compression,
    open: Option<Open>,
    written: Vec<Written>,
}

/// The file that is written to.
struct Open {
    name: PathBuf,
    to: Compressed<Sink>,
}

/// A file that is there under its partial name.
struct Written {
    partial: PathBuf,
    name: PathBuf,
}

enum Sink {
    Stdout(io::Stdout),
    /// A file that has no name any more.
    Spool(File),
    File(File),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::Spool(file) | Self::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::Spool(file) | Self::File(file) => file.flush(),
        }
    }
}

impl Files {
    /// Makes the place ready for these tables.
    pub fn open(
        place: Place,
        format: Format,
        compression: Compression,
        tables: &[TableName],
    ) -> Result<Self, Fault> {
        let is_one_file = !matches!(place, Place::Directory(_));
        if is_one_file && format != Format::Sql && tables.len() > 1 {
            return Err(several(tables.len()));
        }
        let mut files = Self { place, format, compression, open: None, written: Vec::new() };
        match &files.place {
            Place::Stdout => files.begin_on(Sink::Stdout(io::stdout()), PathBuf::from("stdout")),
            Place::StdoutAtLast(folder) => {
                let name = partial(&folder.join("syncline"));
                let spool = spool(&name).map_err(|error| unwritable(&name, error))?;
                files.begin_on(Sink::Spool(spool), name);
            }
            Place::File(name) if name.is_dir() => {
                return Err(unwritable(name, io::ErrorKind::IsADirectory.into()));
            }
            Place::File(name) => files.create(name.clone())?,
            Place::Directory(directory) => {
                files.refuse_namesakes(tables)?;
                fs::create_dir_all(directory).map_err(|error| unwritable(directory, error))?;
            }
        }
        Ok(files)
    }

    /// Two tables whose file would be one: `"a.b"` of schema public, and `b` of schema a.
    fn refuse_namesakes(&self, tables: &[TableName]) -> Result<(), Fault> {
        let mut names = BTreeSet::new();
        for table in tables {
            let name = self.name_of(table);
            if !names.insert(name.clone()) {
                return Err(Fault::of_call(
                    FaultCode::SameFile,
                    format!("Another table goes to {name}, too"),
                    "export one of them alone, to another directory",
                )
                .of_table(table));
            }
        }
        Ok(())
    }

    fn name_of(&self, table: &TableName) -> String {
        let name = match table.schema() {
            DEFAULT_SCHEMA => in_files(table.name()),
            schema => format!("{}.{}", in_files(schema), in_files(table.name())),
        };
        let format = match self.format {
            Format::Sql => "sql",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Copy => "copy",
        };
        format!("{name}.{format}{}", self.compression.ending())
    }

    fn create(&mut self, name: PathBuf) -> Result<(), Fault> {
        let partial = partial(&name);
        let file = File::create_new(&partial).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => in_the_way(&partial),
            _ => unwritable(&partial, error),
        })?;
        self.written.push(Written { partial, name: name.clone() });
        self.begin_on(Sink::File(file), name);
        Ok(())
    }

    fn begin_on(&mut self, sink: Sink, name: PathBuf) {
        self.open = Some(Open { name, to: self.compression.onto(sink) });
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(Open { name, to }) = self.open.take() else { return Ok(()) };
        let closed = to.finish().and_then(|mut sink| {
            sink.flush()?;
            match sink {
                Sink::Stdout(_) => Ok(None),
                Sink::Spool(file) => Ok(Some(file)),
                Sink::File(file) => file.sync_all().map(|()| None),
            }
        });
        let spool = closed.map_err(|error| unwritable(&name, error))?;
        spool.map_or(Ok(()), |spool| {
            passed_on(spool).map_err(|error| unwritable(Path::new("stdout"), error))
        })
    }
}

#[async_trait]
impl Output for Files {
    async fn begin(&mut self, table: &TableName) -> Result<(), Fault> {
        let Place::Directory(directory) = &self.place else { return Ok(()) };
        let name = directory.join(self.name_of(table));
        self.close()?;
        self.create(name)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Open { name, to } = self.open.as_mut().expect("a file is begun before it is written");
        to.write(bytes).map_err(|error| unwritable(name, error))
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.close()?;
        while let Some(Written { partial, name }) = self.written.pop() {
            if let Err(error) = fs::rename(&partial, &name) {
                let fault = unwritable(&name, error);
                self.written.push(Written { partial, name });
                return Err(fault);
            }
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for Written { partial, name: _ } in &self.written {
            if let Err(error) = fs::remove_file(partial) {
                tracing::warn!(%error, "Cannot remove {}", partial.display());
            }
        }
    }
}

fn in_files(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter.is_control() || NOT_IN_FILES.contains(letter) {
            true => text.push_str(&format!("%{:02X}", u32::from(letter))),
            false => text.push(letter),
        }
    }
    text
}

/// A file for us alone, since it holds rows. It goes with the process, however that ends: its name
/// is gone before the first byte is written.
fn spool(name: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(name)?;
    fs::remove_file(name)?;
    Ok(file)
}

fn passed_on(mut spool: File) -> io::Result<()> {
    spool.rewind()?;
    let mut stdout = io::stdout();
    io::copy(&mut spool, &mut stdout)?;
    stdout.flush()
}

fn partial(name: &Path) -> PathBuf {
    let mut partial = name.as_os_str().to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    PathBuf::from(partial)
}

fn several(tables: usize) -> Fault {
    Fault::of_call(
        FaultCode::SeveralFiles,
        format!("{tables} tables do not fit into one file of this format"),
        "name a directory, as in --output backup/, or one table with --table",
    )
}

/// Process ids come again, in a container most of all.
fn in_the_way(partial: &Path) -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::InTheWay,
        format!("There is a file {} already", partial.display()),
        "remove it, unless another export is at work there: it is what a killed one left",
    )
}

fn unwritable(path: &Path, error: io::Error) -> Fault {
    Fault::new(
        Step::Write,
        FaultCode::Unwritable,
        format!("Cannot write to {}", path.display()),
        "check the room on the disk and the rights, or name another place with --output",
    )
    .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_directory_where_it_looks_like_one_and_never_for_sql() {
        let place = |path: &str, format| Place::of(Some(Path::new(path)), format);
        for path in ["backup", "backup.d/", "/"] {
            assert_eq!(place(path, Format::Csv), Place::Directory(path.into()), "{path}");
            assert_eq!(place(path, Format::Sql), Place::File(path.into()), "{path}");
        }
        assert_eq!(place("orders.csv", Format::Csv), Place::File("orders.csv".into()));
        assert_eq!(place("-", Format::Csv), Place::Stdout);
        assert_eq!(Place::of(None, Format::Sql), Place::Stdout);
    }

    #[tokio::test]
    async fn a_partial_file_of_somebody_else_is_neither_written_nor_removed() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/target/partial");
        let directory = PathBuf::from(format!("{place}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let name = directory.join("orders.sql");
        let open = || Files::open(Place::File(name.clone()), Format::Sql, Compression::None, &[]);
        let mut first = open().unwrap();
        first.write(b"the first").await.unwrap();
        assert_eq!(open().err().map(|fault| fault.code), Some(FaultCode::InTheWay));
        first.finish().await.unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"the first");
        drop(first);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "no partial file is left");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn names_of_tables_stay_inside_of_the_directory() {
        let place = Place::Directory("unused".into());
        let (format, compression) = (Format::Csv, Compression::Gzip);
        let files = Files { place, format, compression, open: None, written: Vec::new() };
        for (schema, name, file) in [
            ("public", "orders", "orders.csv.gz"),
            ("sales", "Order Lines", "sales.Order Lines.csv.gz"),
            ("public", "../../etc/ünï", "..%2F..%2Fetc%2Fünï.csv.gz"),
            ("public", "50%", "50%25.csv.gz"),
        ] {
            assert_eq!(files.name_of(&TableName::new(schema, name)), file);
        }
    }
}
