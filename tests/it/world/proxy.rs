//! A network that can fail: a proxy on loopback between the function and a database. It cuts or
//! holds a connection after so many bytes, and counts what a client asks for.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The way that bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The way from the client to the server: rows into a target.
    ToServer,
    /// The way from the server to the client: rows out of a source.
    ToClient,
}

/// The fate of the connection whose bytes reach the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It ends on both sides.
    Cut,
    /// Nothing moves until [`Proxy::resume`].
    Hold,
}

/// Carries each connection to a new port of 127.0.0.1 on to a server. Returns the port.
pub async fn stand_before<F>(
    server: u16,
    carry: impl Fn(TcpStream, TcpStream) -> F + Send + 'static,
) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await {
                tokio::spawn(carry(client, server));
            }
        }
    });
    port
}

/// The proxy in front of one server. It ends with the test's runtime.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    plan: Mutex<Option<(Way, u64, Act)>>,
    to_server: AtomicU64,
    to_client: AtomicU64,
    exchanges: AtomicU64,
    held: watch::Sender<bool>,
}

impl Proxy {
    /// Stands in front of a port of 127.0.0.1.
    pub async fn before(server: u16) -> Self {
        let shared = Arc::new(Shared::default());
        let carried = Arc::clone(&shared);
        let port = stand_before(server, move |client, server| {
            let shared = Arc::clone(&carried);
            async move { carry(client, server, &shared).await }
        });
        Self { port: port.await, shared }
    }

    /// Returns a URL that leads to the same database through this proxy.
    pub fn url(&self, url: &str, server: u16) -> String {
        url.replace(&format!(":{server}/"), &format!(":{}/", self.port))
    }

    /// Acts once, on the connection that carries the byte at this offset, counted over all
    /// connections from now on.
    pub fn after(&self, way: Way, bytes: u64, act: Act) {
        self.shared.counter(way).store(0, Ordering::SeqCst);
        *self.shared.plan.lock().expect("no holder panics") = Some((way, bytes, act));
    }

    /// Says whether the plan still waits for its byte.
    pub fn is_waiting(&self) -> bool {
        self.shared.plan.lock().expect("no holder panics").is_some()
    }

    /// Forgets the plan.
    pub fn forget_plan(&self) {
        *self.shared.plan.lock().expect("no holder panics") = None;
    }

    /// Returns when a connection is held.
    pub async fn holds(&self) {
        let mut held = self.shared.held.subscribe();
        held.wait_for(|held| *held).await.expect("the proxy lives");
    }

    /// Lets a held connection go on.
    pub fn resume(&self) {
        self.shared.held.send_replace(false);
    }

    /// The bytes carried one way since the last plan or the start.
    pub fn carried(&self, way: Way) -> u64 {
        self.shared.counter(way).load(Ordering::SeqCst)
    }

    /// Returns how often a client waited for an answer, at most: the messages after which the
    /// protocol makes a client wait (`Query` and `Sync`), since the last call of this.
    pub fn exchanges(&self) -> u64 {
        self.shared.exchanges.swap(0, Ordering::SeqCst)
    }
}

impl Shared {
    fn counter(&self, way: Way) -> &AtomicU64 {
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    /// Returns how many of these bytes may still pass, and what happens then.
    fn allow(&self, way: Way, bytes: usize) -> (usize, Option<Act>) {
        let mut plan = self.plan.lock().expect("no holder panics");
        let before = self.counter(way).fetch_add(bytes as u64, Ordering::SeqCst);
        match *plan {
            Some((planned, at, act)) if planned == way && before + bytes as u64 > at => {
                *plan = None;
                (usize::try_from(at.saturating_sub(before)).expect("within a buffer"), Some(act))
            }
            _ => (bytes, None),
        }
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, shared: &Shared) {
    let (mut from_client, mut from_server) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    let mut frames = FrameReader::default();
    loop {
        let (way, read) = tokio::select! {
            read = client.read(&mut from_client) => (Way::ToServer, read),
            read = server.read(&mut from_server) => (Way::ToClient, read),
        };
        let Ok(read @ 1..) = read else { return };
        let (bytes, to) = match way {
            Way::ToServer => (&from_client[..read], &mut server),
            Way::ToClient => (&from_server[..read], &mut client),
        };
        if way == Way::ToServer {
            shared.exchanges.fetch_add(frames.count(bytes), Ordering::SeqCst);
        }
        let (allowed, act) = shared.allow(way, read);
        if to.write_all(&bytes[..allowed]).await.is_err() || act == Some(Act::Cut) {
            return;
        }
        if act == Some(Act::Hold) {
            shared.held.send_replace(true);
            let mut held = shared.held.subscribe();
            if held.wait_for(|held| !held).await.is_err() {
                return;
            }
            if to.write_all(&bytes[allowed..]).await.is_err() {
                return;
            }
        }
    }
}

/// Reads the frames of a client: a length, before which all but the first have a letter.
#[derive(Default)]
struct FrameReader {
    started: bool,
    head: Vec<u8>,
    left: usize,
}

impl FrameReader {
    fn count(&mut self, bytes: &[u8]) -> u64 {
        let mut waits = 0;
        for &byte in bytes {
            if self.left > 0 {
                self.left -= 1;
                continue;
            }
            self.head.push(byte);
            let letter = usize::from(self.started);
            if let Some(length) = self.head.get(letter..).and_then(|bytes| bytes.first_chunk::<4>())
            {
                self.left = u32::from_be_bytes(*length) as usize - 4;
                waits += u64::from(self.started && matches!(self.head[0], b'Q' | b'S'));
                self.head.clear();
                self.started = true;
            }
        }
        waits
    }
}
