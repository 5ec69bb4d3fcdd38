//! `keymoot doctor`: everything that a node needs, looked at before it is missed.
//!
//! It works whether the node runs or not, and changes nothing: it writes one file of its own into
//! the data directory, to time the disk, and removes it. A check that cannot be made because another
//! failed is left out.

mod accounts;
mod audit;
mod certificates;
mod clock;
mod files;
mod finding;
mod machine;
mod network;
mod receivers;
mod storage;
mod swap;

use clap::Args;

use super::Failure;
use super::args::{NodeConfigArg, OutputFormat};
use super::operator::say;
use crate::config::Loaded;
use finding::{Finding, Level};
use keymoot_cluster::settings::MemberAddress;

/// `keymoot doctor`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Exit codes: 0 all is well, 2 there are warnings, 1 something failed.")]
pub struct DoctorArgs {
    /// The configuration of the node.
    #[command(flatten)]
    pub config: NodeConfigArg,
    /// Another node to reach, for a node that does not run and so cannot name the others. Repeatable.
    #[arg(long = "peer", value_name = "ID=HOST:PORT")]
    pub peers: Vec<MemberAddress>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Makes every check and prints what it saw.
///
/// # Errors
/// [`Failure`] when a check failed, or warned.
pub fn run(args: DoctorArgs) -> Result<(), Failure> {
    let findings = examine(&args)?;
    say(&match args.output {
        OutputFormat::Table => finding::table(&findings),
        OutputFormat::Json => finding::json_text(&findings),
    });
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => Ok(()),
        (0, warned) => Err(Failure::degraded(format!("{warned} of the checks warned"))),
        (failed, _) => Err(Failure::because(format!("{failed} of the checks failed"))),
    }
}

fn examine(args: &DoctorArgs) -> Result<Vec<Finding>, Failure> {
    let config = match Loaded::load(args.config.config.as_deref()) {
        Ok(loaded) => loaded.config,
        Err(error) => {
            // Nothing else is known without a configuration.
            let saw = Failure::usage(error).message().to_owned();
            return Ok(vec![Finding::fail("configuration", saw, "correct what it names")]);
        }
    };
    let mut findings = vec![Finding::ok("configuration", "every key is known and sensible")];
    findings.extend(files::check(&config));
    findings.extend(certificates::check(&config));
    findings.extend(network::plain(&config));
    findings.extend(network::metrics(&config));
    findings.extend(storage::check(&config));
    findings.extend(machine::check(&config));
    findings.push(swap::check());
    findings.push(clock::check());
    findings.extend(network::check(&config, &args.peers)?);
    findings.extend(receivers::check(&config)?);
    findings.extend(accounts::check(&config));
    findings.extend(accounts::notices(&config));
    Ok(findings)
}
