//! Leads from a connection that was not made to its fault code, and what to do.

use std::io::ErrorKind;
use std::path::Path;

use rustls::CertificateError;

use super::connect::{ConnectCause, ConnectError, Doubt, LoginRequest};
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::trust::UnusableAuthority;
use crate::engine::model::fault::Step;
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::provider::Provider;

/// The last way out, which proves nothing.
const NO_VERIFY: &str = "as a last resort set sslmode=no-verify, with which anybody in between can \
    read the password and the rows";

/// The side that is connected to, as its settings and the commands name it.
#[derive(Clone, Copy)]
struct Words {
    setting: &'static str,
    command: &'static str,
}

/// Returns the fault code and the hint of a connection that was not made.
pub fn judged(error: &ConnectError, step: Step) -> (FaultCode, String) {
    let words = match step {
        Step::ConnectTarget => {
            Words { setting: "TARGET_SSL_CA", command: "syncline certificate target" }
        }
        _ => Words { setting: "SOURCE_SSL_CA", command: "syncline certificate source" },
    };
    let host = error.host.as_deref().unwrap_or_default();
    let place = &error.place;
    match &error.cause {
        ConnectCause::Refused(refused) => refusal(refused, error),
        ConnectCause::UnknownHost(_) => (FaultCode::Unreachable, unknown_host(host)),
        ConnectCause::Socket(cause) => {
            (FaultCode::Unreachable, unreachable(place, host, cause.kind()))
        }
        ConnectCause::Silent { .. } => (FaultCode::Silent, silent(place, host)),
        ConnectCause::Broken(_) | ConnectCause::Login(_) | ConnectCause::OtherServer => {
            (FaultCode::Unreachable, format!("check that Postgres answers at {place}, and its log"))
        }
        ConnectCause::NotPostgres => (
            FaultCode::Unreachable,
            format!("check host and port in the URL: {place} is another kind of server"),
        ),
        ConnectCause::Authority(UnusableAuthority { file, .. }) => {
            (FaultCode::RootCertificate, authority(file.as_deref(), words))
        }
        ConnectCause::BoundLogin(_) => (
            FaultCode::LoginRefused,
            format!(
                "check user and password in the URL; if they are right, somebody stands between here \
                 and {place}, as a balancer does that ends TLS"
            ),
        ),
        ConnectCause::NoPassword => (
            FaultCode::LoginRefused,
            "write it into the URL, as in postgres://USER:PASSWORD@HOST/DATABASE".to_owned(),
        ),
        cause => (FaultCode::TlsRefused, without_proof(cause, place, host, words)),
    }
}

/// The hint for a server that does not prove who it is.
fn without_proof(cause: &ConnectCause, place: &str, host: &str, words: Words) -> String {
    let Words { setting, command } = words;
    match cause {
        ConnectCause::NoTls => {
            "switch TLS on at the server, or set sslmode=disable in the URL where \
            the network between is trusted"
                .to_owned()
        }
        ConnectCause::Certificate(doubt) => certificate(doubt, host, words),
        ConnectCause::Unproven { doubt, request } => unproven(doubt, *request, host, words),
        ConnectCause::PasswordInClear(_) => format!(
            "set sslmode=verify-full with the authority in {setting} ({}), have the server ask by \
             SCRAM, or set sslmode=disable where the network between is trusted",
            pin(host, words)
        ),
        ConnectCause::BadName => "give the host by a name or an address".to_owned(),
        _ => format!("check that {place} speaks TLS 1.2 or 1.3; {command} tells more"),
    }
}

fn authority(file: Option<&Path>, words: Words) -> String {
    match file {
        Some(file) => format!("make {} a readable file of PEM certificates", file.display()),
        None => format!("copy the whole PEM text into {}", words.setting),
    }
}

fn refusal(refused: &Refused, error: &ConnectError) -> (FaultCode, String) {
    let ConnectError { place, database, role, .. } = error;
    match refused.code.code() {
        "28P01" | "28000" => (
            FaultCode::LoginRefused,
            format!(
                "check that {role} is the role and that its password is right (in a URL, @ is written \
                 %40 and / is written %2F); the server's pg_hba.conf must let it in"
            ),
        ),
        "3D000" => (
            FaultCode::NoDatabase,
            format!("check the name {database} at the end of the URL; capitals count"),
        ),
        "53300" => (
            FaultCode::Unavailable,
            format!(
                "{place} has no connection left; close others, or use the port of its pooler; the \
                 next run goes on where this one stopped"
            ),
        ),
        code if ["08", "53", "57"].iter().any(|class| code.starts_with(class)) => (
            FaultCode::Unavailable,
            format!("{place} is starting, stopping or overloaded; try again"),
        ),
        "42501" => {
            (FaultCode::NoPrivilege, format!("grant connect on database {database} to {role}"))
        }
        _ => (
            FaultCode::Refused,
            "the server refused the connection; the message says why".to_owned(),
        ),
    }
}

fn unknown_host(host: &str) -> String {
    let more = match Provider::of_host(host).map(|provider| provider.name) {
        Some("Supabase") => {
            "; db.REF.supabase.co has an IPv6 address alone without the IPv4 add-on, and none while \
             the project is paused: use the pooler's host, or restore the project"
        }
        _ => "; a database that was deleted or paused may have no address",
    };
    format!("check the spelling of {host}{more}")
}

