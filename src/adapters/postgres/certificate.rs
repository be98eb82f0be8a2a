//! The certificates that a server presents, for whoever has to decide whether to trust them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use super::connection::server;
use super::fault::{CertificateFault, to_fault};
use crate::adapters::trust::TrustedBy;
use crate::engine::model::address::Database;
use crate::engine::model::certificate::{Certificate, Chain};
use crate::engine::model::database::Host;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;

/// The length of a line of PEM.
const LINE: usize = 64;

/// Asks the server of a database for its certificates. Nothing is sent that is secret, and no login
/// is tried.
pub async fn of(database: &Database, step: Step) -> Result<Chain, Fault> {
    let url = match database {
        Database::Server(url) => url,
        Database::Project(project) => {
            return Err(Fault::of_call(
                FaultCode::NoConnection,
                format!("{} is reached over its API", project.label()),
                "its certificate must come from a public authority, or from the one in \
                 SOURCE_SSL_CA or TARGET_SSL_CA; only that of a postgres:// URL is shown",
            ));
        }
    };
    let presented = server::presented(url).await.map_err(|error| to_fault(error, step))?;
    let host = match &url.host {
        Host::Tcp(host) => Some(host.clone()),
        Host::Unix(_) => None,
    };
    let said = |error: &CertificateError| CertificateFault(error).to_string();
    Ok(Chain {
        place: format!("{}:{}", url.host, url.port),
        host,
        certificates: presented.chain.iter().map(described).collect(),
        trust: presented.signed.as_ref().map(|list| on_list(*list)).map_err(said),
        misnamed: presented.named.as_ref().err().map(said),
    })
}

fn on_list(list: TrustedBy) -> &'static str {
    match list {
        TrustedBy::Mozilla => "Mozilla's list",
        TrustedBy::Machine => "this machine's own list",
        TrustedBy::Setting => "the settings",
    }
}

fn described(der: &CertificateDer<'_>) -> Certificate {
    let fingerprint = Sha256::digest(der.as_ref());
    let fingerprint: Vec<String> = fingerprint.iter().map(|byte| format!("{byte:02X}")).collect();
    let mut certificate = Certificate {
        subject: "unreadable".to_owned(),
        issuer: "unreadable".to_owned(),
        names: Vec::new(),
        from: "unreadable".to_owned(),
        until: "unreadable".to_owned(),
        fingerprint: fingerprint.join(":"),
        pem: pem(der),
    };
    let Ok(parsed) = x509_cert::Certificate::from_der(der) else { return certificate };
    let body = &parsed.tbs_certificate;
    certificate.subject = body.subject.to_string();
    certificate.issuer = body.issuer.to_string();
    certificate.from = day(&body.validity.not_before);
    certificate.until = day(&body.validity.not_after);
    if let Ok(Some((_, names))) = body.get::<SubjectAltName>() {
        certificate.names = names.0.iter().map(name).collect();
    }
    certificate
}

fn day(time: &Time) -> String {
    let date = time.to_date_time();
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => name.to_string(),
        GeneralName::IpAddress(bytes) => {
            let bytes = bytes.as_bytes();
            let four = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from));
            address.map_or_else(|_| "unreadable".to_owned(), |address| address.to_string())
        }
        _ => "a name of another kind".to_owned(),
    }
}

fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(LINE) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
