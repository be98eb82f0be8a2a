//! The function as a process of its own, which tests kill and start again at the same address.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::process::wait_until;

/// `syncline serve`, alive between `start` and `kill`.
pub struct Killable {
    /// The address that it listens on whenever it lives.
    pub url: String,
    port: u16,
    settings: BTreeMap<String, String>,
    process: Mutex<Option<Child>>,
}

impl Killable {
    /// Starts it on a port that is free now. Its own address becomes a setting.
    pub fn start(settings: &BTreeMap<String, String>, more: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = free.local_addr().expect("a bound address").port();
        drop(free);
        let url = format!("http://127.0.0.1:{port}");
        let mut settings = settings.clone();
        let own = [("APP_URL", url.as_str())];
        let more = more.iter().chain(&own);
        settings.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let started = Self { url, port, settings, process: Mutex::new(None) };
        started.restart(&[]);
        started
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        end(self.process.lock().expect("no holder panics").take());
    }

    /// Ends it as a crash does, and starts it again, with settings over the first ones.
    pub fn restart(&self, more: &[(&str, &str)]) {
        let mut process = self.process.lock().expect("no holder panics");
        end(process.take());
        let child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(["serve", "--port", &self.port.to_string()])
            .env_clear()
            .envs(&self.settings)
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        *process = Some(child.expect("syncline starts"));
        wait_until("it listens", || {
            std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
        });
    }
}

impl Killable {
    /// Ends it as a crash does.
    pub fn stop(&self) {
        end(self.process.lock().expect("no holder panics").take());
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        end(self.process.get_mut().expect("no holder panics").take());
    }
}

fn end(process: Option<Child>) {
    if let Some(mut process) = process {
        let _ = process.kill();
        let _ = process.wait();
    }
}
