//! The throwaway cluster, which every other test stands on.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use syncline::demo::{Cluster, ClusterError, ClusterOptions, TlsFiles};

use crate::world::process::{directory_of, runs_in, signal, wait_until};
use crate::world::servers::options;
use crate::world::{self, connect, text};

/// Set for a copy of this test binary that starts a cluster, tells where, and ends as it is told.
const END: &str = "SYNCLINE_TEST_END";

fn start(options: ClusterOptions) -> Cluster {
    Cluster::start(&options).unwrap()
}

fn setting(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[tokio::test]
async fn the_url_opens_the_database_and_no_other_password_does() {
    let database = world::fresh_database("passwords").await;
    let password = world::cluster().password();
    let wrong = database.url.replace(password, "00000000000000000000000000000000");
    let without = database.url.replace(&format!(":{password}"), "");

    assert_eq!(text(&database.url, "select current_database()::text").await, database.name);
    assert_eq!(text(&database.url, "show server_encoding").await, "UTF8");
    assert!(connect(&wrong).await.is_err());
    assert!(connect(&without).await.is_err());
}

#[tokio::test]
async fn a_name_in_need_of_quotes_is_created_and_copied() {
    let cluster = world::cluster();
    cluster.create_database("Größe \"1\"").await.unwrap();

    cluster.create_database_from("copy of \"1\"", "Größe \"1\"").await.unwrap();

    let twice = cluster.create_database("copy of \"1\"").await.unwrap_err();
    assert!(matches!(twice, ClusterError::Create(..)), "{twice}");
}

#[tokio::test]
async fn two_clusters_run_at_once_and_dropping_one_leaves_the_other() {
    let first = start(options());
    let second = start(options());
    let (url, kept) = (first.url("postgres"), first.data_dir());

    drop(first);

    assert!(!kept.parent().unwrap().exists(), "{} is left behind", kept.display());
    assert!(connect(&url).await.is_err());
    assert_eq!(text(&second.url("postgres"), "select 'here'").await, "here");
}

#[tokio::test]
async fn dropping_does_not_wait_for_clients_to_leave() {
    let cluster = start(options());
    let client = connect(&cluster.url("postgres")).await.unwrap();
    client.batch_execute("begin; create table held (id int)").await.unwrap();

    let dropped = Instant::now();
    drop(cluster);

    assert!(dropped.elapsed() < Duration::from_secs(5), "took {:?}", dropped.elapsed());
    assert!(client.batch_execute("select 1").await.is_err());
}

#[test]
fn ctrl_c_does_not_reach_the_server_before_it_reaches_us() {
    let pid_file = world::cluster().data_dir().join("postmaster.pid");
    let server = std::fs::read_to_string(pid_file).unwrap().lines().next().unwrap().to_owned();
    let group = |process: &str| {
        let listed = Command::new("ps").args(["-o", "pgid=", "-p", process]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().trim().to_owned()
    };

    let (ours, servers) = (group(&std::process::id().to_string()), group(&server));

    assert!(!servers.is_empty());
    assert_ne!(ours, servers);
}

#[tokio::test]
async fn settings_rules_and_tls_are_as_asked() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let cluster = start(ClusterOptions {
        settings: setting("max_connections", "17"),
        hba: vec!["host postgres all 127.0.0.1/32 trust".to_owned()],
        tls: Some(TlsFiles {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        }),
        ..options()
    });
    let trusted = cluster.url("postgres").replace(cluster.password(), "wrong");
    let asked = cluster.url("template1").replace(cluster.password(), "wrong");

    assert_eq!(text(&trusted, "show max_connections").await, "17");
    assert_eq!(text(&trusted, "show ssl").await, "on");
    assert!(connect(&asked).await.is_err());
}

#[test]
fn a_server_that_does_not_start_is_explained_by_its_log() {
    let refused =
        Cluster::start(&ClusterOptions { settings: setting("no_such_setting", "1"), ..options() });

    let ClusterError::NotStarted(log) = refused.unwrap_err() else { panic!("another error") };
    assert!(log.contains("no_such_setting"), "{log}");
}

#[test]
fn nothing_is_left_however_the_process_ends() {
    for end in ["killed", "interrupted", "exit", "panic", "abort", "killed while starting"] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "demo::cluster::a_process_that_starts_a_cluster", "--nocapture"])
            .env(END, end)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let told = |line: String| line.strip_prefix("directory ").map(PathBuf::from);
        let directory = match end {
            "killed while starting" => directory_of(child.id()),
            _ => lines.find_map(told).expect("the child tells its directory"),
        };
        assert!(directory.exists(), "{end}");

        match end {
            "killed" | "killed while starting" => child.kill().unwrap(),
            "interrupted" => signal("INT", child.id()),
            _ => {}
        }
        child.wait().unwrap();

        let gone = || !directory.exists() && !runs_in(&directory);
        wait_until(&format!("{end}: {} is gone", directory.display()), gone);
    }
}

/// Does nothing unless the test above starts it as a process of its own.
#[test]
fn a_process_that_starts_a_cluster() {
    let Ok(end) = std::env::var(END) else { return };
    // A static is what the test world uses, and is never dropped.
    let cluster: &'static Cluster = Box::leak(Box::new(start(options())));
    println!("\ndirectory {}", cluster.data_dir().parent().unwrap().display());
    match end.as_str() {
        "exit" => std::process::exit(0),
        "panic" => panic!("as the test wants it"),
        "abort" => std::process::abort(),
        _ => std::thread::sleep(Duration::from_secs(60)),
    }
}
