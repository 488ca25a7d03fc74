//! Serving certificates that change under load, and ones that had better not be taken.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rcgen::KeyPair;
use rstest::rstest;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer};
use rustls::version::{TLS12, TLS13};
use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::tls::Identity;
use support::certificates::{ca, der, early, expired, serving, serving_for_key, serving_valid};
use support::client::{self, Client};
use support::eventually;
use support::kubelet::Volume;
use support::server::{Running, Setup};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Less than the slow look at files, so that what is seen within it was notified.
const NOTIFIED: Duration = Duration::from_secs(5);

const NOT_AFTER: &str = "sandbox_injector_tls_certificate_not_after_timestamp_seconds";
const NOT_BEFORE: &str = "sandbox_injector_tls_certificate_not_before_timestamp_seconds";
const RELOADS: &str = "sandbox_injector_tls_reloads_total";
const SUCCESS: &[(&str, &str)] = &[("result", "success")];
const FAILURE: &[(&str, &str)] = &[("result", "failure")];

/// The files of a Secret.
fn files(pair: &CertificateAndKey) -> [(&'static str, &str); 2] {
    [("tls.crt", &pair.certificate), ("tls.key", &pair.key)]
}

async fn start(directory: &Path, ca: &CertificateAndKey) -> Running {
    let identity = Some(Identity::Directory(directory.to_owned()));
    Setup {
        identity,
        ..Setup::default()
    }
    .start_under(ca.clone())
    .await
}

/// Waits until new handshakes show a certificate.
async fn expect_certificate(server: &Running, pair: &CertificateAndKey) {
    let (config, expected) = (server.config(), der(&pair.certificate).remove(0));
    let shown = eventually("the certificate", async || {
        let shown = client::certificate(server.https, &config).await.ok()?;
        (shown == expected).then_some(())
    });
    timeout(NOTIFIED, shown)
        .await
        .expect("the certificate was not taken into use in time");
}

async fn served(server: &Running) -> bool {
    server
        .client()
        .send(client::post("/mutate", "{}"))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_rotations_under_load_fail_no_request() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let mut volume = Volume::new(dir.path(), &files(&serving(&ca)));
    let server = start(dir.path(), &ca).await;
    let (stop, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut load = Vec::new();
    for number in 0..8 {
        let (client, stop, sent) = (server.client(), Arc::clone(&stop), Arc::clone(&sent));
        load.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(client.mutate("slow").await.status, 200);
                sent.fetch_add(1, Ordering::Relaxed);
                // Half of them shake hands for each request.
                if number % 2 == 0 {
                    client.forget();
                }
            }
        }));
    }
    for _ in 0..5 {
        let before = sent.load(Ordering::Relaxed);
        let pair = serving(&ca);
        volume.write(&files(&pair));
        expect_certificate(&server, &pair).await;
        eventually("requests between rotations", async || {
            (sent.load(Ordering::Relaxed) > before + 16).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.unwrap();
    }
    // The first load and the five.
    server.expect_metric(RELOADS, SUCCESS, 6.0).await;
    server.expect_metric(RELOADS, FAILURE, 0.0).await;
}

#[tokio::test]
async fn a_connection_outlives_its_certificate() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let mut volume = Volume::new(dir.path(), &files(&serving(&ca)));
    let server = start(dir.path(), &ca).await;
    let client = server.client();
    client.mutate("{}").await;
    let pair = serving(&ca);
    volume.write(&files(&pair));
    expect_certificate(&server, &pair).await;
    client.mutate("{}").await;
    server
        .expect_metric("sandbox_injector_connections", &[], 1.0)
        .await;
}

