//! The certificates of a server, for whoever compares them.

use crate::engine::model::certificate::{Certificate, Chain};
use crate::engine::model::provider::Provider;
use crate::engine::model::range::Side;

/// Describes the chain, and says whether it is trusted.
pub fn text(chain: &Chain) -> String {
    let mut text = format!("{} presents {}:\n", chain.place, counted(chain.certificates.len()));
    for (certificate, number) in chain.certificates.iter().zip(1..) {
        let Certificate { subject, issuer, names, from, until, fingerprint, pem: _ } = certificate;
        text.push_str(&format!("\n{number}. {subject}\n   signed by  {issuer}\n"));
        if !names.is_empty() {
            text.push_str(&format!("   stands for {}\n", names.join(", ")));
        }
        text.push_str(&format!("   valid      {from} to {until}\n   SHA-256    {fingerprint}\n"));
    }
    let trust = match &chain.trust {
        Ok(list) => format!("Its authority is in {list}, so nothing has to be pinned."),
        Err(reason) => format!("{reason}."),
    };
    text.push_str(&format!("\n{trust}\n"));
    if let Some(reason) = &chain.misnamed {
        text.push_str(&format!(
            "{reason}. sslmode=verify-ca leaves the name out, once the authority is pinned.\n"
        ));
    }
    if let Some(Provider { name, page, authority, .. }) = provider(chain) {
        text.push_str(&format!("{name}: {authority}; see {page}\n"));
    }
    text
}

/// The question before a certificate is printed.
pub fn question(chain: &Chain, certificate: &Certificate) -> String {
    let owner = provider(chain).map_or("the server's owner gives", |_| "its provider gives");
    format!(
        "Is {} the SHA-256 of the certificate that {owner}? Whoever stands in between could show \
         another one.",
        certificate.fingerprint
    )
}

/// Says what to do with the certificate.
pub fn setting(side: Side, chain: &Chain) -> String {
    let name = match side {
        Side::Source => "SOURCE_SSL_CA",
        Side::Target => "TARGET_SSL_CA",
    };
    let renewed = match chain.pins_the_server() {
        true => " It is the server's own: pin it again when it is renewed.",
        false => "",
    };
    format!("Put the text from BEGIN to END into {name}, or its file's path.{renewed}")
}

fn provider(chain: &Chain) -> Option<&'static Provider> {
    chain.host.as_deref().and_then(Provider::of_host)
}

fn counted(certificates: usize) -> String {
    match certificates {
        1 => "one certificate".to_owned(),
        count => format!("{count} certificates"),
    }
}
