//! The configuration in use, and how a new one takes its place.
//!
//! [`super::follow`] reads a source (a directory, the cluster) and offers what it read. A new
//! configuration is loaded whole and then swapped in with one atomic store; one with an error
//! changes nothing, is logged once and counted once. Readers take the current one without a lock
//! and keep it for as long as they decide on one pod.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use engine::config::config_map::Entries;
use engine::config::finding::{Finding, Severity};
use engine::config::region::Region;
use engine::config::{Config, Rejected, Runtime};

use crate::cluster::config_map::ConfigMapError;
use crate::metrics::{Metrics, RuntimeMetrics};
use crate::readiness::Gate;
use crate::source::SourceError;

/// A configuration in use.
#[derive(Debug)]
pub struct Active {
    /// The configuration.
    pub config: Config,
    /// The counters of its runtimes, in their order.
    counters: Vec<RuntimeMetrics>,
}

/// Why a source has nothing to offer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A directory or file.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A ConfigMap in the cluster.
    #[error(transparent)]
    ConfigMap(#[from] ConfigMapError),
}

/// The current configuration and what is needed to make the next one.
#[derive(Debug)]
pub struct Store {
    current: ArcSwapOption<Active>,
    offered: Mutex<Offered>,
    metrics: Arc<Metrics>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct Offered {
    region: Option<Region>,
    /// The region will come.
    awaiting_region: bool,
    /// What was offered last needs the region and waits for it.
    held: bool,
    /// The entries that were offered last, or the text of the error.
    last: Option<Result<Entries, String>>,
}

/// The result of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is the same as the one before.
    Same,
    /// It is in use.
    Loaded,
    /// It has errors; what was in use stays in use.
    Rejected(Rejected),
    /// It is kept until the region that it needs is known; what was in use stays in use.
    Waiting,
    /// There was nothing to load; what was in use stays in use.
    Unreadable,
}

impl Active {
    /// The counters of a runtime of this configuration.
    pub fn counters(&self, runtime: &Runtime) -> Option<&RuntimeMetrics> {
        let position = self
            .config
            .runtimes()
            .iter()
            .position(|other| other.name == runtime.name)?;
        self.counters.get(position)
    }
}

impl Store {
    /// A store without a configuration; `gate` is not ready until there is one.
    pub fn new(region: Option<Region>, metrics: Arc<Metrics>, gate: Gate) -> Self {
        gate.not_ready("not read yet");
        Self {
            current: ArcSwapOption::empty(),
            offered: Mutex::new(Offered {
                region,
                ..Offered::default()
            }),
            metrics,
            gate,
        }
    }

    /// The configuration in use, if there has been a good one.
    pub fn current(&self) -> Option<Arc<Active>> {
        self.current.load_full()
    }

    /// The region that a new configuration would be loaded with; something in its place while it is
    /// still to come.
    pub fn region(&self) -> Option<Region> {
        let offered = self.lock();
        let stand_in = || offered.awaiting_region.then(Region::stand_in);
        offered.region.clone().or_else(stand_in)
    }

    /// The region will come by [`Store::set_region`]. Until then a configuration that lacks nothing
    /// but the region waits for it and is not an error. To be called before the first offer.
    pub fn await_region(&self) {
        let mut offered = self.lock();
        offered.awaiting_region = offered.region.is_none();
    }

    /// Whether a configuration was offered that cannot be used before the region is known.
    pub fn waits_for_region(&self) -> bool {
        self.lock().held
    }

    /// Takes the entries that a source has now, or why it could not be read.
    pub fn offer(&self, entries: Result<Entries, ReadError>) -> Taken {
        let entries = entries.map_err(|error| error.to_string());
        let mut offered = self.lock();
        if offered.last.as_ref() == Some(&entries) {
            return Taken::Same;
        }
        let taken = self.take(&entries, &mut offered);
        offered.last = Some(entries);
        taken
    }

    /// Puts another region into the configuration that was offered last.
    pub fn set_region(&self, region: Region) {
        let mut offered = self.lock();
        if offered.region.as_ref() == Some(&region) {
            return;
        }
        offered.region = Some(region);
        offered.awaiting_region = false;
        if let Some(entries) = offered.last.take() {
            self.take(&entries, &mut offered);
            offered.last = Some(entries);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, entries: &Result<Entries, String>, offered: &mut Offered) -> Taken {
        offered.held = false;
        let entries = match entries {
            Ok(entries) => entries,
            Err(reason) => {
                let consequence = self.reject(reason);
                tracing::error!(reason, "cannot read the configuration; {consequence}");
                return Taken::Unreadable;
            }
        };
        let mut loaded = Config::load(entries, offered.region.as_ref());
        if loaded.is_err() && offered.awaiting_region {
            // What else is wrong shows with any region in its place.
            loaded = Config::load(entries, Some(&Region::stand_in()));
            offered.held = loaded.is_ok();
        }
        let rejected = match loaded {
            Ok(_) if offered.held => {
                if self.current.load().is_none() {
                    self.gate.not_ready("waiting for the region");
                }
                return Taken::Waiting;
            }
            Ok(config) => {
                self.activate(config);
                return Taken::Loaded;
            }
            Err(rejected) => rejected,
        };
        let errors = rejected
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error);
        let errors = errors.inspect(|finding| log(finding)).count();
        let consequence = self.reject(&rejected.to_string());
        tracing::error!(errors, "configuration rejected; {consequence}");
        Taken::Rejected(rejected)
    }

