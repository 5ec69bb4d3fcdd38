//! Membership changes during an attack, by the commands that an operator types.
//!
//! A change is requested at one node after another, for a while: with other faults active it may
//! fail, or be made without an answer. Unfinished changes are completed when everything else is
//! healed ([`Site::settle`]): then each node must be a member, and vote.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::RigError;
use crate::nemesis::machine::{API_PORT, Machine, PEER_PORT};
use crate::nemesis::site::{Site, certify};
use crate::operator;
use crate::wait::{not_interrupted, pause, wait_until};

/// How long a change is tried while other faults may be active.
const TRIED_FOR: Duration = Duration::from_secs(6);
/// The time limit for all nodes to become voters when no fault is active.
const SETTLED_WITHIN: Duration = Duration::from_secs(90);
/// The pause between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

impl Site {
    /// The present id of a node.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn id(&self, node: usize) -> Result<u64, RigError> {
        let machine = self.machines.get(node);
        machine
            .map(|machine| machine.id)
            .ok_or_else(|| RigError::Program(format!("there is no node {}", node + 1)))
    }

    /// Makes a change (`promote 3`), requested at each of these nodes in turn until one makes it or
    /// the time is up; returns why the last one did not.
    ///
    /// # Errors
    /// When interrupted.
    pub fn change(&mut self, at: &[usize], words: &[&str]) -> Result<Result<(), String>, RigError> {
        self.churned = true;
        let arguments = [&["cluster"], words, &["--yes"]].concat();
        self.insist(at, |site, node| site.keymoot(node, &arguments).map(drop))
    }

    /// Tries `attempt` with each of these nodes in turn until it succeeds or the time is up;
    /// returns why the last try failed.
    ///
    /// # Errors
    /// When interrupted.
    pub fn insist(
        &mut self,
        at: &[usize],
        mut attempt: impl FnMut(&mut Self, usize) -> Result<(), RigError>,
    ) -> Result<Result<(), String>, RigError> {
        let until = Instant::now() + TRIED_FOR;
        let mut last = "nobody was asked".to_owned();
        for node in at.iter().cycle() {
            not_interrupted()?;
            match attempt(self, *node) {
                Ok(()) => return Ok(Ok(())),
                Err(error) => last = error.to_string(),
            }
            if Instant::now() >= until {
                break;
            }
            pause(BETWEEN_TRIES)?;
        }
        Ok(Err(one_line(&last)))
    }

    /// Kills a node and gives it an empty disk and a new id, under which it is not a member yet.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn wipe(&mut self, node: usize) -> Result<(), RigError> {
        self.churned = true;
        self.last_id += 1;
        let (id, dir) = (self.last_id, self.node_dir(self.last_id));
        certify(&self.ca, id, &dir)?;
        self.machine(node)?.become_another(id, &dir)
    }

    /// Removes every member that no node is any more, requested at one node.
    ///
    /// # Errors
    /// When the cluster does not do it, or not yet.
    pub fn remove_strangers(&self, at: usize) -> Result<(), RigError> {
        if self.machines.iter().any(Machine::is_lost) {
            // One of them may have been admitted under a new id that is not known here yet.
            return Ok(());
        }
        let ours: Vec<u64> = self.machines.iter().map(|machine| machine.id).collect();
        let members = voters(&self.members(at)?);
        for id in members.keys().filter(|id| !ours.contains(id)) {
            self.keymoot(at, &["cluster", "remove", &id.to_string(), "--yes"])?;
        }
        Ok(())
    }

    /// Joins a wiped node at a member, with a token, under its new id, and starts it.
    ///
    /// # Errors
    /// When the cluster does not admit it, or not yet.
    pub fn rejoin(&mut self, node: usize, at: usize) -> Result<(), RigError> {
        if !self.machine(node)?.is_configured() {
            self.remove_strangers(at)?;
            let token = self.token(node, at)?;
            if let Err(error) = self.join(node, at, &token) {
                // Ids only grow: of two nodes that were wiped together, the younger id may have joined first.
                if error.to_string().contains("ids are never used again") {
                    self.wipe(node)?;
                }
                return Err(error);
            }
        }
        self.machine(node)?.start_again()
    }

    /// Makes every node a member that votes, and removes all other members.
    ///
    /// # Errors
    /// When that is not so in time.
    pub fn settle(&mut self) -> Result<(), RigError> {
        if !self.churned && !self.machines.iter().any(Machine::is_lost) {
            return Ok(());
        }
        let nodes = self.len();
        let mut round = 0;
        wait_until("every node to be a voter", SETTLED_WITHIN, || {
            round += 1;
            pause(BETWEEN_TRIES)?;
            let at = (0..nodes)
                .map(|node| (node + round) % nodes)
                .find(|node| self.machines.get(*node).is_some_and(Machine::is_configured));
            let at = at.ok_or_else(|| RigError::Program("no node is a member".to_owned()))?;
            self.settle_at(at)
        })?;
        self.bring_up_all()?;
        self.churned = false;
        Ok(())
    }

    fn settle_at(&mut self, at: usize) -> Result<(), RigError> {
        for node in 0..self.len() {
            if self.machine(node)?.is_lost() {
                self.replace_disk(node, at)?;
            } else if !self.machine(node)?.is_configured() {
                self.rejoin(node, at)?;
            }
        }
        self.remove_strangers(at)?;
        let members = voters(&self.members(at)?);
        let ours: Vec<u64> = self.machines.iter().map(|machine| machine.id).collect();
        for id in ours.iter().filter(|id| members.get(id) == Some(&false)) {
            self.keymoot(at, &["cluster", "promote", &id.to_string(), "--wait", "10s", "--yes"])?;
        }
        let members = voters(&self.members(at)?);
        if members.len() == ours.len() && ours.iter().all(|id| members.get(id) == Some(&true)) {
            return Ok(());
        }
        Err(RigError::Answer(format!("members and whether they vote: {members:?}")))
    }

    /// A token for a node, made at a member. A join that was interrupted is repeated with the same
    /// one.
    fn token(&self, node: usize, at: usize) -> Result<String, RigError> {
        let kept = self.node_dir(self.id(node)?).join("token");
        if let Ok(token) = std::fs::read_to_string(&kept) {
            return Ok(token);
        }
        let token = self.keymoot(at, &["cluster", "token", "create"])?.trim().to_owned();
        std::fs::write(&kept, &token).map_err(RigError::at("write", &kept))?;
        Ok(token)
    }

    /// Joins with a certificate made by hand, because the cluster was initialized with such
    /// certificates and holds no authority's key.
    fn join(&self, node: usize, at: usize, token: &str) -> Result<(), RigError> {
        let member = self.machines.get(at).map(Machine::peer_address).unwrap_or_default();
        let member_id = self.id(at)?.to_string();
        let (address, id) = (self.fabric.address(node), self.id(node)?);
        let dir = self.node_dir(id);
        let [cert, key] = ["node.pem", "node-key.pem"].map(|name| dir.join(name).display().to_string());
        let (dir, ca, keyring) =
            (dir.display().to_string(), self.shared("ca.pem"), self.shared("keyring.toml"));
        let (listen, http) = (format!("{address}:{PEER_PORT}"), format!("{address}:{API_PORT}"));
        let mut arguments = vec!["cluster", "join", "--token", token, "--member", &member];
        arguments.extend(["--member-id", &member_id, "--cert", &cert, "--key", &key, "--ca", &ca]);
        arguments.extend(["--dir", &dir, "--keyring", &keyring, "--listen", &listen]);
        arguments.extend(["--http-listen", &http, "--plain-http"]);
        operator::run(&self.program, &arguments)?.succeeded().map(drop)
    }
}

/// The members' ids, and whether each votes.
fn voters(members: &[Value]) -> BTreeMap<u64, bool> {
    let of = |member: &Value| Some((member.get("id")?.as_u64()?, member.get("voter")?.as_bool()?));
    members.iter().filter_map(of).collect()
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_votes_is_read_from_the_status() {
        let members = [json!({ "id": 2, "voter": true }), json!({ "id": 6, "voter": false, "status": null })];
        assert_eq!(voters(&members), BTreeMap::from([(2, true), (6, false)]));
    }

    #[test]
    fn a_reason_of_several_lines_fits_on_one() {
        assert_eq!(one_line("exit code 1\n\n  it lags\nhint\n"), "exit code 1; it lags; hint");
    }
}
