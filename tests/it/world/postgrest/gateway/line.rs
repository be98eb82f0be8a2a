//! The connection under the server, which can break in the middle of an answer. HTTP libraries
//! only send whole answers; a network does not.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Accepts the connections of one stand-in, and counts them.
pub struct Lines {
    /// The port that connections arrive on.
    pub listener: TcpListener,
    /// The number of connections so far.
    pub accepted: Arc<AtomicUsize>,
}

/// Breaks one connection.
#[derive(Clone, Debug, Default)]
pub struct Switch(Arc<Mutex<Option<Cut>>>);

/// The bytes that are still let through.
#[derive(Debug)]
struct Cut {
    /// The bytes of the body.
    left: usize,
    /// The last bytes of the head, until its end was seen.
    head: Option<Vec<u8>>,
}

impl Switch {
    /// Nothing goes out any more.
    pub fn cut_at_once(&self) {
        *self.0.lock().expect("no holder panics") = Some(Cut { left: 0, head: None });
    }

    /// The next answer's head goes out, and so many bytes of its body.
    pub fn cut_after(&self, left: usize) {
        let cut = Cut { left, head: Some(Vec::new()) };
        *self.0.lock().expect("no holder panics") = Some(cut);
    }

    /// Returns how many of these bytes may go out, or none if the connection is broken.
    fn allow(&self, bytes: &[u8]) -> Option<usize> {
        let mut cut = self.0.lock().expect("no holder panics");
        let Some(cut) = cut.as_mut() else { return Some(bytes.len()) };
        let mut allowed = 0;
        for byte in bytes {
            match &mut cut.head {
                Some(head) => {
                    head.push(*byte);
                    if head.ends_with(b"\r\n\r\n") {
                        cut.head = None;
                    }
                }
                None if cut.left == 0 => break,
                None => cut.left -= 1,
            }
            allowed += 1;
        }
        (allowed > 0).then_some(allowed)
    }
}

impl Listener for Lines {
    type Io = Line;
    type Addr = Switch;

    async fn accept(&mut self) -> (Line, Switch) {
        loop {
            if let Ok((stream, _)) = self.listener.accept().await {
                self.accepted.fetch_add(1, Ordering::SeqCst);
                // As PostgREST's server does, whose answers do not wait for acknowledgements.
                drop(stream.set_nodelay(true));
                let switch = Switch::default();
                return (Line { stream, switch: switch.clone() }, switch);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Switch> {
        Ok(Switch::default())
    }
}

impl Connected<IncomingStream<'_, Lines>> for Switch {
    fn connect_info(stream: IncomingStream<'_, Lines>) -> Self {
        stream.remote_addr().clone()
    }
}

/// One connection.
pub struct Line {
    stream: TcpStream,
    switch: Switch,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(allowed) = self.switch.allow(bytes) else {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        };
        // What the socket does not take now is offered and counted again, which cuts too early. A
        // socket on loopback that is about to be cut takes what a test sends.
        Pin::new(&mut self.stream).poll_write(context, &bytes[..allowed])
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
