//! The metrics of the process: one registry, typed handles, the Prometheus text.
//!
//! Every name starts with `sandbox_injector_`. Labels are enums or runtime names from the configuration, so the
//! number of series is bounded; a pod's name, namespace or contents must never become a label. Nothing here is
//! fallible and nothing on the path of a request takes a lock.

mod histogram;
mod labels;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use self::histogram::Histogram;
pub use self::labels::{Lookup, Outcome, Reload};

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One counter a member of a label enum, made at start so that counting is one atomic addition.
struct Counters<L: 'static> {
    all: &'static [L],
    text: fn(L) -> &'static str,
    label: &'static str,
    counts: Vec<Counter>,
}

/// [`Counters`], shared with the registry.
struct Shared<T>(Arc<T>);

/// Which configuration is loaded: runtime and digest.
struct ConfigInfo(Mutex<Vec<(String, String)>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuntimeLabel {
    runtime: String,
}

/// The counters of one runtime. Cloning shares them.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    injections: Counter,
    conflicts: Counter,
}

/// The handles through which everything is counted.
pub struct Metrics {
    registry: Registry,
    admissions: Arc<Counters<Outcome>>,
    duration: Arc<Histogram>,
    injections: Family<RuntimeLabel, Counter>,
    conflicts: Family<RuntimeLabel, Counter>,
    lookups: Arc<Counters<Lookup>>,
    config_info: Arc<ConfigInfo>,
    config_reloads: Arc<Counters<Reload>>,
    config_last_success: Gauge<f64, AtomicU64>,
    tls_not_before: Gauge<i64, AtomicI64>,
    tls_not_after: Gauge<i64, AtomicI64>,
    tls_reloads: Arc<Counters<Reload>>,
    connections: Gauge,
    in_flight: Gauge,
}

/// Counts one up in a gauge until it is dropped.
#[derive(Debug)]
#[must_use = "the gauge goes down again when this is dropped"]
pub struct Counted(Gauge);

// === impl Metrics ===

