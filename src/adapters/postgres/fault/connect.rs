//! The reasons why a connection was not made, each with the server, the database and the role.

use std::fmt;
use std::io;

use rustls::CertificateError;

use super::certificate::CertificateFault;
use crate::adapters::postgres::sql::refusal::Refused;
use crate::adapters::trust::UnusableAuthority;
use crate::engine::model::database::{DatabaseUrl, Host};

/// A connection that was not made.
#[derive(Debug, thiserror::Error)]
#[error("Cannot connect to {place}, database {database}, as role {role}")]
pub struct ConnectError {
    /// Host and port.
    pub place: String,
    /// The host, where it is one of the network.
    pub host: Option<String>,
    /// The database.
    pub database: String,
    /// The role.
    pub role: String,
    /// The cause.
    #[source]
    pub cause: ConnectCause,
}

impl ConnectError {
    /// A connection to this URL that was not made.
    pub fn new(url: &DatabaseUrl, cause: ConnectCause) -> Self {
        let host = match &url.host {
            Host::Tcp(host) => Some(host.clone()),
            Host::Unix(_) => None,
        };
        let place = format!("{}:{}", url.host, url.port);
        Self { place, host, database: url.database.clone(), role: url.user.clone(), cause }
    }
}

/// The cause.
#[derive(Debug, thiserror::Error)]
pub enum ConnectCause {
    /// No address is known for the host.
    #[error("The host is unknown")]
    UnknownHost(#[source] io::Error),
    /// Nobody accepts there.
    #[error("Nobody accepts connections there")]
    Socket(#[source] io::Error),
    /// Nothing came in time.
    #[error("No answer came within {seconds} seconds, {stage}")]
    Silent {
        /// The stage that was reached.
        stage: Stage,
        /// The time that was waited.
        seconds: u64,
    },
    /// The connection ended before the login.
    #[error("The connection broke")]
    Broken(#[source] io::Error),
    /// Something else than Postgres answers.
    #[error("What answers there is no Postgres server")]
    NotPostgres,
    /// The server has no TLS.
    #[error("The server offers no TLS")]
    NoTls,
    /// The host is no name that a certificate could hold.
    #[error("No certificate can hold this host's name")]
    BadName,
    /// The handshake failed for another reason than the certificate.
    #[error("The TLS handshake failed")]
    Handshake(#[source] io::Error),
    /// The certificate does not prove who the server is.
    #[error("{}", CertificateFault(.0))]
    Certificate(Box<CertificateError>),
    /// The authorities of the setting cannot be read.
    #[error(transparent)]
    Authority(#[from] UnusableAuthority),
    /// The server proves itself neither by its certificate nor by the login.
    #[error("{doubt}, and the server {request}, so it does not prove who it is")]
    Unproven {
        /// The reason why the login has to prove it.
        doubt: Doubt,
        /// The login that the server offers.
        request: LoginRequest,
    },
    /// The server would get the password in clear, or nearly so.
    #[error("The server {0}, and anybody in between could take it")]
    PasswordInClear(LoginRequest),
    /// The login that had to prove who the server is failed.
    #[error("{} (SQLSTATE {})", .0.message, .0.code.code())]
    BoundLogin(Box<Refused>),
    /// The URL has no password, and the server asks for one.
    #[error("The server asks for a password, and the URL has none")]
    NoPassword,
    /// The server refused.
    #[error("{} (SQLSTATE {})", .0.message, .0.code.code())]
    Refused(Box<Refused>),
    /// The login failed in the driver.
    #[error("The login failed")]
    Login(#[source] tokio_postgres::Error),
    /// A second connection came to another server than the first.
    #[error("Another server answers than before")]
    OtherServer,
}

impl ConnectCause {
    /// The cause of a login that failed.
    pub fn of_driver(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(refused) => Self::Refused(Box::new(refused.into())),
            None => Self::Login(error),
        }
    }

    /// The cause of a login that failed and had to prove who the server is. A server in between has
    /// a certificate of its own, and the real one notices that in the login.
    pub fn of_bound_login(error: tokio_postgres::Error) -> Self {
        match Self::of_driver(error) {
            Self::Refused(refused) if refused.code.code().starts_with("28") => {
                Self::BoundLogin(refused)
            }
            cause => cause,
        }
    }
}

/// The stage of a connection that is being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The host's addresses are asked for.
    Resolve,
    /// The server has to accept.
    Accept,
    /// TLS is agreed on.
    Encrypt,
    /// The role is logged in.
    Login,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "while the host's address was looked up",
            Self::Accept => "while the server was asked to accept the connection",
            Self::Encrypt => "while TLS was agreed on",
            Self::Login => "while the role was logged in",
        })
    }
}

/// The way in which a server asks for the password; the end of a sentence about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRequest {
    /// It lets the role in.
    Nothing,
    /// In clear.
    ClearText,
    /// As an MD5 of it.
    Md5,
    /// SCRAM without channel binding.
    Scram,
    /// SCRAM with channel binding.
    BoundScram,
    /// In a way of no password, such as GSSAPI.
    Other,
}

impl fmt::Display for LoginRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "asks for no password",
            Self::ClearText => "asks for the password in clear",
            Self::Md5 => "asks for an MD5 of the password",
            Self::Scram => "offers SCRAM without channel binding",
            Self::BoundScram => "offers SCRAM with channel binding",
            Self::Other => "asks for a login that is no password's",
        })
    }
}

/// The reason why a login has to prove who the server is.
#[derive(Clone, Debug)]
pub enum Doubt {
    /// The connection is in clear.
    Clear,
    /// The certificate does not prove it.
    Certificate(Box<CertificateError>),
    /// The URL demands channel binding.
    Demanded,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clear => f.write_str("The connection is not encrypted"),
            Self::Certificate(error) => CertificateFault(error).fmt(f),
            Self::Demanded => f.write_str("The URL demands channel_binding=require"),
        }
    }
}
