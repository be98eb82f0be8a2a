//! The place of a Postgres database and the login to it, as a libpq URL says it. Parsing such a URL
//! is in `database_url`; connecting is for the adapter.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::authority::{BadAuthority, NamedAuthority, RootCertificate};
use super::secret::SecretText;

pub use super::database_url::BadDatabaseUrl;

/// A database to connect to. Its password is not printed, and `label` names it in messages.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    /// The server.
    pub host: Host,
    /// The TCP port, or the number in the socket's file name.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// The password; none where the server asks for none.
    pub password: Option<SecretText>,
    /// The database.
    pub database: String,
    /// The demand of the URL on TLS; the adapter chooses where it is silent.
    pub ssl_mode: Option<SslMode>,
    /// The authorities that the server's certificate must come from; the adapter knows the public
    /// ones.
    pub root_certificate: Option<RootCertificate>,
    /// The setting beside the URL that names these authorities, if one does.
    pub authority_setting: Option<String>,
    /// The demand on SCRAM to prove that nobody stands in between.
    pub channel_binding: ChannelBinding,
    /// The time to try for; the adapter chooses where the URL is silent, or says 0 as libpq allows.
    pub connect_timeout: Option<Duration>,
    /// The name to show in `pg_stat_activity` instead of ours.
    pub application_name: Option<String>,
}

/// The way a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// A name or address, an IPv6 address without its brackets.
    Tcp(String),
    /// The directory of the Unix-domain socket.
    Unix(PathBuf),
}

/// The values of `sslmode`; the words are libpq's, but for `no-verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// TLS if the server can, as with `Prefer`.
    Allow,
    /// TLS if the server can.
    Prefer,
    /// TLS, with a server that proves who it is, by its certificate or by SCRAM.
    Require,
    /// TLS with anybody. libpq has no word for it; this is node-postgres' one.
    NoVerify,
    /// TLS, with a certificate of a trusted authority.
    VerifyCa,
    /// TLS, with a certificate of a trusted authority for this very host.
    VerifyFull,
}

/// The values of `channel_binding`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// SCRAM is bound if the server can.
    #[default]
    Prefer,
    /// A server that cannot is refused.
    Require,
}

impl DatabaseUrl {
    /// Names the database in messages: `host:port/database`.
    pub fn label(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    /// Says whether the address is one at which each transaction gets a server of its own:
    /// Supabase's poolers do so at this port, and in session mode at 5432. Other poolers do not
    /// tell.
    pub fn is_transaction_pooler(&self) -> bool {
        const TRANSACTION_MODE: u16 = 6543;
        self.is_at_supabase() && self.port == TRANSACTION_MODE
    }

    /// Says whether its host is Supabase.
    pub fn is_at_supabase(&self) -> bool {
        let Host::Tcp(host) = &self.host else { return false };
        let host = host.to_ascii_lowercase();
        host.ends_with(".supabase.com") || host.ends_with(".supabase.co")
    }

    /// Says whether the connection stays on this machine, so that TLS would protect nothing.
    pub fn is_local(&self) -> bool {
        match &self.host {
            Host::Unix(_) => true,
            Host::Tcp(host) => is_loopback(host),
        }
    }

    /// Adds the authorities that a setting beside the URL names.
    pub fn with_authority(self, authority: NamedAuthority) -> Result<Self, BadAuthority> {
        if self.root_certificate.is_some() {
            return Err(BadAuthority::Twice);
        }
        let NamedAuthority { setting, certificate } = authority;
        let root_certificate = Some(certificate);
        Self { root_certificate, authority_setting: Some(setting), ..self }.consistent()
    }

    /// Refuses authorities that the mode would pass over in silence. With `system`, the mode is
    /// `verify-full`, as in libpq: anybody can get a certificate of a public authority, so the name
    /// alone tells the server from others.
    pub(super) fn consistent(mut self) -> Result<Self, BadAuthority> {
        match (&self.root_certificate, self.ssl_mode) {
            (None, _) => {}
            (Some(_), Some(SslMode::Disable)) => return Err(BadAuthority::Unused("disable")),
            (Some(_), Some(SslMode::NoVerify)) => return Err(BadAuthority::Unused("no-verify")),
            (Some(RootCertificate::System), None | Some(SslMode::VerifyFull)) => {
                self.ssl_mode = Some(SslMode::VerifyFull);
            }
            (Some(RootCertificate::System), Some(_)) => return Err(BadAuthority::WeakSystem),
            (Some(RootCertificate::File(_) | RootCertificate::Pem(_)), _) => {}
        }
        Ok(self)
    }

    /// Says whether both texts lead to one database. Different texts still may; only the servers
    /// know.
    ///
    /// Sockets are compared by directory and never with TCP: two clusters of one machine may share
    /// the port number as long as their directories differ.
    pub fn is_same_database(&self, other: &Self) -> bool {
        let same_host = match (&self.host, &other.host) {
            (Host::Tcp(one), Host::Tcp(two)) => {
                one.eq_ignore_ascii_case(two) || (is_loopback(one) && is_loopback(two))
            }
            (Host::Unix(one), Host::Unix(two)) => one == two,
            (Host::Tcp(_), Host::Unix(_)) | (Host::Unix(_), Host::Tcp(_)) => false,
        };
        same_host
            && self.port == other.port
            && self.database == other.database
            && self.tenant() == other.tenant()
    }

    /// The name of the Supabase project whose database this is, where the address tells it.
    pub fn supabase_project(&self) -> Option<&str> {
        let Host::Tcp(host) = &self.host else { return None };
        let own = host.strip_prefix("db.").and_then(|host| host.strip_suffix(".supabase.co"));
        let pooled = self.tenant().filter(|_| host.ends_with(".pooler.supabase.com"));
        own.or(pooled).filter(|_| self.database == "postgres")
    }

    /// The project at a shared pooler, which is told apart by the user's name alone: all Supabase
    /// projects of a region are `postgres.PROJECT` at one host, port and database.
    fn tenant(&self) -> Option<&str> {
        self.user.split_once('.').map(|(_, tenant)| tenant)
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) if host.contains(':') => write!(f, "[{host}]"),
            Self::Tcp(host) => f.write_str(host),
            Self::Unix(directory) => write!(f, "{}", directory.display()),
        }
    }
}

