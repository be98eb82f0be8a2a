//! A wire between program and server that counts its bytes, and how often they wait for each other.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// The time that an answer is held back, as a network would. What the client sends without waiting
/// for it arrives meanwhile, in however many pieces, and is seen to belong together.
const DISTANCE: Duration = Duration::from_millis(20);

/// The pieces of 64 KiB that are on their way at most: as much as a fast line of 30 ms holds.
const ON_THE_WAY: usize = 256;

/// Forwards connections to a port. It ends with the process.
pub struct Proxy {
    port: u16,
    trips: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Proxy {
    pub fn to(server: u16) -> Self {
        Self::distant(server, DISTANCE)
    }

    /// A wire on which an answer is late by the time of a round trip.
    pub fn distant(server: u16, trip: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let trips = Arc::new(AtomicU64::new(0));
        let bytes = Arc::new(AtomicU64::new(0));
        let (counted, carried) = (Arc::clone(&trips), Arc::clone(&bytes));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server));
                forward(client, server.expect("the server listens"), trip, &counted, &carried);
            }
        });
        Self { port, trips, bytes }
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a URL that leads to the same database through this wire.
    pub fn instead_of(&self, server: u16, url: &str) -> String {
        url.replace(&format!(":{server}/"), &format!(":{}/", self.port))
    }

    /// The bytes that were carried either way so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// The round trips since the last call.
    pub fn take_trips(&self) -> u64 {
        self.trips.swap(0, Ordering::SeqCst)
    }
}

/// A round trip begins when the client speaks after the server did; what it sends without waiting
/// for an answer belongs to the same one.
fn forward(
    client: TcpStream,
    server: TcpStream,
    trip: Duration,
    trips: &Arc<AtomicU64>,
    bytes: &Arc<AtomicU64>,
) {
    let (sent, received) = (Arc::clone(bytes), Arc::clone(bytes));
    let clients_turn = Arc::new(AtomicBool::new(true));
    let (asked, trips) = (Arc::clone(&clients_turn), Arc::clone(trips));
    let twin = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    let (from, to) = (twin(&client), twin(&server));
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a TCP option");
    }
    let counted = move || {
        if asked.swap(false, Ordering::SeqCst) {
            trips.fetch_add(1, Ordering::SeqCst);
        }
    };
    pump(from, to, Duration::ZERO, sent, counted);
    pump(server, client, trip, received, move || clients_turn.store(true, Ordering::SeqCst));
}

/// Carries bytes one way. Each piece arrives late by the delay, and none waits for the one before.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Duration,
    bytes: Arc<AtomicU64>,
    arrived: impl Fn() + Send + 'static,
) {
    let (leaves, arrives) = sync_channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            bytes.fetch_add(length as u64, Ordering::SeqCst);
            if leaves.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, piece) in arrives {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            arrived();
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        let _gone = to.shutdown(Shutdown::Write);
    });
}
