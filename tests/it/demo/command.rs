//! `syncline demo`, as a stranger runs it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::world::connect;
use crate::world::door::{client, status_and_json};
use crate::world::process::{directory_of, runs_in, signal, wait_until};
use crate::world::servers::memory;

/// A demo under way; it is killed where a test fails.
struct Demo {
    child: Child,
    lines: Box<dyn BufRead>,
    /// The part of its stdout that was read.
    told: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .arg("demo")
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(memory().map(|folder| ("TMPDIR", folder)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = Box::new(BufReader::new(child.stdout.take().unwrap()));
        Self { child, lines, told: String::new() }
    }

    /// Reads until a line begins so, and returns the line.
    fn until(&mut self, beginning: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "ended early:\n{}", self.told);
            self.told.push_str(&line);
            if line.trim_start().starts_with(beginning) {
                return line.trim().to_owned();
            }
        }
    }

    /// Reads to the end; returns the exit code, and what was written on stderr.
    fn end(&mut self) -> (Option<i32>, String) {
        self.lines.read_to_string(&mut self.told).unwrap();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), said)
    }

    /// Returns the word after `before`, up to a space or the end of a sentence.
    fn word_after(&self, before: &str) -> &str {
        let (_, after) = self.told.split_once(before).unwrap_or_else(|| panic!("{}", self.told));
        let word = after.split_whitespace().next().unwrap();
        word.trim_matches(['\'', ',', '"'])
    }

    fn directory(&self) -> PathBuf {
        directory_of(self.child.id())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_listening(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn the_demo_measures_what_it_claims_and_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    let directory = demo.directory();

    let (code, said) = demo.end();

    let told = &demo.told;
    assert_eq!(code, Some(0), "{told}\n{said}");
    let times = |sentence: &str| told.matches(sentence).count();
    for (sentence, expected) in [
        ("Schedule syncline-slave-to-prod is created", 1),
        ("QStash signs and posts to", 3),
        ("is answered 200, success", 3),
        ("flights      27004        0          0\n", 1),
        ("slave and prod are equal: 57915 rows in 5 tables, compared in", 1),
        ("The same comparison sees it: 5 of 5 tables are different", 1),
        ("slave and prod are equal: 57957 rows in 5 tables, compared in", 2),
        (": Nothing had changed.\n", 1),
        ("The same call without a signature\n   is answered 401 Unauthorized after", 1),
        ("{\"success\":false,\"error\":{\"code\":\"unauthorized\"", 1),
        ("is answered 401 Unauthorized after", 2),
        ("The function, QStash and both databases are stopped, and their files are removed.\n", 1),
    ] {
        assert_eq!(times(sentence), expected, "{sentence}\n{told}");
    }
    let slices = |kind: &str, done: &str| {
        told.lines().filter(|line| line.contains(kind) && line.contains(done)).count()
    };
    assert_ne!(slices(" scheduled  ", "  false  "), 0, "the backlog's first slice\n{told}");
    assert_ne!(slices("  continuation  ", "  true  "), 0, "the backlog's last slice\n{told}");
    assert!(!told.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(said.lines().count(), 2, "the log has the two refusals, and nothing else:\n{said}");
    assert!(!is_listening(demo.word_after("listens on ")));
    assert!(!directory.exists() && !runs_in(&directory));
}

#[test]
fn the_demo_of_a_full_sync_kills_and_resumes_a_pull_and_leaves_nothing() {
    let mut demo = Demo::start(&["full-sync"]);
    let directory = demo.directory();

    let (code, said) = demo.end();

    let told = &demo.told;
    assert_eq!(code, Some(0), "{told}\n{said}");
    for (sentence, expected) in [
        ("$ syncline full-sync pull head-office --verify --no-compress\n", 1),
        ("flights         27004       0\n", 1),
        ("1 session was freed; it can be resumed.\n", 1),
        ("flights      27004        0          0\n", 1),
        ("Each of the 57915 rows was compared before the commit.\n", 1),
        ("head_office and branch are equal: 57915 rows in 5 tables", 1),
        ("head_office and branch are equal: 57957 rows in 5 tables", 2),
        ("Nothing was written.\n", 1),
        ("Both deployments and their databases are stopped, and their files are removed.", 1),
    ] {
        assert_eq!(told.matches(sentence).count(), expected, "{sentence}\n{told}");
    }
    assert!(said.is_empty(), "{said}");
    assert!(!is_listening(demo.word_after("at http://")));
    assert!(!directory.exists() && !runs_in(&directory));
}

#[test]
fn the_demo_of_contacts_goes_from_a_mess_to_being_in_step_and_leaves_nothing() {
    let mut demo = Demo::start(&["contacts"]);
    let directory = demo.directory();

    let (code, said) = demo.end();

    let told = &demo.told;
    assert_eq!(code, Some(0), "{told}\n{said}");
    for (sentence, expected) in [
        ("An older system left 2000 clients here, 2000 subscribers there", 1),
        ("field = \"city\"\n", 1),
        ("     unsubscribe      12\n", 1),
        ("no row and no subscriber was written.", 1),
        ("2000 shadows were made in 2 calls of MailerLite.", 1),
        ("Now 222 people have different values on both sides, and 14 a different consent.", 1),
        ("  city = Basel\n", 3),
        ("both changed\n", 1),
        ("kept: database\n", 1),
        ("It read 2003 people in 3 calls, and wrote nothing anywhere", 1),
        ("Held, with exit code 1: update of 2000 people", 1),
        ("The database and the MailerLite are stopped, and their files are removed.", 1),
    ] {
        assert_eq!(told.matches(sentence).count(), expected, "{sentence}\n{told}");
    }
    let syncs = told.lines().filter(|line| line.trim() == "$ syncline contacts sync").count();
    assert_eq!(syncs, 4, "{told}");
    assert!(said.is_empty(), "{said}");
    assert!(!is_listening(demo.word_after("A MailerLite listens at\n   http://")));
    assert!(!directory.exists() && !runs_in(&directory));
}

#[tokio::test]
async fn what_is_kept_works_as_printed_until_ctrl_c() {
    let mut demo = Demo::start(&["--keep"]);
    demo.until(&format!("{} run", env!("CARGO_BIN_EXE_syncline")));
    let directory = demo.directory();
    let health = demo.word_after("  curl http").to_owned();
    let health = client().get(format!("http{health}")).send().await.unwrap();
    assert_eq!(status_and_json(health).await.1["status"], "ok");

    let source = connect(demo.word_after("export SOURCE_DATABASE_URL=")).await.unwrap();
    let (_, statement) = demo.told.split_once(" -c \"").unwrap();
    source.batch_execute(statement.split('"').next().unwrap()).await.unwrap();
    let curl = demo.told.lines().find(|line| line.contains("curl -X POST")).unwrap();
    let answer = posted(curl).await;

    assert_eq!(answer["type"], "manual");
    assert_eq!(answer["statistics"]["tables"]["public.airlines"]["updated"], 2, "{answer}");
    let target = connect(demo.word_after("export TARGET_DATABASE_URL=")).await.unwrap();
    let name = "select name from airlines where carrier = 'UA'";
    let name: String = target.query_one(name, &[]).await.unwrap().get(0);
    assert_eq!(name, "UNITED AIR LINES INC.");
    signal("INT", demo.child.id());
    let (code, said) = demo.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(demo.told.ends_with("their files are removed.\n"), "{}", demo.told);
    assert!(!directory.exists() && !runs_in(&directory));
}

/// Does what a printed curl command says: the headers in quotes, the URL at the end.
async fn posted(curl: &str) -> Value {
    let headers =
        curl.split('\'').skip(1).step_by(2).map(|header| header.split_once(": ").unwrap());
    let post = client().post(curl.rsplit(' ').next().unwrap());
    let post = headers.fold(post, |post, (name, value)| post.header(name, value));
    let (status, body) = status_and_json(post.send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    body
}

#[test]
fn ctrl_c_ends_the_demo_wherever_it_is() {
    for step in ["start", "4. The schedule ticks", "8. Others call"] {
        let mut demo = Demo::start(&[]);
        // Its server's files exist once the start is under way.
        let directory = demo.directory();
        if step != "start" {
            demo.until(step);
        }

        signal("INT", demo.child.id());
        let (code, said) = demo.end();

        assert_eq!(code, Some(130), "{step}: {}\n{said}", demo.told);
        assert!(said.contains("Interrupted. The throwaway server stops"), "{step}: {said}");
        let gone = || !directory.exists() && !runs_in(&directory);
        wait_until(&format!("{step}: {} is gone", directory.display()), gone);
    }
}

#[test]
fn a_reader_that_leaves_ends_the_demo_and_its_server() {
    let mut demo = Demo::start(&[]);
    let directory = demo.directory();
    demo.until("2. The function");

    demo.lines = Box::new(std::io::empty());
    let (code, said) = demo.end();

    assert_eq!(code, Some(1));
    assert!(said.contains("Cannot write on stdout"), "{said}");
    assert!(!directory.exists() && !runs_in(&directory));
}

#[test]
fn a_directory_without_a_server_is_refused_with_the_remedy() {
    let mut demo = Demo::start(&["--postgres", "/nowhere"]);

    let (code, said) = demo.end();

    assert_eq!(code, Some(1));
    assert!(said.contains("No initdb and postgres in /nowhere"), "{said}");
    assert!(said.contains("syncline demo --postgres DIRECTORY"), "{said}");
}
