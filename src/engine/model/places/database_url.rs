//! Reads a database URL by libpq's rules into a `DatabaseUrl`. No message repeats any part of the
//! URL that could be a piece of a password.

use std::path::PathBuf;
use std::time::Duration;

use super::authority::{BadAuthority, RootCertificate};
use super::database::{ChannelBinding, DatabaseUrl, Host, SslMode};
use super::secret::SecretText;

/// Says what is wrong with a database URL, without repeating it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDatabaseUrl {
    /// It begins with nothing that looks like a scheme.
    #[error("It must begin with postgres://")]
    NoScheme,
    /// It is a URL of something else, which is known by name.
    #[error("The scheme must be postgres:// (found `{0}`)")]
    OtherScheme(&'static str),
    /// It is an API's, which is a project's and has a key beside it.
    #[error("It must begin with postgres:// (found an http URL)")]
    Rest,
    /// A raw `@` or `/` makes it ambiguous where the password ends.
    #[error("It is unclear where the password ends; write an @ in it as %40, a / as %2F")]
    UnclearPassword,
    /// The placeholder of a dashboard was left in place.
    #[error("The password is still the placeholder [YOUR-PASSWORD]")]
    Placeholder,
    /// A `%` is not followed by two hexadecimal digits, or means a NUL or no Unicode.
    #[error("A % must be followed by the two digits of a UTF-8 byte; write % itself as %25")]
    BadPercent,
    /// Nobody to log in as.
    #[error("It names no user, as in postgres://USER:PASSWORD@HOST/DATABASE")]
    NoUser,
    /// Nowhere to connect to.
    #[error("It names no host, as in postgres://USER:PASSWORD@HOST/DATABASE")]
    NoHost,
    /// libpq would try several servers in turn.
    #[error("It names several hosts; choose one")]
    SeveralHosts,
    /// The host holds what no host can.
    #[error("The host is malformed; an IPv6 address stands in brackets")]
    BadHost,
    /// The port is no number of a port.
    #[error("The port must be a number from 1 to 65535")]
    BadPort,
    /// A parameter has a value it cannot have.
    #[error("The parameter `{name}` must be {expected}")]
    BadParameter {
        /// The parameter.
        name: &'static str,
        /// The values that are allowed.
        expected: &'static str,
    },
    /// A parameter of libpq that would be silently without effect.
    #[error("The parameter `{0}` is not supported; remove it")]
    UnsupportedParameter(&'static str),
    /// A slip, or the tail of a password in a URL that was cut: so it is counted, not repeated.
    #[error(
        "Parameter {0} after the ? is not known; known are host, port, user, dbname, sslmode, \
         sslrootcert, channel_binding, connect_timeout and application_name"
    )]
    UnknownParameter(usize),
    /// The authorities do not go with the mode.
    #[error(transparent)]
    Authority(#[from] BadAuthority),
    /// The password stands where logs and shells show it and `&` cuts it.
    #[error("The password belongs before the host, not into a parameter")]
    PasswordParameter,
}

/// Parameters that other programs write and that change nothing for us.
const HARMLESS: [&str; 14] = [
    "connection_limit",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "pgbouncer",
    "pool_timeout",
    "schema",
    "statement_cache_size",
    "supa",
    "target_session_attrs",
    "uselibpqcompat",
    "workaround",
];

/// Parameters of libpq that mean something which is not done here.
const UNSUPPORTED: [&str; 22] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "hostaddr",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "replication",
    "require_auth",
    "requirepeer",
    "service",
    "ssl",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslnegotiation",
    "sslpassword",
    "tcp_user_timeout",
];

/// Beginnings that people paste by mistake. Only these are repeated in a message, since any other
/// might be the secret itself.
const OTHER_SCHEMES: [&str; 8] =
    ["jdbc", "mariadb", "mongodb", "mongodb+srv", "mysql", "redis", "sqlite", "sqlserver"];

const DEFAULT_PORT: u16 = 5432;

/// The parts of the URL that are read so far; parameters come last and win, as in libpq.
#[derive(Default)]
struct Parts {
    host: String,
    port: String,
    user: String,
    password: Option<SecretText>,
    database: String,
    ssl_mode: Option<SslMode>,
    root_certificate: Option<RootCertificate>,
    channel_binding: ChannelBinding,
    connect_timeout: Option<Duration>,
    application_name: Option<String>,
}

impl DatabaseUrl {
    /// Reads `postgres://` and `postgresql://` URLs by libpq's rules, which are not quite those of
    /// other URLs: a password may hold `#` and `?`, and a host may be a directory.
    pub fn parse(url: &str) -> Result<Self, BadDatabaseUrl> {
        parse(url)
    }
}

fn parse(url: &str) -> Result<DatabaseUrl, BadDatabaseUrl> {
    let rest = after_scheme(url)?;
    let (credentials, rest) = split_credentials(rest)?;
    let (location, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (server, database) = location.split_once('/').unwrap_or((location, ""));
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?).filter(|text| !text.is_empty())),
        None => (credentials, None),
    };
    if password.as_deref() == Some("[YOUR-PASSWORD]") {
        return Err(BadDatabaseUrl::Placeholder);
    }
    let (host, port) = split_server(server)?;
    let mut parts = Parts {
        host: decode(host)?,
        port: decode(port)?,
        user: decode(user)?,
        password: password.map(SecretText::new),
        database: decode(database)?,
        ..Parts::default()
    };
    let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty());
    for (index, parameter) in parameters.enumerate() {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        parts.set(index + 1, &decode(name)?, decode(value)?)?;
    }
    parts.finish()
}

