//! The servers that everything is measured on: one for the source, one for the target, both
//! throwaway.

use std::path::PathBuf;

use syncline::demo::{Cluster, ClusterOptions, TlsFiles};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, NoTls};

/// Both servers are set alike and calm: nothing runs beside what is measured.
const SETTINGS: [(&str, &str); 5] = [
    ("shared_buffers", "512MB"),
    ("max_wal_size", "64GB"),
    ("checkpoint_timeout", "1h"),
    ("autovacuum", "off"),
    ("bgwriter_lru_maxpages", "0"),
];

/// The two servers.
pub struct World {
    pub source: Server,
    pub target: Server,
    /// The program that the floors are made of.
    pub psql: PathBuf,
}

impl World {
    pub fn start() -> Self {
        let (source, target) = (Server::start(None), Server::start(None));
        let shell = source.cluster.psql("postgres");
        let (psql, _) = shell.split_once(' ').expect("a program and a URL");
        Self { psql: psql.into(), source, target }
    }
}

/// A server and the means to ask it.
pub struct Server {
    cluster: Cluster,
    runtime: Runtime,
}

impl Server {
    /// A server, with TLS if it gets a certificate.
    pub fn start(tls: Option<TlsFiles>) -> Self {
        let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options =
            ClusterOptions { settings: settings.to_vec(), tls, ..ClusterOptions::default() };
        let cluster = Cluster::start(&options).expect("Postgres starts");
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        Self { cluster, runtime }
    }

    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    pub fn url(&self, database: &str) -> String {
        self.cluster.url(database)
    }

    pub fn create(&self, database: &str) {
        self.runtime.block_on(self.cluster.create_database(database)).expect("a new database");
    }

    /// Makes a database anew, as a copy of another. The files are copied: the other way would
    /// write the copy into the log that is measured.
    pub fn copy(&self, database: &str, template: &str) {
        self.drop(database);
        self.run(
            "postgres",
            &format!("create database {database} template {template} strategy file_copy"),
        );
    }

    pub fn drop(&self, database: &str) {
        self.run("postgres", &format!("drop database if exists {database}"));
    }

    /// Runs statements.
    pub fn run(&self, database: &str, statements: &str) {
        self.with(database, async |client| client.batch_execute(statements).await);
    }

    /// Asks for one number.
    pub fn number(&self, database: &str, query: &str) -> i64 {
        self.with(database, async |client| Ok(client.query_one(query, &[]).await?.get(0)))
    }

    /// Asks for one text.
    pub fn text(&self, database: &str, query: &str) -> String {
        self.with(database, async |client| Ok(client.query_one(query, &[]).await?.get(0)))
    }

    /// Drives a future on this server's runtime.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The bytes that were ever written to the log.
    pub fn wal(&self) -> i64 {
        self.number("postgres", "select (pg_current_wal_insert_lsn() - '0/0')::int8")
    }

    /// Writes out what is dirty, so that nothing of an earlier measurement is paid by the next.
    pub fn settle(&self) {
        self.run("postgres", "checkpoint");
    }

    /// Returns when the connection is closed on both ends: a template must have none.
    fn with<T>(
        &self,
        database: &str,
        ask: impl AsyncFnOnce(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> T {
        let url = self.url(database);
        self.wait(async {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            let driver = tokio::spawn(connection);
            let answer = ask(&client).await?;
            drop(client);
            let _closed = driver.await;
            Ok::<T, tokio_postgres::Error>(answer)
        })
        .expect("the server does as it is asked")
    }
}
