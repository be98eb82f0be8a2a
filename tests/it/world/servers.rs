//! Which Postgres the tests run on: the one that is found here, or the one that the environment names.
//!
//! `SYNCLINE_TEST_POSTGRES` is the directory of `initdb` and `postgres` for all tests.

use std::io::Write;
use std::path::PathBuf;

use syncline::demo::{Cluster, ClusterOptions};

use super::cluster;

/// The options of every cluster that tests start, on the server that they all run on.
pub fn options() -> ClusterOptions {
    ClusterOptions { binaries: named("SYNCLINE_TEST_POSTGRES"), ..ClusterOptions::default() }
}

/// A server's major release.
pub fn release(of: &Cluster) -> u32 {
    of.release().parse().expect("a release is a number")
}

/// Whether the server that all tests run on is of that release or a later one; it says so where not.
pub fn has(since: u32, what: &str) -> bool {
    let release = release(cluster());
    if release < since {
        not_tested(&format!("{what}, which Postgres {release} lacks"));
    }
    release >= since
}

/// Whether standbys can be made of the server that all tests run on; it says so where not.
pub fn makes_standbys() -> bool {
    let able = cluster().binaries().join("pg_basebackup").is_file();
    if !able {
        not_tested(&format!("standbys: no pg_basebackup in {}", cluster().binaries().display()));
    }
    able
}

/// Says past the test harness, which keeps `println` and `eprintln` to itself, what is left out.
pub fn not_tested(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(std::io::stderr(), "NOT TESTED in {test}: {what}");
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
