//! Certificates made at test time.

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sandbox_injector::certs;
use sandbox_injector::certs::{CertificateAndKey, Validity};

/// The name that clients connect to.
pub const NAME: &str = "sandbox-injector.sandbox-system.svc";

const HOUR: Duration = Duration::from_secs(3600);

pub fn valid() -> Validity {
    Validity::days(SystemTime::now(), 30).unwrap()
}

/// Over for an hour.
pub fn expired() -> Validity {
    let now = SystemTime::now();
    Validity {
        not_before: now - 48 * HOUR,
        not_after: now - HOUR,
    }
}

/// Not begun for an hour.
pub fn early() -> Validity {
    let now = SystemTime::now();
    Validity {
        not_before: now + HOUR,
        not_after: now + 48 * HOUR,
    }
}

pub fn ca() -> CertificateAndKey {
    certs::ca("test CA", valid()).unwrap()
}

pub fn serving(ca: &CertificateAndKey) -> CertificateAndKey {
    certs::serving(ca, &[NAME.to_owned(), "127.0.0.1".to_owned()], valid())
        .unwrap()
        .pair
}

/// A serving certificate of any validity.
pub fn serving_valid(ca: &CertificateAndKey, validity: Validity) -> CertificateAndKey {
    signed(
        ca,
        "",
        &[NAME],
        ExtendedKeyUsagePurpose::ServerAuth,
        validity,
    )
}

/// A client certificate with a common name (when not empty) and DNS names.
pub fn client(
    ca: &CertificateAndKey,
    common: &str,
    dns: &[&str],
    validity: Validity,
) -> CertificateAndKey {
    signed(
        ca,
        common,
        dns,
        ExtendedKeyUsagePurpose::ClientAuth,
        validity,
    )
}

fn signed(
    ca: &CertificateAndKey,
    common: &str,
    dns: &[&str],
    usage: ExtendedKeyUsagePurpose,
    validity: Validity,
) -> CertificateAndKey {
    let key = KeyPair::generate().unwrap();
    let certificate = sign(ca, &key, common, dns, usage, validity);
    CertificateAndKey {
        certificate,
        key: key.serialize_pem(),
    }
}

/// A serving certificate for a key of the caller's.
pub fn serving_for_key(ca: &CertificateAndKey, key: &KeyPair) -> String {
    sign(
        ca,
        key,
        "",
        &[NAME],
        ExtendedKeyUsagePurpose::ServerAuth,
        valid(),
    )
}

fn sign(
    ca: &CertificateAndKey,
    key: &KeyPair,
    common: &str,
    dns: &[&str],
    usage: ExtendedKeyUsagePurpose,
    validity: Validity,
) -> String {
    let dns: Vec<String> = dns.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(dns).unwrap();
    params.distinguished_name = DistinguishedName::new();
    if !common.is_empty() {
        params.distinguished_name.push(DnType::CommonName, common);
    }
    params.extended_key_usages = vec![usage];
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch
        + validity
            .not_before
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
    params.not_after = epoch
        + validity
            .not_after
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
    let signer = KeyPair::from_pem(&ca.key).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, signer).unwrap();
    params.signed_by(key, &issuer).unwrap().pem()
}

pub fn der(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .unwrap()
}

pub fn roots(ca: &CertificateAndKey) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in der(&ca.certificate) {
        roots.add(certificate).unwrap();
    }
    roots
}
