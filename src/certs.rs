//! Creates a CA and serving certificates, for clusters without a certificate manager.
//!
//! Pure: PEM in, PEM out. The time is passed in and nothing is read or written; where the files go,
//! and with which mode, is the caller's concern. Keys are P-256: each new connection of the API
//! server is a full handshake.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::kube::names::is_dns_label;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, pem};
use thiserror::Error;
use x509_parser::error::X509Error;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How far clocks of a cluster may be apart before a fresh certificate looks not yet valid
/// somewhere.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// Why no certificate could be created.
#[derive(Debug, Error)]
pub enum CertsError {
    /// A serving certificate without a name verifies nowhere.
    #[error(
        "no DNS name given; pass at least one --dns-name, such as sandbox-injector.sandbox-injector-system.svc"
    )]
    NoNames,
    /// A name that no certificate can contain.
    #[error("--dns-name {name:?} is neither a DNS name nor an IP address")]
    Name {
        /// The name as given.
        name: String,
    },
    /// The end of the validity cannot be expressed.
    #[error("--days {days}: must be between 1 and 36500")]
    Days {
        /// The number as given.
        days: u32,
    },
    /// The given CA's certificate is not PEM.
    #[error("--ca: not a PEM certificate: {0}")]
    CaPem(#[source] pem::Error),
    /// The given CA's certificate is not X.509.
    #[error("--ca: not a PEM certificate: {0}")]
    CaCertificate(#[source] x509_parser::nom::Err<X509Error>),
    /// The given CA's key cannot be read.
    #[error("--ca-key: not a PEM private key (PKCS#8, SEC1 or PKCS#1): {0}")]
    CaKey(#[source] rcgen::Error),
    /// The given certificate is not a CA's.
    #[error("--ca: not a CA certificate (basicConstraints does not set CA)")]
    NotACa,
    /// The given key belongs to another certificate.
    #[error("--ca-key: does not match the certificate in --ca")]
    KeyMismatch,
    /// The given CA can no longer sign.
    #[error("--ca: this CA has expired; create a new one and update the caBundle")]
    Expired,
    /// Signing failed.
    #[error("cannot create the certificate: {0}")]
    Sign(#[from] rcgen::Error),
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct CertificateAndKey {
    /// The certificate alone: its CA is what the client has.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

/// A serving certificate that was issued.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate and its key.
    pub pair: CertificateAndKey,
    /// When the certificate expires, in seconds since the epoch.
    pub not_after: i64,
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

impl Validity {
    /// `days` from `now` on, beginning a little earlier so that clocks may differ.
    ///
    /// # Errors
    /// When `days` is 0 or more than a century.
    pub fn days(now: SystemTime, days: u32) -> Result<Self, CertsError> {
        if !(1..=36_500).contains(&days) {
            return Err(CertsError::Days { days });
        }
        Ok(Self {
            not_before: now - CLOCK_SKEW,
            not_after: now + DAY * days,
        })
    }

    fn apply(self, params: &mut CertificateParams) {
        let epoch = date_time_ymd(1970, 1, 1);
        let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default();
        params.not_before = epoch + since(self.not_before);
        params.not_after = epoch + since(self.not_after);
    }
}

/// A new self-signed CA named `common_name`, which may sign serving and client certificates only.
///
/// # Errors
/// When the key cannot be created.
pub fn ca(common_name: &str, validity: Validity) -> Result<CertificateAndKey, CertsError> {
    let key = KeyPair::generate()?;
    let mut params = named(common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    validity.apply(&mut params);
    let certificate = params.self_signed(&key)?;
    Ok(CertificateAndKey {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

/// A serving certificate for `names` (DNS names or IP addresses) under `ca`, with a new key.
///
/// It never outlives its CA: a later end is moved to the CA's.
///
/// # Errors
/// When there is no name or a bad one, or when `ca` is unfit: not PEM, not a CA, another's key, or
/// expired at the start of `validity` (less the allowance for clocks).
pub fn serving(
    ca: &CertificateAndKey,
    names: &[String],
    validity: Validity,
) -> Result<Issued, CertsError> {
    let first = names.first().ok_or(CertsError::NoNames)?;
    let (issuer, ca_end) = issuer(ca)?;
    if ca_end <= validity.not_before + CLOCK_SKEW {
        return Err(CertsError::Expired);
    }
    let validity = Validity {
        not_after: validity.not_after.min(ca_end),
        ..validity
    };

    let mut params = named(first);
    for name in names {
        let one = CertificateParams::new(vec![name.clone()])
            .ok()
            .filter(|_| is_name(name))
            .ok_or_else(|| CertsError::Name { name: name.clone() })?;
        params.subject_alt_names.extend(one.subject_alt_names);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    validity.apply(&mut params);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    let pair = CertificateAndKey {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    };
    Ok(Issued {
        pair,
        not_after: params.not_after.unix_timestamp(),
    })
}

/// Parameters with a common name, which X.509 limits to 64 characters; the names that count are
/// elsewhere.
fn named(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        common_name.chars().take(64).collect::<String>(),
    );
    params
}

/// Whether `name` can be a subject alternative name: an address, or labels of which the first may
/// be `*`.
fn is_name(name: &str) -> bool {
    let labels = name.strip_prefix("*.").unwrap_or(name).to_ascii_lowercase();
    name.parse::<std::net::IpAddr>().is_ok()
        || (name.len() <= 253 && labels.split('.').all(is_dns_label))
}

/// The signer made of a CA's PEM, and when the CA expires.
fn issuer(ca: &CertificateAndKey) -> Result<(Issuer<'static, KeyPair>, SystemTime), CertsError> {
    let der =
        CertificateDer::from_pem_slice(ca.certificate.as_bytes()).map_err(CertsError::CaPem)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(CertsError::CaCertificate)?;
    if !certificate.is_ca() {
        return Err(CertsError::NotACa);
    }
    let key = KeyPair::from_pem(&ca.key).map_err(CertsError::CaKey)?;
    if key.public_key_raw() != certificate.public_key().subject_public_key.data.as_ref() {
        return Err(CertsError::KeyMismatch);
    }
    let end = u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0);
    let issuer = Issuer::from_ca_cert_der(&der, key)?;
    Ok((issuer, UNIX_EPOCH + Duration::from_secs(end)))
}

/// A moment in seconds since the epoch, for people to read.
pub(crate) fn date(timestamp: i64) -> String {
    ASN1Time::from_timestamp(timestamp)
        .map_or_else(|_| timestamp.to_string(), |time| time.to_string())
}

impl std::fmt::Debug for CertificateAndKey {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAndKey")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use x509_parser::prelude::GeneralName;

    use super::*;

    fn a_year() -> Validity {
        Validity::days(SystemTime::now(), 365).unwrap()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_serving_certificate_contains_every_name_and_is_signed_by_the_ca() {
        let ca_pair = ca("test", a_year()).unwrap();
        let pair = serving(
            &ca_pair,
            &names(&["a.b.svc", "*.b.svc", "127.0.0.1"]),
            a_year(),
        )
        .unwrap()
        .pair;
        let der = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let ca = CertificateDer::from_pem_slice(ca_pair.certificate.as_bytes()).unwrap();
        let (_, ca) = X509Certificate::from_der(&ca).unwrap();
        assert_eq!(leaf.issuer(), ca.subject());
        let sans = leaf.subject_alternative_name().unwrap().unwrap().value;
        assert_eq!(
            sans.general_names,
            [
                GeneralName::DNSName("a.b.svc"),
                GeneralName::DNSName("*.b.svc"),
                GeneralName::IPAddress(&[127, 0, 0, 1])
            ]
        );
    }

    #[test]
    fn a_serving_certificate_never_outlives_its_ca() {
        let now = SystemTime::now();
        let ca_pair = ca("test", Validity::days(now, 10).unwrap()).unwrap();
        let issued = serving(&ca_pair, &names(&["a"]), Validity::days(now, 100).unwrap()).unwrap();
        let der = CertificateDer::from_pem_slice(issued.pair.certificate.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let end =
            UNIX_EPOCH + Duration::from_secs(leaf.validity().not_after.timestamp().unsigned_abs());
        assert!(end <= now + DAY * 10);
        assert_eq!(issued.not_after, leaf.validity().not_after.timestamp());
    }

    #[rstest]
    #[case::empty("")]
    #[case::blank("a b")]
    #[case::url("https://a")]
    #[case::dots("a..b")]
    #[case::not_ascii("bücher.example")]
    fn bad_names_are_rejected(#[case] name: &str) {
        let ca_pair = ca("test", a_year()).unwrap();
        let error = serving(&ca_pair, &names(&[name]), a_year()).unwrap_err();
        assert!(matches!(error, CertsError::Name { .. }), "{error}");
    }

    #[test]
    fn an_unfit_ca_is_rejected() {
        let year = a_year();
        let good = ca("test", year).unwrap();
        let other = ca("other", year).unwrap();
        let leaf = serving(&good, &names(&["a"]), year).unwrap().pair;
        let old = Validity {
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH + DAY,
        };
        let expired = ca("old", old).unwrap();
        let mixed = CertificateAndKey {
            key: other.key,
            ..good.clone()
        };
        let garbled = CertificateAndKey {
            certificate: "x".into(),
            ..good.clone()
        };
        let keyless = CertificateAndKey {
            key: String::new(),
            ..good
        };
        let refusal = |ca_pair| serving(&ca_pair, &names(&["a"]), year).unwrap_err();
        assert!(matches!(refusal(leaf), CertsError::NotACa));
        assert!(matches!(refusal(expired), CertsError::Expired));
        assert!(matches!(refusal(mixed), CertsError::KeyMismatch));
        assert!(matches!(refusal(garbled), CertsError::CaPem(_)));
        assert!(matches!(refusal(keyless), CertsError::CaKey(_)));
    }

    #[rstest]
    #[case(0)]
    #[case(36_501)]
    fn absurd_validities_are_rejected(#[case] days: u32) {
        assert!(matches!(
            Validity::days(SystemTime::now(), days),
            Err(CertsError::Days { .. })
        ));
    }
}
