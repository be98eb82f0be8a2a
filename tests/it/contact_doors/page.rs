//! The page on contacts: each of its commands is run, in the order of the page, by a shell, from a
//! crosswalk without shadows to a schedule of the queue's.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::process::{Output, Stdio};
use std::time::Duration;

use syncline::demo::mailerlite::{LocalMailerLite, Options, Seed, Status};
use syncline::demo::qstash::LocalQStash;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio_postgres::Client;

use crate::world::deployment::{Deployment, account};
use crate::world::door::Door;
use crate::world::folder::Folder;
use crate::world::{Database, connect, fresh_database};

/// The number of the conflict that the page answers.
const ANSWERED: u32 = 7;

const PEOPLE: usize = 600;

const CLIENTS: &str = "create table clients (id uuid primary key default gen_random_uuid(), \
    email text not null, first_name text, city text, email_status text, deleted_at timestamptz, \
    gdpr_erased_at timestamptz, updated_at timestamptz not null default now()); \
    create table integration_crosswalk (a_id uuid primary key, b_id text not null unique); \
    create table sync_log (id bigserial primary key, run_id text, a_id uuid, b_id text, \
        action text not null, details jsonb not null default '{}')";

/// A team with an older system's crosswalk and log, at work in a folder.
struct Team {
    _database: Database,
    client: Client,
    mailerlite: LocalMailerLite,
    qstash: LocalQStash,
    folder: Folder,
    set: BTreeMap<String, String>,
    door: Option<Door>,
}

fn address(number: usize) -> String {
    match number {
        0 => "ann@example.com".to_owned(),
        1 => "bob@example.com".to_owned(),
        number => format!("p{number}@example.com"),
    }
}

impl Team {
    async fn open() -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let database = fresh_database("team").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute(CLIENTS).await.unwrap();
        let mailerlite = LocalMailerLite::start(Options::default()).await.unwrap();
        let seed = |number| {
            let seed = Seed::new(address(number)).with_field("name", "A").with_field("city", "X");
            // One of them has left there, and the database does not know.
            let status = if number == 2 { Status::Unsubscribed } else { Status::Active };
            seed.with_status(status)
        };
        mailerlite.seed((0..PEOPLE).map(seed));
        let rows: Vec<String> = (mailerlite.people().iter())
            .map(|person| format!("('{}', '{}')", person.email, person.id))
            .collect();
        let rows = format!(
            "with p (email, b_id) as (values {}), c as (\
                 insert into clients (email, first_name, city) \
                 select email, 'A', 'X' from p returning id, email) \
             insert into integration_crosswalk select c.id, p.b_id from c join p using (email); \
             analyze clients",
            rows.join(", ")
        );
        client.batch_execute(&rows).await.unwrap();
        // Both sides have a name of Ann's, and never agreed on one.
        let ann = "update clients set first_name = 'Ann' where email = 'ann@example.com'";
        client.batch_execute(ann).await.unwrap();
        let qstash = account().await;
        let folder = Folder::new();
        std::fs::create_dir(folder.path.join("bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_syncline"), folder.path.join("bin/syncline")).unwrap();
        let set = [
            ("TARGET_DATABASE_URL", database.url.clone()),
            ("MAILERLITE_URL", mailerlite.url()),
            ("MAILERLITE_API_KEY", mailerlite.token().to_owned()),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value)).into();
        Self { _database: database, client, mailerlite, qstash, folder, set, door: None }
    }

    async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    async fn count(&self, query: &str) -> i64 {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = format!("{}:/usr/bin:/bin", self.folder.path.join("bin").display());
        command.args(["-ec", line]).current_dir(&self.folder.path).env_clear();
        command.envs(&self.set).env("PATH", path);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        command
    }

    /// Runs a line of the page; returns its output, and checks its exit code.
    async fn run(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.command(line).output().await.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // The sync of a hundred people leaves the others to the next one.
        let expected = if line.contains("--max-records") { 3 } else { 0 };
        assert_eq!(status.code(), Some(expected), "{line}: {}{}", text(&stdout), text(&stderr));
        text(&stdout)
    }

    /// Starts the function, for the queue calls it.
    async fn serve(&mut self) {
        let mut settings = self.set.clone();
        let config = self.folder.path.join("syncline.toml").display().to_string();
        settings.insert("SYNC_CONFIG".to_owned(), config);
        let (deployment, door) = Deployment::over(settings, &self.qstash).reachable().await;
        for name in ["APP_URL", "QSTASH_TOKEN"] {
            self.set.insert(name.to_owned(), deployment.0[name].clone());
        }
        self.door = Some(door);
    }

    fn names(&self, name: &str) -> usize {
        let people = self.mailerlite.people();
        people.iter().filter(|person| person.fields.get("name").is_some_and(|n| n == name)).count()
    }
}

