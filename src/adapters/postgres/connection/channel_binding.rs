//! The channel binding of a certificate, as RFC 5929 has it for `tls-server-end-point`: its digest,
//! by the digest of its own signature.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// The signature algorithms of certificates, by what they digest with. MD5 and SHA-1 count as
/// SHA-256 (RFC 5929, section 4.1).
const SHA_256: [&[u8]; 5] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
];
const SHA_384: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
];
const SHA_512: [&[u8]; 2] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04],
];

/// Returns the channel binding of a certificate; none where its signature has no digest of its own,
/// as Ed25519 has none.
pub fn of_certificate(der: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_algorithm(der)?;
    if SHA_256.contains(&algorithm) {
        Some(Sha256::digest(der).to_vec())
    } else if SHA_384.contains(&algorithm) {
        Some(Sha384::digest(der).to_vec())
    } else if SHA_512.contains(&algorithm) {
        Some(Sha512::digest(der).to_vec())
    } else {
        None
    }
}

/// Returns the object identifier of the signature's algorithm: a certificate is a sequence of its
/// body, this algorithm and the signature.
fn signature_algorithm(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(der)?;
    let (_, after_body) = element(certificate)?;
    let (algorithm, _) = element(after_body)?;
    let (identifier, _) = element(algorithm)?;
    Some(identifier)
}

/// Splits the first element off: its content, and what comes after it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    const LONG: u8 = 0x80;
    let (&length, rest) = der.get(1..)?.split_first()?;
    if length < LONG {
        return rest.split_at_checked(length.into());
    }
    let (digits, rest) = rest.split_at_checked((length & !LONG).into())?;
    let mut digits = digits.iter();
    let length =
        digits.try_fold(0_usize, |sum, digit| sum.checked_mul(256)?.checked_add((*digit).into()));
    rest.split_at_checked(length?)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384};
    use rcgen::{PKCS_ED25519, SignatureAlgorithm};

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let named = CertificateParams::new(vec!["db.example.com".to_owned()]).unwrap();
        named.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn the_digest_is_that_of_the_signature() {
        let der = certificate(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(of_certificate(&der), Some(Sha256::digest(&der).to_vec()));
        let der = certificate(&PKCS_ECDSA_P384_SHA384);
        assert_eq!(of_certificate(&der), Some(Sha384::digest(&der).to_vec()));
    }

    #[test]
    fn a_signature_without_a_digest_and_a_broken_certificate_have_no_binding() {
        let der = certificate(&PKCS_ED25519);
        assert_eq!(of_certificate(&der), None);
        for end in 0..der.len() {
            assert_eq!(of_certificate(&der[..end]), None);
        }
        assert_eq!(of_certificate(&[0x30, 0xff]), None);
    }
}
