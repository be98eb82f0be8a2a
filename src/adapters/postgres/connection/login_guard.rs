//! A stream that looks at how a server asks for the password, before the driver answers. The driver
//! would send it in clear to whoever asks.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::channel_binding;
use super::demand::Login;
use crate::adapters::postgres::fault::Asked;

/// The first message of a server is looked at; its kind, its length and the kind of login.
const HEAD: usize = 9;

/// A login's first message is a few dozen bytes; a longer one is none.
const LONGEST: usize = 1024;

/// A stream that ends where the server asks for the password in a way that the rule forbids.
pub struct LoginGuard<S> {
    inner: S,
    rule: Login,
    /// The first message, as far as it has come; none once it was looked at.
    first: Option<Vec<u8>>,
    asked: Arc<OnceLock<Asked>>,
}

impl<S> LoginGuard<S> {
    /// Guards a stream, from before its login.
    pub fn new(inner: S, rule: Login) -> Self {
        Self { inner, rule, first: Some(Vec::new()), asked: Arc::default() }
    }

    /// The way in which the server asks, once it has.
    pub fn asked(&self) -> Arc<OnceLock<Asked>> {
        Arc::clone(&self.asked)
    }

    /// Looks at further bytes of the first message.
    fn look(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(first) = &mut self.first else { return Ok(()) };
        first.extend_from_slice(bytes);
        let Some(found) = look(first) else { return Ok(()) };
        self.first = None;
        let Some(asked) = found else { return Ok(()) };
        let asked = *self.asked.get_or_init(|| asked);
        let allowed = match self.rule {
            Login::Free => true,
            Login::Guarded => !matches!(asked, Asked::ClearText | Asked::Md5 | Asked::Other),
            Login::Bound => asked == Asked::BoundScram,
        };
        if allowed { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// Reads the way in which a first message asks: none while bytes are missing, and nothing where the
/// message is an error, with which every login ends. Whatever else comes first could have a
/// forbidden question behind it that nobody looks at.
fn look(first: &[u8]) -> Option<Option<Asked>> {
    const OF_TAG: usize = 1;
    match first.first()? {
        b'R' => {}
        b'E' => return Some(None),
        _ => return Some(Some(Asked::Other)),
    }
    let head = first.get(..HEAD)?;
    let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let length = usize::try_from(number(OF_TAG)).map_or(LONGEST, |length| length.min(LONGEST));
    let asked = match number(OF_TAG + 4) {
        0 => Asked::Nothing,
        3 => Asked::ClearText,
        5 => Asked::Md5,
        10 => {
            let mechanisms = first.get(HEAD..OF_TAG + length)?;
            match mechanisms.split(|byte| *byte == 0).any(|name| name == b"SCRAM-SHA-256-PLUS") {
                true => Asked::BoundScram,
                false => Asked::Scram,
            }
        }
        _ => Asked::Other,
    };
    Some(Some(asked))
}

impl<S: AsyncRead + Unpin> AsyncRead for LoginGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Poll::Ready(self.look(&buffer.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LoginGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl TlsStream for LoginGuard<tokio_rustls::client::TlsStream<TcpStream>> {
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.inner.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        certificate
            .and_then(|certificate| channel_binding::of_certificate(certificate))
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn message(kind: u32, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(8 + rest.len()).unwrap();
        [&b"R"[..], &length.to_be_bytes(), &kind.to_be_bytes(), rest].concat()
    }

    /// Reads a first message through the guard, a byte at a time.
    async fn read(rule: Login, message: &[u8]) -> (io::Result<Vec<u8>>, Option<Asked>) {
        let mut guard = LoginGuard::new(message, rule);
        let mut read = Vec::new();
        let result = loop {
            let mut byte = [0];
            match guard.read(&mut byte).await {
                Ok(0) => break Ok(read),
                Ok(_) => read.push(byte[0]),
                Err(error) => break Err(error),
            }
        };
        (result, guard.asked().get().copied())
    }

    #[tokio::test]
    async fn a_forbidden_question_ends_before_the_driver_has_read_it() {
        let scram = message(10, b"SCRAM-SHA-256\0\0");
        let bound = message(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        for (question, asked, guarded, proved) in [
            (message(0, b""), Asked::Nothing, true, false),
            (message(3, b""), Asked::ClearText, false, false),
            (message(5, b"salt"), Asked::Md5, false, false),
            (scram, Asked::Scram, true, false),
            (bound, Asked::BoundScram, true, true),
            (message(9, b""), Asked::Other, false, false),
        ] {
            for (rule, passes) in
                [(Login::Free, true), (Login::Guarded, guarded), (Login::Bound, proved)]
            {
                let (read, seen) = read(rule, &question).await;
                assert_eq!(seen, Some(asked));
                assert_eq!(read.is_ok(), passes, "{asked:?} {rule:?}");
                assert!(read.is_err() || read.unwrap() == question);
            }
        }
    }

    #[tokio::test]
    async fn an_error_passes_and_a_notice_before_the_question_does_not() {
        let error = b"E\0\0\0\x05\0".to_vec();
        let (passed, asked) = read(Login::Bound, &error).await;
        assert_eq!((passed.unwrap(), asked), (error, None));
        let notice = [b"N\0\0\0\x05\0".to_vec(), message(3, b"")].concat();
        for rule in [Login::Bound, Login::Guarded] {
            let (passed, asked) = read(rule, &notice).await;
            assert!(passed.is_err() && asked == Some(Asked::Other), "{rule:?}");
        }
    }
}
