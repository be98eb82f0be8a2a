//! The authorities whose word a server's certificate must have, as people give them: as PEM text,
//! as base64 of it, or as the path of a file.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The authorities to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootCertificate {
    /// The public ones, as libpq's `system` means it.
    System,
    /// Those in a PEM file.
    File(PathBuf),
    /// Those in this PEM text.
    Pem(String),
}

/// The authorities that a setting beside a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAuthority {
    /// The setting.
    pub setting: String,
    /// The authorities to trust.
    pub certificate: RootCertificate,
}

/// Says why a text names no authority, without repeating it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    /// It is neither PEM nor a path.
    #[error(
        "It must be a certificate that begins with -----BEGIN CERTIFICATE-----, base64 of that, \
         or the path of such a file"
    )]
    Neither,
    /// A block of PEM lacks its end or its content.
    #[error(
        "The certificate is incomplete; copy it from -----BEGIN CERTIFICATE----- to \
         -----END CERTIFICATE-----"
    )]
    Incomplete,
    /// A private key was pasted.
    #[error("It holds a private key; give the authority's certificate, which is no secret")]
    PrivateKey,
    /// The URL names authorities, too.
    #[error("The URL has sslrootcert, too; take one of them away")]
    Twice,
    /// The mode of the URL looks at no certificate.
    #[error("The URL's sslmode={0} looks at no certificate; take one of them away")]
    Unused(&'static str),
    /// `system` is any public authority, which anybody gets a certificate from.
    #[error("With sslrootcert=system, sslmode must be verify-full or be left out")]
    WeakSystem,
    /// A project on this machine is reached without TLS.
    #[error("The project's URL begins with http://, so no certificate is looked at; unset it")]
    Unencrypted,
}

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
const CERTIFICATE: &str = "CERTIFICATE";

/// The longest text that may be a path, as Linux has it.
const LONGEST_PATH: usize = 4096;

impl RootCertificate {
    /// Reads what a variable or a file holds. Dashboards and shells change the line ends of PEM, so
    /// real ones, `\n` and spaces are all understood.
    pub fn parse(text: &str) -> Result<Self, BadAuthority> {
        let text = text.trim();
        if text == "system" {
            return Ok(Self::System);
        }
        if text.contains(BEGIN) {
            return certificates(text).map(Self::Pem);
        }
        let dense: String = text.split_whitespace().collect();
        let decoded = STANDARD.decode(dense).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(pem) = decoded.filter(|decoded| decoded.contains(BEGIN)) {
            return certificates(&pem).map(Self::Pem);
        }
        let is_path = !text.is_empty() && text.len() < LONGEST_PATH && !text.contains('\n');
        if is_path { Ok(Self::File(text.into())) } else { Err(BadAuthority::Neither) }
    }
}

/// The certificates of a PEM text, each between lines of its own. Text between them, as bundles
/// have it, is left out.
fn certificates(text: &str) -> Result<String, BadAuthority> {
    let mut pem = String::new();
    for block in text.split(BEGIN).skip(1) {
        let (label, rest) = block.split_once(DASHES).ok_or(BadAuthority::Incomplete)?;
        if label.contains("PRIVATE KEY") {
            return Err(BadAuthority::PrivateKey);
        }
        let (body, end) = rest.split_once(END).ok_or(BadAuthority::Incomplete)?;
        let body: String = body.replace("\\n", "").replace("\\r", "").split_whitespace().collect();
        if !end.starts_with(label) || STANDARD.decode(&body).map_or(true, |der| der.is_empty()) {
            return Err(BadAuthority::Incomplete);
        }
        if label == CERTIFICATE {
            pem.push_str(&format!(
                "{BEGIN}{CERTIFICATE}{DASHES}\n{body}\n{END}{CERTIFICATE}{DASHES}\n"
            ));
        }
    }
    if pem.is_empty() { Err(BadAuthority::Neither) } else { Ok(pem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nTUlJ\nQw==\n-----END CERTIFICATE-----\n";
    const READ: &str = "-----BEGIN CERTIFICATE-----\nTUlJQw==\n-----END CERTIFICATE-----\n";

    fn pem(text: &str) -> String {
        match RootCertificate::parse(text) {
            Ok(RootCertificate::Pem(pem)) => pem,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_certificate_is_understood_with_whatever_line_ends_it_has() {
        assert_eq!(pem(PEM), READ);
        assert_eq!(pem(&PEM.replace('\n', "\\n")), READ);
        assert_eq!(pem(&PEM.replace('\n', "\r\n")), READ);
        assert_eq!(pem(&PEM.replace('\n', "\\r\\n")), READ);
        assert_eq!(pem(&PEM.replace('\n', " ")), READ);
        assert_eq!(pem(&STANDARD.encode(PEM)), READ);
        let wrapped = STANDARD.encode(PEM).replace('=', "=\n");
        assert_eq!(pem(&format!("{}\n{}", &wrapped[..40], &wrapped[40..])), READ);
    }

    #[test]
    fn a_bundle_keeps_its_certificates_and_nothing_else() {
        let crl = PEM.replace("CERTIFICATE", "X509 CRL");
        assert_eq!(pem(&format!("# one\n{PEM}# a list\n{crl}# two\n{PEM}")), READ.repeat(2));
    }

    #[test]
    fn anything_else_is_a_path_unless_it_cannot_be_one() {
        for path in ["/etc/ca.pem", "ca.pem", "certs/a b.crt"] {
            assert_eq!(RootCertificate::parse(path), Ok(RootCertificate::File(path.into())));
        }
        assert_eq!(RootCertificate::parse(" system "), Ok(RootCertificate::System));
        for text in ["", "a\nb", &"x".repeat(LONGEST_PATH)] {
            assert_eq!(RootCertificate::parse(text), Err(BadAuthority::Neither));
        }
    }

    #[test]
    fn a_broken_certificate_and_a_private_key_are_told_for_what_they_are() {
        let key = PEM.replace("CERTIFICATE", "RSA PRIVATE KEY");
        assert_eq!(RootCertificate::parse(&key), Err(BadAuthority::PrivateKey));
        let crl = PEM.replace("CERTIFICATE", "X509 CRL");
        assert_eq!(RootCertificate::parse(&crl), Err(BadAuthority::Neither));
        for cut in [&PEM[..40], &PEM.replace("TUlJ", "T~lJ"), &PEM.replace("TUlJ\nQw==", "")] {
            assert_eq!(RootCertificate::parse(cut), Err(BadAuthority::Incomplete), "{cut}");
        }
    }
}
