//! The proof of who the server is that each mode demands.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use syncline::demo::TlsFiles;

use super::interceptor::{Interceptor, Then};
use super::server::{Authority, TlsPair, named};
use crate::world::cluster;
use crate::world::pair::Answer;

const SOURCE: &str = "SOURCE_DATABASE_URL";
const CA: &str = "SOURCE_SSL_CA";

/// The certificate of an authority with another name.
fn other_authority() -> String {
    let key = KeyPair::generate().unwrap();
    let mut parameters: CertificateParams = named(&[]);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Another authority");
    parameters.self_signed(&key).unwrap().pem()
}

/// A refusal of TLS; the message and the hint of it.
fn told(answer: &Answer) -> String {
    answer.refused(489, "tls_refused", "connect_source");
    format!("{} {}", answer.error().1, answer.body["error"]["hint"])
}

#[tokio::test]
async fn an_authority_proves_the_server_in_whatever_form_it_is_given() {
    let tls = TlsPair::new().await;
    let (pem, file) = (&tls.server.authority.pem, tls.server.file.to_string_lossy());
    let url = tls.direct("by_scram", "sslmode=verify-full");
    let escaped = pem.replace('\n', "\\n");
    for authority in [pem, &escaped, &STANDARD.encode(pem), &*file] {
        tls.pair.sync_with(&[(SOURCE, &url), (CA, authority)]).await.success();
    }
    let in_url = tls.direct("by_scram", &format!("sslmode=verify-full&sslrootcert={file}"));
    tls.pair.sync_with(&[(SOURCE, &in_url)]).await.success();

    // The first has the server's authority's name and another key.
    let others = [Authority::new().pem, other_authority()];
    for (other, said) in others.iter().zip(["the same name alone", "not trusted here"]) {
        let told = told(&tls.pair.sync_with(&[(SOURCE, &url), (CA, other)]).await);
        assert!(told.contains(said) && told.contains(CA), "{told}");
    }
}