impl Metrics {
    /// A registry with every metric in it. Counters with a bounded label start at zero, so that `rate()` sees the
    /// first event.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sandbox_injector");
        let admissions = Counters::new("outcome", Outcome::ALL, Outcome::as_str);
        registry.register(
            "admission_requests",
            "Webhook requests by outcome",
            Shared(Arc::clone(&admissions)),
        );
        let duration = Arc::new(Histogram::default());
        registry.register(
            "admission_duration_seconds",
            "Time from the request's head to its answer",
            Shared(Arc::clone(&duration)),
        );
        let injections = Family::<RuntimeLabel, Counter>::default();
        registry.register("injections", "Pods into which a runtime was injected", injections.clone());
        let conflicts = Family::<RuntimeLabel, Counter>::default();
        registry.register("conflicts", "Pods with a conflict, by runtime", conflicts.clone());
        let lookups = Counters::new("result", Lookup::ALL, Lookup::as_str);
        registry.register("lookups", "Look-ups of custom resources by result", Shared(Arc::clone(&lookups)));
        let config_info = Arc::new(ConfigInfo(Mutex::default()));
        registry.register(
            "config_info",
            "The runtimes in use and their digests",
            Shared(Arc::clone(&config_info)),
        );
        let config_reloads = Counters::new("result", Reload::ALL, Reload::as_str);
        registry.register(
            "config_reloads",
            "Configuration reloads by result",
            Shared(Arc::clone(&config_reloads)),
        );
        let config_last_success = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "config_last_success_timestamp_seconds",
            "When the configuration in use was loaded",
            config_last_success.clone(),
        );
        let tls_not_before = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "tls_certificate_not_before_timestamp_seconds",
            "When the serving certificate becomes valid",
            tls_not_before.clone(),
        );
        let tls_not_after = Gauge::<i64, AtomicI64>::default();
        registry.register(
            "tls_certificate_not_after_timestamp_seconds",
            "When the serving certificate expires",
            tls_not_after.clone(),
        );
        let tls_reloads = Counters::new("result", Reload::ALL, Reload::as_str);
        registry.register(
            "tls_reloads",
            "Certificate and client CA reloads by result",
            Shared(Arc::clone(&tls_reloads)),
        );
        let connections = Gauge::default();
        registry.register("connections", "Open HTTPS connections", connections.clone());
        let in_flight = Gauge::default();
        registry.register("in_flight_requests", "HTTPS requests being answered", in_flight.clone());
        let build = Family::<[(&'static str, &'static str); 1], Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build_info", "The version of this program", build);

        Self {
            registry,
            admissions,
            duration,
            injections,
            conflicts,
            lookups,
            config_info,
            config_reloads,
            config_last_success,
            tls_not_before,
            tls_not_after,
            tls_reloads,
            connections,
            in_flight,
        }
    }

    /// One request was answered, `elapsed` after its head was read.
    pub fn admission(&self, outcome: Outcome, elapsed: Duration) {
        self.admissions.add(outcome as usize);
        self.duration.observe(elapsed);
    }

    /// The counters of a runtime, to be kept beside the compiled runtime: finding them takes a lock, using them
    /// does not. `runtime` must be a key of the configuration.
    #[must_use]
    pub fn runtime(&self, runtime: &str) -> RuntimeMetrics {
        let label = RuntimeLabel { runtime: runtime.to_owned() };
        RuntimeMetrics {
            injections: self.injections.get_or_create(&label).clone(),
            conflicts: self.conflicts.get_or_create(&label).clone(),
        }
    }

    /// A look-up ended so.
    pub fn lookup(&self, result: Lookup) {
        self.lookups.add(result as usize);
    }

    /// A configuration was taken into use; its runtimes and digests replace the ones shown before.
    pub fn config_loaded<R, D>(&self, runtimes: impl IntoIterator<Item = (R, D)>)
    where
        R: Into<String>,
        D: Into<String>,
    {
        let runtimes =
            runtimes.into_iter().map(|(runtime, digest)| (runtime.into(), digest.into())).collect();
        *self.config_info.0.lock().unwrap_or_else(PoisonError::into_inner) = runtimes;
        self.config_reloads.add(Reload::Success as usize);
        self.config_last_success.set(seconds_since_epoch(SystemTime::now()));
    }

    /// A configuration was refused.
    pub fn config_rejected(&self) {
        self.config_reloads.add(Reload::Failure as usize);
    }

    /// The validity of the serving certificate in use, in seconds since the epoch.
    pub fn certificate(&self, not_before: i64, not_after: i64) {
        self.tls_not_before.set(not_before);
        self.tls_not_after.set(not_after);
    }

    /// A certificate or client authority was read again.
    pub fn tls_reload(&self, result: Reload) {
        self.tls_reloads.add(result as usize);
    }

    /// Counts an open connection for as long as the guard lives.
    pub fn connection(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request being answered for as long as the guard lives.
    pub fn in_flight(&self) -> Counted {
        Counted::new(&self.in_flight)
    }

    /// All metrics in the Prometheus text format 0.0.4, whose media type is [`CONTENT_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut open_metrics = String::with_capacity(8 * 1024);
        // Writing to a String cannot fail.
        let _ = text::encode(&mut open_metrics, &self.registry);
        prometheus_text(&open_metrics)
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

/// OpenMetrics names a counter without `_total` in its comments and ends with a mark; the older text format, which
/// every scraper and checker reads, does neither.
fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len() + 256);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            break;
        }
        let is_counter = |name: &str, line: &str| {
            line.strip_prefix("# TYPE ")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest == " counter")
        };
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))
            && lines.peek().is_some_and(|next| is_counter(name, next))
        {
            text.extend(["# HELP ", name, "_total ", help, "\n", "# TYPE ", name, "_total counter\n"]);
            lines.next();
            continue;
        }
        text.extend([line, "\n"]);
    }
    text
}

