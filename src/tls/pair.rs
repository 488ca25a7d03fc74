//! A serving certificate with its key, as read from a directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{TlsError, UnusablePem, provider};
use crate::certs::date;
use crate::mounted;

const FIX: &str = "mount a kubernetes.io/tls Secret in the directory that --tls-cert-dir names";

/// A certificate chain and the key of its leaf, checked to belong together.
pub(super) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// Seconds since the epoch.
    pub(super) not_before: i64,
    /// Seconds since the epoch.
    pub(super) not_after: i64,
    digest: [u8; 32],
}

impl Pair {
    /// Reads `tls.crt` and `tls.key`.
    pub(super) fn read(directory: &Path) -> Result<Self, TlsError> {
        let version = mounted::version(directory);
        let read = |name: &str| {
            fs::read(version.join(name)).map_err(|source| TlsError::Read {
                file: directory.join(name).display().to_string(),
                source,
                fix: FIX,
            })
        };
        let (certificate, key) = (read("tls.crt")?, read("tls.key")?);
        let name = |name: &str| directory.join(name).display().to_string();
        Self::parse(&certificate, &key, &name("tls.crt"), &name("tls.key"))
    }

    /// Takes PEM; the file names are for errors.
    pub(super) fn parse(
        certificate: &[u8],
        key: &[u8],
        certificate_file: &str,
        key_file: &str,
    ) -> Result<Self, TlsError> {
        let unusable = |file: &str, source: UnusablePem| TlsError::Unusable {
            file: file.to_owned(),
            source,
        };
        let chain = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(certificate_file, error.into()))?;
        let leaf = chain.first().ok_or_else(|| TlsError::Missing {
            file: certificate_file.to_owned(),
            wanted: "certificate",
        })?;
        let (not_before, not_after) = {
            let (_, leaf) = X509Certificate::from_der(leaf)
                .map_err(|error| unusable(certificate_file, error.into()))?;
            (
                leaf.validity().not_before.timestamp(),
                leaf.validity().not_after.timestamp(),
            )
        };
        let private = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::Missing {
                file: key_file.to_owned(),
                wanted: "private key (PKCS#8, SEC1 or PKCS#1, not encrypted)",
            },
            error => unusable(key_file, error.into()),
        })?;
        let certified =
            CertifiedKey::from_der(chain, private, &provider()).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                    certificate: certificate_file.to_owned(),
                    key: key_file.to_owned(),
                },
                Error::InvalidCertificate(reason) => {
                    unusable(certificate_file, UnusablePem::Certificate(reason))
                }
                error => unusable(key_file, UnusablePem::Key(error)),
            })?;
        let mut digest = Sha256::new();
        digest.update(
            u64::try_from(certificate.len())
                .unwrap_or(u64::MAX)
                .to_be_bytes(),
        );
        digest.update(certificate);
        digest.update(key);
        Ok(Self {
            certified: Arc::new(certified),
            not_before,
            not_after,
            digest: digest.finalize().into(),
        })
    }

    /// Whether the files were the same to the byte.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    pub(super) fn expired(&self, now: SystemTime) -> bool {
        self.not_after < seconds(now)
    }

    pub(super) fn valid(&self, now: SystemTime) -> bool {
        !self.expired(now) && self.not_before <= seconds(now)
    }

    /// Refuses a pair that is not valid now; only called while the one in use is.
    pub(super) fn refuse_unless_valid(
        &self,
        now: SystemTime,
        in_use: &Self,
        directory: &Path,
    ) -> Result<(), TlsError> {
        debug_assert!(in_use.valid(now));
        let file = directory.join("tls.crt").display().to_string();
        if self.expired(now) {
            return Err(TlsError::Expired {
                file,
                not_after: date(self.not_after),
            });
        }
        if !self.valid(now) {
            return Err(TlsError::NotYetValid {
                file,
                not_before: date(self.not_before),
            });
        }
        Ok(())
    }
}

fn seconds(at: SystemTime) -> i64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
