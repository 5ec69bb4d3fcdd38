//! What Linux tells about this process: CPU time, memory, open files, threads.
//!
//! Names and texts are those that Prometheus' client libraries share, so that its stock dashboards and
//! alerts find them. All is read anew for each answer; what cannot be read is left out of it.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, IntGauge};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

const CPU_SECONDS: (&str, &str) =
    ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.");
const MAX_FDS: (&str, &str) = ("process_max_fds", "Maximum number of open file descriptors.");
const OPEN_FDS: (&str, &str) = ("process_open_fds", "Number of open file descriptors.");
const RESIDENT_BYTES: (&str, &str) = ("process_resident_memory_bytes", "Resident memory size in bytes.");
const START_TIME: (&str, &str) =
    ("process_start_time_seconds", "Start time of the process since unix epoch in seconds.");
const THREADS: (&str, &str) = ("process_threads", "Number of OS threads in the process.");
const VIRTUAL_BYTES: (&str, &str) = ("process_virtual_memory_bytes", "Virtual memory size in bytes.");

/// The metrics of this process.
pub(super) struct ProcessCollector {
    descriptions: Vec<Desc>,
    /// Since the epoch. It does not change, and the file that it is reckoned from is long on large machines.
    start_time_seconds: Option<u64>,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let names = [CPU_SECONDS, MAX_FDS, OPEN_FDS, RESIDENT_BYTES, START_TIME, THREADS, VIRTUAL_BYTES];
        let describe = |(name, help): (&str, &str)| {
            Desc::new(name.to_owned(), help.to_owned(), Vec::new(), Default::default())
        };
        Ok(Self {
            descriptions: names.into_iter().map(describe).collect::<Result<_, _>>()?,
            start_time_seconds: start_time_seconds(),
        })
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let stat = Stat::read();
        let gauges = [
            (MAX_FDS, getrlimit(Resource::Nofile).current),
            (OPEN_FDS, open_fds()),
            (RESIDENT_BYTES, stat.as_ref().map(|stat| stat.resident_pages * page_size() as u64)),
            (START_TIME, self.start_time_seconds),
            (THREADS, stat.as_ref().map(|stat| stat.threads)),
            (VIRTUAL_BYTES, stat.as_ref().map(|stat| stat.virtual_bytes)),
        ];
        let cpu_seconds = stat.map(|stat| stat.cpu_ticks / clock_ticks_per_second());
        let known = gauges.into_iter().filter_map(|(names, value)| Some((names, value?)));
        let gauges = known.flat_map(|(names, value)| gauge(names, value));
        cpu_seconds.into_iter().flat_map(|value| counter(CPU_SECONDS, value)).chain(gauges).collect()
    }
}

/// A gauge with its one value, for one answer.
fn gauge((name, help): (&str, &str), value: u64) -> Vec<MetricFamily> {
    IntGauge::new(name, help).map_or_else(
        |_| Vec::new(),
        |gauge| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.collect()
        },
    )
}

/// A counter with its one value, for one answer.
fn counter((name, help): (&str, &str), value: u64) -> Vec<MetricFamily> {
    IntCounter::new(name, help).map_or_else(
        |_| Vec::new(),
        |counter| {
            counter.inc_by(value);
            counter.collect()
        },
    )
}

/// The files that this process has open. Linux 6.2 and later say so; older ones list them.
fn open_fds() -> Option<u64> {
    const OPEN: &str = "/proc/self/fd";
    let size = fs::metadata(OPEN).ok()?.len();
    if size > 0 { Some(size) } else { Some(fs::read_dir(OPEN).ok()?.count() as u64) }
}

fn start_time_seconds() -> Option<u64> {
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let boot_time: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()?;
    Some(boot_time + Stat::read()?.start_ticks / clock_ticks_per_second())
}

/// What is of interest in `/proc/self/stat`; see proc_pid_stat(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    /// After the machine's start.
    start_ticks: u64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&String::from_utf8_lossy(&fs::read("/proc/self/stat").ok()?))
    }

    fn parse(text: &str) -> Option<Self> {
        // The second field is the program's name in brackets, and may hold brackets and spaces itself.
        let (_, rest) = text.rsplit_once(')')?;
        let third_and_more: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| third_and_more.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let text = "71 (a) b (c)) S 1 71 71 0 -1 4194560 900 0 3 0 150 75 0 0 20 0 9 0 4600 8192000 512 \
                    18446744073709551615 1 1 0 0 0 0 0 4096 1260 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
        let stat = Stat {
            cpu_ticks: 225,
            threads: 9,
            start_ticks: 4600,
            virtual_bytes: 8_192_000,
            resident_pages: 512,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("71 (a) S 1 71"), None);
        assert_eq!(Stat::parse(""), None);
    }

    fn value(family: &MetricFamily) -> f64 {
        let metric = &family.get_metric()[0];
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }

    #[test]
    fn each_metric_has_a_value_that_can_be() {
        let families = ProcessCollector::new().unwrap().collect();
        let of = |name: &str| value(families.iter().find(|family| family.name() == name).unwrap());
        assert_eq!(families.len(), 7);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        assert!((now - of("process_start_time_seconds")).abs() < 3600.0, "this test runs for less");
        assert!(of("process_resident_memory_bytes") > 1e6);
        assert!(of("process_virtual_memory_bytes") >= of("process_resident_memory_bytes"));
        assert!(of("process_threads") >= 2.0, "the test's own and the one that started it");
        assert!((3.0..of("process_max_fds")).contains(&of("process_open_fds")));
    }

    #[test]
    fn open_files_are_counted() {
        let before = open_fds().unwrap();
        let files: Vec<_> = (0..200).map(|_| fs::File::open("/proc/self/stat").unwrap()).collect();
        // Other tests open and close some meanwhile.
        assert!(open_fds().unwrap() > before + 100);
        drop(files);
    }
}
