//! A stream that checks how a server requests the password, before the driver answers. The driver
//! would send the password in clear text to every server that requests it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::channel_binding;
use super::demand::Login;
use crate::adapters::postgres::fault::LoginRequest;

/// The length of the head of a server's first message: its kind, its length and the kind of login.
const HEAD: usize = 9;

/// The longest first message of a login, which usually has a few dozen bytes.
const LONGEST: usize = 1024;

/// A stream that fails if the server requests the password in a way that the rule forbids.
pub struct LoginGuard<S> {
    inner: S,
    rule: Login,
    /// The bytes of the first message so far, until it was checked.
    first: Option<Vec<u8>>,
    request: Arc<OnceLock<LoginRequest>>,
}

impl<S> LoginGuard<S> {
    /// Guards a stream whose login has not begun.
    pub fn new(inner: S, rule: Login) -> Self {
        Self { inner, rule, first: Some(Vec::new()), request: Arc::default() }
    }

    /// Returns the cell that gets the server's request.
    pub fn request(&self) -> Arc<OnceLock<LoginRequest>> {
        Arc::clone(&self.request)
    }

    /// Checks the first message with these further bytes.
    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(first) = &mut self.first else { return Ok(()) };
        first.extend_from_slice(bytes);
        let Some(request) = read_request(first) else { return Ok(()) };
        self.first = None;
        let Some(request) = request else { return Ok(()) };
        let request = *self.request.get_or_init(|| request);
        let is_allowed = match self.rule {
            Login::Free => true,
            Login::Guarded => !matches!(
                request,
                LoginRequest::ClearText | LoginRequest::Md5 | LoginRequest::Other
            ),
            Login::Bound => request == LoginRequest::BoundScram,
        };
        if is_allowed { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
    }
}

/// Reads the request in the first message. Returns nothing while bytes are missing. The inner value
/// is nothing for an error, which ends the login. Any other message is refused as `Other`: a
/// forbidden request could follow it, which nothing would check.
fn read_request(first: &[u8]) -> Option<Option<LoginRequest>> {
    const OF_TAG: usize = 1;
    match first.first()? {
        b'R' => {}
        b'E' => return Some(None),
        _ => return Some(Some(LoginRequest::Other)),
    }
    let head = first.get(..HEAD)?;
    let number = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let length = usize::try_from(number(OF_TAG)).map_or(LONGEST, |length| length.min(LONGEST));
    let request = match number(OF_TAG + 4) {
        0 => LoginRequest::Nothing,
        3 => LoginRequest::ClearText,
        5 => LoginRequest::Md5,
        10 => {
            let mechanisms = first.get(HEAD..OF_TAG + length)?;
            match mechanisms.split(|byte| *byte == 0).any(|name| name == b"SCRAM-SHA-256-PLUS") {
                true => LoginRequest::BoundScram,
                false => LoginRequest::Scram,
            }
        }
        _ => LoginRequest::Other,
    };
    Some(Some(request))
}

impl<S: AsyncRead + Unpin> AsyncRead for LoginGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        Poll::Ready(self.check(&buffer.filled()[before..]))
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
    async fn read(rule: Login, message: &[u8]) -> (io::Result<Vec<u8>>, Option<LoginRequest>) {
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
        (result, guard.request().get().copied())
    }

    #[tokio::test]
    async fn a_forbidden_request_ends_before_the_driver_has_read_it() {
        let scram = message(10, b"SCRAM-SHA-256\0\0");
        let bound = message(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        for (question, request, guarded, proved) in [
            (message(0, b""), LoginRequest::Nothing, true, false),
            (message(3, b""), LoginRequest::ClearText, false, false),
            (message(5, b"salt"), LoginRequest::Md5, false, false),
            (scram, LoginRequest::Scram, true, false),
            (bound, LoginRequest::BoundScram, true, true),
            (message(9, b""), LoginRequest::Other, false, false),
        ] {
            for (rule, passes) in
                [(Login::Free, true), (Login::Guarded, guarded), (Login::Bound, proved)]
            {
                let (read, seen) = read(rule, &question).await;
                assert_eq!(seen, Some(request));
                assert_eq!(read.is_ok(), passes, "{request:?} {rule:?}");
                assert!(read.is_err() || read.unwrap() == question);
            }
        }
    }

    #[tokio::test]
    async fn an_error_passes_and_a_notice_before_the_request_does_not() {
        let error = b"E\0\0\0\x05\0".to_vec();
        let (passed, request) = read(Login::Bound, &error).await;
        assert_eq!((passed.unwrap(), request), (error, None));
        let notice = [b"N\0\0\0\x05\0".to_vec(), message(3, b"")].concat();
        for rule in [Login::Bound, Login::Guarded] {
            let (passed, request) = read(rule, &notice).await;
            assert!(passed.is_err() && request == Some(LoginRequest::Other), "{rule:?}");
        }
    }
}
