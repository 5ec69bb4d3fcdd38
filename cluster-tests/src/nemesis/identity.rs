//! What happens to the identity of a machine: other data, a copy of it, another address, another id.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command};

use rustix::process::Signal;

use crate::nemesis::machine::{DATA_DIR, Machine, PEER_PORT};
use crate::{RigError, cluster, tool};

impl Machine {
    /// Kills the node, has its data changed, and starts it again under its id, as an operator does who knows of
    /// nothing. Its peers must refuse it, and then it ends: it comes back as another node only.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn start_with_other_data(
        &mut self,
        excuse: &'static str,
        change: impl FnOnce(&mut Self) -> Result<(), RigError>,
    ) -> Result<(), RigError> {
        self.kill()?;
        self.excuse = Some(excuse);
        change(self)?;
        self.start()?;
        self.is_lost = true;
        Ok(())
    }

    /// Where its peers reach it, as `HOST:PORT`.
    pub fn peer_address(&self) -> String {
        SocketAddr::new(self.peer, PEER_PORT).to_string()
    }

    /// Has its peers reach it elsewhere from its next start on.
    ///
    /// # Errors
    /// When its configuration cannot be changed.
    pub fn move_peer(&mut self, to: IpAddr) -> Result<(), RigError> {
        let config = self.config();
        let text = std::fs::read_to_string(&config).map_err(RigError::at("read", &config))?;
        let listen = |at: IpAddr| format!("peer_listen = \"{at}:{PEER_PORT}\"");
        let text = text.replace(&listen(self.peer), &listen(to));
        std::fs::write(&config, text).map_err(RigError::at("write", &config))?;
        self.peer = to;
        Ok(())
    }

    /// Tells it where its peers are, from its next start on.
    pub fn give_hints(&mut self, hints: String) {
        self.hints = Some(hints);
    }

    /// Starts a second process from a copy of its data and configuration, at another address, while the first one goes
    /// on. The copy is in `dir`.
    ///
    /// # Errors
    /// When the machine refuses.
    pub fn start_twin(&mut self, at: IpAddr, dir: &Path) -> Result<Child, RigError> {
        let (data, copy) = (self.data_dir().display().to_string(), dir.display().to_string());
        // What a process that does not run has written is whole.
        self.signal(Signal::STOP)?;
        let copied = tool::run("cp", &["-a", &data, &copy]);
        self.signal(Signal::CONT)?;
        copied?;
        let text = std::fs::read_to_string(self.config()).map_err(RigError::at("read", &self.config()))?;
        let text = [self.address, self.peer]
            .iter()
            .fold(text, |text, own| text.replace(&format!("\"{own}:"), &format!("\"{at}:")));
        let config = self.dir.join("twin.toml");
        std::fs::write(&config, text).map_err(RigError::at("write", &config))?;
        let mut command = Command::new("nsenter");
        command.arg(tool::enter(&self.namespace)).arg(&self.launch.program);
        command.args(["serve", "--config"]).arg(config).env(DATA_DIR, dir);
        cluster::spawn(command, &self.launch.env, &self.dir.join("twin.log"))
    }

    /// The node was replaced by this one, in the same directory.
    pub fn was_replaced_by(&mut self, id: u64) {
        (self.id, self.is_lost) = (id, false);
    }
}
