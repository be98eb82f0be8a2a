//! Connects to a server and logs in, within a time limit. The server proves who it is on the way.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_postgres::config::{ChannelBinding as DriverBinding, SslMode, SslNegotiation};
use tokio_postgres::tls::{TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, NoTls};

use super::demand::{Demand, Login};
use super::login_guard::LoginGuard;
use super::stage::{Stage, Stages};
use super::wire::{self, Wire};
use crate::adapters::postgres::fault::{
    ConnectCause, ConnectError, Doubt, LoginRequest, PostgresError,
};
#[cfg(feature = "cli")]
use crate::adapters::trust::Presented;
use crate::engine::model::database::{ChannelBinding, DatabaseUrl};

/// The time limit of connecting, unless the URL sets one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which a warning tells the person at the terminal what takes so long.
const SILENCE: Duration = Duration::from_secs(2);

/// A connected client. The task that moves its bytes ends when the client is dropped.
pub struct Connection {
    /// The driver's client.
    pub client: Client,
    url: Box<DatabaseUrl>,
    /// The certificate of the server that logged us in.
    certificate: Option<CertificateDer<'static>>,
}

/// Connects, and starts the task that moves the connection's bytes.
pub async fn connect(url: &DatabaseUrl) -> Result<Connection, PostgresError> {
    let stages = Stages::new();
    let connecting = async |until| {
        let demand = Demand::of(url);
        let wire = wire::open(url, demand, &stages, until).await?;
        stages.enter(Stage::Login);
        log_in(url, demand, wire).await
    };
    let connected = within_timeout(url, &stages, connecting).await;
    let (client, certificate) = connected.map_err(|cause| ConnectError::new(url, cause))?;
    Ok(Connection { client, url: Box::new(url.clone()), certificate })
}

impl Connection {
    /// Asks the server to end the running statement, over a connection of its own. The request
    /// holds a secret of this connection, and its server proves nothing by a login: where its
    /// certificate proves nothing either, it must be that of the server which logged us in.
    pub async fn cancel(&self) -> Result<(), PostgresError> {
        let (url, stages, demand) = (&self.url, Stages::new(), Demand::of(&self.url));
        let opening = async |until| wire::open(url, demand, &stages, until).await;
        let wire = within_timeout(url, &stages, opening).await;
        let token = self.client.cancel_token();
        let sent = match wire.map_err(|cause| ConnectError::new(url, cause))? {
            Wire::Local(stream) => token.cancel_query_raw(stream, NoTls).await,
            Wire::Clear(stream) if self.certificate.is_none() => {
                token.cancel_query_raw(stream, NoTls).await
            }
            Wire::Encrypted(stream, presented)
                if demand.login_over_tls(presented.proves(demand.named).is_ok()) == Login::Free
                    || presented.chain.first() == self.certificate.as_ref() =>
            {
                let stream = LoginGuard::new(*stream, Login::Free);
                token.cancel_query_raw(stream, Established).await
            }
            Wire::Clear(_) | Wire::Encrypted(..) => {
                return Err(ConnectError::new(url, ConnectCause::OtherServer).into());
            }
        };
        Ok(sent?)
    }
}

/// Returns the certificate of a server, even if it proves nothing, and disconnects before a login.
#[cfg(feature = "cli")]
pub async fn presented(url: &DatabaseUrl) -> Result<Presented, PostgresError> {
    let stages = Stages::new();
    let opening =
        async |until| match wire::open(url, Demand::to_see_the_certificate(), &stages, until)
            .await?
        {
            Wire::Encrypted(_, presented) => Ok(presented),
            Wire::Local(_) | Wire::Clear(_) => Err(ConnectCause::NoTls),
        };
    let presented = within_timeout(url, &stages, opening).await;
    Ok(presented.map_err(|cause| ConnectError::new(url, cause))?)
}

/// Connects within the time limit of the URL. Warns after a while, naming the stage that takes so
/// long.
async fn within_timeout<T>(
    url: &DatabaseUrl,
    stages: &Stages,
    connect: impl AsyncFnOnce(Instant) -> Result<T, ConnectCause>,
) -> Result<T, ConnectCause> {
    let timeout = url.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let until = Instant::now() + timeout;
    let warning = async {
        sleep(SILENCE).await;
        let (label, user, stage) = (url.label(), &url.user, stages.now());
        tracing::warn!("Waiting for {label}, as role {user}, {stage}: 2 s so far");
        std::future::pending().await
    };
    tokio::select! {
        ended = timeout_at(until, connect(until)) => ended.unwrap_or_else(|_| {
            Err(ConnectCause::Silent { stage: stages.now(), seconds: timeout.as_secs() })
        }),
        never = warning => never,
    }
}