fn unreachable(place: &str, host: &str, kind: ErrorKind) -> String {
    let has_no_way = matches!(
        kind,
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::AddrNotAvailable
    );
    match Provider::of_host(host).map(|provider| provider.name) {
        Some("Supabase") if has_no_way => {
            "db.REF.supabase.co has an IPv6 address alone without the \
            IPv4 add-on, and there is no IPv6 from here: use the pooler's host of the project"
                .to_owned()
        }
        Some("Supabase") => format!(
            "check host and port {place}; a paused project refuses connections: restore it in its \
             dashboard"
        ),
        _ => format!(
            "check host and port {place}, and that the server runs and listens to more than its own \
             machine"
        ),
    }
}

fn silent(place: &str, host: &str) -> String {
    let page = Provider::of_host(host).map(|provider| format!(" ({})", provider.page));
    format!(
        "check that a firewall, a list of allowed addresses or a private network lets this machine \
         reach {place}{}; the next run goes on where this one stopped",
        page.unwrap_or_default()
    )
}

/// Says how the authority is found and given.
fn pin(host: &str, words: Words) -> String {
    match Provider::of_host(host) {
        Some(Provider { name, page, authority, .. }) => {
            format!("{} shows it; {name}: {authority}, see {page}", words.command)
        }
        None => format!("{} shows it", words.command),
    }
}

fn certificate(doubt: &CertificateError, host: &str, words: Words) -> String {
    let Words { setting, command } = words;
    match doubt {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("put the authority's certificate into {setting} ({})", pin(host, words))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "write the host in the URL as the certificate has it; with the provider's own \
                 authority in {setting}, sslmode=verify-ca leaves the name out ({})",
                pin(host, words)
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "renew the server's certificate, and check this machine's clock; {command} shows the \
             chain"
        ),
        _ => format!("{command} shows the certificate and what is wrong with it"),
    }
}

fn unproven(doubt: &Doubt, request: LoginRequest, host: &str, words: Words) -> String {
    let Words { setting, .. } = words;
    let bound = match request {
        LoginRequest::ClearText | LoginRequest::Md5 => {
            "give the role a SCRAM password (password_encryption)"
        }
        _ => "use the database's own port, as a pooler cannot do SCRAM with channel binding",
    };
    match doubt {
        Doubt::Clear => {
            "channel binding needs TLS: set sslmode=require, or leave channel_binding out"
                .to_owned()
        }
        Doubt::Demanded => format!("{bound}, or leave channel_binding=require out of the URL"),
        Doubt::Certificate(_) => format!(
            "one of three: put the authority's certificate into {setting} ({}); {bound}; {NO_VERIFY}",
            pin(host, words)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::database::DatabaseUrl;

    fn judged_at(host: &str, cause: ConnectCause, step: Step) -> (FaultCode, String) {
        let url = DatabaseUrl::parse(&format!("postgres://me:hunter2@{host}/app")).unwrap();
        let error = ConnectError::new(&url, cause);
        assert!(!format!("{error:?}").contains("hunter2"));
        judged(&error, step)
    }

    fn unknown_issuer() -> ConnectCause {
        ConnectCause::Certificate(Box::new(CertificateError::UnknownIssuer))
    }

    #[test]
    fn a_hint_names_the_side_and_the_providers_page() {
        for (host, page) in [
            ("db.abcdefgh.supabase.co", "supabase.com/docs"),
            ("aws-0-eu-central-1.pooler.supabase.com", "prod-ca-2021.crt"),
            ("a.b.eu-west-1.rds.amazonaws.com", "UsingWithRDS.SSL.html"),
            ("a.b.db.ondigitalocean.com", "docs.digitalocean.com"),
            ("a.b.europe-west1.sql.goog", "cloud.google.com"),
            ("ec2-1-2-3-4.compute-1.amazonaws.com", "devcenter.heroku.com"),
            ("a.postgres.database.azure.com", "learn.microsoft.com"),
            ("db.example.com", "syncline certificate target shows it"),
        ] {
            let (code, hint) = judged_at(host, unknown_issuer(), Step::ConnectTarget);
            assert_eq!(code, FaultCode::TlsRefused);
            assert!(hint.contains(page) && hint.contains("TARGET_SSL_CA"), "{page}: {hint}");
        }
    }

    #[test]
    fn a_host_without_ipv6_is_sent_to_supabases_pooler() {
        let host = "db.abcdefgh.supabase.co";
        let unknown = || std::io::Error::from(ErrorKind::NotFound);
        for cause in [
            ConnectCause::UnknownHost(unknown()),
            ConnectCause::Socket(ErrorKind::NetworkUnreachable.into()),
        ] {
            let (code, hint) = judged_at(host, cause, Step::ConnectSource);
            assert_eq!(code, FaultCode::Unreachable);
            assert!(hint.contains("IPv6") && hint.contains("pooler's host"), "{hint}");
        }
        let refused = ConnectCause::Socket(ErrorKind::ConnectionRefused.into());
        let (_, hint) = judged_at(host, refused, Step::ConnectSource);
        assert!(hint.contains("a paused project"), "{hint}");
        let (_, hint) =
            judged_at("db.example.com", ConnectCause::UnknownHost(unknown()), Step::ConnectSource);
        assert!(hint.contains("db.example.com") && !hint.contains("IPv6"), "{hint}");
    }
}
