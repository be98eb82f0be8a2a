//! Opens the connection to a server, up to the login: the socket, and TLS if that is demanded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::demand::{Demand, Encryption, Unproven};
use super::stage::{Stage, Stages};
use crate::adapters::postgres::fault::ConnectCause;
use crate::adapters::trust::{self, Authorities, Named, Presented, Witness};
use crate::engine::model::database::{DatabaseUrl, Host};

/// The idle time before the first TCP keepalive probe. Without probes a cut network looks like a
/// slow query until the invocation dies.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(20);

/// The protocol's request for TLS: its length and its number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A stream to a server, before the login.
pub enum Wire {
    /// A Unix-domain socket.
    Local(UnixStream),
    /// A TCP connection without TLS.
    Clear(TcpStream),
    /// A TCP connection over TLS, with the certificate of the server.
    Encrypted(Box<TlsStream<TcpStream>>, Presented),
}

/// Connects to a server. It sends no secret.
pub async fn open(
    url: &DatabaseUrl,
    demand: Demand,
    stages: &Stages,
    until: Instant,
) -> Result<Wire, ConnectCause> {
    let host = match &url.host {
        Host::Tcp(host) => host,
        Host::Unix(directory) => {
            stages.enter(Stage::Accept);
            let path = directory.join(format!(".s.PGSQL.{}", url.port));
            return UnixStream::connect(path).await.map(Wire::Local).map_err(ConnectCause::Socket);
        }
    };
    let mut stream = connect(host, url.port, stages, until).await?;
    if demand.encryption == Encryption::Never {
        return Ok(Wire::Clear(stream));
    }
    stages.enter(Stage::Encrypt);
    let authorities = Authorities::read(url.root_certificate.as_ref())?;
    stream.write_all(&SSL_REQUEST).await.map_err(ConnectCause::Broken)?;
    match stream.read_u8().await.map_err(ConnectCause::Broken)? {
        b'S' => encrypt(stream, host, demand, authorities).await,
        b'N' if demand.encryption == Encryption::IfOffered => Ok(Wire::Clear(stream)),
        b'N' => Err(ConnectCause::NoTls),
        _ => Err(ConnectCause::NotPostgres),
    }
}

async fn encrypt(
    stream: TcpStream,
    host: &str,
    demand: Demand,
    authorities: Authorities,
) -> Result<Wire, ConnectCause> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectCause::BadName)?;
    let demanded = (demand.unproven == Unproven::Refuse).then_some(Named(demand.named));
    let witness = Witness::new(authorities, demanded);
    let connector = TlsConnector::from(Arc::new(trust::tls(&witness)));
    let handshake = connector.connect(name, stream).await;
    let presented = witness.presented().cloned();
    match (handshake, presented) {
        (Ok(stream), Some(presented)) => Ok(Wire::Encrypted(Box::new(stream), presented)),
        (Ok(_), None) => Err(ConnectCause::NotPostgres),
        (Err(error), presented) => {
            let proof = presented.zip(demanded).map(|(found, Named(named))| found.proves(named));
            match proof {
                Some(Err(doubt)) => Err(ConnectCause::Certificate(Box::new(doubt))),
                Some(Ok(())) | None => Err(ConnectCause::Handshake(error)),
            }
        }
    }
}

/// Tries the host's addresses in their order, each for its share of the time that is left. So an
/// address that does not answer, as IPv6 often does not, leaves time for the next one.
async fn connect(
    host: &str,
    port: u16,
    stages: &Stages,
    until: Instant,
) -> Result<TcpStream, ConnectCause> {
    stages.enter(Stage::Resolve);
    let addresses = lookup_host((host, port)).await.map_err(ConnectCause::UnknownHost)?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    stages.enter(Stage::Accept);
    let Some((last, others)) = addresses.split_last() else {
        return Err(ConnectCause::UnknownHost(std::io::ErrorKind::AddrNotAvailable.into()));
    };
    for (address, later) in others.iter().zip((1..=others.len()).rev()) {
        let now = Instant::now();
        let share = until.saturating_duration_since(now) / (later as u32 + 1);
        if let Ok(Ok(stream)) = timeout_at(now + share, TcpStream::connect(address)).await {
            return ready(stream);
        }
    }
    ready(TcpStream::connect(last).await.map_err(ConnectCause::Socket)?)
}

fn ready(stream: TcpStream) -> Result<TcpStream, ConnectCause> {
    stream.set_nodelay(true).map_err(ConnectCause::Socket)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(ConnectCause::Socket)?;
    Ok(stream)
}
