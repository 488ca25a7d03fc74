//! Whether there is a cluster, which one, and the client for it.
//!
//! Like kubectl: `--kubeconfig` and `--context` go first, then `KUBECONFIG`, then the pod's own
//! service account. `~/.kube/config` is only read if a flag requests a cluster (`--lookups on`,
//! `--context`, a source in the cluster): with `--lookups auto` a file that happens to exist must
//! not send an offline run to a cluster.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use hyper::header::{HeaderValue, USER_AGENT};
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::api::chain;

/// How long a connection may take to be established. An API server answers within milliseconds;
/// what takes longer is an address that leads nowhere, and the next attempt may get another.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// `--lookups`: whether owners are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LookupMode {
    /// On in a cluster or with a kubeconfig.
    #[default]
    Auto,
    /// On; an error if no cluster is configured.
    On,
    /// Off.
    Off,
}

/// The flags that say which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
}

/// What the process's surroundings say about a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Surroundings {
    /// `KUBECONFIG`, a list of files.
    pub kubeconfig: Option<OsString>,
    /// The process runs in a pod with a service account.
    pub in_cluster: bool,
    /// The home directory.
    pub home: Option<PathBuf>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No cluster is configured.
    #[error(
        "no cluster available: not running in a pod with a service account, and no kubeconfig found; set --kubeconfig FILE or KUBECONFIG, \
         or do without a cluster: --lookups off, --config-dir or --config-file, --region-id"
    )]
    NoCluster,
    /// A kubeconfig that cannot be used.
    #[error(
        "{origin}: {}; fix the file or pass another one with --kubeconfig or --context",
        sentence(source)
    )]
    Kubeconfig {
        /// Where the kubeconfig is from: the flag, the variable or the file.
        origin: String,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// The service account cannot be used.
    #[error(
        "the pod's service account cannot be used: {0}; mount it (automountServiceAccountToken), or set --lookups off"
    )]
    ServiceAccount(#[source] InClusterError),
    /// The client cannot be built, such as for a certificate that does not parse.
    #[error("cannot create a Kubernetes client: {}; fix the kubeconfig or the mounted service account", chain(.0))]
    Client(#[source] Box<kube::Error>),
}

/// Where the way to the cluster is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Files(String, Vec<PathBuf>),
    ServiceAccount,
}

impl Surroundings {
    /// Those of this process.
    pub fn current() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            kubeconfig: set("KUBECONFIG"),
            in_cluster: set("KUBERNETES_SERVICE_HOST").is_some()
                && set("KUBERNETES_SERVICE_PORT").is_some(),
            home: std::env::home_dir(),
        }
    }
}

/// The client for look-ups by `mode`; `None` where they are off.
///
/// # Errors
/// When a cluster is named or needed and no way to it is configured. Does not try whether it
/// answers.
pub async fn connect(
    access: &Access,
    mode: LookupMode,
    surroundings: &Surroundings,
) -> Result<Option<Client>, ConnectError> {
    let origin = match mode {
        LookupMode::Off => None,
        LookupMode::Auto => access.named(surroundings),
        LookupMode::On => Some(access.any(surroundings)?),
    };
    match origin {
        Some(origin) => Ok(Some(access.client(origin).await?)),
        None => Ok(None),
    }
}

impl Access {
    /// The client for a source in the cluster, which is needed whatever look-ups are.
    ///
    /// # Errors
    /// When no way to a cluster is configured. Does not try whether it answers.
    pub async fn required(&self, surroundings: &Surroundings) -> Result<Client, ConnectError> {
        self.client(self.any(surroundings)?).await
    }

    /// The cluster that flags, variables or the pod name.
    fn named(&self, surroundings: &Surroundings) -> Option<Origin> {
        let Self {
            kubeconfig,
            context,
        } = self;
        let Surroundings {
            kubeconfig: variable,
            in_cluster,
            home: _,
        } = surroundings;
        if let Some(path) = kubeconfig {
            return Some(Origin::Files(
                format!("--kubeconfig {}", path.display()),
                vec![path.clone()],
            ));
        }
        if let Some(list) = variable {
            // Like kubectl, which skips listed files that do not exist.
            let files: Vec<PathBuf> = std::env::split_paths(list)
                .filter(|path| path.exists())
                .collect();
            if !files.is_empty() {
                return Some(Origin::Files(
                    format!("KUBECONFIG={}", list.display()),
                    files,
                ));
            }
        }
        if context.is_some() {
            return Self::default_file(surroundings);
        }
        in_cluster.then_some(Origin::ServiceAccount)
    }

