//! Resource usage of processes: CPU time, and bytes written to disks, as the kernel counts them.

use std::path::PathBuf;

use rustix::param::clock_ticks_per_second;

use crate::RigError;

/// The usage up to a moment or between two.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time in user and kernel mode, in seconds.
    pub cpu_s: f64,
    /// Bytes written to disks.
    pub written_bytes: u64,
}

impl Usage {
    /// The usage of these processes so far, in total.
    ///
    /// # Errors
    /// When one of them has ended.
    pub fn of(pids: &[u32]) -> Result<Self, RigError> {
        let mut whole = Self::default();
        for pid in pids {
            whole.cpu_s += cpu_s(&read(*pid, "stat")?)?;
            whole.written_bytes += written_bytes(&read(*pid, "io")?)?;
        }
        Ok(whole)
    }

    /// The usage since an earlier moment.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu_s: self.cpu_s - earlier.cpu_s,
            written_bytes: self.written_bytes.saturating_sub(earlier.written_bytes),
        }
    }
}

fn read(pid: u32, name: &str) -> Result<String, RigError> {
    let path = PathBuf::from(format!("/proc/{pid}/{name}"));
    std::fs::read_to_string(&path).map_err(RigError::at("read", &path))
}

/// User and system time are the 14th and 15th field; the 2nd is a name that may hold spaces.
#[expect(clippy::cast_precision_loss, reason = "ticks of a benchmark are far below 2^53")]
fn cpu_s(stat: &str) -> Result<f64, RigError> {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok((user + system) as f64 / clock_ticks_per_second() as f64),
        _ => Err(RigError::Answer("/proc/PID/stat has no times".to_owned())),
    }
}

fn written_bytes(io: &str) -> Result<u64, RigError> {
    let value = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok());
    value.ok_or_else(|| RigError::Answer("/proc/PID/io has no write_bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let stat = "77 (a name) with) S 1 77 77 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 100 0 0";
        let per_second = clock_ticks_per_second() as f64;
        assert!((cpu_s(stat).unwrap() - 300.0 / per_second).abs() < 1e-9);
        assert!(cpu_s("77 (x) S").is_err());
        assert_eq!(written_bytes("rchar: 5\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n").unwrap(), 4096);
        let before = Usage::of(&[std::process::id()]).unwrap();
        let used = Usage::of(&[std::process::id()]).unwrap().since(before);
        assert!(used.cpu_s >= 0.0 && used.cpu_s < 5.0);
    }
}
