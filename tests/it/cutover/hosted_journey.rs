//! The whole way of a project as its host sets it up: the SQL that is pasted, the plan, the first
//! load, changes, a mended row, the comparison, the cutover. The schema is the usual one: profiles
//! of users that are in no list of tables, folders in folders, parents that nobody listed, triggers
//! that set `updated_at`, positions in a list, and a row that the target refuses.

use std::collections::BTreeMap;

use crate::tls::server::{ANOTHER_MACHINE, PASSWORD, make_roles, named, tls_server};
use crate::world::deployment::{CommandOutput, Deployment};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;
use crate::world::pooler::Pooler;
use crate::world::{connect, fresh_database_on};

const SCHEMA: &str = include_str!("../../data/journey/schema.sql");

/// A rule that the source does not have.
const RULE: &str = "alter table profiles add constraint short check (length(name) < 20)";

const ROWS: &str = include_str!("../../data/journey/rows.sql");

/// Every position moves on by one, a child comes with its parents, and rows change.
const CHANGES: &str = include_str!("../../data/journey/changes.sql");

const TABLES: [&str; 3] = ["profiles", "folders", "tracks"];

struct Journey {
    pair: Pair,
    deployment: Deployment,
}

impl Journey {
    fn between(pair: Pair, databases: BTreeMap<String, String>) -> Self {
        let deployment = Deployment(databases)
            .set("SYNC_TABLES", TABLES.join(","))
            .set("SYNC_OVERLAP_SECONDS", "0");
        Self { pair, deployment }
    }

    async fn runs(&self, command: &[&str], code: i32) -> CommandOutput {
        let printed = self.deployment.terminal(command).await;
        if printed.code != code {
            let rejects = self.deployment.terminal(&["rejects", "list"]).await.stdout;
            panic!("{command:?}: {printed:?}\n{rejects}");
        }
        printed
    }

    /// The calls of a run to both sides.
    async fn calls_of_run(&self, code: i32) -> u64 {
        let report = self.runs(&["run", "--json"], code).await.json();
        report["statistics"]["api_calls"].as_u64().unwrap_or(0)
    }

    /// Goes the way from the plan on; the calls of each run: the first load, nothing changed, the
    /// changes, the mended row.
    async fn goes(&self) -> [u64; 4] {
        let Self { pair, .. } = self;
        pair.sql_source(ROWS).await;
        pair.sql_target(RULE).await;
        self.runs(&["plan"], 0).await;
        let load = self.calls_of_run(4).await;
        let rejects = self.runs(&["rejects", "list"], 4).await.stdout;
        assert!(rejects.contains("short"), "{rejects}");
        let quiet = self.calls_of_run(4).await;
        pair.sql_source(CHANGES).await;
        let changed = self.calls_of_run(4).await;
        pair.sql_target("alter table profiles drop constraint short").await;
        let mended = self.calls_of_run(0).await;
        self.runs(&["verify", "--all"], 0).await;
        pair.assert_equal(&TABLES).await;
        let done = self.runs(&["cutover", "--yes"], 0).await.stdout;
        assert!(done.contains("the target is ready"), "{done}");
        [load, quiet, changed, mended]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projects_behind_their_apis_go_the_whole_way() {
    let pair = Pair::with(SCHEMA).await.over_api(OverApi::Both).await;
    let (old, new) = (pair.source_api(), pair.target_api());
    let databases = [
        ("SUPABASE_URL", old.url()),
        ("SUPABASE_SERVICE_ROLE_KEY", old.service_key()),
        ("NEW_SUPABASE_URL", new.url()),
        ("NEW_SUPABASE_SERVICE_ROLE_KEY", new.secret_key()),
    ];
    let databases = databases.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let journey = Journey::between(pair, databases.into());
    let sql = journey.runs(&["project-sql", "source"], 0).await.stdout;
    journey.pair.sql_source(&sql).await;
    let sql = journey.runs(&["project-sql", "target"], 0).await.stdout;
    journey.pair.sql_target(&sql).await;

    let calls = journey.goes().await;
    // A rejected row is asked for in each run.
    let most = [30, 10, 36, 8];
    assert!(calls.iter().zip(most).all(|(calls, most)| (1..=most).contains(calls)), "{calls:?}");
}

/// The source is asked over its own port, the target through a transaction pooler; both prove
/// themselves by the authority of their host.
#[tokio::test(flavor = "multi_thread")]
async fn two_hosted_servers_of_a_private_authority_go_the_whole_way() {
    let server = tls_server();
    let cluster = &server.cluster;
    let certificate = server.authority.sign(named(&[ANOTHER_MACHINE]));
    let pooler = Pooler::with_tls(cluster.port(), cluster.password(), &certificate);
    let Some(pooler) = pooler else { return };
    let source = fresh_database_on(cluster, "hosted_source").await;
    let target = fresh_database_on(cluster, "hosted_target").await;
    make_roles(&connect(&source.url).await.unwrap()).await;
    let at = |port: u16, name: &str| {
        format!("postgres://by_scram:{PASSWORD}@{ANOTHER_MACHINE}:{port}/{name}")
    };
    let databases = [
        ("SOURCE_DATABASE_URL", at(cluster.port(), &source.name) + "?sslmode=require"),
        ("SOURCE_SSL_CA", server.file.to_string_lossy().into_owned()),
        ("TARGET_DATABASE_URL", at(pooler.port(), &target.name) + "?sslmode=verify-full"),
        ("TARGET_SSL_CA", server.authority.pem.clone()),
    ];
    let databases = databases.map(|(name, value)| (name.to_owned(), value));
    let pair = Pair::between(source, target, SCHEMA, SCHEMA).await;
    let journey = Journey::between(pair, databases.into());

    journey.goes().await;
}
