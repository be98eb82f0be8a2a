//! The check of a server's certificate: who signed it, and whether it names the host. It is one for
//! connections to Postgres and for calls over HTTP.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::engine::model::authority::RootCertificate;

/// Mozilla's list, which is part of this program.
static MOZILLA: LazyLock<RootCertStore> =
    LazyLock::new(|| RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });

/// The machine's own list. It is read when Mozilla's does not know an issuer, since reading it
/// would slow every cold start.
static MACHINE: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    store
});

/// The authorities that a certificate may come from.
#[derive(Clone, Debug)]
pub enum Authorities {
    /// Mozilla's list and the machine's own.
    Public,
    /// These alone.
    Given {
        /// The certificates as they were given.
        certificates: Vec<CertificateDer<'static>>,
        /// Their anchors, as chains end at them.
        anchors: Arc<RootCertStore>,
    },
}

/// The list on which the authority of a certificate was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedBy {
    /// Mozilla's.
    Mozilla,
    /// The machine's own.
    Machine,
    /// The setting's.
    Setting,
}

/// A certificate with what it proves.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The server's certificate, and those that came with it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The list that its authority is on.
    pub signed: Result<TrustedBy, CertificateError>,
    /// The check of the name.
    pub named: Result<(), CertificateError>,
}

impl Presented {
    /// Says whether the certificate proves that the server is the one that is meant.
    pub fn proves(&self, named: bool) -> Result<(), CertificateError> {
        self.signed.clone()?;
        if named { self.named.clone() } else { Ok(()) }
    }
}

/// The authorities of a setting cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("The authority's certificate{} cannot be used ({reason})", in_file(.file.as_deref()))]
pub struct UnusableAuthority {
    /// The file, if it is one.
    pub file: Option<PathBuf>,
    /// The reason.
    pub reason: String,
}

impl Authorities {
    /// Trusts nobody.
    pub fn none() -> Self {
        Self::Given { certificates: Vec::new(), anchors: Arc::new(RootCertStore::empty()) }
    }

    /// Reads the authorities of a setting.
    pub fn read(setting: Option<&RootCertificate>) -> Result<Self, UnusableAuthority> {
        let certificates = match setting {
            None | Some(RootCertificate::System) => return Ok(Self::Public),
            Some(RootCertificate::File(path)) => from_file(path),
            Some(RootCertificate::Pem(text)) => {
                CertificateDer::pem_slice_iter(text.as_bytes()).collect()
            }
        };
        let unusable = |reason: String| {
            let file = match setting {
                Some(RootCertificate::File(path)) => Some(path.clone()),
                _ => None,
            };
            UnusableAuthority { file, reason }
        };
        let certificates = certificates.map_err(|error| unusable(error.to_string()))?;
        let mut anchors = RootCertStore::empty();
        let (added, _) = anchors.add_parsable_certificates(certificates.iter().cloned());
        if added == 0 {
            return Err(unusable("it holds no certificate".to_owned()));
        }
        Ok(Self::Given { certificates, anchors: Arc::new(anchors) })
    }

    /// Says on which list the authority of a chain is.
    fn vouch(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        provider: &CryptoProvider,
    ) -> Result<TrustedBy, CertificateError> {
        let parsed = ParsedCertificate::try_from(certificate).map_err(of_certificate)?;
        let algorithms = provider.signature_verification_algorithms.all;
        let signed_by = |anchors: &RootCertStore| {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                anchors,
                intermediates,
                now,
                algorithms,
            )
            .map_err(of_certificate)
        };
        match self {
            Self::Public => match signed_by(&MOZILLA) {
                Ok(()) => Ok(TrustedBy::Mozilla),
                Err(CertificateError::UnknownIssuer) => {
                    signed_by(&MACHINE).map(|()| TrustedBy::Machine)
                }
                Err(error) => Err(error),
            },
            Self::Given { certificates, anchors } => match signed_by(anchors) {
                Ok(()) => Ok(TrustedBy::Setting),
                // A self-signed certificate is no valid end of a chain where it may sign others, as
                // openssl makes it. Here it is the very one that was given.
                Err(error) if certificates.contains(certificate) && !is_of_time(&error) => {
                    Ok(TrustedBy::Setting)
                }
                Err(error) => Err(error),
            },
        }
    }
}

fn from_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

fn in_file(file: Option<&Path>) -> String {
    file.map(|file| format!(" in {}", file.display())).unwrap_or_default()
}

fn is_of_time(error: &CertificateError) -> bool {
    matches!(
        error,
        CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }
    )
}

fn of_certificate(error: Error) -> CertificateError {
    match error {
        Error::InvalidCertificate(error) => error,
        _ => CertificateError::BadEncoding,
    }
}

/// Looks at the certificate of each handshake and keeps the first with what it proves. Where
/// nothing has to be proved by it, the handshake goes on whatever was found. The server must own
/// the certificate's key in any case: without that, somebody in between could present the real
/// certificate, and channel binding, which is made of it, would prove nothing.
#[derive(Debug)]
pub struct Witness {
    authorities: Authorities,
    /// The proof that the handshake ends without; none where it goes on.
    demanded: Option<Named>,
    provider: Arc<CryptoProvider>,
    presented: OnceLock<Presented>,
}

/// The settings of TLS with a server, whose certificate the witness judges. They are ring's, and
/// its certificates of clients none.
pub fn tls(witness: &Arc<Witness>) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::clone(&witness.provider))
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(witness) as _)
        .with_no_client_auth()
}

/// Says whether a certificate must name the host.
#[derive(Clone, Copy, Debug)]
pub struct Named(pub bool);

impl Witness {
    /// Makes a witness that has seen no handshake.
    pub fn new(authorities: Authorities, demanded: Option<Named>) -> Arc<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Arc::new(Self { authorities, demanded, provider, presented: OnceLock::new() })
    }

    /// The certificate that was presented first, if a handshake came so far.
    pub fn presented(&self) -> Option<&Presented> {
        self.presented.get()
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let named = ParsedCertificate::try_from(certificate)
            .and_then(|parsed| verify_server_name(&parsed, name))
            .map_err(of_certificate);
        let signed = self.authorities.vouch(certificate, intermediates, now, &self.provider);
        let chain = std::iter::once(certificate).chain(intermediates);
        let chain = chain.map(|der| der.clone().into_owned()).collect();
        let presented = Presented { chain, signed, named };
        let proof = self.demanded.map(|Named(named)| presented.proves(named));
        // Only the first is kept: each handshake is judged by its own.
        let _ = self.presented.set(presented);
        match proof {
            None | Some(Ok(())) => Ok(ServerCertVerified::assertion()),
            Some(Err(error)) => Err(Error::InvalidCertificate(error)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
