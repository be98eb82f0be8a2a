//! Connects to a server: the TLS check, the timeout, the keepalive.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode as DriverSslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::adapters::postgres::fault::PostgresError;
use crate::engine::model::authority::RootCertificate;
use crate::engine::model::database::{DatabaseUrl, Host, SslMode};

/// The time that connecting may take unless the URL sets it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The idle time before the first TCP keepalive probe. Without probes a cut network looks like a
/// slow query until the invocation dies.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);

/// A connected client, and the TLS connector that its cancel requests use. The task that moves
/// the client's bytes ends when the client is dropped.
pub struct Connection {
    /// The driver's client.
    pub client: Client,
    /// The TLS connector: a cancel request is a connection of its own.
    pub tls: MakeRustlsConnect,
}

/// Connects, and starts the task that moves the connection's bytes.
pub async fn connect(url: &DatabaseUrl) -> Result<Connection, PostgresError> {
    let tls = tls(url)?;
    let config = config(url);
    let timeout = url.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connecting = async {
        if config.get_ssl_mode() == DriverSslMode::Disable {
            let (client, connection) = config.connect(NoTls).await?;
            drop(tokio::spawn(async move { log_disconnect(connection.await) }));
            Ok::<_, tokio_postgres::Error>(client)
        } else {
            let (client, connection) = config.connect(tls.clone()).await?;
            drop(tokio::spawn(async move { log_disconnect(connection.await) }));
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
fn log_disconnect(end: Result<(), tokio_postgres::Error>) {
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
        channel_binding: _,
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

/// Chooses the driver's mode. Without `sslmode` a remote server must present a valid certificate,
/// and a local one is connected to without TLS. Every mode that asks for TLS verifies the chain and
/// the name; libpq's unverified `require` is not supported.
fn ssl_mode(url: &DatabaseUrl) -> DriverSslMode {
    match url.ssl_mode {
        Some(SslMode::Disable) => DriverSslMode::Disable,
        Some(SslMode::Allow | SslMode::Prefer) => DriverSslMode::Prefer,
        Some(SslMode::Require | SslMode::NoVerify | SslMode::VerifyCa | SslMode::VerifyFull) => {
            DriverSslMode::Require
        }
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
        Some(given @ (RootCertificate::File(_) | RootCertificate::Pem(_))) => {
            let unusable =
                |error: String| PostgresError::RootCertificate(std::io::Error::other(error));
            let certificates = match given {
                RootCertificate::Pem(text) => {
                    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>()
                }
                RootCertificate::File(path) => CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>),
                RootCertificate::System => Ok(Vec::new()),
            };
            let certificates = certificates.map_err(|error| unusable(error.to_string()))?;
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
