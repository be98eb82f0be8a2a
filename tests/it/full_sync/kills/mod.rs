//! Either process is killed at each commit of a full sync, of which the server may or may not hear.
//! Whoever resumes the session ends it with the same rows on both sides.
//!
//! - `commits`: a proxy before a database, which holds one of the commits
//! - `signals`: processes that are told to end, and say how to go on

mod commits;
mod signals;

use std::process::{Command, Stdio};

use serde_json::Value;

use super::deployments::Deployments;
use super::terminal::settings;
use crate::world::dice::{Dice, is_long, seed};
use crate::world::killable::Killable;
use commits::{Commits, Hold};

const SCHEMA: &str = "create table shops (id int primary key, name text); \
    create table orders (id int primary key, shop int not null references shops)";

const FILLED: &str = "insert into shops select n, md5(n::text) from generate_series(1, 50) as n; \
    insert into orders select n, 1 + n % 50 from generate_series(1, 200) as n";

const TABLES: [&str; 2] = ["shops", "orders"];

/// The short version of these tests takes one commit of so many, which the seed decides.
const SHORT_STEP: u64 = 4;

/// The process that is killed.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Driver,
    Peer,
}

/// Two deployments, whose processes reach their databases through proxies.
struct Two {
    both: Deployments,
    driver_commits: Commits,
    peer_commits: Commits,
    peer: Killable,
}

impl Two {
    async fn start() -> Self {
        let both = Deployments::with(SCHEMA).await;
        let [driver_commits, peer_commits] =
            [Commits::before(&both.here).await, Commits::before(&both.there).await];
        let url = peer_commits.url(&both.there);
        let peer = Killable::start(&settings(&url), &[]);
        Self { both, driver_commits, peer_commits, peer }
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let url = self.driver_commits.url(&self.both.here);
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.arg("full-sync").args(arguments).env_clear().envs(settings(&url));
        command.env("SYNC_PEERS", format!("there={}", self.peer.url));
        command.env("APP_URL", "http://127.0.0.1:1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        command
    }

    fn commits(&self, victim: Victim) -> &Commits {
        match victim {
            Victim::Driver => &self.driver_commits,
            Victim::Peer => &self.peer_commits,
        }
    }

    /// Empties the side that is written, and forgets all sessions.
    async fn clear(&self, direction: &str) {
        let (from, to) = match direction {
            "pull" => (&self.both.there, &self.both.here),
            _ => (&self.both.here, &self.both.there),
        };
        for side in [from, to] {
            let old = "truncate orders, shops; \
                do $$ begin if to_regclass('full_sync_sessions') is not null then \
                delete from full_sync_sessions where session_id <> ''; end if; end $$";
            side.sql(old).await;
        }
        from.sql(FILLED).await;
    }

    /// Copies with the victim killed at one of its commits. Returns false if it has no such commit.
    async fn kill_at(&self, how: &[&str], victim: Victim, number: u64, hold: Hold) -> bool {
        let direction = how[0];
        let commits = self.commits(victim);
        self.clear(direction).await;
        commits.hold(number, hold);
        let mut driver = self.command(how).spawn().expect("it starts");
        let is_held = tokio::select! {
            () = commits.holds() => true,
            ended = driver.wait() => {
                assert!(ended.expect("it ends").success(), "{how:?} without a kill");
                false
            }
        };
        if is_held {
            match victim {
                Victim::Driver => driver.kill().await.expect("it is killed"),
                Victim::Peer => self.peer.kill(),
            }
            commits.hold(0, hold);
            commits.let_go();
            if let Victim::Peer = victim {
                self.peer.restart(&[]);
                // The driver would wait for the end of the dead process's lease.
                let _no_session_yet = self.both.there.own.clear_stuck().await;
                driver.wait().await.expect("it ends");
            }
            self.resume(how).await;
        }
        commits.hold(0, hold);
        self.both.assert_equal(&TABLES).await;
        for side in [&self.both.here, &self.both.there] {
            assert_eq!(side.text("select count(*)::text from orders").await, "200");
        }
        is_held
    }

    /// Resumes the session that was cut, or starts one if there is none yet.
    async fn resume(&self, how: &[&str]) {
        // The end of a lease is waited for in no test.
        for side in [&self.both.here, &self.both.there] {
            let _not_there_yet = side.own.clear_stuck().await;
        }
        let list = self.command(&["list", "--json"]).output().await.expect("it runs");
        let sessions: Value = serde_json::from_slice(&list.stdout).expect("a list");
        let arguments = match (sessions[0]["session"].as_str(), sessions[0]["state"].as_str()) {
            (Some(_), Some("completed")) => return,
            (Some(id), _) => vec!["resume", id],
            (None, _) => how.to_vec(),
        };
        let resumed = self.command(&arguments).output().await.expect("it runs");
        let errors = String::from_utf8_lossy(&resumed.stderr).into_owned();
        assert!(resumed.status.success(), "{arguments:?}: {errors}");
    }
}

/// Goes through the commits of a copy with each of the options, or in the short version with one of
/// them, which the seed decides.
async fn kill_at_each_commit(direction: &str, victim: Victim) {
    let two = Two::start().await;
    let seed = seed();
    eprintln!("The seed is {seed}");
    let mut dice = Dice::new(seed);
    let options = ["--no-compress", "--verify", "--per-table"];
    let first = dice.roll(options.len() as u64) as usize;
    let count = if is_long() { options.len() } else { 1 };
    for option in options.iter().cycle().skip(first).take(count) {
        kill_at_each(&two, &[direction, "there", option], victim, &mut dice).await;
    }
}

async fn kill_at_each(two: &Two, how: &[&str], victim: Victim, dice: &mut Dice) {
    let step = if is_long() { 1 } else { SHORT_STEP };
    for number in (1 + dice.roll(step)..).step_by(step as usize) {
        let hold = if dice.roll(2) == 0 { Hold::Commit } else { Hold::Answer };
        eprintln!("{how:?}, {victim:?}, commit {number}, {hold:?}");
        if !two.kill_at(how, victim, number, hold).await {
            assert!(number > 5, "a full sync has more than {number} commits");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_of_a_pull_may_be_killed_at_each_commit() {
    kill_at_each_commit("pull", Victim::Driver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_of_a_pull_may_be_killed_at_each_commit() {
    kill_at_each_commit("pull", Victim::Peer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_of_a_push_may_be_killed_at_each_commit() {
    kill_at_each_commit("push", Victim::Driver).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_peer_of_a_push_may_be_killed_at_each_commit() {
    kill_at_each_commit("push", Victim::Peer).await;
}
