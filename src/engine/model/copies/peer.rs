//! The other deployments that full syncs copy from and to, and the directions in which they may
//! copy here.

use std::fmt;

use url::Url;

use super::session::Direction;
use crate::engine::model::project::is_local;

/// The longest name of a peer.
const LONGEST_NAME: usize = 63;

/// Another deployment, as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    name: String,
    url: Url,
}

/// The reason why a text names no peer. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPeer {
    /// There is no `=`, or the name has other characters.
    #[error("It must be NAME=https://HOST, with a name of 1 to {LONGEST_NAME} of a-z, 0-9 and -")]
    Name,
    /// The address is no URL.
    #[error("The address of a peer must be the APP_URL of that deployment, as in https://HOST")]
    NoUrl,
    /// The rows would travel in the clear.
    #[error("The address of a peer must begin with https://; http:// is for this machine alone")]
    Unencrypted,
    /// The address has parts that are without effect, or that are secret.
    #[error("The address of a peer must hold no user, no password, no `?` and no `#`")]
    Extras,
}

impl Peer {
    /// Reads `NAME=URL`.
    pub fn parse(text: &str) -> Result<Self, BadPeer> {
        let (name, url) = text.split_once('=').ok_or(BadPeer::Name)?;
        let (name, url) = (name.trim(), url.trim());
        let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_known) {
            return Err(BadPeer::Name);
        }
        let url = Url::parse(url).map_err(|_| BadPeer::NoUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if is_local(&url) => {}
            "http" => return Err(BadPeer::Unencrypted),
            _ => return Err(BadPeer::NoUrl),
        }
        let is_plain = url.username().is_empty() && url.password().is_none();
        if !is_plain || url.query().is_some() || url.fragment().is_some() {
            return Err(BadPeer::Extras);
        }
        Ok(Self { name: name.to_owned(), url })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address, without a slash at its end.
    pub fn url(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Its address, as calls to it are signed for.
    pub fn home(&self) -> SignedHome {
        SignedHome::of(&self.url)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.home().host)
    }
}

/// The parts of a deployment's public address that a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHome {
    /// The host, with the port if it is not the scheme's own.
    pub host: String,
    /// The path before the path of each call, without a slash at its end.
    pub base: String,
}

impl SignedHome {
    /// Reads the parts of an APP_URL; none if it is no URL with a host.
    pub fn parse(url: &str) -> Option<Self> {
        Url::parse(url).ok().filter(Url::has_host).as_ref().map(Self::of)
    }

    fn of(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Self { host, base: url.path().trim_end_matches('/').to_owned() }
    }
}

/// The directions in which peers may copy from or to this deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerMay {
    /// They may read its tables.
    #[default]
    Pull,
    /// They may write into its tables.
    Push,
    /// They may do both.
    Both,
}

impl PeerMay {
    /// The words of the settings.
    pub const WORDS: &str = "pull, push, both";

    /// Reads a word of the settings.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "pull" => Some(Self::Pull),
            "push" => Some(Self::Push),
            "both" => Some(Self::Both),
            _ => None,
        }
    }

    /// The directions, as a peer that drives a session sees them.
    pub fn directions(self) -> &'static [Direction] {
        match self {
            Self::Pull => &[Direction::Pull],
            Self::Push => &[Direction::Push],
            Self::Both => &[Direction::Pull, Direction::Push],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_name_and_a_home() {
        for (text, url, host, base) in [
            ("prod=https://A.example.com", "https://a.example.com", "a.example.com", ""),
            (
                " b-2 = https://b.example.com:443/sync/ ",
                "https://b.example.com/sync",
                "b.example.com",
                "/sync",
            ),
            ("c=http://127.0.0.1:8787", "http://127.0.0.1:8787", "127.0.0.1:8787", ""),
            ("d=http://[::1]:8787/", "http://[::1]:8787", "[::1]:8787", ""),
        ] {
            let peer = Peer::parse(text).expect(text);
            let home = SignedHome { host: host.to_owned(), base: base.to_owned() };
            assert_eq!((peer.url(), peer.home()), (url, home.clone()));
            assert_eq!(SignedHome::parse(peer.url()), Some(home), "as the peer's APP_URL has it");
        }
    }

    #[test]
    fn a_text_that_names_no_peer_is_refused() {
        for (text, bad) in [
            ("https://a.example.com", BadPeer::Name),
            ("=https://a.example.com", BadPeer::Name),
            ("Prod=https://a.example.com", BadPeer::Name),
            ("a=a.example.com", BadPeer::NoUrl),
            ("a=ftp://a.example.com", BadPeer::NoUrl),
            ("a=http://a.example.com", BadPeer::Unencrypted),
            ("a=http://10.0.0.1", BadPeer::Unencrypted),
            ("a=https://u@a.example.com", BadPeer::Extras),
            ("a=https://u:hunter2@a.example.com", BadPeer::Extras),
            ("a=https://a.example.com?b=hunter2", BadPeer::Extras),
            ("a=https://a.example.com#hunter2", BadPeer::Extras),
        ] {
            let refused = Peer::parse(text).expect_err(text);
            assert_eq!(refused, bad, "{text}");
            assert!(!refused.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_peer_may_read_unless_more_is_said() {
        assert_eq!(PeerMay::default().directions(), [Direction::Pull]);
        for word in PeerMay::WORDS.split(", ") {
            assert!(PeerMay::parse(word).is_some(), "{word}");
        }
        assert_eq!(PeerMay::parse("Pull"), None);
    }
}
