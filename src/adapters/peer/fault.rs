//! The reasons why a call to a peer has no answer that can be believed, and who must act on each.

use std::time::{Duration, SystemTime};

use url::Url;

use crate::engine::model::call_error::CallError;
use crate::engine::model::fault::{Fault, Step};
use crate::engine::model::fault_code::FaultCode;
use crate::engine::model::packed::BadBody;
use crate::engine::model::peer::Peer;

/// The reason why a call to a peer failed.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// There was no connection, so nothing was sent.
    #[error("No connection: {0}")]
    NoConnection(String),
    /// The call was cut. The peer may have done it.
    #[error("{0}")]
    Cut(String),
    /// A server answers that it cannot do the call now, and for how long.
    #[error("The server answered {0}")]
    Unavailable(u16, Duration),
    /// The call is not accepted, by somebody who does not sign the answer.
    #[error("The server answered 401")]
    Refused,
    /// The answer is none of a deployment with our key.
    #[error("{0}")]
    Strange(String),
    /// The server sends the call on to this host.
    #[error("The server sends calls on to {0}")]
    Redirect(String),
    /// The call was signed at another time than the peer's.
    #[error("The clock here shows {here}, and the peer's {there}")]
    Clock {
        /// Our time.
        here: String,
        /// The peer's time.
        there: String,
        /// The seconds between both times, and the word for which is greater.
        apart: (u64, &'static str),
    },
    /// The peer signed something that this program cannot read.
    #[error("The answer has another form than this release knows")]
    Unreadable,
    /// A body is too large to travel, or cannot be unpacked.
    #[error(transparent)]
    Body(#[from] BadBody),
    /// The peer tells an error of its own.
    #[error("{}", .0.message)]
    Told(Box<CallError>),
}

impl PeerError {
    /// The error for a redirect. Nothing but a host is repeated of an answer that nobody signed.
    pub fn redirect(place: &str) -> Self {
        let host = Url::parse(place).ok().and_then(|url| url.host_str().map(str::to_owned));
        Self::Redirect(host.unwrap_or_else(|| "another path".to_owned()))
    }

    /// The error for a call that was signed at `now` and came when the peer's clock showed `time`.
    pub fn clock(now: SystemTime, time: u64) -> Self {
        let here = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let word = if time > here { "ahead of" } else { "behind" };
        Self::Clock { here: text(here), there: text(time), apart: (here.abs_diff(time), word) }
    }

    /// Says whether another attempt may get another answer.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NoConnection(_) | Self::Cut(_) | Self::Unavailable(..))
    }

    /// The least pause before another attempt.
    pub fn least_pause(&self) -> Duration {
        match self {
            Self::Unavailable(_, wait) => *wait,
            _ => Duration::ZERO,
        }
    }

    /// The fault, with the peer's name and the remedy.
    pub fn into_fault(self, peer: &Peer) -> Fault {
        match self {
            Self::Told(error) => error.of_peer(peer.name()),
            error => {
                let (code, message, hint) = error.words(peer);
                Fault::new(Step::Peer, code, message, hint).caused_by(error)
            }
        }
    }

    /// The code, the sentence and the remedy.
    fn words(&self, peer: &Peer) -> (FaultCode, String, String) {
        let (name, url) = (peer.name(), peer.url());
        match self {
            Self::Told(error) => {
                (FaultCode::PeerRefused, error.message.clone(), error.hint.clone())
            }
            Self::NoConnection(_) | Self::Cut(_) | Self::Unavailable(..) => (
                FaultCode::PeerUnreachable,
                format!("The peer {peer} does not answer"),
                format!("check that the deployment runs at {url}; what was saved stays saved"),
            ),
            Self::Refused => (
                FaultCode::PeerRefused,
                format!("The peer {peer} does not accept the signature of a call"),
                format!(
                    "set the same SYNC_REGISTRATION_KEY there and here, and APP_URL there to {url}, \
                     which SYNC_PEERS has here; the peer's log has the reason"
                ),
            ),
            Self::Strange(_) => (
                FaultCode::PeerStranger,
                format!("The server of the peer {peer} is no deployment with our key"),
                format!("correct the address of {name} in SYNC_PEERS, or the keys of both sides"),
            ),
            Self::Redirect(_) => (
                FaultCode::PeerStranger,
                format!("The peer {peer} answers with a redirect, which is not followed"),
                format!(
                    "set the address of {name} in SYNC_PEERS, and APP_URL there, to the one at which \
                     the deployment itself answers"
                ),
            ),
            Self::Clock { apart: (seconds, word), .. } => (
                FaultCode::PeerClock,
                format!("The clock of the peer {peer} is {seconds} s {word} the clock here"),
                "set the clock that is wrong; up to 300 s are accepted".to_owned(),
            ),
            Self::Body(BadBody::TooLarge) => (
                FaultCode::TooLarge,
                format!(
                    "What describes the tables, or the list of a copy's frames, is larger than one \
                     call to or from the peer {peer} carries"
                ),
                "copy fewer tables at once with --table, or fewer rows with --where".to_owned(),
            ),
            Self::Unreadable | Self::Body(BadBody::Unreadable) => (
                FaultCode::PeerVersion,
                format!("The answer of the peer {peer} cannot be read"),
                "install the same release of Syncline on both deployments".to_owned(),
            ),
        }
    }
}

fn text(seconds: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(error: PeerError) -> Fault {
        error.into_fault(&Peer::parse("prod=https://a.example.com/sync").expect("a peer"))
    }

    #[test]
    fn a_clock_is_named_with_both_times() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let ahead = fault(PeerError::clock(at(1_000), 1_360));
        assert_eq!(ahead.code, FaultCode::PeerClock);
        assert_eq!(
            ahead.chain(),
            "The clock of the peer prod (a.example.com) is 360 s ahead of the clock here: The \
             clock here shows 1970-01-01T00:16:40Z, and the peer's 1970-01-01T00:22:40Z"
        );
        let behind = fault(PeerError::clock(at(1_360), 1_000));
        assert!(behind.message.contains("360 s behind the clock here"), "{behind}");
    }

    #[test]
    fn a_redirect_is_named_by_its_host_alone() {
        let told = fault(PeerError::redirect("https://u:hunter2@b.example.com/?hunter2")).chain();
        assert!(told.ends_with("The server sends calls on to b.example.com"), "{told}");
        let told = fault(PeerError::redirect("/hunter2")).chain();
        assert!(told.ends_with("The server sends calls on to another path"), "{told}");
    }

    #[test]
    fn each_error_names_the_peer_and_the_remedy() {
        for (error, code) in [
            (PeerError::NoConnection(String::new()), FaultCode::PeerUnreachable),
            (PeerError::Cut(String::new()), FaultCode::PeerUnreachable),
            (PeerError::Unavailable(503, Duration::ZERO), FaultCode::PeerUnreachable),
            (PeerError::Refused, FaultCode::PeerRefused),
            (PeerError::Strange(String::new()), FaultCode::PeerStranger),
            (PeerError::Unreadable, FaultCode::PeerVersion),
            (PeerError::Body(BadBody::Unreadable), FaultCode::PeerVersion),
            (PeerError::Body(BadBody::TooLarge), FaultCode::TooLarge),
        ] {
            let fault = fault(error);
            assert_eq!(fault.code, code);
            assert!(fault.message.contains("prod (a.example.com)"), "{fault}");
            assert!(!fault.hint.is_empty());
        }
    }
}