async fn log_in(
    url: &DatabaseUrl,
    demand: Demand,
    wire: Wire,
) -> Result<(Client, Option<CertificateDer<'static>>), ConnectCause> {
    match wire {
        Wire::Local(stream) => {
            let login = demand.login_in_clear();
            Ok((
                log_in_over(url, login, Doubt::Clear, LoginGuard::new(stream, login), NoTls)
                    .await?,
                None,
            ))
        }
        Wire::Clear(stream) => {
            let login = demand.login_in_clear();
            Ok((
                log_in_over(url, login, Doubt::Clear, LoginGuard::new(stream, login), NoTls)
                    .await?,
                None,
            ))
        }
        Wire::Encrypted(stream, presented) => {
            let proof = presented.proves(demand.named);
            let login = demand.login_over_tls(proof.is_ok());
            let doubt = proof
                .map_or_else(|doubt| Doubt::Certificate(Box::new(doubt)), |()| Doubt::Demanded);
            let guard = LoginGuard::new(*stream, login);
            let client = log_in_over(url, login, doubt, guard, Established).await?;
            Ok((client, presented.chain.into_iter().next()))
        }
    }
}

/// Logs in over a stream that is encrypted already, or that stays without TLS.
async fn log_in_over<S, T>(
    url: &DatabaseUrl,
    login: Login,
    doubt: Doubt,
    guard: LoginGuard<S>,
    tls: T,
) -> Result<Client, ConnectCause>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: TlsConnect<LoginGuard<S>>,
    T::Stream: Send + 'static,
{
    let request = guard.request();
    let encrypted = !matches!(doubt, Doubt::Clear);
    let config = config(url, login, encrypted);
    match config.connect_raw(guard, tls).await {
        Ok((client, connection)) => {
            drop(tokio::spawn(async move { log_disconnect(connection.await) }));
            Ok(client)
        }
        Err(error) => Err(login_cause(error, url, login, doubt, request.get().copied())),
    }
}

/// Finds the cause of a failed login: the rule for it, the server, or the network.
fn login_cause(
    error: tokio_postgres::Error,
    url: &DatabaseUrl,
    login: Login,
    doubt: Doubt,
    request: Option<LoginRequest>,
) -> ConnectCause {
    let Some(request) = request else { return ConnectCause::of_driver(error) };
    match login {
        Login::Bound if request != LoginRequest::BoundScram => {
            ConnectCause::Unproven { doubt, request }
        }
        Login::Guarded if matches!(request, LoginRequest::ClearText | LoginRequest::Md5) => {
            ConnectCause::PasswordInClear(request)
        }
        _ if request != LoginRequest::Nothing && url.password.is_none() => ConnectCause::NoPassword,
        Login::Bound => ConnectCause::of_bound_login(error),
        Login::Free | Login::Guarded => ConnectCause::of_driver(error),
    }
}

/// Logs the end of a connection. A caller that waits for an answer gets an error too. The log line
/// is for a connection that ends between two calls.
fn log_disconnect(end: Result<(), tokio_postgres::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "A database connection ended");
    }
}

/// Builds the driver's settings. If TLS is used, the stream has it already, so the driver must not
/// ask the server for it. With `Direct` it does not.
fn config(url: &DatabaseUrl, login: Login, encrypted: bool) -> Config {
    let DatabaseUrl {
        host: _,
        port: _,
        user,
        password,
        database,
        ssl_mode: _,
        authority_setting: _,
        root_certificate: _,
        channel_binding,
        connect_timeout: _,
        application_name,
    } = url;
    let mut config = Config::new();
    config
        .user(user)
        .dbname(database)
        .application_name(application_name.as_deref().unwrap_or("syncline"))
        .ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable })
        .ssl_negotiation(SslNegotiation::Direct)
        .channel_binding(match (login, channel_binding) {
            (Login::Bound, _) => DriverBinding::Require,
            (Login::Free | Login::Guarded, ChannelBinding::Disable) => DriverBinding::Disable,
            (Login::Free | Login::Guarded, _) => DriverBinding::Prefer,
        });
    if let Some(password) = password {
        config.password(password.expose());
    }
    config
}

/// The driver's TLS handshake on a stream that has TLS already: it does nothing.
struct Established;

impl<S> TlsConnect<S> for Established
where
    S: TlsStream + Unpin,
{
    type Stream = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        ready(Ok(stream))
    }
}
