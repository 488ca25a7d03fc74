//! A histogram of durations in atomics.
//!
//! The client library's own takes a mutex for each observation, on which every request would meet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds of the buckets in microseconds: about two per doubling where answers usually are,
/// up to the longest time-out that is common.
const BOUNDS_US: [u64; 18] = [
    25, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000,
    1_000_000, 5_000_000, 10_000_000,
];

/// Durations counted by bucket. Readers may see an observation in one part before another; the text
/// is still consistent, for the count is the sum of what the buckets showed.
/// Cloning shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Histogram(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    buckets: [AtomicU64; BOUNDS_US.len()],
    beyond: AtomicU64,
    sum_ns: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub(super) fn observe(&self, elapsed: Duration) {
        let index = BOUNDS_US.partition_point(|bound| Duration::from_micros(*bound) < elapsed);
        let Buckets {
            buckets,
            beyond,
            sum_ns,
        } = &*self.0;
        buckets
            .get(index)
            .unwrap_or(beyond)
            .fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        sum_ns.fetch_add(ns, Ordering::Relaxed);
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(BOUNDS_US.len() + 1);
        for (bound, bucket) in BOUNDS_US.iter().zip(&self.0.buckets) {
            let seen = bucket.load(Ordering::Relaxed);
            count += seen;
            buckets.push((seconds(*bound, 1e6), seen));
        }
        let beyond = self.0.beyond.load(Ordering::Relaxed);
        count += beyond;
        // The encoder adds the buckets up by itself.
        buckets.push((f64::INFINITY, beyond));
        let sum = seconds(self.0.sum_ns.load(Ordering::Relaxed), 1e9);
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

/// `amount` of a unit of which `per_second` make a second. Dividing, not multiplying, gives the
/// shortest decimals.
#[allow(
    clippy::cast_precision_loss,
    reason = "a sum beyond 2^53 ns has digits enough"
)]
fn seconds(amount: u64, per_second: f64) -> f64 {
    amount as f64 / per_second
}
