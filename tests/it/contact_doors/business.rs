//! A business: its clients in Postgres, and its account at MailerLite.

use std::process::Stdio;

use serde_json::Value;
use syncline::demo::mailerlite::{LocalMailerLite, Options, Seed};
use syncline::engine::model::range::Side;
use syncline::wiring::App;
use tokio_postgres::Client;

use crate::world::folder::Folder;
use crate::world::over_api::{GRANTS, stand_in};
use crate::world::postgrest::Standin;
use crate::world::{Database, connect, fresh_database};

/// The clients as a business has them, and another table with addresses.
const CLIENTS: &str = "create table clients (
        id uuid primary key default gen_random_uuid(), email text not null, first_name text,
        city text, email_status text, is_partner boolean, deleted_at timestamptz,
        gdpr_erased_at timestamptz, updated_at timestamptz not null default now());
    create table leads (id uuid primary key, e_mail text);
    create table orders (id int primary key, email text);
    insert into clients (id, email, first_name, city) values
        ('00000000-0000-0000-0000-000000000001', 'Ann@example.com', 'Ann', 'Ulm'),
        ('00000000-0000-0000-0000-000000000002', 'bob@example.com', 'Bob', null);
    analyze clients";

/// A mapping of these clients.
pub const MAPPING: &str = "[contacts]\ntable = \"clients\"\nemail = \"email\"\n\
    where = \"deleted_at is null\"\n\
    status = { column = \"email_status\", unsubscribed = \"unsubscribed\" }\n\
    [[contacts.field]]\ncolumn = \"first_name\"\nfield = \"name\"\n\
    [[contacts.field]]\ncolumn = \"city\"\nfield = \"city\"\n";

/// A business.
pub struct Business {
    pub database: Database,
    pub client: Client,
    pub mailerlite: LocalMailerLite,
    folder: Folder,
    /// The API that the database is reached over, if it is.
    api: Option<Standin>,
}

impl Business {
    /// Two clients, of whom Ann is a subscriber, too.
    pub async fn open() -> Self {
        Self::with(Options::default()).await
    }

    /// A business whose MailerLite has these options.
    pub async fn with(options: Options) -> Self {
        let database = fresh_database("business").await;
        let client = connect(&database.url).await.unwrap();
        client.batch_execute(CLIENTS).await.unwrap();
        let mailerlite = LocalMailerLite::start(options).await.unwrap();
        let ann = Seed::new("ann@example.com").with_field("name", "Anna").with_field("city", "Ulm");
        mailerlite.seed([ann]);
        let folder = Folder::new();
        std::fs::write(folder.path.join("syncline.toml"), MAPPING).unwrap();
        Self { database, client, mailerlite, folder, api: None }
    }

    /// Has the database be a project that its API alone reaches, with our functions pasted into it.
    pub async fn over_api(mut self) -> Self {
        self.sql(&App::project_sql(Side::Target, "public")).await;
        self.api = Some(stand_in(&self.database).await);
        self.sql(GRANTS).await;
        self
    }

    /// Replaces the file of settings.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.folder.path.join("syncline.toml"), text).unwrap();
    }

    pub fn settings(&self) -> Vec<(String, String)> {
        let config = self.folder.path.join("syncline.toml");
        let (url, key) = match &self.api {
            Some(api) => (api.url().to_owned(), api.secret_key().to_owned()),
            None => (self.database.url.clone(), String::new()),
        };
        let all = [
            ("TARGET_DATABASE_URL", url),
            ("TARGET_SERVICE_ROLE_KEY", key),
            ("MAILERLITE_URL", self.mailerlite.url()),
            ("MAILERLITE_API_KEY", self.mailerlite.token().to_owned()),
            ("SYNC_CONFIG", config.display().to_string()),
        ];
        let all = all.into_iter().filter(|(_, value)| !value.is_empty());
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Runs `syncline contacts` with all settings but one: exit code, stdout, stderr.
    pub async fn run_without(&self, name: &str, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.arg("contacts").args(arguments).env_clear().stdin(Stdio::null());
        command.envs(self.settings().into_iter().filter(|(set, _)| set != name));
        let output = command.output().await.expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    pub async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        self.run_without("", arguments).await
    }

    /// The output of a command that must not fail.
    pub async fn out(&self, arguments: &[&str]) -> String {
        let (code, out, errors) = self.run(arguments).await;
        assert_eq!(code, 0, "{arguments:?}: {out}{errors}");
        out
    }

    pub async fn json(&self, arguments: &[&str]) -> Value {
        let out = self.out(&[arguments, &["--json"]].concat()).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    pub async fn sql(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }

    pub async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }
}
