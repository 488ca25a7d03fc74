//! `certs`: a CA and a serving certificate as files, for clusters without a certificate manager.
//!
//! Existing files are never overwritten: a lost CA means a webhook that nobody trusts.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;

use super::{Failure, terminal};
use crate::certs::{self, CertificateAndKey, Issued, Validity};

/// How long a CA is valid: serving certificates are renewed under it without touching the caBundle.
const CA_DAYS: u32 = 3650;

const CA_CERTIFICATE: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

#[derive(Debug, Args)]
#[command(
    after_help = "Writes ca.crt, ca.key, tls.crt and tls.key (keys readable by their owner only), and prints the caBundle
for the webhook configurations. With --ca, issues a certificate under that CA: tls.crt, tls.key
and a copy of ca.crt.

Exit codes: 0 success, 2 nothing was written.

Examples:
  For the manifests of this project:
    sandbox-injector certs --out certs/out --dns-name sandbox-injector.sandbox-injector-system.svc
    kubectl apply -k manifests/overlays/static-cert
  A new certificate under the same CA, so that the caBundle need not change:
    rm certs/out/tls.crt certs/out/tls.key
    sandbox-injector certs --out certs/out --dns-name sandbox-injector.sandbox-injector-system.svc \\
      --ca certs/out/ca.crt --ca-key certs/out/ca.key"
)]
pub(super) struct Certs {
    /// Output directory; created if missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Name or address to put into the certificate: SERVICE.NAMESPACE.svc for a webhook
    /// (repeatable)
    #[arg(long, value_name = "NAME", required = true)]
    dns_name: Vec<String>,
    /// Days the certificate is valid; never longer than its CA
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
    /// CA certificate to issue under [default: a new CA]
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca: Option<PathBuf>,
    /// The CA's key
    #[arg(long, value_name = "FILE", requires = "ca")]
    ca_key: Option<PathBuf>,
}

/// A file to write.
struct Output<'c> {
    name: &'static str,
    content: &'c str,
    mode: u32,
}

impl Certs {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let Self {
            out,
            dns_name: names,
            days,
            ca,
            ca_key,
        } = self;
        let now = SystemTime::now();
        let given = match (&ca, &ca_key) {
            (Some(certificate), Some(key)) => Some(CertificateAndKey {
                certificate: read(certificate, "--ca")?,
                key: read(key, "--ca-key")?,
            }),
            _ => None,
        };
        let (ca, is_new) = match given {
            Some(ca) => (ca, false),
            None => {
                let validity = Validity::days(now, days.max(CA_DAYS))?;
                (certs::ca("sandbox-injector", validity)?, true)
            }
        };
        let Issued {
            pair: serving,
            not_after,
        } = certs::serving(&ca, &names, Validity::days(now, days)?)?;

        let mut outputs = Vec::new();
        // Renewing in place finds the CA's certificate there already.
        let is_there = std::fs::read(out.join(CA_CERTIFICATE))
            .is_ok_and(|there| !is_new && there == ca.certificate.as_bytes());
        if !is_there {
            outputs.push(Output {
                name: CA_CERTIFICATE,
                content: &ca.certificate,
                mode: 0o644,
            });
        }
        if is_new {
            outputs.push(Output {
                name: CA_KEY,
                content: &ca.key,
                mode: 0o600,
            });
        }
        outputs.push(Output {
            name: CERTIFICATE,
            content: &serving.certificate,
            mode: 0o644,
        });
        outputs.push(Output {
            name: KEY,
            content: &serving.key,
            mode: 0o600,
        });
        write(&out, &outputs)?;

        let written: Vec<&str> = outputs.iter().map(|output| output.name).collect();
        terminal::eprint_line(&format!(
            "wrote {} to {}",
            written.join(", "),
            out.display()
        ));
        terminal::eprint_line(&format!(
            "{CERTIFICATE} is valid until {}",
            certs::date(not_after)
        ));
        terminal::print(&format!("{}\n", STANDARD.encode(&ca.certificate)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn read(path: &Path, flag: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| {
        Failure(format!(
            "cannot read {flag} {}: {error}; pass a readable PEM file",
            path.display()
        ))
    })
}

/// Writes all of them or none.
fn write(directory: &Path, outputs: &[Output<'_>]) -> Result<(), Failure> {
    let there: Vec<&str> = outputs
        .iter()
        .map(|output| output.name)
        // A dangling link counts as a file, too.
        .filter(|name| directory.join(name).symlink_metadata().is_ok())
        .collect();
    if !there.is_empty() {
        return Err(Failure(format!(
            "{}: {} already {} and will not be overwritten; choose another --out or move {} away{}",
            directory.display(),
            there.join(", "),
            if there.len() == 1 { "exists" } else { "exist" },
            if there.len() == 1 { "it" } else { "them" },
            if there.contains(&CA_KEY) {
                format!(
                    ". To renew under the existing CA, remove {CERTIFICATE} and {KEY}, then add \
                     --ca {} --ca-key {}",
                    directory.join(CA_CERTIFICATE).display(),
                    directory.join(CA_KEY).display()
                )
            } else {
                String::new()
            }
        )));
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| {
            Failure(format!(
                "cannot create directory {}: {error}; choose another --out",
                directory.display()
            ))
        })?;
    let mut written = Vec::new();
    for Output {
        name,
        content,
        mode,
    } in outputs
    {
        let path = directory.join(name);
        let result = create(&path, *mode).and_then(|mut file| {
            written.push(path.clone());
            file.write_all(content.as_bytes())?;
            file.sync_all()
        });
        if let Err(error) = result {
            for path in written {
                // A file that stays is only an obstacle for the next run, which says so.
                let _ = std::fs::remove_file(path);
            }
            return Err(Failure(format!(
                "cannot write {}: {error}; free some space or choose another --out",
                path.display()
            )));
        }
    }
    Ok(())
}

/// A new file. It has its mode from the first moment, and is never a file that another process
/// created.
fn create(path: &Path, mode: u32) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
}