fn seconds_since_epoch(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

// === impl RuntimeMetrics ===

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

// === impl Counted ===

impl Counted {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

// === impl Counters ===

impl<L: Copy> Counters<L> {
    fn new(label: &'static str, all: &'static [L], text: fn(L) -> &'static str) -> Arc<Self> {
        Arc::new(Self { all, text, label, counts: all.iter().map(|_| Counter::default()).collect() })
    }

    fn add(&self, index: usize) {
        if let Some(counter) = self.counts.get(index) {
            counter.inc();
        }
    }
}

impl<L: Copy> EncodeMetric for Counters<L> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (member, counter) in self.all.iter().zip(&self.counts) {
            let labels = [(self.label, (self.text)(*member))];
            counter.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

// === impl ConfigInfo ===

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

// === impl Shared ===

impl<T: EncodeMetric> EncodeMetric for Shared<T> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        self.0.metric_type()
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str, series: &str) -> Option<f64> {
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    #[test]
    fn counters_carry_their_full_name_in_the_comments_too() {
        let text = Metrics::new().text();
        assert!(text.contains("# TYPE sandbox_injector_admission_requests_total counter\n"), "{text}");
        assert!(text.contains("# HELP sandbox_injector_admission_requests_total Webhook requests"), "{text}");
        assert!(!text.contains("# EOF"));
    }

    #[test]
    fn every_outcome_starts_at_zero() {
        let text = Metrics::new().text();
        for outcome in Outcome::ALL {
            let series =
                format!("sandbox_injector_admission_requests_total{{outcome=\"{}\"}}", outcome.as_str());
            assert_eq!(value(&text, &series), Some(0.0), "{series}");
        }
    }

    #[test]
    fn a_loaded_configuration_replaces_the_one_before() {
        let metrics = Metrics::new();
        metrics.config_loaded([("csi", "aaa"), ("agent-runtime", "bbb")]);
        metrics.config_loaded([("csi", "ccc")]);
        let text = metrics.text();
        assert_eq!(value(&text, "sandbox_injector_config_info{runtime=\"csi\",digest=\"ccc\"}"), Some(1.0));
        assert_eq!(text.matches("sandbox_injector_config_info{").count(), 1);
        assert_eq!(value(&text, "sandbox_injector_config_reloads_total{result=\"success\"}"), Some(2.0));
        assert!(
            value(&text, "sandbox_injector_config_last_success_timestamp_seconds").is_some_and(|t| t > 1e9)
        );
    }

    #[test]
    fn the_duration_histogram_resolves_25_microseconds() {
        let metrics = Metrics::new();
        metrics.admission(Outcome::Injected, Duration::from_micros(25));
        metrics.admission(Outcome::Injected, Duration::from_micros(26));
        let text = metrics.text();
        let bucket = |le: &str| {
            value(&text, &format!("sandbox_injector_admission_duration_seconds_bucket{{le=\"{le}\"}}"))
        };
        assert_eq!(bucket("0.000025"), Some(1.0), "{text}");
        assert_eq!(bucket("0.00005"), Some(2.0), "{text}");
        assert_eq!(bucket("+Inf"), Some(2.0), "{text}");
        assert_eq!(value(&text, "sandbox_injector_admission_duration_seconds_count"), Some(2.0));
        let sum = value(&text, "sandbox_injector_admission_duration_seconds_sum").unwrap();
        assert!((sum - 51e-6).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn guards_count_down_when_dropped() {
        let metrics = Metrics::new();
        let first = metrics.connection();
        let second = metrics.connection();
        drop(first);
        assert_eq!(value(&metrics.text(), "sandbox_injector_connections"), Some(1.0));
        drop(second);
        assert_eq!(value(&metrics.text(), "sandbox_injector_connections"), Some(0.0));
    }

    #[test]
    fn handles_of_one_runtime_share_their_counters() {
        let metrics = Metrics::new();
        metrics.runtime("csi").injection();
        metrics.runtime("csi").injection();
        metrics.runtime("csi").conflict();
        let text = metrics.text();
        assert_eq!(value(&text, "sandbox_injector_injections_total{runtime=\"csi\"}"), Some(2.0));
        assert_eq!(value(&text, "sandbox_injector_conflicts_total{runtime=\"csi\"}"), Some(1.0));
    }
}
