//! Two databases and the function between them, called as a person calls it: through the real
//! router with the admin token. Every call checks that the source is as it was, and that neither a
//! lease nor a run is left open.

use std::collections::BTreeMap;
use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use serde_json::Value;
use syncline::demo::compare;
use syncline::edge::http::router;
use syncline::engine::model::range::Side;
use syncline::wiring::App;
use tokio_postgres::Client;
use tower::Service;

use super::over_api::{GRANTS, OverApi, allow_to_suppress, stand_in};
use super::postgrest::Standin;
use super::{Database, connect, fresh_database};

/// The path of a sync of the pipeline that needs no file, which schedules and people call.
pub const SYNC_PATH: &str = "/api/background/sync/slave-to-prod";

/// The token that manual callers show.
pub const TOKEN: &str = "a-token-of-the-tests-alone";

/// A source and a target of one test's own.
pub struct Pair {
    /// The source.
    pub source: Database,
    /// The target.
    pub target: Database,
    source_client: Client,
    target_client: Client,
    settings: BTreeMap<String, String>,
    /// The stand-ins before the databases that the function reaches over an API.
    apis: Apis,
}

/// The stand-ins before the two databases.
#[derive(Default)]
struct Apis {
    source: Option<Standin>,
    target: Option<Standin>,
}

/// The answer to a call.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
}

impl Pair {
    /// Two databases with the same schema.
    pub async fn with(schema: &str) -> Self {
        Self::of(schema, schema).await
    }

    /// Two databases with a schema each.
    pub async fn of(source_schema: &str, target_schema: &str) -> Self {
        let (source, target) = (fresh_database("source").await, fresh_database("target").await);
        Self::between(source, target, source_schema, target_schema).await
    }

    /// Two databases that exist already and get a schema each.
    pub async fn between(
        source: Database,
        target: Database,
        source_schema: &str,
        target_schema: &str,
    ) -> Self {
        let source_client = connect(&source.url).await.expect("the source accepts us");
        let target_client = connect(&target.url).await.expect("the target accepts us");
        let settings = [
            ("SOURCE_DATABASE_URL", source.url.as_str()),
            ("TARGET_DATABASE_URL", target.url.as_str()),
            ("SYNC_ADMIN_TOKEN", TOKEN),
            ("SYNC_OVERLAP_SECONDS", "0"),
        ];
        let settings =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let apis = Apis::default();
        let pair = Self {
            settings: settings.collect(),
            source,
            target,
            source_client,
            target_client,
            apis,
        };
        pair.sql_source(source_schema).await;
        pair.sql_target(target_schema).await;
        match OverApi::from_environment() {
            Some(over) => pair.over_api(over).await,
            None => pair,
        }
    }

    /// Runs our SQL as a person does in a project's SQL editor, and has the pair reached over its
    /// API.
    #[must_use]
    pub async fn over_api(mut self, over: OverApi) -> Self {
        if over != OverApi::Target {
            self.sql_source(&App::project_sql(Side::Source, "public")).await;
            let api = stand_in(&self.source).await;
            self = self
                .set("SOURCE_DATABASE_URL", api.url())
                .set("SOURCE_SERVICE_ROLE_KEY", api.service_key());
            self.apis.source = Some(api);
            self.grant(&self.source_client).await;
        }
        if over != OverApi::Source {
            self.sql_target(&App::project_sql(Side::Target, "public")).await;
            let api = stand_in(&self.target).await;
            self = self
                .set("TARGET_DATABASE_URL", api.url())
                .set("TARGET_SERVICE_ROLE_KEY", api.secret_key());
            self.apis.target = Some(api);
            allow_to_suppress(&self.target_client).await;
            self.grant(&self.target_client).await;
        }
        self
    }

    /// The API before the source.
    pub fn source_api(&self) -> &Standin {
        self.apis.source.as_ref().expect("the source is behind an API")
    }

