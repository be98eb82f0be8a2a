//! `syncline certificate`, which shows what a server presents and prints what to pin.

use std::process::{Output, Stdio};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::interceptor::{Interceptor, Then};
use super::server::{Authority, TlsPair, named};

/// Runs a command without a terminal.
async fn syncline(tls: &TlsPair, arguments: &[&str], set: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_syncline"))
        .args(arguments)
        .env_clear()
        .envs(tls.pair.settings())
        .envs(set.iter().copied())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap()
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The SHA-256 of a PEM text's first certificate, as pages print it.
fn fingerprint(pem: &str) -> String {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let bytes = Sha256::digest(&der);
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

#[tokio::test]
async fn the_certificate_to_pin_is_shown_printed_and_trusted_from_then_on() {
    let tls = TlsPair::new().await;
    // A server that sends its authority along, as Supabase's does.
    let authority = Authority::new();
    let mut files = authority.sign(named(&["127.0.0.1", "db.example.com"]));
    let own = fingerprint(&files.certificate_pem);
    files.certificate_pem.push_str(&authority.pem);
    let then = Then::PassOn(tls.server.cluster.port());
    let place = Interceptor::start(Some(&files), then).await.place();
    let url = tls.url("in_clear", &place, "sslmode=verify-ca");

    let shown = syncline(&tls, &["certificate", "source"], &[("SOURCE_DATABASE_URL", &url)]).await;

    let (out, err) = said(&shown);
    assert_eq!(shown.status.code(), Some(0), "{err}");
    for expected in [
        &format!("{place} presents 2 certificates"),
        "signed by  CN=An authority of the tests",
        "stands for 127.0.0.1, db.example.com",
        &own,
        &fingerprint(&authority.pem),
        "comes from an authority that is not trusted here",
        "valid      1975-01-01 to 4096-01-01",
    ] {
        assert!(out.contains(expected), "{expected} is not in {out}");
    }
    assert!(out.replace("\r", "").ends_with(&authority.pem.replace("\r", "")), "{out}");
    assert!(err.contains("Nobody was asked") && err.contains("SOURCE_SSL_CA"), "{err}");
    assert!(err.contains(&fingerprint(&authority.pem)), "{err}");

    // All that was printed is understood, as `> ca.pem` would keep it.
    let pinned = [("SOURCE_DATABASE_URL", url.as_str()), ("SOURCE_SSL_CA", out.as_str())];
    let ran = syncline(&tls, &["run"], &pinned).await;
    assert_eq!(ran.status.code(), Some(0), "{}", said(&ran).1);
    let (out, _) = said(&syncline(&tls, &["certificate"], &pinned).await);
    assert!(out.contains("Its authority is in the settings"), "{out}");
    assert!(!out.contains("BEGIN"), "{out}");
}

#[tokio::test]
async fn yes_prints_without_a_question_and_the_servers_own_is_told_as_such() {
    let tls = TlsPair::new().await;
    let url = tls.direct("by_scram", "sslmode=require");
    let set = [("TARGET_DATABASE_URL", url.as_str())];

    let shown = syncline(&tls, &["certificate", "target", "--yes"], &set).await;

    let (out, err) = said(&shown);
    assert_eq!(shown.status.code(), Some(0), "{err}");
    assert!(out.contains("presents one certificate") && out.contains("-----END CERTIFICATE-----"));
    assert!(!err.contains("Nobody was asked"), "{err}");
    assert!(err.contains("TARGET_SSL_CA") && err.contains("the server's own"), "{err}");
}

#[tokio::test]
async fn a_server_without_tls_has_no_certificate_to_show() {
    let tls = TlsPair::new().await;
    let shown = syncline(&tls, &["certificate", "target"], &[]).await;
    let (out, err) = said(&shown);
    assert_eq!((shown.status.code(), out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("The server offers no TLS"), "{err}");
}