impl SslMode {
    /// Reads libpq's word for the mode.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "no-verify" => Self::NoVerify,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> DatabaseUrl {
        DatabaseUrl::parse(text).unwrap()
    }

    #[test]
    fn the_label_says_where_and_nothing_else() {
        let cases = [
            ("postgres://u:hunter2@db.example.com/app", "db.example.com:5432/app"),
            ("postgres://u:hunter2@[::1]:6543/app", "[::1]:6543/app"),
            ("postgres://u:hunter2@%2Frun%2Fpg/app", "/run/pg:5432/app"),
        ];
        for (text, label) in cases {
            assert_eq!(url(text).label(), label);
            assert!(!format!("{:?}", url(text)).contains("hunter2"));
        }
    }

    #[test]
    fn sockets_and_loopback_are_local() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "[::1]", "%2Ftmp"] {
            assert!(url(&format!("postgres://u@{host}/d")).is_local(), "{host}");
        }
        for host in ["example.com", "localhost.example.com", "10.0.0.1", "[2001:db8::1]"] {
            assert!(!url(&format!("postgres://u@{host}/d")).is_local(), "{host}");
        }
    }

    #[test]
    fn one_database_is_known_under_its_other_spellings() {
        let same = [
            ("postgres://u@localhost/d", "postgresql://v:pw@127.0.0.1:5432/d"),
            ("postgres://u@[::1]/d", "postgres://u@localhost/d"),
            ("postgres://u@DB.example.com/d", "postgres://u@db.example.com/d?sslmode=require"),
            ("postgres://d@h", "postgres://u@h/d"),
            ("postgres://u@%2Ftmp/d", "postgres://u@/d?host=/tmp"),
        ];
        for (one, two) in same {
            assert!(url(one).is_same_database(&url(two)), "{one} {two}");
        }
    }

    #[test]
    fn databases_that_differ_in_one_part_are_two() {
        let different = [
            ("postgres://u@h/d", "postgres://u@h/D"),
            ("postgres://u@h/d", "postgres://u@h:5433/d"),
            ("postgres://u@h/d", "postgres://u@i/d"),
            ("postgres://u@%2Ftmp/d", "postgres://u@%2Frun/d"),
            ("postgres://u@%2Ftmp/d", "postgres://u@localhost/d"),
            ("postgres://postgres.old@pooler/d", "postgres://postgres.new@pooler/d"),
        ];
        for (one, two) in different {
            assert!(!url(one).is_same_database(&url(two)), "{one} {two}");
        }
    }
}