    /// The API before the target.
    pub fn target_api(&self) -> &Standin {
        self.apis.target.as_ref().expect("the target is behind an API")
    }

    /// Later tables are granted to nobody, so it is done again when something was made.
    async fn grant(&self, client: &Client) {
        client.batch_execute(GRANTS).await.expect("the superuser may grant");
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// Adds rules for a table, as `syncline.toml` has them.
    #[must_use]
    pub fn rules(self, table: &str) -> Self {
        self.pipeline(&format!("[[pipeline.table]]\n{table}"))
    }

    /// Adds settings of the pipeline, as `syncline.toml` has them.
    #[must_use]
    pub fn pipeline(self, settings: &str) -> Self {
        let path: PathBuf = std::env::temp_dir().join(format!("{}.toml", self.source.name));
        let path = path.with_extension(format!("{}.toml", std::process::id()));
        let text = format!("[[pipeline]]\nname = \"slave-to-prod\"\n{settings}\n");
        std::fs::write(&path, text).expect("the temporary directory takes a file");
        self.set("SYNC_CONFIG", path.to_string_lossy())
    }

    /// Returns the settings that a process or an application is started with.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }

    /// Runs statements in the source.
    pub async fn sql_source(&self, sql: &str) {
        self.source_client.batch_execute(sql).await.expect("the source takes it");
        if self.apis.source.is_some() {
            self.grant(&self.source_client).await;
        }
    }

    /// Runs statements in the target.
    pub async fn sql_target(&self, sql: &str) {
        self.target_client.batch_execute(sql).await.expect("the target takes it");
        if self.apis.target.is_some() {
            self.grant(&self.target_client).await;
        }
    }

    /// Asks the source for one text.
    pub async fn text_source(&self, query: &str) -> String {
        self.source_client.query_one(query, &[]).await.expect("there is one row").get(0)
    }

    /// Asks the target for one text.
    pub async fn text_target(&self, query: &str) -> String {
        self.target_client.query_one(query, &[]).await.expect("there is one row").get(0)
    }

    /// Another connection to the source, for a transaction that stays open.
    pub async fn writer(&self) -> Client {
        connect(&self.source.url).await.expect("the source accepts us")
    }

    /// A function that was just started, with these settings besides the pair's own.
    pub fn function(&self, set: &[(&str, &str)]) -> Router {
        let lookup = |asked: &str| {
            let own = set.iter().find(|(name, _)| *name == asked).map(|(_, value)| *value);
            own.map(str::to_owned).or_else(|| self.settings.get(asked).cloned())
        };
        let app = App::function(&lookup).unwrap_or_else(|problems| panic!("{problems}"));
        router(app).expect("the token is long enough")
    }

    /// One call of a fresh function.
    pub async fn sync(&self) -> Answer {
        self.sync_with(&[]).await
    }

    /// One call of a fresh function with other settings.
    pub async fn sync_with(&self, set: &[(&str, &str)]) -> Answer {
        let before = versions(&self.source_client).await;
        let answer = call(self.function(set)).await;
        assert_eq!(before, versions(&self.source_client).await, "the source was written");
        self.assert_closed().await;
        answer
    }

    /// One call of a fresh function while others write the source; whether it went well.
    pub async fn sync_moving(&self) -> bool {
        let answer = call(self.function(&[])).await;
        answer.body["success"] == true
    }

    /// Calls until there is no more to do; the answers in their order.
    pub async fn sync_until_done(&self, set: &[(&str, &str)]) -> Vec<Answer> {
        let mut answers = Vec::new();
        loop {
            let answer = self.sync_with(set).await.success();
            let done = answer.body["done"] == true;
            answers.push(answer);
            if done {
                return answers;
            }
            assert!(answers.len() < 1_000, "no end in sight");
        }
    }

    /// Neither a lease nor a run is left open.
    pub async fn assert_closed(&self) {
        let exists = "select (to_regclass('public.sync_state') is not null)::text";
        if self.text_target(exists).await == "false" {
            return;
        }
        let left = "select coalesce(string_agg(what, ', '), '') from (\
            select key as what from sync_state where key like 'lease:%' \
                and (value ->> 'expires_at')::timestamptz > clock_timestamp() \
            union all select 'run ' || run_id from sync_metadata where sync_status = 'running') as t";
        assert_eq!(self.text_target(left).await, "", "left open");
    }

    /// Both databases hold the same rows, and another call writes none of them again.
    pub async fn assert_settled(&self, tables: &[&str]) {
        self.assert_equal(tables).await;
        let before = versions(&self.target_client).await;
        let again = self.sync().await;
        assert!(again.body["done"] == true, "{}", again.body);
        assert_eq!(again.body["statistics"]["total_records"], 0, "{}", again.body);
        assert_eq!(before, versions(&self.target_client).await, "equal rows were written again");
        self.assert_equal(tables).await;
    }

    /// Both databases hold the same rows.
    pub async fn assert_equal(&self, tables: &[&str]) {
        for table in self.compared(tables).await {
            assert!(table.equal, "{table:?}");
        }
    }

    /// The tables of both databases, compared.
    pub async fn compared(&self, tables: &[&str]) -> Vec<compare::ComparedTable> {
        let compared = compare::compare(&self.source.url, &self.target.url, tables).await;
        compared.expect("the tables can be compared")
    }

    /// The history's counts of a table over all runs: inserted, updated.
    pub async fn recorded(&self, table: &str) -> (i64, i64) {
        let sums = "select coalesce(sum((tables -> $1 ->> 'inserted')::int8), 0)::int8, \
            coalesce(sum((tables -> $1 ->> 'updated')::int8), 0)::int8 from sync_metadata";
        let row = self.target_client.query_one(sums, &[&table]).await.expect("there is a history");
        (row.get(0), row.get(1))
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        if let Some(path) = self.settings.get("SYNC_CONFIG") {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Answer {
    /// The call went well.
    pub fn success(self) -> Self {
        assert!(
            self.status == 200 && self.body["success"] == true,
            "{} {}",
            self.status,
            self.body
        );
        self
    }

    /// A table's rows: inserted, updated, unchanged. None where the table was not worked.
    pub fn rows(&self, table: &str) -> [u64; 3] {
        let counted = &self.body["statistics"]["tables"][table];
        ["inserted", "updated", "unchanged"].map(|name| counted[name].as_u64().unwrap_or(0))
    }

    /// The code and the sentence of what went wrong, as whoever called reads them.
    pub fn error(&self) -> (String, String) {
        let text = |name: &str| self.body["error"][name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }

    /// The warnings, a line each.
    pub fn warnings(&self) -> String {
        let lines = self.body["warnings"].as_array().into_iter().flatten();
        lines.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }
}

/// One manual call.
pub async fn call(mut function: Router) -> Answer {
    let request = Request::post(SYNC_PATH)
        .header("x-manual-trigger", "true")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::empty())
        .expect("a request");
    let Ok(response) = function.call(request).await;
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: serde_json::from_slice(&bytes).expect("the body is JSON"),
    }
}

/// Every row version of every table but our own state: a row that is written again has another.
async fn versions(client: &Client) -> BTreeMap<String, String> {
    let tables = "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = relnamespace \
        where relkind = 'r' and nspname !~ '^pg_|^information_schema$' \
        and relname not in ('sync_state', 'sync_metadata')";
    let tables = client.query(tables, &[]).await.expect("the catalog can be read");
    let mut versions = BTreeMap::new();
    for table in tables {
        let table: String = table.get(0);
        let query = format!(
            "select count(*) || ' ' || coalesce(md5(string_agg(ctid::text || xmin::text, ',' \
             order by ctid)), '') from only {table}"
        );
        let rows = client.query_one(&query, &[]).await.expect("the table can be read").get(0);
        versions.insert(table, rows);
    }
    versions
}