#[tokio::test]
async fn a_file_without_a_certificate_is_named() {
    let tls = TlsPair::new().await;
    let url = tls.direct("by_scram", "sslmode=verify-full");
    for (file, text) in [("missing", None), ("empty", Some(""))] {
        let path = std::env::temp_dir().join(format!("syncline-{}-{file}.pem", std::process::id()));
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let answer = tls.pair.sync_with(&[(SOURCE, &url), (CA, &path.to_string_lossy())]).await;
        answer.refused(489, "root_certificate", "connect_source");
        let hint = answer.body["error"]["hint"].as_str().unwrap();
        assert!(hint.contains(&*path.to_string_lossy()), "{hint}");
        let _ = std::fs::remove_file(&path);
    }
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_proves_itself_by_scram() {
    let tls = TlsPair::new().await;
    for mode in ["", "sslmode=require", "sslmode=require&channel_binding=require"] {
        let url = tls.direct("by_scram", mode);
        tls.pair.sync_with(&[(SOURCE, &url)]).await.success();
    }
    for mode in ["verify-ca", "verify-full", "verify-full&sslrootcert=system"] {
        let url = tls.direct("by_scram", &format!("sslmode={mode}"));
        let told = told(&tls.pair.sync_with(&[(SOURCE, &url)]).await);
        assert!(told.contains("authority that is not trusted"), "{mode}: {told}");
    }
}

#[tokio::test]
async fn a_login_that_proves_nothing_is_refused_with_three_ways_out() {
    let tls = TlsPair::new().await;
    for (role, asked) in [
        ("by_md5", "asks for an MD5"),
        ("in_clear", "asks for the password in clear"),
        ("by_nothing", "asks for no password"),
    ] {
        for mode in ["", "sslmode=require"] {
            let told = told(&tls.pair.sync_with(&[(SOURCE, &tls.direct(role, mode))]).await);
            for expected in [asked, CA, "SCRAM", "sslmode=no-verify"] {
                assert!(told.contains(expected) || role == "by_nothing", "{expected}: {told}");
            }
            assert!(told.contains(asked) && told.contains("sslmode=no-verify"), "{told}");
        }
        let url = tls.direct(role, "sslmode=no-verify");
        tls.pair.sync_with(&[(SOURCE, &url)]).await.success();
        let url = tls.direct(role, "sslmode=require");
        tls.pair.sync_with(&[(SOURCE, &url), (CA, &tls.server.authority.pem)]).await.success();
    }
}

#[tokio::test]
async fn a_server_without_verification_is_warned_of_in_every_run() {
    let tls = TlsPair::new().await;
    let url = tls.direct("in_clear", "sslmode=no-verify");
    for _ in 0..2 {
        let ran = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .arg("run")
            .env_clear()
            .envs(tls.pair.settings())
            .env(SOURCE, &url)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{said}");
        assert!(said.contains("sslmode=no-verify"), "{said}");
        assert!(!said.contains(super::server::PASSWORD), "{said}");
    }
}

#[tokio::test]
async fn the_name_counts_in_verify_full_and_not_in_verify_ca() {
    let tls = TlsPair::new().await;
    let port = tls.server.cluster.port();
    let url = |mode: &str| tls.url("by_scram", &format!("localhost:{port}"), mode);
    let authority = (CA, tls.server.authority.pem.as_str());
    for mode in ["sslmode=require", "sslmode=verify-ca"] {
        tls.pair.sync_with(&[(SOURCE, &url(mode)), authority]).await.success();
    }
    for mode in ["", "sslmode=verify-full"] {
        let told = told(&tls.pair.sync_with(&[(SOURCE, &url(mode)), authority]).await);
        assert!(told.contains("and not for localhost"), "{told}");
        assert!(told.contains("127.0.0.1") && told.contains("sslmode=verify-ca"), "{told}");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_told_with_its_day() {
    let tls = TlsPair::new().await;
    let mut parameters = named(&["127.0.0.1"]);
    parameters.not_before = rcgen::date_time_ymd(2001, 2, 3);
    parameters.not_after = rcgen::date_time_ymd(2002, 3, 4);
    let expired = tls.server.authority.sign(parameters);
    let then = Then::PassOn(tls.server.cluster.port());
    let place = Interceptor::start(Some(&expired), then).await.place();
    let url = tls.url("by_md5", &place, "sslmode=verify-ca");
    let authority = (CA, tls.server.authority.pem.as_str());
    let told = told(&tls.pair.sync_with(&[(SOURCE, &url), authority]).await);
    assert!(told.contains("expired on 2002-03-04"), "{told}");
}

#[tokio::test]
async fn a_self_signed_certificate_is_its_own_authority() {
    let tls = TlsPair::new().await;
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let key = KeyPair::generate().unwrap();
        let mut parameters: CertificateParams = named(&["127.0.0.1"]);
        parameters.is_ca = is_ca;
        let certificate_pem = parameters.self_signed(&key).unwrap().pem();
        let files = TlsFiles { certificate_pem, key_pem: key.serialize_pem() };
        let then = Then::PassOn(tls.server.cluster.port());
        let place = Interceptor::start(Some(&files), then).await.place();
        let url = tls.url("by_md5", &place, "sslmode=verify-ca");
        tls.pair.sync_with(&[(SOURCE, &url), (CA, &files.certificate_pem)]).await.success();
    }
}

#[tokio::test]
async fn the_machines_own_authorities_are_trusted() {
    let tls = TlsPair::new().await;
    let run = |mode: &str| {
        Command::new(env!("CARGO_BIN_EXE_syncline"))
            .arg("run")
            .env_clear()
            .envs(tls.pair.settings())
            .env(SOURCE, tls.direct("in_clear", mode))
            .env("SSL_CERT_FILE", &tls.server.file)
            .output()
            .unwrap()
    };
    for mode in ["", "sslmode=require", "sslmode=verify-full&sslrootcert=system"] {
        let ran = run(mode);
        assert_eq!(ran.status.code(), Some(0), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

#[tokio::test]
async fn prefer_takes_tls_or_none_from_a_server_that_asks_by_scram() {
    let tls = TlsPair::new().await;
    for mode in ["sslmode=prefer", "sslmode=allow"] {
        tls.pair.sync_with(&[(SOURCE, &tls.direct("by_scram", mode))]).await.success();
        let port = cluster().port();
        let target = tls.pair.target.url.replace("127.0.0.1", super::server::ANOTHER_MACHINE);
        assert!(target.contains(&port.to_string()), "{port}");
        tls.pair.sync_with(&[("TARGET_DATABASE_URL", &format!("{target}?{mode}"))]).await.success();
    }
}

#[tokio::test]
async fn channel_binding_that_is_demanded_needs_tls() {
    let tls = TlsPair::new().await;
    let target = format!("{}?channel_binding=require", tls.pair.target.url);
    let answer = tls.pair.sync_with(&[("TARGET_DATABASE_URL", &target)]).await;
    answer.refused(489, "tls_refused", "connect_target");
    assert!(answer.error().1.contains("not encrypted"), "{}", answer.body);
}
