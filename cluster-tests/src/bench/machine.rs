//! The machine on which the figures were measured: its description, and the fsync time of its disk.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::RigError;
use crate::stats::median;

/// The number of fsyncs that are measured.
const TRIES: usize = 100;

/// The time of a durable write of 4 KiB in `dir`, in milliseconds at the median.
///
/// # Errors
/// When the disk cannot be written to.
pub fn fsync_ms(dir: &Path) -> Result<f64, RigError> {
    let path = dir.join("fsync-probe");
    let mut file = File::create(&path).map_err(RigError::at("make", &path))?;
    let block = [0x5a_u8; 4096];
    let mut times_ms = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let began = Instant::now();
        file.seek(SeekFrom::End(0)).map_err(RigError::at("write", &path))?;
        file.write_all(&block).map_err(RigError::at("write", &path))?;
        file.sync_data().map_err(RigError::at("sync", &path))?;
        times_ms.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(&times_ms))
}

/// The file system of a directory: type and device.
pub fn disk(dir: &Path) -> String {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mount = |line: &str| {
        let mut fields = line.split(' ').map(str::to_owned);
        Some((fields.next()?, fields.next()?, fields.next()?))
    };
    let holds = mounts.lines().filter_map(mount).filter(|(_, at, _)| dir.starts_with(at));
    let nearest = holds.max_by_key(|(_, at, _)| at.len());
    nearest.map_or_else(|| "unknown".to_owned(), |(device, _, kind)| format!("{kind} on {device}"))
}

/// Processor, cores, memory and kernel.
pub fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    json!({
        "processor": value(&cpu, "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": value(&memory, "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
