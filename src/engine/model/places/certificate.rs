//! The certificates that a server presents, in words: who they are for, who signed them, and
//! whether that is trusted.

/// The certificates of one handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Host and port.
    pub place: String,
    /// The host's name, where it has one in the network.
    pub host: Option<String>,
    /// The server's own certificate, and those that came with it.
    pub certificates: Vec<Certificate>,
    /// The list that its authority is on, or the reason why it is on none.
    pub trust: Result<&'static str, String>,
    /// The reason why it does not stand for the host, if it does not.
    pub misnamed: Option<String>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The name of its owner.
    pub subject: String,
    /// The name of the authority that signed it.
    pub issuer: String,
    /// The names and addresses that it stands for.
    pub names: Vec<String>,
    /// Its first day.
    pub from: String,
    /// Its last day.
    pub until: String,
    /// The SHA-256 of its bytes, as pages and tools print it.
    pub fingerprint: String,
    /// Its text.
    pub pem: String,
}

impl Chain {
    /// The certificate to pin: the one that is nearest to the authority, since those below it are
    /// renewed more often.
    pub fn to_pin(&self) -> Option<&Certificate> {
        self.certificates.last()
    }

    /// Says whether the server's own certificate is the one to pin.
    pub fn pins_the_server(&self) -> bool {
        self.certificates.len() == 1
    }
}
