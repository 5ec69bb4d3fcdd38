//! Latency statistics: a histogram with three significant digits, and medians.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies from a microsecond to two minutes; longer ones count as two minutes.
#[derive(Clone)]
pub struct Latencies {
    micros: Histogram<u64>,
}

const MICROS_MAX: u64 = 120_000_000;

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

impl Latencies {
    /// An empty histogram.
    #[expect(clippy::missing_panics_doc, reason = "the bounds are constants that the histogram accepts")]
    pub fn new() -> Self {
        #[expect(clippy::expect_used, reason = "1, 120 000 000 and 3 digits are bounds it accepts")]
        let micros = Histogram::new_with_bounds(1, MICROS_MAX, 3).expect("constant bounds are valid");
        Self { micros }
    }

    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(MICROS_MAX);
        self.micros.saturating_record(micros.clamp(1, MICROS_MAX));
    }

    /// Adds all latencies of another histogram.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds, so adding cannot fail.
        let _ = self.micros.add(&other.micros);
    }

    /// The number of latencies.
    pub fn count(&self) -> u64 {
        self.micros.len()
    }

    /// The latency that `percent` of the requests did not exceed, in milliseconds.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        to_ms(self.micros.value_at_percentile(percent))
    }

    /// The longest latency, in milliseconds.
    pub fn max_ms(&self) -> f64 {
        to_ms(self.micros.max())
    }
}

/// The precision lost above 2^53 µs does not matter for a latency.
#[expect(clippy::cast_precision_loss, reason = "a latency in µs is far below 2^53")]
fn to_ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// The middle value, or the mean of the two in the middle; 0 when there are no values.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    if sorted.len() % 2 == 1 { at(middle) } else { (at(middle.wrapping_sub(1)) + at(middle)) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        assert_eq!(latencies.count(), 1000);
        assert!((latencies.percentile_ms(50.0) - 500.0).abs() <= 0.5);
        assert!((latencies.percentile_ms(99.0) - 990.0).abs() <= 1.0);
        assert!((latencies.max_ms() - 1000.0).abs() <= 1.0);
    }

    #[test]
    fn merging_counts_both() {
        let (mut a, mut b) = (Latencies::new(), Latencies::new());
        a.record(Duration::from_millis(1));
        b.record(Duration::from_secs(500));
        a.merge(&b);
        assert_eq!(a.count(), 2);
        assert!((a.max_ms() - 120_000.0).abs() < 200.0);
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert!((median(&[9.0, 1.0, 5.0]) - 5.0).abs() < 1e-9);
        assert!((median(&[4.0, 1.0, 2.0, 9.0]) - 3.0).abs() < 1e-9);
        assert!(median(&[]).abs() < 1e-9);
    }
}
