//! The real function binary under an emulated Runtime API, over two databases of its own.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use syncline::demo::{Signer, random_key};

use super::runtime_api::{HttpAnswer, RuntimeApi};
use crate::world::door::ADMIN_TOKEN;
use crate::world::{Database, connect, fresh_database};

/// The public URL in the function's settings.
pub const APP_URL: &str = "https://sync.example.com";

/// A function that has asked for work, over two databases.
pub struct Function {
    api: RuntimeApi,
    /// Signs with the current key.
    pub signer: Signer,
    pub source: Database,
    pub target: Database,
    process: Child,
    stdout: PathBuf,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.stdout);
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Function {
    /// Starts it over so many rows, with further settings.
    pub async fn start(rows: u32, more: &[(&str, &str)]) -> Self {
        let source = fresh_database("lambda_source").await;
        let target = fresh_database("lambda_target").await;
        for database in [&source, &target] {
            let table = "create table items (id int primary key, name text, \
                updated_at timestamptz not null); create index on items (updated_at, id)";
            connect(&database.url).await.unwrap().batch_execute(table).await.unwrap();
        }
        let fill = format!(
            "insert into items select i, repeat('x', 1000), \
             timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, {rows}) i"
        );
        connect(&source.url).await.unwrap().batch_execute(&fill).await.unwrap();
        let (api, key) = (RuntimeApi::start().await, random_key());
        let stdout = format!("{}-{}.stdout", source.name, std::process::id());
        let stdout = std::env::temp_dir().join(stdout);
        let process = Command::new(env!("CARGO_BIN_EXE_function"))
            .env_clear()
            .envs(api.environment())
            .envs([
                ("SOURCE_DATABASE_URL", source.url.as_str()),
                ("TARGET_DATABASE_URL", &target.url),
                ("APP_URL", APP_URL),
                ("SYNC_ADMIN_TOKEN", ADMIN_TOKEN),
                ("QSTASH_CURRENT_SIGNING_KEY", &key),
            ])
            .envs(more.iter().copied())
            .stdout(File::create(&stdout).expect("the temporary directory takes a file"))
            .spawn()
            .expect("the function starts");
        api.ready().await;
        Self { api, signer: Signer::new(&key), source, target, process, stdout }
    }

    /// Invokes it; the status and the JSON body of its answer.
    pub async fn invoke(&self, event: &Value, deadline: SystemTime) -> (u16, Value) {
        let HttpAnswer { status, headers: _, body } = self.api.invoke(event, deadline).await;
        (status, serde_json::from_slice(&body).expect("a JSON body"))
    }

    /// Invokes it; the whole answer.
    pub async fn answer(&self, event: &Value, deadline: SystemTime) -> HttpAnswer {
        self.api.invoke(event, deadline).await
    }

    /// Returns the function's stdout, which is complete for every answered invocation.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.stdout).expect("the file is there")
    }

    /// The shipped event of a scheduled call, signed afresh.
    pub fn scheduled(&self) -> Value {
        self.signed("scheduled-sync")
    }

    /// A shipped event of QStash's, signed afresh over its raw body.
    pub fn signed(&self, name: &str) -> Value {
        let mut event = event(name);
        let body = event["body"].as_str().unwrap();
        let body = match event["isBase64Encoded"].as_bool() {
            Some(true) => STANDARD.decode(body).unwrap(),
            _ => body.as_bytes().to_vec(),
        };
        let url = format!("{APP_URL}{}", event["rawPath"].as_str().unwrap());
        let token = self.signer.sign(&url, &body, SystemTime::now());
        event["headers"]["upstash-signature"] = json!(token);
        event
    }
}

/// A shipped event.
pub fn event(name: &str) -> Value {
    let path = format!("{}/events/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a shipped event");
    serde_json::from_str(&text).expect("an event is JSON")
}

/// A deadline that does not press.
pub fn in_a_minute() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}
