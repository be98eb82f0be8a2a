//! Somebody between us and a server: has a certificate of their own or takes TLS away, passes on
//! what we send or asks for the password, and keeps all that we say.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use syncline::demo::TlsFiles;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::server::ANOTHER_MACHINE;

/// The fate of a connection after TLS.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// It is passed on in clear to a port of 127.0.0.1, as a balancer does that ends TLS.
    PassOn(u16),
    /// It is passed on over TLS to a port of 127.0.0.1.
    PassOnOverTls(u16),
    /// The password is asked for in clear.
    AskInClear,
    /// An MD5 of the password is asked for.
    AskForMd5,
    /// Nothing is ever said.
    Silence,
}

/// Somebody in between. It ends with the test's runtime.
pub struct Interceptor {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

const ASKS_IN_CLEAR: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const ASKS_FOR_MD5: &[u8] = b"R\0\0\0\x0c\0\0\0\x05salt";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

impl Interceptor {
    /// Listens, with a certificate or without TLS.
    pub async fn start(tls: Option<&TlsFiles>, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, log) = (tls.map(acceptor), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(meet(client, acceptor.clone(), then, Arc::clone(&log)));
            }
        });
        Self { port, heard }
    }

    /// Its address, as another machine.
    pub fn place(&self) -> String {
        format!("{ANOTHER_MACHINE}:{}", self.port)
    }

    /// All that was said to it, as far as it could be read.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    /// Says whether a text was said to it.
    pub fn has_heard(&self, text: &str) -> bool {
        self.heard().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Says whether an answer to a question for the password was said to it: the messages that a
    /// client sends before it is let in are the start, which has no letter, and these.
    pub fn has_an_answer(&self) -> bool {
        let heard = self.heard();
        let length = |at: usize| {
            heard.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().unwrap()) as usize)
        };
        length(0).is_some_and(|start| heard.get(start) == Some(&b'p'))
    }
}

pub(super) fn acceptor(TlsFiles { certificate_pem, key_pem }: &TlsFiles) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn meet(
    mut client: TcpStream,
    tls: Option<TlsAcceptor>,
    then: Then,
    heard: Arc<Mutex<Vec<u8>>>,
) {
    let mut request = [0; 8];
    if client.read_exact(&mut request).await.is_err() {
        return;
    }
    assert_eq!(request, SSL_REQUEST, "TLS is asked for first");
    let Some(tls) = tls else {
        client.write_all(b"N").await.unwrap();
        return go_on(client, then, heard).await;
    };
    client.write_all(b"S").await.unwrap();
    if let Ok(stream) = tls.accept(client).await {
        go_on(stream, then, heard).await;
    }
}

async fn go_on<S>(mut client: S, then: Then, heard: Arc<Mutex<Vec<u8>>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match then {
        Then::PassOn(port) => {
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let mut client = Heard { inner: client, heard };
            let _ = copy_bidirectional(&mut client, &mut { server }).await;
        }
        Then::PassOnOverTls(port) => {
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            server.write_all(&SSL_REQUEST).await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'S');
            let name = "127.0.0.1".to_owned().try_into().unwrap();
            let mut server = believing().connect(name, server).await.unwrap();
            let mut client = Heard { inner: client, heard };
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
        Then::AskInClear | Then::AskForMd5 => {
            let is_clear = matches!(then, Then::AskInClear);
            let mut client = Heard { inner: client, heard };
            let mut bytes = [0; 1024];
            // The start comes first; whatever follows the question is an answer to it.
            if matches!(client.read(&mut bytes).await, Ok(1..)) {
                let question = if is_clear { ASKS_IN_CLEAR } else { ASKS_FOR_MD5 };
                client.write_all(question).await.unwrap();
                let _ = client.flush().await;
                while matches!(client.read(&mut bytes).await, Ok(1..)) {}
            }
        }
        Then::Silence => {
            let mut bytes = [0; 1024];
            while matches!(client.read(&mut bytes).await, Ok(1..)) {}
        }
    }
}

/// A connector that believes the shared server, as somebody in between does.
fn believing() -> tokio_rustls::TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    let pem = &super::server::tls_server().authority.pem;
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config).into()
}

/// A stream whose bytes are kept when they are read.
struct Heard<S> {
    inner: S,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = std::pin::Pin::new(&mut self.inner).poll_read(context, buffer);
        self.heard.lock().unwrap().extend_from_slice(&buffer.filled()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