#[rstest]
#[case::mismatched_key(|good: &CertificateAndKey, other: &CertificateAndKey| (good.certificate.clone(), other.key.clone()))]
#[case::empty_certificate(|good: &CertificateAndKey, _: &CertificateAndKey| (String::new(), good.key.clone()))]
#[case::empty_key(|good: &CertificateAndKey, _: &CertificateAndKey| (good.certificate.clone(), String::new()))]
#[case::key_for_certificate(|good: &CertificateAndKey, _: &CertificateAndKey| (good.key.clone(), good.key.clone()))]
#[case::cut_off(|good: &CertificateAndKey, _: &CertificateAndKey| (good.certificate[..200].to_owned(), good.key.clone()))]
#[case::garbage(|good: &CertificateAndKey, _: &CertificateAndKey| (good.certificate.replace('M', "Q"), good.key.clone()))]
#[case::expired(|_: &CertificateAndKey, _: &CertificateAndKey| pair_of(serving_valid(&ca(), expired())))]
#[case::early(|_: &CertificateAndKey, _: &CertificateAndKey| pair_of(serving_valid(&ca(), early())))]
#[tokio::test]
async fn an_invalid_pair_leaves_the_last_one_in_use(
    #[case] spoil: fn(&CertificateAndKey, &CertificateAndKey) -> (String, String),
) {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let good = serving(&ca);
    let mut volume = Volume::new(dir.path(), &files(&good));
    let server = start(dir.path(), &ca).await;
    let not_after = server.scrape().await.value(NOT_AFTER, &[]);

    let (certificate, key) = spoil(&serving(&ca), &serving(&ca));
    volume.write(&files(&CertificateAndKey { certificate, key }));
    server.expect_metric(RELOADS, FAILURE, 1.0).await;
    expect_certificate(&server, &good).await;
    server.expect_ready(true).await;
    assert_eq!(server.scrape().await.value(NOT_AFTER, &[]), not_after);

    let better = serving(&ca);
    volume.write(&files(&better));
    expect_certificate(&server, &better).await;
    server.expect_metric(RELOADS, SUCCESS, 2.0).await;
    server.expect_metric(RELOADS, FAILURE, 1.0).await;
}

fn pair_of(pair: CertificateAndKey) -> (String, String) {
    (pair.certificate, pair.key)
}

#[tokio::test]
async fn a_vanished_directory_leaves_the_last_pair_in_use_until_it_is_back() {
    let (root, ca) = (TempDir::new().unwrap(), ca());
    let dir = root.path().join("certs");
    let good = serving(&ca);
    Volume::new(&dir, &files(&good));
    let server = start(&dir, &ca).await;
    fs::remove_dir_all(&dir).unwrap();
    server.expect_metric(RELOADS, FAILURE, 1.0).await;
    expect_certificate(&server, &good).await;
    let better = serving(&ca);
    Volume::new(&dir, &files(&better));
    expect_certificate(&server, &better).await;
}

#[tokio::test]
async fn without_a_certificate_the_server_is_up_but_not_ready() {
    let (root, ca) = (TempDir::new().unwrap(), ca());
    let dir = root.path().join("certs");
    let server = start(&dir, &ca).await;
    let why = server.expect_ready(false).await;
    assert!(
        why.starts_with("certificate: ")
            && why.contains("tls.crt")
            && why.contains("--tls-cert-dir"),
        "{why}"
    );
    assert!(!served(&server).await);
    let pair = serving(&ca);
    Volume::new(&dir, &files(&pair));
    expect_certificate(&server, &pair).await;
    server.expect_ready(true).await;
    assert!(served(&server).await);
}

#[tokio::test]
async fn an_expired_certificate_is_served_until_another_one_is_there() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let over = serving_valid(&ca, expired());
    let mut volume = Volume::new(dir.path(), &files(&over));
    let server = start(dir.path(), &ca).await;
    server.expect_ready(true).await;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    assert!(server.scrape().await.value(NOT_AFTER, &[]) < now);
    let pair = serving(&ca);
    volume.write(&files(&pair));
    expect_certificate(&server, &pair).await;
    let scrape = server.scrape().await;
    assert!(scrape.value(NOT_AFTER, &[]) > now && scrape.value(NOT_BEFORE, &[]) < now);
}

#[tokio::test]
async fn files_written_in_place_one_by_one_are_loaded_without_a_warning() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    for (name, contents) in files(&serving(&ca)) {
        fs::write(dir.path().join(name), contents).unwrap();
    }
    let server = start(dir.path(), &ca).await;
    for _ in 0..3 {
        let pair = serving(&ca);
        for (name, contents) in files(&pair) {
            fs::write(dir.path().join(name), contents).unwrap();
        }
        expect_certificate(&server, &pair).await;
    }
    assert_eq!(server.scrape().await.value(RELOADS, FAILURE), 0.0);
}

