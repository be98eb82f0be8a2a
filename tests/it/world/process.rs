//! Watches processes of our own from outside: what they start, and what they leave behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The directory of a cluster that a process is only about to start.
pub fn directory_of(process: u32) -> PathBuf {
    let mut found = None;
    wait_until("the directory appears", || {
        found = ["/dev/shm".into(), "/tmp".into(), std::env::temp_dir()].iter().find_map(
            |temporary: &PathBuf| {
                let entries = std::fs::read_dir(temporary).ok()?.flatten();
                let ours = format!("syncline-postgres-{process}-");
                entries.map(|entry| entry.path()).find(|path| {
                    path.to_string_lossy().contains(&ours) && path.join("data/PG_VERSION").exists()
                })
            },
        );
        found.is_some()
    });
    found.unwrap()
}

/// Says whether a process has the directory in its command line, as a server has.
pub fn runs_in(directory: &Path) -> bool {
    let listed = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    String::from_utf8_lossy(&listed.stdout).contains(&*directory.to_string_lossy())
}

/// Sends a signal, named without its SIG.
pub fn signal(name: &str, process: u32) {
    Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
}

/// Waits for a condition, and fails where it does not come about.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
