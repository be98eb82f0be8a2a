//! `syncline local-qstash` and `local-mailerlite`, as a shell starts them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use crate::world::door::client;
use crate::world::process::signal;
use crate::world::qstash::receiver::Receiver;

/// The command under way; it is killed where a test fails.
struct Running(Child);

impl Running {
    fn start(command: &str, arguments: &[&str]) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .arg(command)
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The values of the first lines of stdout, by the names that a shell would give them.
    fn exports(&mut self, count: usize) -> Vec<(String, String)> {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines().take(count);
        let lines = lines.map(|line| {
            let line = line.unwrap();
            let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
            (name.to_owned(), value.trim_matches('\'').to_owned())
        });
        lines.collect()
    }

    /// Waits for the end; the exit code and stderr.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().code(), said)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// Reading a line blocks a thread, and the receiver needs another one.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_what_a_shell_needs_and_tells_each_delivery() {
    let receiver = Receiver::open().await;
    let mut running = Running::start("local-qstash", &["--port", "0"]);
    let exports = running.exports(5);
    let names: Vec<&str> = exports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "QSTASH_URL",
            "QSTASH_TOKEN",
            "QSTASH_CURRENT_SIGNING_KEY",
            "QSTASH_NEXT_SIGNING_KEY",
            "SYNC_LOCAL"
        ]
    );
    let url = format!("{}/v2/publish/{}/sync", exports[0].1, receiver.url);
    let answer = client().post(url).bearer_auth(&exports[1].1).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut told = String::new();
    let mut lines = BufReader::new(running.0.stderr.take().unwrap());
    while !told.contains("->") {
        assert_ne!(lines.read_line(&mut told).unwrap(), 0, "{told}");
    }
    assert!(told.contains(&format!("POST {}/sync -> 200 (msg_", receiver.url)), "{told}");
    signal("INT", running.0.id());
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_mailerlite_serves_whoever_has_its_exports() {
    let mut running = Running::start("local-mailerlite", &["--port", "0"]);
    let exports = running.exports(2);
    let names: Vec<&str> = exports.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["MAILERLITE_URL", "MAILERLITE_API_KEY"]);
    let url = format!("{}/api/fields", exports[0].1);
    let answer = client().get(url).bearer_auth(&exports[1].1).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    signal("INT", running.0.id());
    let (code, said) = running.end();
    let expected = format!("A local MailerLite serves {} until Ctrl-C\n", exports[0].1);
    assert_eq!((code, said), (Some(0), expected));
}

#[test]
fn random_keys_are_not_the_public_ones() {
    let mut running = Running::start("local-qstash", &["--port", "0", "--random-keys"]);
    let exports = running.exports(4);
    signal("INT", running.0.id());
    let (code, _) = running.end();
    assert_eq!(code, Some(0));
    assert!(exports[2].1.starts_with("sig_") && exports[2].1.len() == 32, "{exports:?}");
    assert_ne!(exports[2].1, syncline::demo::qstash::PUBLIC_CURRENT_KEY);
}

#[test]
fn a_port_that_is_taken_is_told_with_a_way_out() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for command in ["local-qstash", "local-mailerlite"] {
        let (code, said) = Running::start(command, &["--port", &port.to_string()]).end();
        assert_eq!(code, Some(1));
        assert!(said.starts_with(&format!("Cannot listen on 127.0.0.1:{port}: ")), "{said}");
        assert!(said.contains("--port"), "{said}");
    }
}
