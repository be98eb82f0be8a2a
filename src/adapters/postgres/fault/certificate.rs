//! A certificate's fault as a sentence.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// Says what is wrong with a certificate.
pub struct CertificateFault<'a>(pub &'a CertificateError);

impl fmt::Display for CertificateFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("The server's certificate ")?;
        match self.0 {
            CertificateError::UnknownIssuer => {
                f.write_str("comes from an authority that is not trusted here")
            }
            CertificateError::BadSignature => {
                f.write_str("is not signed by the trusted authority, which has the same name alone")
            }
            CertificateError::NotValidForName => f.write_str("is for another host"),
            CertificateError::NotValidForNameContext { expected, presented } => {
                let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
                let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
                write!(f, "is for {names}, and not for {}", expected.to_str())
            }
            CertificateError::Expired => f.write_str("has expired"),
            CertificateError::ExpiredContext { not_after, .. } => {
                write!(f, "expired on {}", day(not_after))
            }
            CertificateError::NotValidYet => f.write_str("is not valid yet"),
            CertificateError::NotValidYetContext { not_before, .. } => {
                write!(f, "is not valid before {}", day(not_before))
            }
            other => write!(f, "proves nothing ({other})"),
        }
    }
}

/// The library spells a name as `DnsName("db.example.com")`.
fn bare(name: &str) -> &str {
    name.split('"').nth(1).unwrap_or(name)
}

/// The day of a time, in UTC.
pub fn day(time: &UnixTime) -> String {
    let since = UNIX_EPOCH + Duration::from_secs(time.as_secs());
    Timestamp::try_from(since)
        .map_or_else(|_| "a day out of range".to_owned(), |time| time.strftime("%F").to_string())
}
