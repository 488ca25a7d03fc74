//! Where the serving certificate comes from: a mounted Secret, or one made for trying things out.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::certs::{self, CertsError, Validity};
use crate::tls::Identity;

/// How long a self-signed certificate is valid: for trying things out.
const SELF_SIGNED_DAYS: u32 = 30;

/// The names in a self-signed certificate when none are given.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no serving certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of the Secret cannot be found.
    #[error(
        "no certificate: {}: {source}; mount a kubernetes.io/tls Secret at --tls-cert-dir, or try --self-signed",
        file.display()
    )]
    NotMounted {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A self-signed certificate cannot be created.
    #[error(transparent)]
    SelfSigned(#[from] CertsError),
    /// The CA's certificate cannot be written.
    #[error("cannot write --ca-out {}: {source}", file.display())]
    CaOut {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The Secret mounted at `directory`, which must be there: one that is not mounted at all does not
/// come by itself.
///
/// # Errors
/// When a file of it is missing.
pub fn mounted(directory: PathBuf) -> Result<Identity, IdentityError> {
    for name in ["tls.crt", "tls.key"] {
        let file = directory.join(name);
        if let Err(source) = std::fs::metadata(&file) {
            return Err(IdentityError::NotMounted { file, source });
        }
    }
    Ok(Identity::Directory(directory))
}

/// A certificate for `names`, or for this machine when there are none, under a CA made for it. The
/// CA's certificate is written to `ca_out`.
///
/// # Errors
/// When a name is invalid or the file cannot be written.
pub fn self_signed(
    mut names: Vec<String>,
    ca_out: Option<&Path>,
) -> Result<Identity, IdentityError> {
    if names.is_empty() {
        names = LOCAL_NAMES.map(str::to_owned).into();
    }
    let validity = Validity::days(SystemTime::now(), SELF_SIGNED_DAYS)?;
    let ca = certs::ca("sandbox-injector self-signed", validity)?;
    let serving = certs::serving(&ca, &names, validity)?.pair;
    if let Some(file) = ca_out {
        std::fs::write(file, &ca.certificate).map_err(|source| IdentityError::CaOut {
            file: file.to_owned(),
            source,
        })?;
    }
    Ok(Identity::Memory {
        certificate: serving.certificate,
        key: serving.key,
    })
}
