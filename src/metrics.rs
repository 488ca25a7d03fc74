//! The metrics of the process: one registry, typed handles, and their text in the OpenMetrics
//! format.
//!
//! Every name starts with `sandbox_injector_`. Labels are enums or runtime names from the
//! configuration, so the number of series is bounded; a pod's name, namespace or contents must
//! never become a label. Nothing here is fallible and nothing on the path of a request takes a
//! lock.

mod histogram;
mod labels;

use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use self::histogram::Histogram;
use self::labels::Label;
pub use self::labels::{Admission, Lookup, Reload};

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One counter per member of a label enum, made at start so that counting is one atomic addition.
/// Cloning shares them.
struct Counters<L> {
    counts: Arc<[Counter]>,
    label: PhantomData<L>,
}

/// Which configuration is loaded: runtime and digest. Cloning shares it.
#[derive(Debug, Clone, Default)]
struct ConfigInfo(Arc<Mutex<Vec<(String, String)>>>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuntimeLabel {
    runtime: String,
}

/// The counters of one runtime. Cloning shares them.
#[derive(Debug, Clone)]
pub struct RuntimeMetrics {
    injections: Counter,
    conflicts: Counter,
}

/// The handles through which everything is counted.
pub struct Metrics {
    admissions: Counters<Admission>,
    duration: Histogram,
    injections: Family<RuntimeLabel, Counter>,
    conflicts: Family<RuntimeLabel, Counter>,
    lookups: Counters<Lookup>,
    config_info: ConfigInfo,
    config_reloads: Counters<Reload>,
    config_last_success: Gauge<f64, AtomicU64>,
    tls_not_before: Gauge<i64, AtomicI64>,
    tls_not_after: Gauge<i64, AtomicI64>,
    tls_reloads: Counters<Reload>,
    connections: Gauge,
    in_flight: Gauge,
    registry: Registry,
}

/// Counts one up in a gauge until it is dropped.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct GaugeGuard(Gauge);

impl Metrics {
    /// A registry with every metric in it. Counters with a bounded label start at zero, so that
    /// `rate()` sees the first event. The library appends `_total` to the name of a counter.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sandbox_injector");
        let all = &mut registry;
        let build: Family<[(&'static str, &'static str); 1], Gauge> =
            family(all, "build_info", "The version of this program");
        build
            .get_or_create(&[("version", env!("CARGO_PKG_VERSION"))])
            .set(1);
        Self {
            admissions: family(all, "admission_requests", "Webhook requests by outcome"),
            duration: family(
                all,
                "admission_duration_seconds",
                "Time from the request's head to its answer",
            ),
            injections: family(all, "injections", "Pods into which a runtime was injected"),
            conflicts: family(all, "conflicts", "Pods with a conflict, by runtime"),
            lookups: family(all, "lookups", "Look-ups of custom resources by result"),
            config_info: family(all, "config_info", "The runtimes in use and their digests"),
            config_reloads: family(all, "config_reloads", "Configuration reloads by result"),
            config_last_success: family(
                all,
                "config_last_success_timestamp_seconds",
                "When the configuration in use was loaded",
            ),
            tls_not_before: family(
                all,
                "tls_certificate_not_before_timestamp_seconds",
                "When the serving certificate becomes valid",
            ),
            tls_not_after: family(
                all,
                "tls_certificate_not_after_timestamp_seconds",
                "When the serving certificate expires",
            ),
            tls_reloads: family(
                all,
                "tls_reloads",
                "Certificate and client CA reloads by result",
            ),
            connections: family(all, "connections", "Open HTTPS connections"),
            in_flight: family(all, "in_flight_requests", "HTTPS requests being answered"),
            registry,
        }
    }

    /// One request was answered, `elapsed` after its head was read.
    pub fn admission(&self, outcome: Admission, elapsed: Duration) {
        self.admissions[outcome].inc();
        self.duration.observe(elapsed);
    }

    /// The counters of a runtime, to be kept beside the compiled runtime: finding them takes a
    /// lock, using them does not. `runtime` must be a key of the configuration.
    #[must_use]
    pub fn runtime(&self, runtime: &str) -> RuntimeMetrics {
        let label = RuntimeLabel {
            runtime: runtime.to_owned(),
        };
        RuntimeMetrics {
            injections: self.injections.get_or_create(&label).clone(),
            conflicts: self.conflicts.get_or_create(&label).clone(),
        }
    }

    /// A look-up, or an attempt at one, ended.
    pub fn lookup(&self, result: Lookup) {
        self.lookups[result].inc();
    }

    /// A configuration was loaded; its runtimes and digests replace the ones shown before.
    pub fn config_loaded<R, D>(&self, runtimes: impl IntoIterator<Item = (R, D)>)
    where
        R: Into<String>,
        D: Into<String>,
    {
        let runtimes = runtimes
            .into_iter()
            .map(|(runtime, digest)| (runtime.into(), digest.into()))
            .collect();
        *self
            .config_info
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = runtimes;
        self.config_reloads[Reload::Success].inc();
        self.config_last_success
            .set(seconds_since_epoch(SystemTime::now()));
    }

    /// A configuration was rejected.
    pub fn config_rejected(&self) {
        self.config_reloads[Reload::Failure].inc();
    }

    /// The validity of the serving certificate in use, in seconds since the epoch.
    pub fn certificate(&self, not_before: i64, not_after: i64) {
        self.tls_not_before.set(not_before);
        self.tls_not_after.set(not_after);
    }

    /// A certificate or client CA was read again.
    pub fn tls_reload(&self, result: Reload) {
        self.tls_reloads[result].inc();
    }

    /// Counts an open connection for as long as the guard lives.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    /// Counts a request being answered for as long as the guard lives.
    pub fn in_flight(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight)
    }

    /// All metrics in the OpenMetrics format, whose media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A new metric, of which the registry keeps the other handle.