    fn activate(&self, config: Config) {
        config.warnings().iter().for_each(log);
        let revisions: Vec<String> = config
            .runtimes()
            .iter()
            .map(|runtime| format!("{}={}", runtime.name, runtime.revision()))
            .collect();
        tracing::info!(runtimes = revisions.join(","), "configuration in use");
        let digests = config
            .runtimes()
            .iter()
            .map(|runtime| (runtime.name.clone(), runtime.digest.clone()));
        self.metrics.config_loaded(digests);
        let counters = config
            .runtimes()
            .iter()
            .map(|runtime| self.metrics.runtime(&runtime.name))
            .collect();
        self.current
            .store(Some(Arc::new(Active { config, counters })));
        self.gate.ready();
    }

    /// Counts a rejection, and says what it means.
    fn reject(&self, reason: &str) -> &'static str {
        self.metrics.config_rejected();
        if self.current.load().is_some() {
            return "the last good configuration stays in use";
        }
        self.gate.not_ready(reason);
        "not ready until a valid configuration is loaded"
    }
}

fn log(finding: &Finding) {
    let Finding {
        code,
        severity,
        runtime,
        path: _,
        message,
    } = finding;
    let path = finding.place();
    match severity {
        Severity::Error => tracing::error!(%code, runtime, path, "{message}"),
        Severity::Warning => tracing::warn!(%code, runtime, path, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use engine::config::config_map::ConfigMapName;

    use super::*;
    use crate::readiness::Readiness;

    fn entries(text: &str) -> Result<Entries, ReadError> {
        Ok([("a", text)].into())
    }

    #[test]
    fn a_bad_configuration_changes_nothing_and_is_counted_once() {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let store = Store::new(None, Arc::clone(&metrics), readiness.gate("configuration"));
        assert!(matches!(
            store.offer(entries(r#"{"volume": 1}"#)),
            Taken::Rejected(_)
        ));
        assert_eq!(
            readiness.check().unwrap_err(),
            "configuration: a: $.volume: must be a list\n"
        );
        assert!(store.current().is_none());
        assert_eq!(store.offer(entries(r#"{"volume": []}"#)), Taken::Loaded);
        assert_eq!(readiness.check(), Ok(()));
        let good = store.current().unwrap().config.runtimes()[0].digest.clone();
        for _ in 0..2 {
            store.offer(Err(ConfigMapError::Missing(ConfigMapName::default()).into()));
        }
        assert!(matches!(store.offer(entries("{")), Taken::Rejected(_)));
        assert_eq!(store.current().unwrap().config.runtimes()[0].digest, good);
        assert_eq!(readiness.check(), Ok(()));
        let text = metrics.text();
        assert!(
            text.contains("config_reloads_total{result=\"failure\"} 3"),
            "{text}"
        );
        assert!(
            text.contains("config_reloads_total{result=\"success\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn a_late_region_is_substituted() {
        let readiness = Readiness::new();
        let store = Store::new(
            None,
            Arc::new(Metrics::new()),
            readiness.gate("configuration"),
        );
        assert!(matches!(
            store.offer(entries(r#"{"labels": {"region": "<region-id>"}}"#)),
            Taken::Rejected(_)
        ));
        store.set_region("cn-hangzhou".parse().unwrap());
        assert_eq!(
            store.current().unwrap().config.runtimes()[0].labels[0].1,
            "cn-hangzhou"
        );
        assert_eq!(readiness.check(), Ok(()));
    }

    #[test]
    fn an_awaited_region_is_not_an_error() {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Readiness::new());
        let store = Store::new(None, Arc::clone(&metrics), readiness.gate("configuration"));
        store.await_region();
        let bad = r#"{"labels": {"region": "<region-id>"}, "volume": 1}"#;
        let Taken::Rejected(rejected) = store.offer(entries(bad)) else {
            panic!("taken")
        };
        assert_eq!(rejected.to_string(), "a: $.volume: must be a list");
        assert!(!store.waits_for_region());
        let region = r#"{"labels": {"region": "<region-id>"}}"#;
        assert_eq!(store.offer(entries(region)), Taken::Waiting);
        assert_eq!(store.offer(entries(region)), Taken::Same);
        assert!(store.waits_for_region());
        assert!(
            readiness
                .check()
                .unwrap_err()
                .contains("waiting for the region")
        );
        assert!(
            metrics
                .text()
                .contains("config_reloads_total{result=\"failure\"} 1")
        );
        assert_eq!(store.offer(entries("{}")), Taken::Loaded);
        assert!(!store.waits_for_region());
        assert_eq!(store.offer(entries(region)), Taken::Waiting);
        assert!(
            store.current().unwrap().config.runtimes()[0]
                .labels
                .is_empty()
        );
        assert_eq!(readiness.check(), Ok(()));
        store.set_region("cn-hangzhou".parse().unwrap());
        assert_eq!(
            store.current().unwrap().config.runtimes()[0].labels[0].1,
            "cn-hangzhou"
        );
    }
}
