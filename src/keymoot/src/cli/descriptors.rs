//! Open files: as many as the system allows, and who gets them.
//!
//! Clients can open as many connections as they like, and each takes a descriptor. So they get what is left
//! when tables, peers, log and administration have theirs: a flood of clients then closes no node off
//! from the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use keymoot_cluster::table_files_max;

/// For peers and snapshots to and from them, the log, joining, administration and what the runtime needs.
const RESERVED: u64 = 192;
/// Without any bound by the system.
const PLENTY: u64 = 1_048_576;
/// The fewest connections that a worker makes sense with.
const PER_WORKER_MIN: u64 = 16;

/// How many connections the listeners hold open at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Connections {
    /// All workers of the API together.
    pub api: usize,
    /// The packagers' listener.
    pub packagers: usize,
}

/// Raises the limit on open files as far as the system lets it, and says how many there may be.
pub(super) fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (Some(soft), hard) = (limit.current, limit.maximum.unwrap_or(PLENTY)) else { return PLENTY };
    if soft >= hard {
        return soft;
    }
    let raised = Rlimit { current: Some(hard), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::info!(from = soft, to = hard, "the limit on open files is raised");
            hard
        }
        Err(error) => {
            tracing::warn!(%error, limit = soft, "the limit on open files cannot be raised; set it with ulimit -n or LimitNOFILE=");
            soft
        }
    }
}

/// How many may be open after a node has raised the limit.
pub(super) fn attainable() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// The share of the clients in so many open files.
pub(super) fn connections(files: u64, config: &Config) -> Connections {
    let tables = 2 * table_files_max(Some(files)) as u64;
    let mut left = files.saturating_sub(RESERVED + tables);
    if asks_others(config) {
        // A request may ask a server elsewhere, by a connection of its own.
        left /= 2;
    }
    let packagers = if config.packager.listen.is_some() { (left / 8).max(PER_WORKER_MIN) } else { 0 };
    let workers = config.http.worker_threads() as u64;
    let most = config.http.connections_per_worker_max as u64;
    let per_worker = |left: u64| left.clamp(PER_WORKER_MIN, most);
    let api = per_worker(left.saturating_sub(packagers) / workers) * workers;
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Connections { api: size(api), packagers: size(packagers.min(most)) }
}

fn asks_others(config: &Config) -> bool {
    config.license.entitlements_file.is_some() || config.license_servers.names_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(files: u64, change: impl FnOnce(&mut Config)) -> Connections {
        let mut config = Config::default();
        config.http.workers = 2;
        change(&mut config);
        connections(files, &config)
    }

    #[test]
    fn clients_get_what_peers_and_tables_leave() {
        let with_packagers = |config: &mut Config| config.packager.listen = Some(([127, 0, 0, 1], 1).into());
        assert_eq!(shares(1024, |_| ()), Connections { api: 576, packagers: 0 });
        assert_eq!(shares(1024, with_packagers), Connections { api: 504, packagers: 72 });
        let asking = |config: &mut Config| config.license.entitlements_file = Some("a".into());
        assert_eq!(shares(1024, asking), Connections { api: 288, packagers: 0 });
        assert_eq!(shares(262_144, with_packagers), Connections { api: 20_000, packagers: 10_000 });
        assert_eq!(
            shares(64, with_packagers),
            Connections { api: 32, packagers: 16 },
            "some, whatever comes"
        );
    }
}
