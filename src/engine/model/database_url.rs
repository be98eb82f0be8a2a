//! Reads a database URL by libpq's rules into a `DatabaseUrl`. No message repeats any part of the
//! URL that could be a piece of a password.

use std::path::PathBuf;
use std::time::Duration;

use super::database::{DatabaseUrl, Host, RootCertificate, SslMode};
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
    /// It is a REST API's, which is understood in a later version.
    #[error("Only postgres:// is available in this version (found an http URL)")]
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
        /// What it may be.
        expected: &'static str,
    },
    /// A parameter that would be silently without effect.
    #[error("The parameter `{0}` is not supported; remove it")]
    UnknownParameter(String),
    /// The password stands where logs and shells show it and `&` cuts it.
    #[error("The password belongs before the host, not into a parameter")]
    PasswordParameter,
}

/// Parameters that other programs write and that change nothing for us.
const HARMLESS: [&str; 15] = [
    "channel_binding",
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

/// Beginnings that people paste by mistake. Only these are repeated in a message, since any other
/// might be the secret itself.
const OTHER_SCHEMES: [&str; 8] =
    ["jdbc", "mariadb", "mongodb", "mongodb+srv", "mysql", "redis", "sqlite", "sqlserver"];

const DEFAULT_PORT: u16 = 5432;

/// What the URL says so far; parameters come last and win, as in libpq.
#[derive(Default)]
struct Parts {
    host: String,
    port: String,
    user: String,
    password: Option<SecretText>,
    database: String,
    ssl_mode: Option<SslMode>,
    root_certificate: Option<RootCertificate>,
    connect_timeout: Option<Duration>,
    application_name: Option<String>,
}

pub(super) fn parse(url: &str) -> Result<DatabaseUrl, BadDatabaseUrl> {
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
    // Before any parameter is named: without a user, what looks like one may be a password's tail.
    if user.is_empty() && !parameters.split('&').any(|parameter| parameter.starts_with("user=")) {
        return Err(BadDatabaseUrl::NoUser);
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
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        parts.set(&decode(name)?, decode(value)?)?;
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
    fn set(&mut self, name: &str, value: String) -> Result<(), BadDatabaseUrl> {
        match name {
            "host" => self.host = value,
            "port" => self.port = value,
            "user" => self.user = value,
            "dbname" => self.database = value,
            "password" => return Err(BadDatabaseUrl::PasswordParameter),
            "sslmode" => self.ssl_mode = Some(ssl_mode(&value)?),
            "ssl" if value == "true" => self.ssl_mode = Some(SslMode::Require),
            "sslrootcert" if value == "system" => {
                self.root_certificate = Some(RootCertificate::System);
            }
            "sslrootcert" if value.is_empty() => {
                return Err(bad("sslrootcert", "a file's path or `system`"));
            }
            "sslrootcert" => self.root_certificate = Some(RootCertificate::File(value.into())),
            "connect_timeout" => {
                let seconds: u32 =
                    value.parse().map_err(|_| bad("connect_timeout", "whole seconds"))?;
                self.connect_timeout =
                    Some(Duration::from_secs(seconds.into())).filter(|time| !time.is_zero());
            }
            "application_name" => self.application_name = Some(value).filter(|n| !n.is_empty()),
            name if HARMLESS.contains(&name) => {}
            name => return Err(BadDatabaseUrl::UnknownParameter(name.to_owned())),
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
        Ok(DatabaseUrl {
            host: known_host(host)?,
            port,
            database: if database.is_empty() { user.clone() } else { database },
            user,
            password,
            ssl_mode: self.ssl_mode,
            root_certificate: self.root_certificate,
            connect_timeout: self.connect_timeout,
            application_name: self.application_name,
        })
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
    let expected = "disable, allow, prefer, require, verify-ca or verify-full";
    SslMode::parse(word).ok_or(bad("sslmode", expected))
}

fn bad(name: &'static str, expected: &'static str) -> BadDatabaseUrl {
    BadDatabaseUrl::BadParameter { name, expected }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str) -> Host {
        Host::Tcp(host.into())
    }

    #[test]
    fn a_full_url_is_taken_apart() {
        let url = parse(
            "postgresql://Al%40ice:p%40ss%2F%3A%25@DB.example.com:6543/My%20Db?sslmode=verify-full\
             &sslrootcert=/etc/ca.pem&connect_timeout=7&application_name=night%20run",
        )
        .unwrap();

        assert_eq!(url.host, tcp("DB.example.com"));
        assert_eq!(url.port, 6543);
        assert_eq!(url.user, "Al@ice");
        assert_eq!(url.password.unwrap().expose(), "p@ss/:%");
        assert_eq!(url.database, "My Db");
        assert_eq!(url.ssl_mode, Some(SslMode::VerifyFull));
        assert_eq!(url.root_certificate, Some(RootCertificate::File("/etc/ca.pem".into())));
        assert_eq!(url.connect_timeout, Some(Duration::from_secs(7)));
        assert_eq!(url.application_name.as_deref(), Some("night run"));
    }

    #[test]
    fn what_a_short_url_leaves_out_has_a_default() {
        let url = parse("postgres://app@h").unwrap();

        assert_eq!((url.port, url.database.as_str()), (5432, "app"));
        assert!(url.password.is_none() && url.ssl_mode.is_none());
        assert!(url.root_certificate.is_none() && url.connect_timeout.is_none());
        assert!(url.application_name.is_none());
    }

    #[test]
    fn hosts_are_names_addresses_or_directories() {
        let cases = [
            ("postgres://u@[::1]/d", tcp("::1")),
            ("postgres://u@[2001:db8::1]:6000/d", tcp("2001:db8::1")),
            ("postgres://u@10.0.0.1:/d", tcp("10.0.0.1")),
            ("postgres://u@%2Fvar%2Frun/d", Host::Unix("/var/run".into())),
            ("postgres://u@/d?host=/tmp", Host::Unix("/tmp".into())),
            ("postgres:///d?user=u&host=%2Ftmp&port=6000", Host::Unix("/tmp".into())),
            ("POSTGRES://u@h/d", tcp("h")),
        ];
        for (text, host) in cases {
            assert_eq!(parse(text).unwrap().host, host, "{text}");
        }
    }

    #[test]
    fn database_names_keep_their_capitals_and_their_unicode() {
        let cases = [
            ("postgres://u@h/Größe", "Größe"),
            ("postgres://u@h/Gr%C3%B6%C3%9Fe", "Größe"),
            ("postgres://u@h/a+b", "a+b"),
            ("postgres://u@h/a%2Fb", "a/b"),
            ("postgres://u@h/?dbname=x", "x"),
            ("postgres://U@h/", "U"),
        ];
        for (text, database) in cases {
            assert_eq!(parse(text).unwrap().database, database, "{text}");
        }
    }

    #[test]
    fn a_password_may_hold_what_libpq_allows_raw() {
        for password in ["a#b", "a?b", "a:b", "a+b", "a&b=c", "[x]", "pässwörd"] {
            let url = parse(&format!("postgres://u:{password}@h/d")).unwrap();
            assert_eq!(url.password.unwrap().expose(), password);
        }
        assert!(parse("postgres://u:@h/d").unwrap().password.is_none());
    }

    #[test]
    fn tls_can_be_asked_for_in_every_way_libpq_knows() {
        let cases = [
            ("sslmode=disable", SslMode::Disable),
            ("sslmode=allow", SslMode::Allow),
            ("sslmode=prefer", SslMode::Prefer),
            ("sslmode=require", SslMode::Require),
            ("sslmode=verify-ca", SslMode::VerifyCa),
            ("ssl=true", SslMode::Require),
        ];
        for (parameter, mode) in cases {
            let url = parse(&format!("postgres://u@h/d?{parameter}")).unwrap();
            assert_eq!(url.ssl_mode, Some(mode));
        }
        let url = parse("postgres://u@h/d?sslrootcert=system").unwrap();
        assert_eq!(url.root_certificate, Some(RootCertificate::System));
    }

    #[test]
    fn what_others_add_to_the_url_is_ignored() {
        let others = "pgbouncer=true&connection_limit=1&schema=x&supa=base-pooler.x&keepalives=1";
        assert!(parse(&format!("postgres://u@h/d?{others}")).is_ok());
        let url = parse("postgres://u@h/d?connect_timeout=0&application_name=").unwrap();
        assert!(url.connect_timeout.is_none() && url.application_name.is_none());
    }

    #[test]
    fn a_bad_url_is_refused_with_its_reason() {
        use BadDatabaseUrl as Bad;
        let cases = [
            ("", Bad::NoScheme),
            ("hunter2", Bad::NoScheme),
            ("hunter2:x", Bad::NoScheme),
            ("postgres:u@h", Bad::NoScheme),
            ("mysql://u@h/d", Bad::OtherScheme("mysql")),
            ("jdbc:postgresql://h/d", Bad::OtherScheme("jdbc")),
            ("https://x.supabase.co", Bad::Rest),
            ("postgres://u:p@x@h/d", Bad::UnclearPassword),
            ("postgres://u:p/x@h/d", Bad::UnclearPassword),
            ("postgres://u:p/x?y=z@h/d", Bad::UnclearPassword),
            ("postgres://u:[YOUR-PASSWORD]@h/d", Bad::Placeholder),
            ("postgres://u:50%@h/d", Bad::BadPercent),
            ("postgres://u:%zz@h/d", Bad::BadPercent),
            ("postgres://u:%+1@h/d", Bad::BadPercent),
            ("postgres://u:%00@h/d", Bad::BadPercent),
            ("postgres://u:%ff@h/d", Bad::BadPercent),
            ("postgres://u:%é@h/d", Bad::BadPercent),
            ("postgres://h/d", Bad::NoUser),
            ("postgres://u@/d", Bad::NoHost),
            ("postgres://u@:5432/d", Bad::NoHost),
            ("postgres://u@a,b/d", Bad::SeveralHosts),
            ("postgres://u@a:1,b:2/d", Bad::SeveralHosts),
            ("postgres://u@[::1/d", Bad::BadHost),
            ("postgres://u@[::1]x/d", Bad::BadHost),
            ("postgres://u@a b/d", Bad::BadHost),
            ("postgres://u@%40abstract/d", Bad::BadHost),
            ("postgres://u@h:x/d", Bad::BadPort),
            ("postgres://u@h:0/d", Bad::BadPort),
            ("postgres://u@h:-1/d", Bad::BadPort),
            ("postgres://u@h:65536/d", Bad::BadPort),
            ("postgres://u@::1/d", Bad::BadPort),
            ("postgres://u@h/d?sslcert=x", Bad::UnknownParameter("sslcert".into())),
            ("postgres://u@h/d?options=-cx", Bad::UnknownParameter("options".into())),
            ("postgres://u@h/d?ssl=1", Bad::UnknownParameter("ssl".into())),
            ("postgres://u@h/d?password=a&b", Bad::PasswordParameter),
        ];
        for (text, reason) in cases {
            assert_eq!(parse(text).unwrap_err(), reason, "{text}");
        }
    }

    #[test]
    fn a_bad_parameter_says_what_it_may_be() {
        for (parameter, word) in [
            ("sslmode=on", "verify-full"),
            ("sslmode=", "verify-full"),
            ("sslrootcert=", "system"),
            ("connect_timeout=soon", "seconds"),
            ("connect_timeout=-1", "seconds"),
        ] {
            let error = parse(&format!("postgres://u@h/d?{parameter}")).unwrap_err().to_string();
            let name = parameter.split('=').next().unwrap();
            assert!(error.contains(name) && error.contains(word), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_password_is_read_back_and_never_shown(password in "[^\0]{8,20}") {
            let encoded: String = password.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let url = parse(&format!("postgres://u:{encoded}@h/d")).unwrap();
            let shown = format!("{url:?} {}", url.label());
            prop_assert!(!shown.contains(&password));
            let read = url.password.map(|secret| secret.expose().to_owned());
            prop_assert_eq!(read, Some(password));
        }

        #[test]
        fn a_raw_password_is_in_no_message(
            password in "[a-zA-Z0-9@/:?#&=%. \\[\\]]{0,6}QzWx[a-zA-Z0-9@/:?#&=%. \\[\\]]{0,6}",
            before in "(postgres://)?(u:)?",
            after in "(@h)?(:5432)?(/d)?(\\?sslmode=x|\\?nonsense=1)?",
        ) {
            if let Err(error) = parse(&format!("{before}{password}{after}")) {
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains("QzWx"));
            }
        }
    }
}
