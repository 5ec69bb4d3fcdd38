//! `keymoot dev`: a whole cluster on this machine, each node a process of its own.
//!
//! Everything lives in one directory, which is reused at the next start: CA, certificates,
//! keyring, signing keys, configuration and data. Nothing outside of it is written. The nodes
//! end with this process, whatever ends it; a node that ends alone is started again, so that
//! one can be killed to see what happens.

mod bring_up;
mod demo;
mod demo_page;
mod directory;
mod manifest;
mod materials;
mod node_process;
mod ports;
mod report;
mod supervise;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use directory::DevDirectory;
use keymoot_command::Failure;
use supervise::Cluster;

pub use ports::free_port;

/// The account that every development cluster has.
const DEMO_ACCOUNT: &str = "demo";
/// The operator whose commands are typed with the nodes' configurations.
const OPERATOR: &str = "dev";
/// The partner that the demo account is to packagers that cannot sign.
const DEMO_PARTNER: &str = "437";
/// The `ca_system` of the demo account's requests.
const DEMO_CA_SYSTEM: &str = "OVP";

/// `keymoot dev`.
#[derive(Clone, Debug, Args)]
pub struct DevArgs {
    /// Where the cluster lives; reused when it exists.
    #[arg(long, value_name = "DIR", default_value = ".keymoot/dev")]
    pub dir: PathBuf,
    /// Delete the cluster that lives there, with all its keys, and begin anew.
    #[arg(long)]
    pub fresh: bool,
    /// Serve the API over HTTPS, with a certificate of the cluster's CA for localhost.
    #[arg(long)]
    pub tls: bool,
    /// The first API port; operators use the ports 500 above, peers those 1000 above. 0 picks free ports. A directory keeps
    /// its ports; a new one begins at 8081.
    #[arg(long, value_name = "PORT")]
    pub base_port: Option<u16>,
    /// Serve packagers that cannot sign, too: a listener of its own at each node, 100 ports above the API's, for the demo
    /// account as partner 437. For nodes of one machine only.
    #[arg(long)]
    pub packager: bool,
    /// How many nodes. A directory keeps its number; a new one has 3.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=9))]
    pub nodes: Option<u16>,
    /// Start a node that ended again after so many seconds; 0 leaves it down.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub restart_after: u64,
}

/// Runs a development cluster until it is told to stop.
///
/// # Errors
/// [`Failure`] when the directory is in use, a port is taken, or the cluster does not come up.
pub fn run(args: DevArgs) -> Result<(), Failure> {
    let directory = DevDirectory::open(&args.dir)?;
    if args.fresh {
        directory.clear()?;
    }
    let plan = ports::plan(&directory, args.nodes, args.base_port)?;
    let plan = ports::with_packagers(&directory, plan, args.packager)?;
    ports::check_free(&plan)?;
    let materials = materials::prepare(&directory, &plan, args.tls)?;
    // One thread on purpose: the kernel ends a child with the thread that started it.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::runtime)?;
    let restart_after = (args.restart_after > 0).then(|| Duration::from_secs(args.restart_after));
    runtime.block_on(Cluster::new(directory, materials, restart_after).run())
}
