//! The real program, run as anybody would run it, and the memory it had.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The interval between looks at the memory. It is the kernel's high-water mark that is read, so
/// only what is allocated in the last moments before the end can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The result of a run.
pub struct Ran {
    pub took: Duration,
    pub peak_kib: u64,
    /// The run's output.
    pub printed: String,
}

/// The program with two databases, and nothing else of our environment.
pub fn command(source: &str, target: &str, tables: &str) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_syncline")));
    command.env_clear();
    command.env("SOURCE_DATABASE_URL", source).env("TARGET_DATABASE_URL", target);
    command.env("SYNC_TABLES", tables);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// `syncline run`, until it is caught up.
pub fn run(source: &str, target: &str, tables: &str) -> Ran {
    ran(command(source, target, tables).arg("run"))
}

/// Runs a command of the program's to its end, which must be a success.
pub fn ran(command: &mut Command) -> Ran {
    let begun = Instant::now();
    let child = command.spawn().expect("syncline starts");
    let memory = Memory::watch(&child);
    let output = child.wait_with_output().expect("syncline ends");
    let took = begun.elapsed();
    assert!(output.status.success(), "syncline failed: {}", output.status);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran { took, peak_kib: memory.peak_kib(), printed }
}

/// Watches a process's memory.
pub struct Memory {
    ended: Arc<AtomicBool>,
    peak_kib: Arc<AtomicU64>,
    watcher: JoinHandle<()>,
}

impl Memory {
    pub fn watch(child: &Child) -> Self {
        let status = format!("/proc/{}/status", child.id());
        let (ended, peak_kib) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (end, peak) = (Arc::clone(&ended), Arc::clone(&peak_kib));
        let watcher = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                peak.fetch_max(high_water_kib(&text), Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { ended, peak_kib, watcher }
    }

    /// Its peak so far; ends the watch.
    pub fn peak_kib(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.watcher.join().expect("the watcher ends");
        self.peak_kib.load(Ordering::Relaxed)
    }
}

fn high_water_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
