//! How metrics are declared: a row each, and each kind with its options and its buckets.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Makes the struct of all metrics, a field for each row: its name is the metric's, its documentation begins
/// with the metric's help. A row's kind is a method of [`Declare`]; labels stand behind `by`.
macro_rules! metrics {
    ($($(#[$more:meta])* $visible:vis $name:ident: $kind:ident($help:literal $(, by $($label:literal),+)?);)*) => {
        /// All metrics. Cloning shares them.
        #[derive(Clone)]
        pub struct Metrics {
            registry: prometheus::Registry,
            process: prometheus::Registry,
            $(#[doc = $help] #[doc = ""] $(#[$more])* $visible $name: $crate::declare::kind!($kind),)*
        }

        impl Metrics {
            fn declare(
                registry: prometheus::Registry,
                process: prometheus::Registry,
            ) -> Result<Self, prometheus::Error> {
                let declare = $crate::declare::Declare { registry: &registry };
                $(let $name = declare.$kind(stringify!($name), $help $(, &[$($label),+])?)?;)*
                Ok(Self { registry, process, $($name),* })
            }
        }
    };
}

/// The type of a metric of this kind.
macro_rules! kind {
    (counter) => {
        prometheus::IntCounter
    };
    (counters) => {
        prometheus::IntCounterVec
    };
    (gauge) => {
        prometheus::IntGauge
    };
    (decimal) => {
        prometheus::Gauge
    };
    (gauges) => {
        prometheus::IntGaugeVec
    };
    (seconds) => {
        prometheus::Histogram
    };
    (counts) => {
        prometheus::Histogram
    };
    (histograms) => {
        prometheus::HistogramVec
    };
}

pub(super) use {kind, metrics};

/// Buckets for what should take microseconds to seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Buckets for how many things went together.
const COUNTS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Declares metrics on one registry, whose prefix they get.
pub(super) struct Declare<'r> {
    pub(super) registry: &'r Registry,
}

impl Declare<'_> {
    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    pub(super) fn decimal(&self, name: &str, help: &str) -> Result<Gauge, prometheus::Error> {
        self.register(Gauge::new(name, help)?)
    }

    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    pub(super) fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    pub(super) fn seconds(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?)
    }

    pub(super) fn counts(&self, name: &str, help: &str) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(COUNTS.to_vec()))?)
    }

    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
        self.register(HistogramVec::new(options, labels)?)
    }
}
