//! A proxy on loopback that counts the commits of transactions that write, and holds one of them:
//! before it reaches the server, or before its answer reaches the client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::full_sync::deployments::Deployed;
use crate::world::proxy::stand_before;

/// The place where a commit is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The server does not see it.
    Commit,
    /// The server has done it, and the client does not hear of it.
    Answer,
}

/// The proxy in front of one server. It ends with the test's runtime.
pub struct Commits {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    count: AtomicU64,
    /// The commit that is held, from 1; 0 for none.
    number: AtomicU64,
    holds_answer: AtomicU64,
    held: watch::Sender<bool>,
}

impl Commits {
    /// Stands in front of a deployment's server.
    pub async fn before(side: &Deployed) -> Self {
        let shared = Arc::new(Shared::default());
        let carried = Arc::clone(&shared);
        let port = stand_before(side.cluster.port(), move |client, server| {
            let shared = Arc::clone(&carried);
            async move { carry(client, server, &shared).await }
        });
        Self { port: port.await, shared }
    }

    /// Returns a URL that leads to the deployment's database through this proxy.
    pub fn url(&self, side: &Deployed) -> String {
        let [server, proxy] = [side.cluster.port(), self.port].map(|port| format!(":{port}/"));
        side.database.url.replace(&server, &proxy)
    }

    /// Holds the commit with this number, counted from now on; 0 holds none. Returns how many there
    /// were since the last call.
    pub fn hold(&self, number: u64, hold: Hold) -> u64 {
        self.shared.holds_answer.store(u64::from(hold == Hold::Answer), Ordering::SeqCst);
        self.shared.number.store(number, Ordering::SeqCst);
        self.shared.count.swap(0, Ordering::SeqCst)
    }

    /// Returns when a commit is held.
    pub async fn holds(&self) {
        let mut held = self.shared.held.subscribe();
        held.wait_for(|held| *held).await.expect("the proxy lives");
    }

    /// Ends the connection whose commit is held.
    pub fn let_go(&self) {
        self.shared.held.send_replace(false);
    }
}

async fn carry(mut client: TcpStream, mut server: TcpStream, shared: &Shared) {
    let (mut from_client, mut from_server) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut messages = Messages::default();
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let Ok(read @ 1..) = read else { return };
                messages.rest.extend_from_slice(&from_client[..read]);
                while let Some((message, commits)) = messages.next() {
                    let number = match commits {
                        true => shared.count.fetch_add(1, Ordering::SeqCst) + 1,
                        false => 0,
                    };
                    let holds = number > 0 && number == shared.number.load(Ordering::SeqCst);
                    let holds_answer = shared.holds_answer.load(Ordering::SeqCst) == 1;
                    if holds && !holds_answer {
                        return until_let_go(shared).await;
                    }
                    if server.write_all(&message).await.is_err() {
                        return;
                    }
                    if holds {
                        return until_let_go(shared).await;
                    }
                }
            }
            read = server.read(&mut from_server) => {
                let Ok(read @ 1..) = read else { return };
                if client.write_all(&from_server[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn until_let_go(shared: &Shared) {
    shared.held.send_replace(true);
    let mut held = shared.held.subscribe();
    held.wait_for(|held| !held).await.expect("the proxy lives");
}

/// The messages of a client: a length, before which all but the first have a letter.
#[derive(Default)]
struct Messages {
    rest: Vec<u8>,
    has_started: bool,
    writes: bool,
}

impl Messages {
    /// Takes the next whole message, and says whether it commits a transaction that writes.
    fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        let letter = usize::from(self.has_started);
        let length = self.rest.get(letter..)?.first_chunk::<4>()?;
        let end = letter + u32::from_be_bytes(*length) as usize;
        if self.rest.len() < end {
            return None;
        }
        let message: Vec<u8> = self.rest.drain(..end).collect();
        let has_started = std::mem::replace(&mut self.has_started, true);
        if !has_started || message[0] != b'Q' {
            return Some((message, false));
        }
        let text = message[5..].trim_ascii_start().to_ascii_lowercase();
        if text.starts_with(b"begin") {
            let head = String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned();
            self.writes = head.contains("read write");
        }
        let commits = self.writes && text.starts_with(b"commit");
        Some((message, commits))
    }
}
