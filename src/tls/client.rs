//! Client certificates: who signed them, and whose name they carry.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{TlsError, UnusablePem};

/// The CAs of clients as read from a file.
pub(super) struct ClientCa {
    verifier: Arc<dyn ClientCertVerifier>,
    digest: [u8; 32],
}

/// The names of which a client must have one; empty allows any.
pub(super) struct AllowedNames(Vec<String>);

/// Verifies with the CA that is in use at the moment; without one, no client passes.
pub(super) struct SwappedVerifier {
    provider: Arc<CryptoProvider>,
    names: AllowedNames,
    current: ArcSwapOption<ClientCa>,
}

impl ClientCa {
    pub(super) fn read(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let name = || file.display().to_string();
        let pem = fs::read(file).map_err(|source| TlsError::Read {
            file: name(),
            source,
            fix: "--client-ca must be a PEM file with the clients' CA certificate",
        })?;
        let unusable = |source: UnusablePem| TlsError::Unusable {
            file: name(),
            source,
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unusable(error.into()))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(UnusablePem::NotACa(error)))?;
        }
        if roots.is_empty() {
            return Err(TlsError::Missing {
                file: name(),
                wanted: "certificate",
            });
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .build()
                .map_err(|error| unusable(error.into()))?;
        Ok(Self {
            verifier,
            digest: Sha256::digest(&pem).into(),
        })
    }
}

/// The names of a client, none of which is allowed. They are logged: a CA of ours has signed them.
#[derive(Debug, thiserror::Error)]
#[error("none of its names {0:?} is in --client-allowed-name")]
struct NotAllowed(Vec<String>);

impl AllowedNames {
    pub(super) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Whether the certificate carries an allowed name: as a DNS name, or as the common name, which
    /// is all that the API server's client certificates usually have.
    fn allow(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (_, certificate) = X509Certificate::from_der(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let allowed = |name: &str| self.0.iter().any(|allowed| allowed == name);
        let common = certificate
            .subject()
            .iter_common_name()
            .filter_map(|name| name.as_str().ok());
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let dns = alternative
            .iter()
            .flat_map(|names| &names.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            });
        let names: Vec<&str> = common.chain(dns).collect();
        if names.iter().any(|name| allowed(name)) {
            return Ok(());
        }
        let refusal = NotAllowed(names.iter().map(ToString::to_string).collect());
        Err(Error::InvalidCertificate(CertificateError::Other(
            OtherError(Arc::new(refusal)),
        )))
    }
}

impl SwappedVerifier {
    pub(super) fn new(provider: Arc<CryptoProvider>, names: AllowedNames) -> Self {
        Self {
            provider,
            names,
            current: ArcSwapOption::empty(),
        }
    }

    /// Replaces the CA, if `ca` differs from the present one; says whether it does.
    pub(super) fn swap(&self, ca: ClientCa) -> bool {
        if self
            .current
            .load()
            .as_ref()
            .is_some_and(|current| current.digest == ca.digest)
        {
            return false;
        }
        self.current.store(Some(Arc::new(ca)));
        true
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.current.load().is_some()
    }
}

impl ClientCertVerifier for SwappedVerifier {
    /// None: a client then sends the certificate it has, and a list that is borrowed for the life
    /// of the verifier could not follow a swap.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let current = self.current.load_full();
        let ca = current.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let verified = ca
            .verifier
            .verify_client_cert(end_entity, intermediates, now)?;
        self.names.allow(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl std::fmt::Debug for SwappedVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SwappedVerifier")
    }
}
