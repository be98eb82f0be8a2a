//! Reaching a server: who it must prove to be, and how long we wait for it.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode as DriverSslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::adapters::postgres::fault::PostgresError;
use crate::engine::model::database::{DatabaseUrl, Host, RootCertificate, SslMode};

/// The time that reaching a server may take unless its URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The silence after which the kernel asks the other side whether it is still there. A cut
/// network otherwise looks like a slow query until the invocation dies.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);

/// A connection and the task that moves its bytes; the task ends with the client.
pub struct Connection {
    /// The driver's client.
    pub client: Client,
    /// Proves who the server is; kept for cancel requests, which are connections of their own.
    pub tls: MakeRustlsConnect,
}

/// Connects. The driver's task is owned by the client: it ends when the client is dropped.
pub async fn connect(url: &DatabaseUrl) -> Result<Connection, PostgresError> {
    let tls = tls(url)?;
    let config = config(url);
    let timeout = url.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connecting = async {
        if config.get_ssl_mode() == DriverSslMode::Disable {
            let (client, connection) = config.connect(NoTls).await?;
            drop(tokio::spawn(async move { note_end(connection.await) }));
            Ok::<_, tokio_postgres::Error>(client)
        } else {
            let (client, connection) = config.connect(tls.clone()).await?;
            drop(tokio::spawn(async move { note_end(connection.await) }));
            Ok(client)
        }
    };
    let client = tokio::time::timeout(timeout, connecting)
        .await
        .map_err(|_| PostgresError::Silent(timeout.as_secs()))??;
    Ok(Connection { client, tls })
}

/// A broken connection is also reported to whoever waits for an answer; the log line is for the
/// time between two calls.
fn note_end(end: Result<(), tokio_postgres::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "A database connection ended");
    }
}

fn config(url: &DatabaseUrl) -> Config {
    let DatabaseUrl {
        host,
        port,
        user,
        password,
        database,
        ssl_mode: _,
        root_certificate: _,
        connect_timeout,
        application_name,
    } = url;
    let mut config = Config::new();
    match host {
        Host::Tcp(name) => config.host(name),
        Host::Unix(directory) => config.host_path(directory),
    };
    config
        .port(*port)
        .user(user)
        .dbname(database)
        .application_name(application_name.as_deref().unwrap_or("syncline"))
        .connect_timeout(connect_timeout.unwrap_or(CONNECT_TIMEOUT))
        .keepalives_idle(KEEPALIVE_IDLE)
        .ssl_mode(ssl_mode(url));
    if let Some(password) = password {
        config.password(password.expose());
    }
    config
}

/// Without `sslmode` a server elsewhere must prove who it is, and one on this machine is spoken
/// to in clear. Every mode that asks for TLS verifies chain and name; libpq's unverified
/// `require` has no equal here.
fn ssl_mode(url: &DatabaseUrl) -> DriverSslMode {
    match url.ssl_mode {
        Some(SslMode::Disable) => DriverSslMode::Disable,
        Some(SslMode::Allow | SslMode::Prefer) => DriverSslMode::Prefer,
        Some(SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull) => DriverSslMode::Require,
        None if url.is_local() => DriverSslMode::Disable,
        None => DriverSslMode::Require,
    }
}

fn tls(url: &DatabaseUrl) -> Result<MakeRustlsConnect, PostgresError> {
    let mut roots = RootCertStore::empty();
    match &url.root_certificate {
        None | Some(RootCertificate::System) => {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Some(RootCertificate::File(path)) => {
            let unusable =
                |error: String| PostgresError::RootCertificate(std::io::Error::other(error));
            let certificates = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unusable(error.to_string()))?;
            let (added, _) = roots.add_parsable_certificates(certificates);
            if added == 0 {
                return Err(unusable("it holds no certificate".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