fn family<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn seconds_since_epoch(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

impl RuntimeMetrics {
    /// The runtime was injected into a pod.
    pub fn injection(&self) {
        self.injections.inc();
    }

    /// The runtime did not fit a pod.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }
}

impl GaugeGuard {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl<L: Label> Index<L> for Counters<L> {
    type Output = Counter;

    fn index(&self, label: L) -> &Counter {
        &self.counts[label.position()]
    }
}

impl<L: Label> Default for Counters<L> {
    fn default() -> Self {
        Self {
            counts: L::ALL.iter().map(|_| Counter::default()).collect(),
            label: PhantomData,
        }
    }
}

impl<L> Clone for Counters<L> {
    fn clone(&self) -> Self {
        Self {
            counts: Arc::clone(&self.counts),
            label: PhantomData,
        }
    }
}

impl<L: Label> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (label, counter) in L::ALL.iter().zip(self.counts.iter()) {
            let labels = [(L::NAME, label.text())];
            counter.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

impl<L> fmt::Debug for Counters<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counters")
    }
}

impl EncodeMetric for ConfigInfo {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (runtime, digest) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let labels = [("runtime", runtime.as_str()), ("digest", digest.as_str())];
            encoder.encode_family(&labels)?.encode_gauge(&1_i64)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    #[test]
    fn the_text_is_openmetrics() {
        let text = Metrics::new().text();
        let family = "# HELP sandbox_injector_admission_requests Webhook requests by outcome.\n\
                      # TYPE sandbox_injector_admission_requests counter\n\
                      sandbox_injector_admission_requests_total{outcome=";
        assert!(text.contains(family), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn every_outcome_starts_at_zero() {
        let text = Metrics::new().text();
        for outcome in Admission::ALL {
            let series = format!(
                "sandbox_injector_admission_requests_total{{outcome=\"{}\"}}",
                outcome.as_str()
            );
            assert_eq!(value(&text, &series), Some(0.0), "{series}");
        }
    }

    #[test]
    fn a_loaded_configuration_replaces_the_one_before() {
        let metrics = Metrics::new();
        metrics.config_loaded([("csi", "aaa"), ("agent-runtime", "bbb")]);
        metrics.config_loaded([("csi", "ccc")]);
        let text = metrics.text();
        assert_eq!(
            value(
                &text,
                "sandbox_injector_config_info{runtime=\"csi\",digest=\"ccc\"}"
            ),
            Some(1.0)
        );
        assert_eq!(text.matches("sandbox_injector_config_info{").count(), 1);
        assert_eq!(
            value(
                &text,
                "sandbox_injector_config_reloads_total{result=\"success\"}"
            ),
            Some(2.0)
        );
        assert!(
            value(
                &text,
                "sandbox_injector_config_last_success_timestamp_seconds"
            )
            .is_some_and(|t| t > 1e9)
        );
    }

    #[test]
    fn the_duration_histogram_resolves_25_microseconds() {
        let metrics = Metrics::new();
        metrics.admission(Admission::Injected, Duration::from_micros(25));
        metrics.admission(Admission::Injected, Duration::from_micros(26));
        let text = metrics.text();
        let bucket = |le: &str| {
            value(
                &text,
                &format!("sandbox_injector_admission_duration_seconds_bucket{{le=\"{le}\"}}"),
            )
        };
        assert_eq!(bucket("0.000025"), Some(1.0), "{text}");
        assert_eq!(bucket("0.00005"), Some(2.0), "{text}");
        assert_eq!(bucket("+Inf"), Some(2.0), "{text}");
        assert_eq!(
            value(&text, "sandbox_injector_admission_duration_seconds_count"),
            Some(2.0)
        );
        let sum = value(&text, "sandbox_injector_admission_duration_seconds_sum").unwrap();
        assert!((sum - 51e-6).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn guards_count_down_when_dropped() {
        let metrics = Metrics::new();
        let first = metrics.connection();
        let second = metrics.connection();
        drop(first);
        assert_eq!(
            value(&metrics.text(), "sandbox_injector_connections"),
            Some(1.0)
        );
        drop(second);
        assert_eq!(
            value(&metrics.text(), "sandbox_injector_connections"),
            Some(0.0)
        );
    }

    #[test]
    fn handles_of_one_runtime_share_their_counters() {
        let metrics = Metrics::new();
        metrics.runtime("csi").injection();
        metrics.runtime("csi").injection();
        metrics.runtime("csi").conflict();
        let text = metrics.text();
        assert_eq!(
            value(&text, "sandbox_injector_injections_total{runtime=\"csi\"}"),
            Some(2.0)
        );
        assert_eq!(
            value(&text, "sandbox_injector_conflicts_total{runtime=\"csi\"}"),
            Some(1.0)
        );
    }
}