    fn any(&self, surroundings: &Surroundings) -> Result<Origin, ConnectError> {
        self.named(surroundings)
            .or_else(|| Self::default_file(surroundings).filter(Origin::exists))
            .ok_or(ConnectError::NoCluster)
    }

    fn default_file(surroundings: &Surroundings) -> Option<Origin> {
        let path = surroundings.home.as_ref()?.join(".kube/config");
        Some(Origin::Files(path.display().to_string(), vec![path]))
    }

    async fn client(&self, origin: Origin) -> Result<Client, ConnectError> {
        let mut config = match origin {
            Origin::ServiceAccount => Config::incluster().map_err(ConnectError::ServiceAccount)?,
            Origin::Files(origin, files) => {
                let read = self.read(&files).await;
                read.map_err(|source| ConnectError::Kubeconfig {
                    origin,
                    source: Box::new(source),
                })?
            }
        };
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        // kube's own retries know nothing of the review's deadline.
        config.default_retry = false;
        let agent = concat!("sandbox-injector/", env!("CARGO_PKG_VERSION"));
        config
            .headers
            .push((USER_AGENT, HeaderValue::from_static(agent)));
        Client::try_from(config).map_err(|error| ConnectError::Client(Box::new(error)))
    }

    async fn read(&self, files: &[PathBuf]) -> Result<Config, KubeconfigError> {
        let mut merged = Kubeconfig::default();
        for file in files {
            merged = merged.merge(Kubeconfig::read_from(file)?)?;
        }
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(merged, &options).await
    }
}

/// The error as part of a longer sentence.
fn sentence(error: &KubeconfigError) -> String {
    chain(error).trim_end_matches('.').to_owned()
}

impl Origin {
    fn exists(&self) -> bool {
        match self {
            Origin::Files(_, files) => files.iter().any(|file| file.exists()),
            Origin::ServiceAccount => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surroundings(kubeconfig: Option<&str>, in_cluster: bool) -> Surroundings {
        Surroundings {
            kubeconfig: kubeconfig.map(OsString::from),
            in_cluster,
            home: Some("/nowhere/at/all".into()),
        }
    }

    #[test]
    fn flags_go_before_variables_and_those_before_the_pod() {
        let flag = Access {
            kubeconfig: Some("/a".into()),
            context: None,
        };
        let files = |origin: Option<Origin>| match origin {
            Some(Origin::Files(_, files)) => files,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            files(flag.named(&surroundings(Some("/tmp"), true))),
            [PathBuf::from("/a")]
        );
        let none = Access::default();
        assert_eq!(
            files(none.named(&surroundings(Some("/dev/null:/nowhere/config:/tmp"), true))),
            ["/dev/null", "/tmp"].map(PathBuf::from)
        );
        assert_eq!(
            none.named(&surroundings(Some("/nowhere/config"), false)),
            None
        );
        assert_eq!(
            none.named(&surroundings(None, true)),
            Some(Origin::ServiceAccount)
        );
        assert_eq!(none.named(&surroundings(None, false)), None);
        let context = Access {
            kubeconfig: None,
            context: Some("c".to_owned()),
        };
        assert_eq!(
            files(context.named(&surroundings(None, true))),
            [PathBuf::from("/nowhere/at/all/.kube/config")]
        );
    }

    #[tokio::test]
    async fn errors_name_their_fix() {
        let nowhere = surroundings(None, false);
        let connected = connect(&Access::default(), LookupMode::Auto, &nowhere).await;
        assert!(connected.unwrap().is_none());
        let error = connect(&Access::default(), LookupMode::On, &nowhere)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("--kubeconfig FILE") && error.contains("--lookups off"),
            "{error}"
        );
        let access = Access {
            kubeconfig: Some("/nowhere/config".into()),
            context: None,
        };
        let error = connect(&access, LookupMode::Auto, &nowhere)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with("--kubeconfig /nowhere/config: failed to read kubeconfig"),
            "{error}"
        );
        assert!(
            connect(&access, LookupMode::Off, &nowhere)
                .await
                .unwrap()
                .is_none()
        );

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        std::fs::write(
            &path,
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: k\n  cluster: {server: 'http://127.0.0.1:1'}\n\
             contexts:\n- name: a\n  context: {cluster: k, user: u}\nusers:\n- name: u\n  user: {}\n",
        )
        .unwrap();
        let access = Access {
            kubeconfig: Some(path.clone()),
            context: None,
        };
        assert!(
            connect(&access, LookupMode::Auto, &nowhere)
                .await
                .unwrap()
                .is_some()
        );
        let access = Access {
            kubeconfig: Some(path),
            context: Some("b".to_owned()),
        };
        let error = connect(&access, LookupMode::On, &nowhere)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("failed to load current context: b"),
            "{error}"
        );
    }
}
