//! The tests' stand-in for PostgREST as a process, for the official clients in other languages:
//! serves a fresh database, made by the SQL files that are named, until its standard input ends.
//!
//! It is an example to Cargo, so that it is built with the tests and belongs to no product.

#[path = "it/world/postgrest/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it than the clients do")]
mod postgrest;

use std::error::Error;
use std::io::Read;

use syncline::demo::{Cluster, ClusterOptions};
use tokio_postgres::{Client, NoTls};

/// A database, as the tests have it.
struct Database {
    url: String,
}

async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::start(&ClusterOptions::default())?;
    cluster.create_database("project").await?;
    let database = Database { url: cluster.url("project") };
    for file in std::env::args().skip(1) {
        connect(&database.url).await?.batch_execute(&std::fs::read_to_string(file)?).await?;
    }
    let standin = postgrest::Standin::over(&database).await;
    println!("export SUPABASE_URL={}", standin.url());
    println!("export SUPABASE_SERVICE_ROLE_KEY={}", standin.service_key());
    println!("export SUPABASE_SECRET_KEY={}", standin.secret_key());
    println!("export SUPABASE_ANON_KEY={}", standin.anon_key());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    ended.await??;
    Ok(())
}
