//! Calls over HTTPS whose server has a certificate of an authority that no list has: the APIs of
//! two projects of one's own, and a QStash of one's own.

use std::net::Ipv4Addr;
use std::process::Output;

use syncline::demo::TlsFiles;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use super::interceptor::acceptor;
use super::server::{Authority, named};
use crate::world::deployment::{Deployment, account};
use crate::world::over_api::OverApi;
use crate::world::pair::Pair;

/// Ends TLS before a server on this machine, as a balancer does. Returns its port.
async fn end_tls(tls: &TlsFiles, server: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = acceptor(tls);
    let server = server.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                if let Ok(mut client) = acceptor.accept(client).await {
                    let mut server = TcpStream::connect(&*server).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    format!("https://127.0.0.1:{port}")
}

/// Two projects whose APIs have certificates for these hosts.
struct Projects {
    pair: Pair,
    authority: Authority,
    source: String,
    target: String,
}

impl Projects {
    async fn with(hosts: &[&str]) -> Self {
        let table = "create table items (id int primary key, updated_at timestamptz not null);";
        let pair = Pair::with(table).await;
        let pair = match OverApi::from_environment() {
            Some(OverApi::Both) => pair,
            Some(OverApi::Source) => pair.over_api(OverApi::Target).await,
            Some(OverApi::Target) => pair.over_api(OverApi::Source).await,
            None => pair.over_api(OverApi::Both).await,
        };
        pair.sql_source("insert into items values (1, now())").await;
        let authority = Authority::new();
        let tls = authority.sign(named(hosts));
        let source = end_tls(&tls, pair.source_api().url()).await;
        let target = end_tls(&tls, pair.target_api().url()).await;
        Self { pair, authority, source, target }
    }

    /// The settings of both URLs, with more.
    fn set<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let urls = [
            ("SOURCE_DATABASE_URL", self.source.as_str()),
            ("TARGET_DATABASE_URL", self.target.as_str()),
        ];
        [&urls, more].concat()
    }

    async fn syncline(&self, command: &str, more: &[(&str, &str)]) -> Output {
        let mut syncline = Command::new(env!("CARGO_BIN_EXE_syncline"));
        syncline.arg(command).env_clear().envs(self.pair.settings()).envs(self.set(more));
        syncline.output().await.unwrap()
    }
}

#[tokio::test]
async fn a_project_of_ones_own_is_reached_with_its_authority_and_no_other() {
    let projects = Projects::with(&["127.0.0.1"]).await;
    let pem = projects.authority.pem.as_str();
    let other = Authority::new();
    for (source, target, side, setting) in [
        (None, Some(pem), "source", "SOURCE_SSL_CA"),
        (Some(pem), None, "target", "TARGET_SSL_CA"),
        (Some(other.pem.as_str()), Some(pem), "source", "SOURCE_SSL_CA"),
    ] {
        let source = source.map(|pem| ("SOURCE_SSL_CA", pem));
        let target = target.map(|pem| ("TARGET_SSL_CA", pem));
        let more: Vec<_> = source.into_iter().chain(target).collect();
        let answer = projects.pair.sync_with(&projects.set(&more)).await;
        let (code, message) = answer.error();
        assert_eq!(code, "tls_refused", "{}", answer.body);
        assert!(message.contains(side), "{}", answer.body);
        assert!(answer.body.to_string().contains(setting), "{}", answer.body);
    }

    let both = projects.set(&[("SOURCE_SSL_CA", pem), ("TARGET_SSL_CA", pem)]);
    let answer = projects.pair.sync_with(&both).await.success();

    assert_eq!(answer.rows("public.items"), [1, 0, 0], "{}", answer.body);
}

#[tokio::test]
async fn a_project_whose_certificate_is_for_another_host_is_refused() {
    let projects = Projects::with(&["api.example.com"]).await;
    let pem = projects.authority.pem.as_str();
    let both = projects.set(&[("SOURCE_SSL_CA", pem), ("TARGET_SSL_CA", pem)]);
    let answer = projects.pair.sync_with(&both).await;
    assert_eq!(answer.error().0, "tls_refused", "{}", answer.body);
}

#[tokio::test]
async fn an_authority_of_a_project_that_cannot_be_read_is_named() {
    let projects = Projects::with(&["127.0.0.1"]).await;
    let both =
        projects.set(&[("SOURCE_SSL_CA", "/no/such.pem"), ("TARGET_SSL_CA", "/no/such.pem")]);
    let answer = projects.pair.sync_with(&both).await;
    assert_eq!(answer.error().0, "root_certificate", "{}", answer.body);
    assert!(answer.error().1.contains("/no/such.pem"), "{}", answer.body);
}

#[tokio::test]
async fn the_machines_own_authorities_are_trusted_over_https_too() {
    let projects = Projects::with(&["127.0.0.1"]).await;
    let file = std::env::temp_dir().join(format!("{}.pem", projects.pair.source.name));
    std::fs::write(&file, &projects.authority.pem).unwrap();
    let file = file.to_string_lossy().into_owned();
    let machine = [("SSL_CERT_FILE", file.as_str())];

    let (alone, trusting) =
        (projects.syncline("run", &[]).await, projects.syncline("run", &machine).await);

    assert_eq!(trusting.status.code(), Some(0), "{}", String::from_utf8_lossy(&trusting.stderr));
    assert_ne!(alone.status.code(), Some(0), "{}", String::from_utf8_lossy(&alone.stderr));
    let qstash = account().await;
    let url = end_tls(&projects.authority.sign(named(&["127.0.0.1"])), &qstash.url()).await;
    let deployment = Deployment::of(&projects.pair, &qstash).set("QSTASH_URL", url);
    assert_ne!(deployment.terminal(&["schedule", "list"]).await.code, 0);
    let listed = deployment.set(machine[0].0, machine[0].1).terminal(&["schedule", "list"]).await;
    assert_eq!(listed.code, 0, "{listed:?}");
    std::fs::remove_file(file).unwrap();
}
