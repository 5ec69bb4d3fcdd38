//! Control of a node's clock and disk syncs while it runs: a small preloaded library that obeys a
//! file.
//!
//! The file is `struct orders` of `shim.c`: eight 64-bit numbers in the machine's byte order. The
//! first is odd while the rig writes the others; the last belongs to the library, which counts the
//! syncs there that it let fail. The wall clock may jump. Drift moves the wall clock and the steady
//! clock alike; when it ends, the steady clock keeps what it gained.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

use crate::RigError;
use crate::tool;

/// The environment variable with the path of the orders.
pub const ORDERS: &str = "KEYMOOT_RIG_ORDERS";

/// The offset of the number of failed syncs.
const FAILED_SYNCS_AT: u64 = 56;

/// Compiles the library into `dir`.
///
/// # Errors
/// When there is no C compiler.
pub fn compile(dir: &Path) -> Result<PathBuf, RigError> {
    let (source, library) = (dir.join("shim.c"), dir.join("shim.so"));
    std::fs::write(&source, include_str!("shim.c")).map_err(RigError::at("write", &source))?;
    let paths = [source.display().to_string(), library.display().to_string()];
    tool::run("cc", &["-shared", "-fPIC", "-O2", "-Wall", "-o", &paths[1], &paths[0], "-ldl"])?;
    Ok(library)
}

/// The orders of one node.
pub struct Orders {
    file: File,
    path: PathBuf,
    serial: u64,
    wall_offset_ns: i64,
    drift_ppm: i64,
    drift_since_ns: i64,
    drifted_ns: i64,
    sync_delay_us: i64,
    sync_errno: i64,
}

impl Orders {
    /// Makes orders that change nothing, in a new file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn make(path: &Path) -> Result<Self, RigError> {
        let file = File::options()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(path)
            .map_err(RigError::at("make", path))?;
        let mut orders = Self {
            file,
            path: path.to_owned(),
            serial: 0,
            wall_offset_ns: 0,
            drift_ppm: 0,
            drift_since_ns: 0,
            drifted_ns: 0,
            sync_delay_us: 0,
            sync_errno: 0,
        };
        orders.file.write_all_at(&[0; 8], FAILED_SYNCS_AT).map_err(RigError::at("write", path))?;
        orders.write()?;
        Ok(orders)
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sets the wall clock's offset from the true time, in milliseconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn jump(&mut self, offset_ms: i64) -> Result<(), RigError> {
        self.wall_offset_ns = offset_ms.saturating_mul(1_000_000);
        self.write()
    }

    /// Makes both clocks run faster by this many parts per million, or slower when negative.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn drift(&mut self, ppm: i64) -> Result<(), RigError> {
        let now_ns = steady_ns();
        self.drifted_ns += (now_ns - self.drift_since_ns) / 1000 * self.drift_ppm / 1000;
        (self.drift_ppm, self.drift_since_ns) = (ppm, now_ns);
        self.write()
    }

    /// Delays each sync by this time; 0 means no delay.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn slow_syncs(&mut self, delay_ms: i64) -> Result<(), RigError> {
        self.sync_delay_us = delay_ms.saturating_mul(1000);
        self.write()
    }

    /// Makes each sync fail as on a broken disk, or no longer.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn break_syncs(&mut self, broken: bool) -> Result<(), RigError> {
        self.sync_errno = if broken { i64::from(rustix::io::Errno::IO.raw_os_error()) } else { 0 };
        self.write()
    }

    /// The number of syncs that have failed by order so far.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn failed_syncs(&self) -> Result<u64, RigError> {
        let mut count = [0; 8];
        self.file.read_exact_at(&mut count, FAILED_SYNCS_AT).map_err(RigError::at("read", &self.path))?;
        Ok(u64::from_ne_bytes(count))
    }

    fn write(&mut self) -> Result<(), RigError> {
        let rest = [
            self.wall_offset_ns,
            self.drift_ppm,
            self.drift_since_ns,
            self.drifted_ns,
            self.sync_delay_us,
            self.sync_errno,
        ];
        let rest: Vec<u8> = rest.iter().flat_map(|number| number.to_ne_bytes()).collect();
        let failed = || RigError::at("write", &self.path);
        self.file.write_all_at(&(self.serial + 1).to_ne_bytes(), 0).map_err(failed())?;
        self.file.write_all_at(&rest, 8).map_err(failed())?;
        self.serial += 2;
        self.file.write_all_at(&self.serial.to_ne_bytes(), 0).map_err(failed())
    }
}

fn steady_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

#[cfg(test)]
mod tests;
