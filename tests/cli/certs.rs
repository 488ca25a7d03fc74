//! `certs`, through the binary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const NAME: &str = "sandbox-injector.sandbox-injector-system.svc";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn certs(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sandbox-injector"))
        .args(["certs", "--dns-name", NAME])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

#[track_caller]
fn made(directory: &Path, arguments: &[&str]) -> String {
    let output = certs(directory, arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The complaint of a run that has to fail.
#[track_caller]
fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = certs(directory, arguments);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn der(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).unwrap()
}

fn end(certificate: &X509Certificate<'_>) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(certificate.validity().not_after.timestamp().unsigned_abs())
}

#[test]
fn a_ca_and_a_certificate_are_created_and_the_ca_bundle_is_printed() {
    let directory = TempDir::new().unwrap();
    let bundle = made(
        directory.path(),
        &["--out", "a/b", "--dns-name", "127.0.0.1"],
    );
    let out = directory.path().join("a/b");
    assert_eq!(names(&out), ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    assert_eq!(bundle.lines().count(), 1);
    assert_eq!(
        STANDARD.decode(bundle.trim()).unwrap(),
        fs::read(out.join("ca.crt")).unwrap()
    );

    let (ca, serving) = (der(&out.join("ca.crt")), der(&out.join("tls.crt")));
    let (_, ca) = X509Certificate::from_der(&ca).unwrap();
    let (_, serving) = X509Certificate::from_der(&serving).unwrap();
    assert!(ca.is_ca() && !serving.is_ca());
    assert_eq!(serving.issuer(), ca.subject());
    assert_eq!(
        serving
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names,
        [
            GeneralName::DNSName(NAME),
            GeneralName::IPAddress(&[127, 0, 0, 1])
        ]
    );
    let now = SystemTime::now();
    assert!(end(&serving) > now + DAY * 364 && end(&serving) < now + DAY * 366);
    assert!(end(&ca) > now + DAY * 3649);
}

#[test]
fn only_the_owner_can_read_the_keys() {
    let directory = TempDir::new().unwrap();
    made(directory.path(), &["--out", "out"]);
    let mode = |name| {
        fs::metadata(directory.path().join("out").join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("ca.key"), 0o600);
    assert_eq!(mode("tls.key"), 0o600);
}

#[test]
fn nothing_is_ever_overwritten() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    made(directory.path(), &["--out", "out"]);
    let before: Vec<Vec<u8>> = names(&out)
        .iter()
        .map(|name| fs::read(out.join(name)).unwrap())
        .collect();
    let complaint = refused(directory.path(), &["--out", "out"]);
    assert!(
        complaint.starts_with(
            "error: out: ca.crt, ca.key, tls.crt, tls.key already exist and will not be overwritten"
        ),
        "{complaint}"
    );
    assert!(
        complaint.contains("add --ca out/ca.crt --ca-key out/ca.key"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1);
    let after: Vec<Vec<u8>> = names(&out)
        .iter()
        .map(|name| fs::read(out.join(name)).unwrap())
        .collect();
    assert_eq!(before, after);

    // One file is enough, and then none is written.
    fs::create_dir(directory.path().join("other")).unwrap();
    fs::write(directory.path().join("other/tls.key"), "mine").unwrap();
    let complaint = refused(directory.path(), &["--out", "other"]);
    assert!(
        complaint.starts_with("error: other: tls.key already exists"),
        "{complaint}"
    );
    assert_eq!(names(&directory.path().join("other")), ["tls.key"]);
}

#[test]
fn a_certificate_is_renewed_in_place_and_the_ca_bundle_stays() {
    let directory = TempDir::new().unwrap();
    let out = directory.path().join("out");
    let first = made(directory.path(), &["--out", "out"]);
    let old = fs::read(out.join("tls.crt")).unwrap();
    fs::remove_file(out.join("tls.crt")).unwrap();
    fs::remove_file(out.join("tls.key")).unwrap();
    let ca = ["--ca", "out/ca.crt", "--ca-key", "out/ca.key"];
    let second = made(directory.path(), &[&["--out", "out"], &ca[..]].concat());
    assert_eq!(first, second);
    assert_ne!(fs::read(out.join("tls.crt")).unwrap(), old);

    // Elsewhere the CA's certificate comes along, for the Secret, and its key does not.
    made(
        directory.path(),
        &[&["--out", "elsewhere"], &ca[..]].concat(),
    );
    assert_eq!(
        names(&directory.path().join("elsewhere")),
        ["ca.crt", "tls.crt", "tls.key"]
    );

    // Another CA's certificate in the directory is not mixed with.
    made(directory.path(), &["--out", "another"]);
    fs::remove_file(directory.path().join("another/tls.crt")).unwrap();
    fs::remove_file(directory.path().join("another/tls.key")).unwrap();
    let complaint = refused(directory.path(), &[&["--out", "another"], &ca[..]].concat());
    assert!(
        complaint.starts_with("error: another: ca.crt already exists"),
        "{complaint}"
    );
}

#[test]
fn a_certificate_is_never_valid_longer_than_its_ca() {
    let directory = TempDir::new().unwrap();
    made(directory.path(), &["--out", "out", "--days", "5000"]);
    let serving = der(&directory.path().join("out/tls.crt"));
    let (_, serving) = X509Certificate::from_der(&serving).unwrap();
    assert!(end(&serving) > SystemTime::now() + DAY * 4999);
}

#[rstest]
#[case::days(&["--out", "x", "--days", "0"], "error: --days 0: must be between 1 and 36500")]
#[case::name(&["--out", "x", "--dns-name", "https://a"], "error: --dns-name \"https://a\" is neither")]
#[case::no_authority(&["--out", "x", "--ca", "nowhere", "--ca-key", "nowhere"], "error: cannot read --ca nowhere: No such file")]
#[case::no_certificate(&["--out", "x", "--ca", "junk", "--ca-key", "junk"], "error: --ca: not a PEM certificate")]
#[case::no_directory(&["--out", "junk/x"], "error: cannot create directory junk/x")]
fn a_failure_is_one_line_and_leaves_no_files(#[case] arguments: &[&str], #[case] complaint: &str) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("junk"), "junk").unwrap();
    let said = refused(directory.path(), arguments);
    assert!(said.starts_with(complaint), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(names(directory.path()), ["junk"]);
}

#[test]
fn a_ca_needs_its_key() {
    let directory = TempDir::new().unwrap();
    assert!(refused(directory.path(), &["--out", "x", "--ca", "a"]).contains("--ca-key"));
    assert!(refused(directory.path(), &["--out", "x", "--ca-key", "a"]).contains("--ca <FILE>"));
}