fn after_scheme(url: &str) -> Result<&str, BadDatabaseUrl> {
    let (scheme, rest) = url.split_once(':').ok_or(BadDatabaseUrl::NoScheme)?;
    let scheme = scheme.to_ascii_lowercase();
    match scheme.as_str() {
        "postgres" | "postgresql" => rest.strip_prefix("//").ok_or(BadDatabaseUrl::NoScheme),
        "http" | "https" => Err(BadDatabaseUrl::Rest),
        _ => match OTHER_SCHEMES.into_iter().find(|other| *other == scheme) {
            Some(other) => Err(BadDatabaseUrl::OtherScheme(other)),
            None => Err(BadDatabaseUrl::NoScheme),
        },
    }
}

/// Splits at the only raw `@`, before any `/`. A second one would be libpq's host or parameters and
/// the user's password: 1. the password holds a raw `@`, 2. its tail is taken for a host, 3. it
/// appears in "cannot reach ...". So there must be one reading only.
fn split_credentials(rest: &str) -> Result<(&str, &str), BadDatabaseUrl> {
    match rest.split_once('@') {
        None => Ok(("", rest)),
        Some((before, after)) if before.contains('/') || after.contains('@') => {
            Err(BadDatabaseUrl::UnclearPassword)
        }
        Some(parts) => Ok(parts),
    }
}

fn split_server(server: &str) -> Result<(&str, &str), BadDatabaseUrl> {
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or(BadDatabaseUrl::BadHost)?,
        None => server.split_at(server.find(':').unwrap_or(server.len())),
    };
    match port.strip_prefix(':') {
        _ if server.contains(',') => Err(BadDatabaseUrl::SeveralHosts),
        Some(port) => Ok((host, port)),
        None if port.is_empty() => Ok((host, "")),
        None => Err(BadDatabaseUrl::BadHost),
    }
}

/// Undoes percent-encoding. A `+` stays a `+`: this is not a form.
fn decode(text: &str) -> Result<String, BadDatabaseUrl> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| !digits.starts_with('+'));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or(BadDatabaseUrl::BadPercent)?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => Err(BadDatabaseUrl::BadPercent),
    }
}

impl Parts {
    fn set(&mut self, number: usize, name: &str, value: String) -> Result<(), BadDatabaseUrl> {
        match name {
            "host" => self.host = value,
            "port" => self.port = value,
            "user" => self.user = value,
            "dbname" => self.database = value,
            "password" => return Err(BadDatabaseUrl::PasswordParameter),
            "sslmode" => self.ssl_mode = Some(ssl_mode(&value)?),
            "ssl" if value == "true" => self.ssl_mode = Some(SslMode::Require),
            "sslrootcert" if value.is_empty() => {
                return Err(bad("sslrootcert", "a file's path or `system`"));
            }
            "sslrootcert" => self.root_certificate = Some(RootCertificate::parse(&value)?),
            "channel_binding" => self.channel_binding = channel_binding(&value)?,
            "connect_timeout" => {
                let seconds: u32 =
                    value.parse().map_err(|_| bad("connect_timeout", "whole seconds"))?;
                self.connect_timeout =
                    Some(Duration::from_secs(seconds.into())).filter(|time| !time.is_zero());
            }
            "application_name" => self.application_name = Some(value).filter(|n| !n.is_empty()),
            name if HARMLESS.contains(&name) => {}
            name => {
                let known = UNSUPPORTED.into_iter().find(|known| *known == name);
                return Err(known.map_or(
                    BadDatabaseUrl::UnknownParameter(number),
                    BadDatabaseUrl::UnsupportedParameter,
                ));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<DatabaseUrl, BadDatabaseUrl> {
        let Self { host, port, user, password, database, .. } = self;
        if user.is_empty() {
            return Err(BadDatabaseUrl::NoUser);
        }
        let port = match port.as_str() {
            "" => DEFAULT_PORT,
            digits => match digits.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(BadDatabaseUrl::BadPort),
            },
        };
        let url = DatabaseUrl {
            host: known_host(host)?,
            port,
            database: if database.is_empty() { user.clone() } else { database },
            user,
            password,
            ssl_mode: self.ssl_mode,
            root_certificate: self.root_certificate,
            authority_setting: None,
            channel_binding: self.channel_binding,
            connect_timeout: self.connect_timeout,
            application_name: self.application_name,
        };
        Ok(url.consistent()?)
    }
}

fn known_host(host: String) -> Result<Host, BadDatabaseUrl> {
    match host {
        host if host.is_empty() => Err(BadDatabaseUrl::NoHost),
        host if host.starts_with('/') => Ok(Host::Unix(PathBuf::from(host))),
        host if host.contains(',') => Err(BadDatabaseUrl::SeveralHosts),
        host if host.contains(|c: char| "@/[]".contains(c) || c.is_whitespace()) => {
            Err(BadDatabaseUrl::BadHost)
        }
        host => Ok(Host::Tcp(host)),
    }
}

fn ssl_mode(word: &str) -> Result<SslMode, BadDatabaseUrl> {
    let expected = "disable, allow, prefer, require, no-verify, verify-ca or verify-full";
    SslMode::parse(word).ok_or(bad("sslmode", expected))
}

fn channel_binding(word: &str) -> Result<ChannelBinding, BadDatabaseUrl> {
    match word {
        "disable" => Ok(ChannelBinding::Disable),
        "prefer" => Ok(ChannelBinding::Prefer),
        "require" => Ok(ChannelBinding::Require),
        _ => Err(bad("channel_binding", "disable, prefer or require")),
    }
}

fn bad(name: &'static str, expected: &'static str) -> BadDatabaseUrl {
    BadDatabaseUrl::BadParameter { name, expected }
}

#[cfg(test)]
#[path = "database_url_tests.rs"]
mod tests;
