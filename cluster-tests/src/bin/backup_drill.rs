//! `scripts/backup-drill`: a backup under load, the loss of all nodes, and a restore elsewhere.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use cluster_tests::creating::Creating;
use cluster_tests::elsewhere::Elsewhere;
use cluster_tests::{Cluster, RigError, operator, wait};

/// Takes a backup of a loaded three-node cluster, kills every node for ever, restores the backup on other
/// ports, and reads back every key that was acknowledged before the backup was begun.
#[derive(Parser)]
#[command(name = "backup-drill")]
struct Arguments {
    /// How many keys are acknowledged before the backup is begun.
    #[arg(long, default_value_t = 2000)]
    keys: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("backup-drill: {error}");
            error.exit_code()
        }
    }
}

/// Returns whether every key is there, with the same bytes.
fn run(arguments: &Arguments) -> Result<bool, RigError> {
    wait::listen_for_interrupts()?;
    eprintln!("starting three nodes …");
    let mut cluster = Cluster::start()?;
    let home = tempfile::tempdir().map_err(RigError::io("cannot make a directory"))?;
    let file = home.path().join("drill.backup");
    let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
    let loading = Instant::now();
    let load = Creating::begin(&signer, &nodes, 8);
    load.await_contents(arguments.keys)?;
    println!(
        "{} keys acknowledged in {:.1} s; the load goes on",
        arguments.keys,
        loading.elapsed().as_secs_f64()
    );

    let promised = load.acknowledged();
    let leader = cluster.leader()?;
    let follower = cluster.node(cluster.others(leader).first().copied().unwrap_or(leader))?.clone();
    let taking = Instant::now();
    let (config, path) = (follower.config(), file.display().to_string());
    let said =
        operator::keymoot(&["backup", "create", "--config", &config, "--output", &path])?.succeeded()?;
    let bytes = std::fs::metadata(&file).map_err(RigError::at("measure", &file))?.len();
    println!("backup from node {} in {:.2} s, {bytes} bytes:", follower.id, taking.elapsed().as_secs_f64());
    said.lines().for_each(|line| println!("    {line}"));

    cluster.kill_all()?;
    let later = load.stop();
    println!(
        "every node killed; {} more keys were acknowledged after the backup",
        later.len() - promised.len()
    );
    let keyring = cluster.dir().join("keyring.toml").display().to_string();
    let verifying = Instant::now();
    operator::keymoot(&["backup", "verify", &path, "--keyring", &keyring])?.succeeded()?;
    println!("verified, every key opened, in {:.2} s", verifying.elapsed().as_secs_f64());

    let restoring = Instant::now();
    let mut elsewhere = Elsewhere::prepare(&cluster, home.path(), &[1, 2, 3])?;
    elsewhere.restore(&file, &[1, 2, 3])?;
    println!("restored on three nodes with other ports in {:.2} s", restoring.elapsed().as_secs_f64());
    elsewhere.start()?;
    elsewhere.confirm_accounts()?;
    println!("serving again {:.2} s after the restore was begun", restoring.elapsed().as_secs_f64());
    let findings = promised.audit(&signer, &elsewhere.addresses())?;
    for finding in &findings {
        println!("broken: {finding}");
    }
    if findings.is_empty() {
        println!(
            "all {} keys promised before the backup were read back, unchanged, from every node",
            promised.len()
        );
    }
    Ok(findings.is_empty())
}
