//! Client certificates: which clients are accepted and which are not.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rstest::rstest;
use rustls::version::{TLS12, TLS13};
use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::tls::ClientAuth;
use support::certificates::{ca, client as client_certificate, early, expired, valid};
use support::client::{self, Client, post};
use support::eventually;
use support::kubelet::Volume;
use support::server::{Running, Setup};
use tempfile::TempDir;
use tokio::time::timeout;

const APISERVER: &str = "kube-apiserver";

async fn start(file: PathBuf, names: &[&str]) -> Running {
    let allowed_names = names.iter().map(ToString::to_string).collect();
    Setup {
        clients: Some(ClientAuth {
            ca: file,
            allowed_names,
        }),
        ..Setup::default()
    }
    .start()
    .await
}

/// Whether a client is served by TLS 1.2, and by 1.3.
async fn served_by(server: &Running, identity: Option<&CertificateAndKey>) -> [bool; 2] {
    let mut answers = [false; 2];
    for (version, answer) in [&TLS12, &TLS13].into_iter().zip(&mut answers) {
        let config = client::config_for(&server.ca, identity, &[version]);
        let client = Client::new(server.https, config);
        *answer = client
            .send(post("/mutate", "{}"))
            .await
            .is_ok_and(|answer| answer.status == 200);
    }
    answers
}

async fn served(server: &Running, identity: Option<&CertificateAndKey>) -> bool {
    let [old, new] = served_by(server, identity).await;
    assert_eq!(old, new, "TLS 1.2 and 1.3 differ");
    new
}

#[rstest]
#[case::right_by_common_name(Some((APISERVER, &[][..])), true)]
#[case::right_by_dns_name(Some(("", &["other.example", APISERVER][..])), true)]
#[case::another_name(Some(("kubelet", &["kube-apiserver.example"][..])), false)]
#[case::a_longer_name(Some(("kube-apiserver-2", &[][..])), false)]
#[case::no_name(Some(("", &[][..])), false)]
#[case::no_certificate(None, false)]
#[tokio::test]
async fn only_a_client_certificate_with_the_right_name_is_accepted(
    #[case] names: Option<(&str, &[&str])>,
    #[case] expected: bool,
) {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let file = dir.path().join("ca.crt");
    fs::write(&file, &ca.certificate).unwrap();
    let server = start(file, &["front-proxy", APISERVER]).await;
    let identity = names.map(|(common, dns)| client_certificate(&ca, common, dns, valid()));
    assert_eq!(served(&server, identity.as_ref()).await, expected);
}

#[tokio::test]
async fn certificates_of_another_ca_or_outside_their_validity_are_rejected() {
    let (dir, ca) = (TempDir::new().unwrap(), ca());
    let file = dir.path().join("ca.crt");
    fs::write(&file, &ca.certificate).unwrap();
    let server = start(file, &[]).await;
    let right = client_certificate(&ca, "anybody", &[], valid());
    assert!(served(&server, Some(&right)).await);
    // Of the same name, so that only the signature tells.
    let forged = client_certificate(&support::certificates::ca(), "anybody", &[], valid());
    assert!(!served(&server, Some(&forged)).await);
    for validity in [expired(), early()] {
        assert!(
            !served(
                &server,
                Some(&client_certificate(&ca, "anybody", &[], validity))
            )
            .await
        );
    }
    // A serving certificate is not a client certificate.
    assert!(!served(&server, Some(&support::certificates::serving(&ca))).await);
    assert!(served(&server, Some(&right)).await);
}

#[tokio::test]
async fn a_rotated_ca_is_loaded_and_a_broken_one_is_not() {
    let (dir, old, new) = (TempDir::new().unwrap(), ca(), ca());
    let mut volume = Volume::new(dir.path(), &[("ca.crt", &old.certificate)]);
    let server = start(dir.path().join("ca.crt"), &[APISERVER]).await;
    let before = client_certificate(&old, APISERVER, &[], valid());
    let after = client_certificate(&new, APISERVER, &[], valid());
    let kept = Client::new(server.https, client::config(&server.ca, Some(&before)));
    kept.mutate("{}").await;
    let waiting = async |identity: &CertificateAndKey, expected: bool| {
        let wait = eventually("the CA", async || {
            (served_by(&server, Some(identity)).await == [expected; 2]).then_some(())
        });
        timeout(Duration::from_secs(5), wait).await.unwrap();
    };

    volume.write(&[("ca.crt", &format!("{}{}", old.certificate, new.certificate))]);
    waiting(&after, true).await;
    assert!(served(&server, Some(&before)).await);
    volume.write(&[("ca.crt", "none at all")]);
    server
        .expect_metric(
            "sandbox_injector_tls_reloads_total",
            &[("result", "failure")],
            1.0,
        )
        .await;
    assert!(served(&server, Some(&after)).await);
    volume.write(&[("ca.crt", &new.certificate)]);
    waiting(&before, false).await;
    assert!(served(&server, Some(&after)).await);
    // Who is connected has shown a certificate that was good then.
    kept.mutate("{}").await;
}

#[tokio::test]
async fn without_a_client_ca_no_client_is_accepted_and_readiness_says_why() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("ca.crt");
    let server = start(file.clone(), &[]).await;
    let why = server.expect_ready(false).await;
    assert!(
        why.starts_with("client-ca: ") && why.contains("--client-ca"),
        "{why}"
    );
    let ca = ca();
    let identity = client_certificate(&ca, "anybody", &[], valid());
    assert!(!served(&server, Some(&identity)).await);
    fs::write(&file, &ca.certificate).unwrap();
    server.expect_ready(true).await;
    assert!(served(&server, Some(&identity)).await);
}
