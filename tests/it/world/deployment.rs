//! A deployment: two databases, a QStash account, and the settings that the function and a person
//! at the terminal have in common.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::SystemTime;

use reqwest::RequestBuilder;
use serde_json::Value;
use syncline::demo::qstash::{LocalQStash, Schedule};
use syncline::edge::calling::SCHEDULE_PATH;

use super::door::{ADMIN_TOKEN, Door, Port, client, status_and_json};
use super::pair::Pair;

/// The id of the schedule of the pipeline that needs no file.
pub const ID: &str = "syncline-slave-to-prod";

/// The public URL of the function where a test names no other.
pub const HOME: &str = "https://sync.example.com";

/// A QStash whose clock stands at the present, so that nothing ticks by chance.
pub async fn account() -> LocalQStash {
    LocalQStash::stepped(SystemTime::now()).await.expect("a port is free")
}

/// The settings of a deployment.
#[derive(Clone)]
pub struct Deployment(pub BTreeMap<String, String>);

/// The output and the exit code of a command.
#[derive(Debug)]
pub struct CommandOutput {
    /// The exit code.
    pub code: i32,
    /// The results.
    pub stdout: String,
    /// Everything else.
    pub stderr: String,
}

impl Deployment {
    /// A pair that an account's schedules keep in step.
    pub fn of(pair: &Pair, qstash: &LocalQStash) -> Self {
        Self::over(pair.settings().clone(), qstash)
    }

    /// A deployment over the databases that these settings name.
    pub fn over(databases: BTreeMap<String, String>, qstash: &LocalQStash) -> Self {
        let deployment = Self(databases);
        let deployment = deployment.set("APP_URL", HOME).set("SYNC_ADMIN_TOKEN", ADMIN_TOKEN);
        let deployment = deployment.set("QSTASH_URL", qstash.url());
        let deployment = deployment.set("QSTASH_TOKEN", qstash.token());
        let deployment = deployment.set("QSTASH_CURRENT_SIGNING_KEY", qstash.current_key());
        deployment.set("QSTASH_NEXT_SIGNING_KEY", qstash.next_key())
    }

    /// Adds a setting; an empty one counts as not set.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// The function with these settings.
    pub async fn door(&self) -> Door {
        Door::with(Port::free().await, &self.0).await
    }

    /// The function at a public URL where the account reaches it, and the settings with that URL.
    pub async fn reachable(self) -> (Self, Door) {
        let port = Port::free().await;
        let deployment = self.set("APP_URL", &port.url);
        let door = Door::with(port, &deployment.0).await;
        (deployment, door)
    }

    /// Does something with the schedules over HTTP, as a person does.
    pub async fn change_schedules(&self, body: Value) -> (u16, Value) {
        let door = self.door().await;
        let request = door.request("POST", SCHEDULE_PATH).bearer_auth(ADMIN_TOKEN);
        status_and_json(request.body(body.to_string()).send().await.expect("the door answers"))
            .await
    }

    /// The schedules, as a person sees them over HTTP.
    pub async fn list_schedules(&self) -> (u16, Value) {
        let door = self.door().await;
        let request = door.request("GET", SCHEDULE_PATH).bearer_auth(ADMIN_TOKEN);
        status_and_json(request.send().await.expect("the door answers")).await
    }

    /// Runs a command of the real executable.
    pub async fn terminal(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(arguments).env_clear().envs(&self.0);
        // What the command calls is served by this test's own thread.
        let ran = tokio::task::spawn_blocking(move || command.output()).await;
        let output = ran.expect("nothing panics").expect("the executable runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it prints UTF-8");
        CommandOutput {
            code: output.status.code().expect("an exit code"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl CommandOutput {
    /// The one JSON object on stdout.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|bad| panic!("{bad}: {self:?}"))
    }
}

/// A call of QStash's own API, as the console makes it.
pub fn console(qstash: &LocalQStash, method: &str, path: &str) -> RequestBuilder {
    let method = method.parse().expect("a method");
    let url = format!("{}/v2/schedules/{path}", qstash.url());
    client().request(method, url).bearer_auth(qstash.token())
}

/// Makes somebody else's schedule.
pub async fn make_foreign_schedule(qstash: &LocalQStash, id: &str, destination: &str) {
    let made = console(qstash, "POST", destination);
    let made = made.header("Upstash-Cron", "5 4 * * *").header("Upstash-Schedule-Id", id);
    assert!(made.send().await.expect("QStash answers").status().is_success());
}

/// The only schedule there is.
pub fn only(qstash: &LocalQStash) -> Schedule {
    let schedules = qstash.schedules();
    assert_eq!(schedules.len(), 1, "{schedules:?}");
    schedules.into_iter().next().expect("there is one")
}
