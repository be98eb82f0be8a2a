//! The Postgres servers that the tests run on: the one of this machine, or those that the
//! environment names.
//!
//! `SYNCLINE_TEST_POSTGRES` is the directory of `initdb` and `postgres` for all tests.
//! `SYNCLINE_TEST_OLDEST` and `SYNCLINE_TEST_NEWEST` are two more, for the tests between releases.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use syncline::demo::{Cluster, ClusterOptions};

use super::cluster;
use super::statements::LOGGED;

/// The options of a cluster that tests start, on the server that they all run on.
pub fn options() -> ClusterOptions {
    options_with(&[])
}

/// Those options with more settings. All servers log the statements that are sent to them.
pub fn options_with(settings: &[(&str, &str)]) -> ClusterOptions {
    let binaries = named("SYNCLINE_TEST_POSTGRES");
    let settings = settings.iter().chain(&LOGGED);
    let settings = settings.map(|(name, value)| (name.to_string(), value.to_string())).collect();
    ClusterOptions { binaries, settings, folder: memory(), ..ClusterOptions::default() }
}

/// The free memory that a run of all tests needs for its servers, in KiB: 4 GiB are several times
/// the most that was measured.
const ENOUGH_KIB: u64 = 4 * 1024 * 1024;

/// The folder in memory for the servers' files, if the system has one with enough room. A test
/// makes two databases of a few hundred files each, and on a disk that takes longer than the rest
/// of the test.
pub fn memory() -> Option<PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOLDER.get_or_init(|| {
        let folder = PathBuf::from("/dev/shm");
        let has_room = available(&folder)?.min(free_memory()?) >= ENOUGH_KIB;
        has_room.then_some(folder)
    });
    found.clone()
}

/// The free space of a folder in KiB. std has no call for it.
fn available(folder: &Path) -> Option<u64> {
    let df = Command::new("df").args(["-P", "-k"]).arg(folder).output().ok()?;
    let table = String::from_utf8(df.stdout).ok()?;
    table.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// The free memory of the system in KiB, without swapping.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A server of the oldest release and one of the newest, with different settings, started at the
/// first call. None if the environment does not name them, which is printed.
pub fn oldest_and_newest() -> Option<[&'static Cluster; 2]> {
    static BOTH: OnceLock<Option<[Cluster; 2]>> = OnceLock::new();
    let both = BOTH.get_or_init(|| {
        let binaries = [named("SYNCLINE_TEST_OLDEST")?, named("SYNCLINE_TEST_NEWEST")?];
        let [oldest, newest] = binaries.map(Some);
        Some([start(oldest, &OLDEST_SETTINGS), start(newest, &NEWEST_SETTINGS)])
    });
    if both.is_none() {
        not_tested("SYNCLINE_TEST_OLDEST and SYNCLINE_TEST_NEWEST name no servers");
    }
    both.as_ref().map(|both| both.each_ref())
}

/// Settings that change how values are written and read; the two servers differ in each.
const OLDEST_SETTINGS: [(&str, &str); 7] = [
    ("timezone", "Asia/Kathmandu"),
    ("datestyle", "German"),
    ("intervalstyle", "sql_standard"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-3"),
    ("xmloption", "document"),
    ("quote_all_identifiers", "on"),
];
const NEWEST_SETTINGS: [(&str, &str); 7] = [
    ("timezone", "America/St_Johns"),
    ("datestyle", "SQL, DMY"),
    ("intervalstyle", "iso_8601"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "3"),
    ("xmloption", "content"),
    ("xmlbinary", "hex"),
];

fn start(binaries: Option<PathBuf>, settings: &[(&str, &str)]) -> Cluster {
    let options = ClusterOptions { binaries, ..options_with(settings) };
    Cluster::start(&options).expect("Postgres starts")
}

/// A server's major release.
pub fn release(cluster: &Cluster) -> u32 {
    cluster.release().parse().expect("a release is a number")
}

/// Says whether the tests' server is of that release or a later one, and prints what is left out if
/// it is not.
pub fn has(since: u32, what: &str) -> bool {
    let release = release(cluster());
    if release < since {
        not_tested(&format!("{what}, which Postgres {release} lacks"));
    }
    release >= since
}

/// Says whether the tests' server can have standbys, and prints what is left out if it cannot.
pub fn makes_standbys() -> bool {
    let able = cluster().binaries().join("pg_basebackup").is_file();
    if !able {
        not_tested(&format!("standbys: no pg_basebackup in {}", cluster().binaries().display()));
    }
    able
}

/// Prints what is left out. It writes to stderr itself, since the test harness captures `println`
/// and `eprintln`.
pub fn not_tested(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "NOT TESTED in {test}: {what}");
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
