//! A folder of CSV files of one test's own, and `syncline gap` at work on it.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt;
use serde_json::Value;

use super::connect;
use super::pair::Pair;

/// A folder that goes with its test.
pub struct Folder {
    /// The path of the folder.
    pub path: PathBuf,
}

impl Folder {
    /// A new folder.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name =
            format!("syncline-gap-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("the temporary directory takes a folder");
        Self { path }
    }

    /// Adds a file to the folder.
    #[must_use]
    pub fn with(self, file: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.write(file, bytes);
        self
    }

    /// Writes a file.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path.join(file), bytes).expect("the folder takes a file");
    }

    /// Writes what `psql \copy` writes: the server's own bytes.
    pub async fn copy(&self, url: &str, query: &str, file: &str) {
        let client = connect(url).await.expect("the database accepts us");
        let copy = format!("copy ({query}) to stdout with (format csv, header)");
        let pieces = client.copy_out(&copy).await.expect("the server copies");
        let bytes: Vec<bytes::Bytes> = pieces.try_collect().await.expect("all of it comes");
        self.write(file, bytes.concat());
    }

    /// Runs `syncline gap import`; its exit code, and what it says as JSON.
    pub fn import(&self, pair: &Pair, more: &[&str]) -> (i32, Value) {
        let path = self.path.to_string_lossy();
        let arguments = [&["import", &path, "--yes", "--json"], more].concat();
        let (code, said, errors) = gap(pair, &arguments);
        let said = serde_json::from_str(&said);
        (code, said.unwrap_or_else(|error| panic!("{error}: {errors}")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Runs `syncline gap` with nobody at the terminal: exit code, results and messages.
pub fn gap(pair: &Pair, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.arg("gap").args(arguments).env_clear().envs(pair.settings());
    let Output { status, stdout, stderr } = command.output().expect("syncline starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (status.code().expect("an exit code"), text(&stdout), text(&stderr))
}

/// A table's counts: inserted, updated, unchanged, refused.
pub fn counts(said: &Value, table: &str) -> [u64; 4] {
    let counted = &said["tables"][table];
    ["inserted", "updated", "unchanged", "refused"].map(|name| {
        counted[name].as_u64().unwrap_or_else(|| panic!("no counts of {table}: {said}"))
    })
}
