//! The world of the tests: one throwaway server for the whole run, and a database for each test.
//! Full syncs go between two servers.

mod cleanup;
pub mod deployment;
pub mod dice;
pub mod door;
pub mod folder;
pub mod killable;
pub mod lambda;
pub mod over_api;
pub mod pair;
pub mod pooler;
pub mod postgrest;
pub mod process;
pub mod proxy;
pub mod qstash;
pub mod servers;
mod statements;
pub mod tables;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use syncline::demo::Cluster;
use tokio_postgres::{Client, Error, NoTls};

use statements::Statements;

/// A database of one test's own.
pub struct Database {
    /// Its name, unique in this run.
    pub name: String,
    /// Its URL, with the password in it.
    pub url: String,
    /// The statements that the product sends to it, which are looked at when the test ends.
    pub statements: Option<Statements>,
}

/// Starts the server at the first call; it ends with the process, since statics are not dropped.
pub fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

/// Starts the second server at the first call.
pub fn second_cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start)
}

fn start() -> Cluster {
    let settings = [
        ("max_prepared_transactions", "8"),
        ("max_connections", "200"),
        // Its workers would go round the databases of a whole run without a pause.
        ("autovacuum", "off"),
    ];
    Cluster::start(&servers::options_with(&settings)).expect("Postgres starts")
}

/// Creates an empty database, named after what it is for.
pub async fn fresh_database(prefix: &str) -> Database {
    fresh_database_on(cluster(), prefix).await
}

/// Creates an empty database on a server that is not all tests'.
pub async fn fresh_database_on(cluster: &Cluster, prefix: &str) -> Database {
    let name = unique(prefix);
    cluster.create_database(&name).await.expect("an empty database is created");
    cleanup::drop_after_test(cluster.url("postgres"), &name);
    let statements = Some(Statements::from_now_on(cluster, &name));
    Database { url: cluster.url(&name), name, statements }
}

/// Creates a copy of another database, to which no test may be connected at the time.
pub async fn copy_of(template: &Database, prefix: &str) -> Database {
    let name = unique(prefix);
    let copied = cluster().create_database_from(&name, &template.name).await;
    copied.expect("a database is copied");
    cleanup::drop_after_test(cluster().url("postgres"), &name);
    let statements = Some(Statements::from_now_on(cluster(), &name));
    Database { url: cluster().url(&name), name, statements }
}

/// Connects; the connection lives as long as the client and the test's runtime.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Asks for one text.
pub async fn text(url: &str, query: &str) -> String {
    let client = connect(url).await.expect("the database accepts us");
    client.query_one(query, &[]).await.expect("there is one row").get(0)
}

/// The URL of a role of its own, which may do no more in that database than is granted.
pub async fn role(url: &str, grants: &str) -> String {
    let client = connect(url).await.unwrap();
    let database = text(url, "select current_database()::text").await;
    let name = format!("role_of_{database}");
    // Before Postgres 15 everybody may create in `public`.
    let create = format!(
        "create role {name} login password 'a-role-s-own'; revoke create on schema public from public; "
    );
    client.batch_execute(&(create + &grants.replace("ROLE", &name))).await.unwrap();
    url.replace(&format!("syncline:{}", cluster().password()), &format!("{name}:a-role-s-own"))
}

fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
