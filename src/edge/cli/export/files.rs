//! The files of an export. Until the export is complete, the name of a file ends with `.partial`,
//! so that nobody believes it to be complete, and has the process's id in it, so that two exports
//! to one name do not write into the same file.

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

/// The letters that a table's name may have and a file's name may not, on one system or another,
/// and `%`, by which such a letter is escaped.
const NOT_IN_FILES: &str = "/\\:*?\"<>|%";

/// The destination of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Stdout.
    Stdout,
    /// Stdout, once the export is complete. Until then the rows are in a file in this folder, since
    /// they may have to be discarded.
    StdoutWhenComplete(PathBuf),
    /// One file.
    File(PathBuf),
    /// A directory, with a file for each table.
    Directory(PathBuf),
}

impl Place {
    /// Reads a path. SQL goes to one file. In other formats a path is a directory if it exists as
    /// one, ends with a slash, or has no ending.
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

    /// Changes the place for rows that may have to be discarded. A file can be removed; rows for
    /// stdout are kept in a file in the folder first.
    #[must_use]
    pub fn when_complete(self, folder: PathBuf) -> Self {
        match self {
            Self::Stdout => Self::StdoutWhenComplete(folder),
            other => other,
        }
    }
}

/// The files of one export. Unfinished files are removed when it is dropped.
pub struct Files {
    place: Place,
    format: Format,
    compression: Compression,
    open: Option<OpenFile>,
    written: Vec<PartialFile>,
}

/// The file that is being written.
struct OpenFile {
    name: PathBuf,
    to: Compressed<Sink>,
}

/// A file that exists under its partial name.
struct PartialFile {
    partial: PathBuf,
    name: PathBuf,
}

enum Sink {
    Stdout(io::Stdout),
    /// A file whose name is removed already.
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
    /// Prepares the place for these tables.
    pub fn open(
        place: Place,
        format: Format,
        compression: Compression,
        tables: &[TableName],
    ) -> Result<Self, Fault> {
        let is_one_file = !matches!(place, Place::Directory(_));
        if is_one_file && format != Format::Sql && tables.len() > 1 {
            return Err(too_many_tables(tables.len()));
        }
        let mut files = Self { place, format, compression, open: None, written: Vec::new() };
        match &files.place {
            Place::Stdout => files.open_sink(Sink::Stdout(io::stdout()), PathBuf::from("stdout")),
            Place::StdoutWhenComplete(folder) => {
                let name = partial(&folder.join("syncline"));
                let spool = spool(&name).map_err(|error| unwritable(&name, error))?;
                files.open_sink(Sink::Spool(spool), name);
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

    /// Refuses two tables that would have the same file: `"a.b"` of schema public, and `b` of
    /// schema a.
    fn refuse_namesakes(&self, tables: &[TableName]) -> Result<(), Fault> {
        let mut names = BTreeSet::new();
        for table in tables {
            let name = self.file_name(table);
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

    fn file_name(&self, table: &TableName) -> String {
        let name = match table.schema() {
            DEFAULT_SCHEMA => escape_for_file_name(table.name()),
            schema => {
                format!("{}.{}", escape_for_file_name(schema), escape_for_file_name(table.name()))
            }
        };
        let format = match self.format {
            Format::Sql => "sql",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Copy | Format::BinaryCopy => "copy",
        };
        format!("{name}.{format}{}", self.compression.ending())
    }

    fn create(&mut self, name: PathBuf) -> Result<(), Fault> {
        let partial = partial(&name);
        let file = File::create_new(&partial).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => partial_file_exists(&partial),
            _ => unwritable(&partial, error),
        })?;
        self.written.push(PartialFile { partial, name: name.clone() });
        self.open_sink(Sink::File(file), name);
        Ok(())
    }

    fn open_sink(&mut self, sink: Sink, name: PathBuf) {
        self.open = Some(OpenFile { name, to: self.compression.wrap(sink) });
    }

    fn close(&mut self) -> Result<(), Fault> {
        let Some(OpenFile { name, to }) = self.open.take() else { return Ok(()) };
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
            copy_to_stdout(spool).map_err(|error| unwritable(Path::new("stdout"), error))
        })
    }
}

#[async_trait]
impl Output for Files {
    async fn begin(&mut self, table: &TableName) -> Result<(), Fault> {
        let Place::Directory(directory) = &self.place else { return Ok(()) };
        let name = directory.join(self.file_name(table));
        self.close()?;
        self.create(name)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let OpenFile { name, to } =
            self.open.as_mut().expect("a file is begun before it is written");
        to.write(bytes).map_err(|error| unwritable(name, error))
    }

    async fn finish(&mut self) -> Result<(), Fault> {
        self.close()?;
        while let Some(PartialFile { partial, name }) = self.written.pop() {
            if let Err(error) = fs::rename(&partial, &name) {
                let fault = unwritable(&name, error);
                self.written.push(PartialFile { partial, name });
                return Err(fault);
            }
        }
        Ok(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for PartialFile { partial, name: _ } in &self.written {
            if let Err(error) = fs::remove_file(partial) {
                tracing::warn!(%error, "Cannot remove {}", partial.display());
            }
        }
    }
}

fn escape_for_file_name(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter.is_control() || NOT_IN_FILES.contains(letter) {
            true => text.push_str(&format!("%{:02X}", u32::from(letter))),
            false => text.push(letter),
        }
    }
    text
}

/// Makes a file that only our account can read, since it holds rows. Its name is removed before the
/// first byte is written, so that the file ends with the process.
fn spool(name: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(name)?;
    fs::remove_file(name)?;
    Ok(file)
}

fn copy_to_stdout(mut spool: File) -> io::Result<()> {
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

fn too_many_tables(tables: usize) -> Fault {
    Fault::of_call(
        FaultCode::SeveralFiles,
        format!("{tables} tables do not fit into one file of this format"),
        "name a directory, as in --output backup/, or one table with --table",
    )
}

/// Two processes may have the same id, above all in containers.
fn partial_file_exists(partial: &Path) -> Fault {
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
            assert_eq!(files.file_name(&TableName::new(schema, name)), file);
        }
    }
}