/// The commands of the page, in order, those of several lines in one.
fn commands() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/contacts.md");
    let page = std::fs::read_to_string(path).expect("the page is there");
    let blocks = page.split("\n```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("\n```").next().expect("a block ends"));
    let joined: Vec<String> = blocks.map(|block| block.replace("\\\n", " ")).collect();
    joined.iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_on_contacts_does_what_it_says() {
    let mut team = Team::open().await;
    let commands = commands();
    assert!(commands.len() >= 14, "{commands:?}");
    for line in commands {
        match line.as_str() {
            "syncline contacts init >> syncline.toml" => {
                team.run(&line).await;
                team.set.insert("SYNC_CONFIG".to_owned(), "syncline.toml".to_owned());
            }
            "syncline contacts plan" => {
                let out = team.run(&line).await;
                assert!(out.contains("unsubscribe  1  (at most 2 %)"), "{out}");
                assert_eq!(team.count("select count(*) from contact_shadows").await, 0);
            }
            "syncline contacts backfill" => {
                team.run(&line).await;
                assert_eq!(team.count("select count(*) from contact_shadows").await, 600);
                let next = format!("alter table sync_conflicts alter id restart with {ANSWERED}");
                team.sql(&next).await;
                team.sql("update clients set first_name = 'B' where email ~ '^p1\\d\\d@'").await;
                team.sql("update clients set first_name = 'B' where email ~ '^p5\\d@'").await;
            }
            "syncline contacts sync --max-records 100" => {
                team.run(&line).await;
                assert!((90..=100).contains(&team.names("B")), "{}", team.names("B"));
            }
            "syncline contacts sync" => {
                team.run(&line).await;
                assert_eq!(team.names("B"), 110);
                let left = "select count(*) from clients where email_status = 'unsubscribed'";
                assert_eq!(team.count(left).await, 1);
            }
            "syncline contacts conflicts list" => {
                let out = team.run(&line).await;
                assert!(out.contains("never agreed"), "{out}");
            }
            "syncline contacts conflicts resolve 7 database" => {
                team.run(&line).await;
                assert_eq!(team.names("Ann"), 1);
            }
            line if line.starts_with("curl ") => {
                team.serve().await;
                let line = line.replace("https://qstash.upstash.io", &team.qstash.url());
                team.run(&line).await;
                team.sql("update clients set first_name = 'C' where email = 'bob@example.com'")
                    .await;
                team.qstash.advance(Duration::from_secs(24 * 3600)).await;
                team.qstash.settle().await;
                assert_eq!((team.names("C"), team.qstash.dead_letters().len()), (1, 0));
            }
            "syncline local-mailerlite --port 8090" => serve_and_end(&team, &line).await,
            line if line.starts_with("syncline contacts log") => {
                let out = team.run(line).await;
                assert!(out.contains("resolve ") && out.contains("name = Ann"), "{out}");
            }
            line => {
                assert!(line.starts_with("syncline contacts "), "no command of ours: {line}");
                team.run(line).await;
            }
        }
    }
}

/// Runs the local MailerLite at a free port until it has printed its exports.
async fn serve_and_end(team: &Team, line: &str) {
    let line = format!("exec {}", line.replace("8090", "0"));
    let mut child = team.command(&line).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let first = lines.next_line().await.expect("it prints text").unwrap_or_default();
    assert!(first.starts_with("export MAILERLITE_URL='http://127.0.0.1:"), "{first}");
    child.kill().await.expect("it is ours");
}
