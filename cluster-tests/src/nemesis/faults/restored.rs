//! A backup that is taken during the attack makes another cluster, on machines that have nothing but it and the keyring,
//! and that cluster grows.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Draw, Fault, names};
use crate::nemesis::site::Site;
use crate::wait::wait_until;
use crate::{KeyAnswer, RigError, operator, ports, process};

/// How long the other cluster may take for each step on two busy cores.
const WITHIN: Duration = Duration::from_secs(60);

struct RestoreElsewhere {
    /// The nodes that may be asked for a backup, in this order.
    at: Vec<usize>,
    /// The key that the backup must hold.
    key: Option<KeyAnswer>,
    outcome: Option<String>,
}

pub(super) fn restore_elsewhere(draw: &mut Draw) -> Box<dyn Fault> {
    Box::new(RestoreElsewhere { at: draw.order(), key: None, outcome: None })
}

impl Fault for RestoreElsewhere {
    fn detail(&self) -> String {
        let outcome = self.outcome.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        format!("of a backup from {}{outcome}", names(&self.at))
    }

    fn inject(&mut self, site: &mut Site) -> Result<(), RigError> {
        let _ = std::fs::remove_file(backup(site));
        let file = backup(site).display().to_string();
        let (at, mut key) = (self.at.clone(), None);
        let taken = site.insist(&at, |site, node| {
            let access = site.access();
            let api =
                access.nodes.get(node).copied().ok_or_else(|| RigError::Program("no such node".into()))?;
            let made = access.scrambler.create(api, "restored-elsewhere")?;
            site.keymoot(node, &["backup", "create", "--output", &file])?;
            key = Some(made);
            Ok(())
        })?;
        self.key = key;
        self.outcome = taken.err().map(|why| format!("no backup could be taken: {why}"));
        Ok(())
    }

    fn heal(&mut self, site: &mut Site) -> Result<(), RigError> {
        let Some(key) = self.key.take() else { return Ok(()) };
        let root = backup(site).with_extension("d");
        let restored = restore(site, &root, &key);
        let _ = std::fs::remove_dir_all(&root);
        match restored {
            Ok(()) => self.outcome = Some("it grew to two voters".to_owned()),
            Err(RigError::Interrupted) => return Err(RigError::Interrupted),
            Err(error) => {
                site.machine(0)?.accuse(format!("a restored cluster does not serve or grow: {error}"))
            }
        }
        Ok(())
    }
}

fn backup(site: &Site) -> PathBuf {
    site.shared("elsewhere.backup").into()
}

/// A process of the other cluster, which ends with this value.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        process::end(&mut self.0, Duration::from_secs(5));
    }
}

fn restore(site: &Site, root: &Path, key: &KeyAnswer) -> Result<(), RigError> {
    let [first, second] = ["one", "two"].map(|name| root.join(name).display().to_string());
    let host = site.fabric.gateway();
    let ([peer, api], [second_peer, second_api]) = (addresses(host)?, addresses(host)?);
    let run = |arguments: &[&str]| operator::run(&site.program, arguments)?.succeeded();
    std::fs::create_dir_all(root).map_err(RigError::at("make", root))?;
    run(&[
        "init",
        "--name",
        "nemesis",
        "--dir",
        &first,
        "--listen",
        &peer,
        "--http-listen",
        &api,
        "--plain-http",
    ])?;
    let (keyring, config) = (format!("{first}/keyring.toml"), format!("{first}/keymoot.toml"));
    std::fs::copy(site.shared("keyring.toml"), &keyring)
        .map_err(RigError::at("copy", Path::new(&keyring)))?;
    let file = backup(site).display().to_string();
    run(&["backup", "restore", &file, "--config", &config, "--member", &format!("1={peer}")])?;
    let _first = serve(site, &config)?;
    wait_until("the accounts of the backup to be confirmed", WITHIN, || {
        run(&["account", "confirm", "--all", "--yes", "--config", &config])
    })?;
    let token = wait_until("the restored cluster to let nodes in", WITHIN, || {
        run(&["cluster", "token", "create", "--config", &config])
    })?;
    let join = ["cluster", "join", "--token", token.trim(), "--member", &peer, "--dir", &second];
    let there =
        ["--keyring", &keyring, "--listen", &second_peer, "--http-listen", &second_api, "--plain-http"];
    wait_until("a node to join", WITHIN, || run(&[&join[..], &there[..]].concat()))?;
    let _second = serve(site, &format!("{second}/keymoot.toml"))?;
    let api: SocketAddr = second_api.parse().map_err(|_| RigError::Answer(second_api.clone()))?;
    wait_until("the new node to have the key of the backup", WITHIN, || {
        let read = site.access().scrambler.read(api, "restored-elsewhere")?;
        if read == *key { Ok(()) } else { Err(RigError::Answer(format!("another key: {}", read.key_id))) }
    })?;
    wait_until("the new node to vote", WITHIN, || {
        let said = operator::run(&site.program, &["cluster", "status", "--config", &config])?;
        let voters = said.out.lines().filter(|line| line.contains("  yes  ")).count();
        if voters == 2 { Ok(()) } else { Err(RigError::Answer(said.out)) }
    })
}

fn serve(site: &Site, config: &str) -> Result<Serving, RigError> {
    let mut command = Command::new(&site.program);
    command.args(["serve", "--config", config]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Serving).map_err(RigError::io("cannot start a node"))
}

/// Addresses on the bridge, from which the account's requests may come.
fn addresses(host: IpAddr) -> Result<[String; 2], RigError> {
    Ok(ports::free()?.map(|free| SocketAddr::new(host, free.port()).to_string()))
}
