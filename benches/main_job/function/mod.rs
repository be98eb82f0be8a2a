//! The Lambda artifact: its size, how soon it is ready, and how soon it answers its first call,
//! for which it has to reach two databases over TLS.
//!
//! - `runtime_api`: what calls it

mod runtime_api;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use syncline::demo::TlsFiles;

use super::product::{self, Memory};
use super::quiet;
use super::report::{Report, Samples};
use super::world::{Server, World};
use runtime_api::RuntimeApi;

const TIMES: usize = 21;

/// The number of tables that the first call looks at.
const TABLES: usize = 10;

const MOST_BYTES: u64 = 10 << 20;
const READY: Duration = Duration::from_millis(5);
const FIRST_CALL: Duration = Duration::from_millis(40);

const TOKEN: &str = "known-to-this-measurement-alone";

/// Measures the artifact.
pub fn measure(_world: &World, report: &mut Report) {
    let function = build();
    let bytes = function.metadata().expect("cargo has built it").len();
    let size = format!("{:.2} MB", bytes as f64 / 1e6);
    let demand = format!("under {} MiB", MOST_BYTES >> 20);
    report.plain("Function: size of the release binary", size, demand, bytes < MOST_BYTES);

    let certificate = Certificate::new();
    let server = Server::start(Some(certificate.files.clone()));
    let urls = ["source", "target"].map(|database| {
        server.create(database);
        server.run(database, &quiet::schema(TABLES));
        let path = certificate.path.display();
        format!("{}?sslmode=verify-full&sslrootcert={path}", server.url(database))
    });
    server.run("source", &quiet::rows(TABLES));
    product::run(&urls[0], &urls[1], "");

    let (mut ready, mut first, mut peak_kib) = (Samples::default(), Samples::default(), 0);
    for _ in 0..TIMES {
        let api = RuntimeApi::start();
        let begun = Instant::now();
        let mut process = start(&function, &api, &urls);
        let memory = Memory::watch(&process);
        ready.add(api.asked().duration_since(begun));
        first.add(api.invoke(&event()));
        peak_kib = peak_kib.max(memory.peak_kib());
        process.kill().and_then(|()| process.wait()).expect("it runs until it is stopped");
    }
    report.within("Function: start to ready", &ready, READY);
    let title = format!("Function: first call over TLS, {TABLES} tables, nothing changed");
    report.within(&title, &first, FIRST_CALL);
    report.memory("Function: first call", peak_kib);
}

/// Builds it as it is shipped, beside the program that is measured.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.args(["build", "--quiet", "--release", "--no-default-features", "--bin", "function"]);
    assert!(build.status().expect("cargo starts").success(), "the function does not build");
    Path::new(env!("CARGO_BIN_EXE_syncline")).with_file_name("function")
}

fn start(function: &Path, api: &RuntimeApi, [source, target]: &[String; 2]) -> Child {
    let mut command = Command::new(function);
    command.env_clear().envs(api.environment());
    command.env("SOURCE_DATABASE_URL", source).env("TARGET_DATABASE_URL", target);
    command.env("SYNC_ADMIN_TOKEN", TOKEN);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().expect("the function starts")
}

/// Returns the event that a Function URL sends for an admin's call.
fn event() -> String {
    let path = "/api/background/sync/slave-to-prod";
    let event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": { "authorization": format!("Bearer {TOKEN}"), "host": "example.lambda-url.on.aws" },
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "example",
            "domainName": "example.lambda-url.on.aws",
            "domainPrefix": "example",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "bench",
            },
            "requestId": "00000000-0000-4000-8000-000000000000",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2025:00:00:00 +0000",
            "timeEpoch": 1_735_689_600_000_u64,
        },
        "isBase64Encoded": false,
    });
    event.to_string()
}

/// A certificate of 127.0.0.1's own, and the file in which the function finds it.
struct Certificate {
    files: TlsFiles,
    path: PathBuf,
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let made = made.expect("a certificate is made");
        let files = TlsFiles {
            certificate_pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
        };
        let path = std::env::temp_dir().join(format!("syncline-bench-{}.pem", std::process::id()));
        std::fs::write(&path, &files.certificate_pem).expect("the certificate is written");
        Self { files, path }
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _gone = std::fs::remove_file(&self.path);
    }
}
