//! A process that has started, which is called as an admin calls it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::product::Memory;

const TOKEN: &str = "known-to-this-measurement-alone";

/// `syncline serve`, stopped when dropped.
pub struct Served {
    process: Child,
    address: String,
    path: String,
}

impl Served {
    /// Returns when it listens, on any port.
    pub fn start(command: Command) -> Self {
        Self::start_at(command, 0)
    }

    /// Returns when it listens on the port.
    pub fn start_at(mut command: Command, port: u16) -> Self {
        command.args(["serve", "--port", &port.to_string()]).env("SYNC_ADMIN_TOKEN", TOKEN);
        let mut process = command.stderr(Stdio::piped()).spawn().expect("syncline starts");
        let says = process.stderr.take().expect("a pipe was asked for");
        let mut line = String::new();
        BufReader::new(says).read_line(&mut line).expect("it says where it listens");
        let url = line.trim().strip_prefix("Serving http://").expect("it serves");
        let (address, path) = url.split_once('/').expect("an address and a path");
        Self { address: address.to_owned(), path: format!("/{path}"), process }
    }

    /// Begins to watch its memory.
    pub fn memory(&self) -> Memory {
        Memory::watch(&self.process)
    }

    /// Calls it as an admin does, and waits for the answer.
    pub fn call(&self) -> Duration {
        let Self { address, path, .. } = self;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(address).expect("it listens");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {TOKEN}\r\n\
             connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let took = begun.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        took
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}