/// An RSA key, made once a run: *ring* signs with them but cannot make them.
fn rsa_pkcs1() -> String {
    static KEY: LazyLock<String> = LazyLock::new(|| {
        let made = Command::new("openssl")
            .args(["genrsa", "-traditional", "2048"])
            .output();
        String::from_utf8(made.expect("openssl is installed").stdout).unwrap()
    });
    KEY.clone()
}

/// PKCS#8 is a fixed frame around PKCS#1.
fn rsa_pkcs8() -> String {
    let pkcs1 = PrivatePkcs1KeyDer::from_pem_slice(rsa_pkcs1().as_bytes()).unwrap();
    let inner = pkcs1.secret_pkcs1_der();
    let length = |bytes: usize| {
        [
            0x82,
            u8::try_from(bytes >> 8).unwrap(),
            u8::try_from(bytes & 0xff).unwrap(),
        ]
    };
    let algorithm = [
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    let mut der = vec![0x30];
    der.extend(length(inner.len() + 4 + algorithm.len() + 3));
    der.extend([0x02, 0x01, 0x00]);
    der.extend(algorithm);
    der.push(0x04);
    der.extend(length(inner.len()));
    der.extend(inner);
    pem("PRIVATE KEY", &der)
}

/// The SEC1 key is what PKCS#8 wraps; for P-256 its frame is 29 bytes.
fn sec1(key: &KeyPair) -> String {
    let PrivateKeyDer::Pkcs8(pkcs8) =
        PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap()
    else {
        panic!("not PKCS#8")
    };
    pem("EC PRIVATE KEY", &pkcs8.secret_pkcs8_der()[29..])
}

fn pem(label: &str, der: &[u8]) -> String {
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        BASE64_STANDARD.encode(der)
    )
}

#[rstest]
#[case::p256_pkcs8(KeyPair::generate().unwrap(), KeyPair::serialize_pem)]
#[case::p256_sec1(KeyPair::generate().unwrap(), sec1)]
#[case::p384(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(), KeyPair::serialize_pem)]
#[case::ed25519(KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), KeyPair::serialize_pem)]
#[case::rsa_pkcs8(KeyPair::from_pem(&rsa_pkcs8()).unwrap(), |_: &KeyPair| rsa_pkcs8())]
#[case::rsa_pkcs1(KeyPair::from_pem(&rsa_pkcs8()).unwrap(), |_: &KeyPair| rsa_pkcs1())]
#[tokio::test]
async fn every_kind_of_key_is_served_in_both_versions(
    #[case] key: KeyPair,
    #[case] write: fn(&KeyPair) -> String,
) {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let pair = CertificateAndKey {
        certificate: serving_for_key(&ca, &key),
        key: write(&key),
    };
    Volume::new(dir.path(), &files(&pair));
    let server = start(dir.path(), &ca).await;
    server.expect_ready(true).await;
    for version in [&TLS12, &TLS13] {
        let config = client::config_for(&ca, None, &[version]);
        assert_eq!(
            Client::new(server.https, config).mutate("{}").await.status,
            200,
            "{version:?}"
        );
    }
}

#[tokio::test]
async fn a_chain_is_sent_complete_and_in_order() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let pair = serving(&ca);
    let chain = CertificateAndKey {
        certificate: format!("a comment\n{}{}", pair.certificate, ca.certificate),
        key: pair.key,
    };
    Volume::new(dir.path(), &files(&chain));
    let server = start(dir.path(), &ca).await;
    let stream = client::connect(server.https, &server.config())
        .await
        .unwrap();
    assert_eq!(
        stream.get_ref().1.peer_certificates().unwrap(),
        der(&chain.certificate)
    );
}

#[tokio::test]
async fn each_connection_is_http_1_1_by_a_full_handshake() {
    let server = Setup::default().start().await;
    let config = server.config();
    for _ in 0..3 {
        let client = Client::new(server.https, Arc::clone(&config));
        client.mutate("{}").await;
        let stream = client::connect(server.https, &config).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[tokio::test]
async fn a_reload_is_seen_well_before_the_slow_look() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let mut volume = Volume::new(dir.path(), &files(&serving(&ca)));
    let server = start(dir.path(), &ca).await;
    let begun = Instant::now();
    let pair = serving(&ca);
    volume.write(&files(&pair));
    expect_certificate(&server, &pair).await;
    assert!(begun.elapsed() < NOTIFIED);
}
