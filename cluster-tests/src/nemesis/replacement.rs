//! Nodes that come back as other nodes, or elsewhere, during an attack.

use crate::nemesis::machine::{DATA_DIR, Machine};
use crate::nemesis::site::{Site, certify};
use crate::{RigError, operator};

impl Site {
    /// Stops all nodes, gives each another address for its peers, and starts them again with hints.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn move_all(&mut self) -> Result<(), RigError> {
        self.each(Machine::kill)?;
        let nodes = 0..self.len();
        let places: Vec<_> =
            nodes.map(|node| [self.fabric.address(node), self.fabric.second_address(node)]).collect();
        for (machine, [first, second]) in self.machines.iter_mut().zip(places) {
            if machine.is_configured() {
                machine.move_peer(if machine.peer_address().starts_with(&format!("{first}:")) {
                    second
                } else {
                    first
                })?;
            }
        }
        let hints: Vec<String> = self
            .machines
            .iter()
            .map(|machine| format!("{}={}", machine.id, machine.peer_address()))
            .collect();
        self.each(|machine| {
            machine.give_hints(hints.join(","));
            machine.start_again()
        })
    }

    /// Replaces a node whose data are lost by the one command, asked of this member first, and starts it.
    ///
    /// # Errors
    /// When the cluster does not do it, or not yet.
    pub fn replace_disk(&mut self, node: usize, at: usize) -> Result<(), RigError> {
        self.churned = true;
        self.machine(node)?.kill()?;
        let id = self.last_id + 1;
        let issued = self.node_dir(id);
        if !issued.exists() {
            certify(&self.ca, id, &issued)?;
        }
        let [cert, key] = ["node.pem", "node-key.pem"].map(|name| issued.join(name).display().to_string());
        let order = (0..self.len()).map(|step| (at + step) % self.len());
        let members = order.filter(|other| *other != node).filter_map(|other| self.machines.get(other));
        let members: Vec<String> =
            members.map(|machine| format!("{}={}", machine.id, machine.peer_address())).collect();
        let (config, data) =
            (self.machine(node)?.config().display().to_string(), self.machine(node)?.data_dir());
        let mut arguments = vec!["cluster", "replace-disk", "--config", &config, "--yes"];
        arguments.extend(["--cert", &cert, "--key", &key]);
        arguments.extend(members.iter().flat_map(|member| ["--member", member.as_str()]));
        let env = [(DATA_DIR, data.as_os_str())];
        match operator::run_with(&self.program, &arguments, &env)?.succeeded() {
            Ok(said) => {
                // An earlier try may have been admitted under another id.
                let id = became(&said).ok_or_else(|| RigError::Answer(said.clone()))?;
                self.last_id = self.last_id.max(id);
                self.machine(node)?.was_replaced_by(id);
                self.machine(node)?.start_again()
            }
            Err(error) => {
                // Ids only grow: another node may have joined under a later one meanwhile.
                if error.to_string().contains("ids are never used again") {
                    self.last_id = id;
                }
                Err(error)
            }
        }
    }
}

/// The id that `replace-disk` says the machine has now.
fn became(said: &str) -> Option<u64> {
    said.lines().rev().find_map(|line| line.rsplit_once("this machine is node ")?.1.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_id_is_read_from_what_the_command_says() {
        let said =
            "this machine is node 6 now, a learner\nnode 2 is replaced: this machine is node 6\nstart it\n";
        assert_eq!((became(said), became("no")), (Some(6), None));
    }
}
