//! Connects to a server: the way there, its proof of who it is, and the login, within a time.

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
use crate::adapters::postgres::fault::{Asked, ConnectCause, ConnectError, Doubt, PostgresError};
#[cfg(feature = "cli")]
use crate::adapters::trust::Presented;
use crate::engine::model::database::{ChannelBinding, DatabaseUrl};

/// The time that connecting may take unless the URL sets it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The time after which somebody who looks on wonders what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// A connected client. The task that moves its bytes ends when the client is dropped.
pub struct Connection {
    /// The driver's client.
    pub client: Client,
    url: Box<DatabaseUrl>,
    /// The certificate that the server logged us in with.
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
    let connected = patiently(url, &stages, connecting).await;
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
        let wire = patiently(url, &stages, opening).await;
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

/// Asks a server for its certificate, whatever it proves, and hangs up before a login.
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
    let presented = patiently(url, &stages, opening).await;
    Ok(presented.map_err(|cause| ConnectError::new(url, cause))?)
}

/// Connects within the time of the URL, and says in between what is waited for.
async fn patiently<T>(
    url: &DatabaseUrl,
    stages: &Stages,
    connect: impl AsyncFnOnce(Instant) -> Result<T, ConnectCause>,
) -> Result<T, ConnectCause> {
    let patience = url.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let until = Instant::now() + patience;
    let told = async {
        sleep(SILENCE).await;
        let (label, user, stage) = (url.label(), &url.user, stages.now());
        tracing::warn!("Waiting for {label}, as role {user}, {stage}: 2 s so far");
        std::future::pending().await
    };
    tokio::select! {
        ended = timeout_at(until, connect(until)) => ended.unwrap_or_else(|_| {
            Err(ConnectCause::Silent { stage: stages.now(), seconds: patience.as_secs() })
        }),
        never = told => never,
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
            Ok((over(url, login, Doubt::Clear, LoginGuard::new(stream, login), NoTls).await?, None))
        }
        Wire::Clear(stream) => {
            let login = demand.login_in_clear();
            Ok((over(url, login, Doubt::Clear, LoginGuard::new(stream, login), NoTls).await?, None))
        }
        Wire::Encrypted(stream, presented) => {
            let proof = presented.proves(demand.named);
            let login = demand.login_over_tls(proof.is_ok());
            let doubt = proof
                .map_or_else(|doubt| Doubt::Certificate(Box::new(doubt)), |()| Doubt::Demanded);
            let guard = LoginGuard::new(*stream, login);
            let client = over(url, login, doubt, guard, Established).await?;
            Ok((client, presented.chain.into_iter().next()))
        }
    }
}

/// Logs in over a stream that is already encrypted, or is to stay in clear.
async fn over<S, T>(
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
    let asked = guard.asked();
    let encrypted = !matches!(doubt, Doubt::Clear);
    let config = config(url, login, encrypted);
    match config.connect_raw(guard, tls).await {
        Ok((client, connection)) => {
            drop(tokio::spawn(async move { log_disconnect(connection.await) }));
            Ok(client)
        }
        Err(error) => Err(refusal(error, url, login, doubt, asked.get().copied())),
    }
}

/// Finds the cause of a login that failed: the rule for it, the server, or the network.
fn refusal(
    error: tokio_postgres::Error,
    url: &DatabaseUrl,
    login: Login,
    doubt: Doubt,
    asked: Option<Asked>,
) -> ConnectCause {
    let Some(asked) = asked else { return ConnectCause::of_driver(error) };
    match login {
        Login::Bound if asked != Asked::BoundScram => ConnectCause::Unproven { doubt, asked },
        Login::Guarded if matches!(asked, Asked::ClearText | Asked::Md5) => {
            ConnectCause::PasswordInClear(asked)
        }
        _ if asked != Asked::Nothing && url.password.is_none() => ConnectCause::NoPassword,
        Login::Bound => ConnectCause::of_bound_login(error),
        Login::Free | Login::Guarded => ConnectCause::of_driver(error),
    }
}

/// A broken connection is also reported to whoever waits for an answer; the log line is for the
/// time between two calls.
fn log_disconnect(end: Result<(), tokio_postgres::Error>) {
    if let Err(error) = end {
        tracing::debug!(%error, "A database connection ended");
    }
}

/// The driver's settings. TLS is there already where it is used, so the driver must not ask for it:
/// it does not with `Direct`.
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

/// The driver's handshake on a stream that has had its own.
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
