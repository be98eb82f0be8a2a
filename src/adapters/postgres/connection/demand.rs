//! The demand of a URL on its server: the use of TLS, and the proof that the server must give of
//! who it is before it gets a password.

use crate::engine::model::authority::RootCertificate;
use crate::engine::model::database::{ChannelBinding, DatabaseUrl, Host, SslMode};

/// The use of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS is not used.
    Never,
    /// TLS is used if the server offers it.
    IfOffered,
    /// A server without TLS is refused.
    Always,
}

/// The treatment of a server whose certificate does not prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// The server is refused in the handshake.
    Refuse,
    /// The server must prove itself by SCRAM with channel binding.
    Bind,
    /// The server gets no password in clear text or as MD5.
    GuardPassword,
    /// The server is trusted without proof.
    Believe,
}

/// The rule for the login, which follows from what the server has proved by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The server may ask for the password in any way.
    Free,
    /// The server may not ask for the password in clear or as MD5.
    Guarded,
    /// The server must prove by SCRAM that it knows the password and that the connection ends at it.
    Bound,
}

/// The demand of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The use of TLS.
    pub encryption: Encryption,
    /// Says whether the certificate must name the host.
    pub named: bool,
    /// The treatment of a server whose certificate proves nothing.
    pub unproven: Unproven,
    /// The URL demands channel binding, whatever the certificate proves.
    bound: bool,
}

impl Demand {
    /// Reads the demand of a URL. docs/security.md has it as a table.
    ///
    /// - Without `sslmode`, another machine is treated as with `require`, and this one is spoken to
    ///   in clear; with an authority, both as with `verify-full`.
    /// - `require` with an authority is `verify-ca`, as in libpq.
    /// - Only an authority of one's own makes the name superfluous: anybody can get a certificate of
    ///   a public one.
    /// - libpq takes no TLS to a Unix-domain socket, whatever the mode.
    pub fn of(url: &DatabaseUrl) -> Self {
        let own = matches!(
            url.root_certificate,
            Some(RootCertificate::File(_) | RootCertificate::Pem(_))
        );
        let is_local = url.is_local();
        let weakest = if is_local { Unproven::Believe } else { Unproven::GuardPassword };
        let (encryption, unproven) = match url.ssl_mode {
            _ if matches!(url.host, Host::Unix(_)) => (Encryption::Never, Unproven::Believe),
            Some(SslMode::Disable) => (Encryption::Never, Unproven::Believe),
            Some(SslMode::Allow | SslMode::Prefer) => (Encryption::IfOffered, weakest),
            Some(SslMode::NoVerify) => (Encryption::Always, Unproven::Believe),
            Some(SslMode::VerifyCa | SslMode::VerifyFull) => (Encryption::Always, Unproven::Refuse),
            Some(SslMode::Require) | None if own => (Encryption::Always, Unproven::Refuse),
            Some(SslMode::Require) => (Encryption::Always, Unproven::Bind),
            None if is_local => (Encryption::Never, Unproven::Believe),
            None => (Encryption::Always, Unproven::Bind),
        };
        let named = !own || matches!(url.ssl_mode, Some(SslMode::VerifyFull) | None);
        Self { encryption, named, unproven, bound: url.channel_binding == ChannelBinding::Require }
    }

    /// The demand of somebody who only looks at the certificate.
    #[cfg(feature = "cli")]
    pub fn to_see_the_certificate() -> Self {
        Self {
            encryption: Encryption::Always,
            named: true,
            unproven: Unproven::Believe,
            bound: false,
        }
    }

    /// The rule for the login at a server without TLS.
    pub fn login_in_clear(&self) -> Login {
        match (self.bound, self.encryption) {
            (true, _) => Login::Bound,
            (false, Encryption::Never) => Login::Free,
            (false, Encryption::IfOffered | Encryption::Always) => self.login_unproven(),
        }
    }

    /// The rule for the login over TLS, by whether the certificate proves who the server is.
    pub fn login_over_tls(&self, proved: bool) -> Login {
        match (self.bound, proved) {
            (true, _) => Login::Bound,
            (false, true) => Login::Free,
            (false, false) => self.login_unproven(),
        }
    }

    fn login_unproven(&self) -> Login {
        match self.unproven {
            Unproven::Refuse | Unproven::Bind => Login::Bound,
            Unproven::GuardPassword => Login::Guarded,
            Unproven::Believe => Login::Free,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Encryption::{Always, IfOffered, Never};
    use super::Login::{Bound, Free, Guarded};
    use super::Unproven::{Believe, Bind, GuardPassword, Refuse};
    use super::*;

    fn demand(url: &str) -> Demand {
        Demand::of(&DatabaseUrl::parse(url).unwrap())
    }

    #[test]
    fn each_mode_demands_of_another_machine_what_libpqs_users_expect() {
        for (parameters, encryption, named, unproven) in [
            ("", Always, true, Bind),
            ("sslmode=disable", Never, true, Believe),
            ("sslmode=allow", IfOffered, true, GuardPassword),
            ("sslmode=prefer", IfOffered, true, GuardPassword),
            ("sslmode=require", Always, true, Bind),
            ("sslmode=no-verify", Always, true, Believe),
            ("sslmode=verify-ca", Always, true, Refuse),
            ("sslmode=verify-full", Always, true, Refuse),
            ("sslrootcert=system", Always, true, Refuse),
            ("sslrootcert=/ca", Always, true, Refuse),
            ("sslmode=require&sslrootcert=/ca", Always, false, Refuse),
            ("sslmode=verify-ca&sslrootcert=/ca", Always, false, Refuse),
            ("sslmode=verify-full&sslrootcert=/ca", Always, true, Refuse),
        ] {
            let found = demand(&format!("postgres://u@db.example.com/d?{parameters}"));
            let expected = Demand { encryption, named, unproven, bound: false };
            assert_eq!(found, expected, "{parameters}");
        }
    }

    #[test]
    fn this_machine_is_spoken_to_in_clear_unless_more_is_asked_for() {
        for (url, encryption, unproven) in [
            ("postgres://u@localhost/d", Never, Believe),
            ("postgres://u@localhost/d?sslmode=prefer", IfOffered, Believe),
            ("postgres://u@localhost/d?sslmode=require", Always, Bind),
            ("postgres://u@localhost/d?sslrootcert=/ca", Always, Refuse),
            ("postgres://u@%2Ftmp/d?sslmode=verify-full", Never, Believe),
        ] {
            let found = demand(url);
            assert_eq!((found.encryption, found.unproven), (encryption, unproven), "{url}");
        }
    }

    #[test]
    fn the_login_is_as_strict_as_the_server_is_unproven() {
        for (parameters, in_clear, proved, unproved) in [
            ("sslmode=disable", Free, Free, Free),
            ("sslmode=prefer", Guarded, Free, Guarded),
            ("sslmode=require", Bound, Free, Bound),
            ("sslmode=no-verify", Free, Free, Free),
            ("sslmode=disable&channel_binding=require", Bound, Bound, Bound),
            ("sslmode=verify-full&channel_binding=require", Bound, Bound, Bound),
        ] {
            let demand = demand(&format!("postgres://u@db.example.com/d?{parameters}"));
            let found = [
                demand.login_in_clear(),
                demand.login_over_tls(true),
                demand.login_over_tls(false),
            ];
            assert_eq!(found, [in_clear, proved, unproved], "{parameters}");
        }
    }
}
