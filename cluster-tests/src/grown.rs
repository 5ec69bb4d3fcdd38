//! A cluster that is initialized and grown as an operator does it: `init`, `token create`, `join`,
//! `serve`.
//!
//! Every process ends with this value: it is asked to stop, then killed.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use keymoot_tls::ClusterCa;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::operator::{self, CommandOutput};
use crate::wait::wait_until;
use crate::{RigError, Signer, binary, logs, metrics, ports, process, secret_file};

const START_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(15);
const LOGGED_WITHIN: Duration = Duration::from_secs(60);
/// The account of every such cluster.
const ACCOUNT: &str = "demo";
const SIGNING_KEY: &str = "a signing key of the grown cluster";

/// A node, running or not.
pub struct GrownNode {
    /// The name of its directory.
    pub name: String,
    /// The address of its API.
    pub api: SocketAddr,
    /// The address on which its peers reach it.
    pub peer: SocketAddr,
    /// The address of its admin API.
    pub admin: SocketAddr,
    child: Option<Child>,
}

/// A cluster that grows.
pub struct Grown {
    root: TempDir,
    env: Vec<(String, String)>,
    nodes: Vec<GrownNode>,
}

impl Grown {
    /// Initializes a cluster of one node, `a`, and waits until it serves.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn begin(zone: &str) -> Result<Self, RigError> {
        Self::begin_with(zone, &[])
    }

    /// The same, with environment variables for every node.
    ///
    /// # Errors
    /// As for [`Self::begin`].
    pub fn begin_with(zone: &str, env: &[(&str, &str)]) -> Result<Self, RigError> {
        let mut grown = Self::bare(env)?;
        grown.init("a", zone)?;
        grown.serve("a")?;
        grown.await_status("the first node to lead", |status| status.contains("leader"))?;
        let key = grown.path("signing.key");
        secret_file::write(&key, SIGNING_KEY)?;
        let key = key.display().to_string();
        let config = grown.config("a");
        wait_until("the account to be stored", START_WITHIN, || {
            grown.must(&[
                "account",
                "add",
                ACCOUNT,
                "--config",
                &config,
                "--if-absent",
                "--ca-system",
                "OVP",
                "--allow",
                "127.0.0.0/8",
                "--encryption-key-file",
                &key,
            ])
        })?;
        Ok(grown)
    }

    /// A cluster without nodes yet.
    ///
    /// # Errors
    /// When there is no directory for it.
    pub fn bare(env: &[(&str, &str)]) -> Result<Self, RigError> {
        let root = TempDir::with_prefix("keymoot-grown-").map_err(RigError::io("cannot make a directory"))?;
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Ok(Self { root, env, nodes: Vec::new() })
    }

    /// The same with two more nodes, `b` and `c`, each in its zone: all three vote.
    ///
    /// # Errors
    /// As for [`Self::begin`].
    pub fn begin_three(zones: [&str; 3], env: &[(&str, &str)]) -> Result<Self, RigError> {
        let [first, second, third] = zones;
        let mut grown = Self::begin_with(first, env)?;
        grown.join("b", "a", second, &[])?;
        grown.join("c", "a", third, &[])?;
        grown.await_voters("a", 3)?;
        Ok(grown)
    }

    /// A signer of the cluster's account.
    pub fn signer(&self) -> Signer {
        Signer::new(ACCOUNT, "OVP", SIGNING_KEY)
    }

    /// A path in the cluster's directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The directory of a node.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.path(name)
    }

    /// The configuration of a node, as an argument.
    pub fn config(&self, name: &str) -> String {
        self.dir(name).join("keymoot.toml").display().to_string()
    }

    /// A copy of the keyring, as an operator would make for another machine.
    pub fn keyring(&self) -> String {
        self.dir("a").join("keyring.toml").display().to_string()
    }

    /// The node of this name.
    ///
    /// # Panics
    /// When there is none: a mistake of the test.
    pub fn node(&self, name: &str) -> &GrownNode {
        self.nodes.iter().find(|node| node.name == name).expect("a node that was added")
    }

    /// The API addresses of these nodes.
    pub fn apis(&self, names: &[&str]) -> Vec<SocketAddr> {
        names.iter().map(|name| self.node(name).api).collect()
    }

    /// Reserves free ports for a node.
    ///
    /// # Errors
    /// When there are none.
    pub fn add_node(&mut self, name: &str) -> Result<(SocketAddr, SocketAddr), RigError> {
        let [peer, api, admin] = ports::free()?;
        self.nodes.push(GrownNode { name: name.to_owned(), api, peer, admin, child: None });
        Ok((peer, api))
    }

    /// Makes the first node of a cluster of this name, with a CA and a keyring of its own. Its clients are
    /// served in the clear.
    ///
    /// # Errors
    /// When the command fails.
    pub fn init(&mut self, name: &str, zone: &str) -> Result<(), RigError> {
        self.init_with(name, &["--plain-http", "--zone", zone])
    }

    /// The same with other arguments.
    ///
    /// # Errors
    /// When the command fails.
    pub fn init_with(&mut self, name: &str, more: &[&str]) -> Result<(), RigError> {
        let (peer, api) = self.add_node(name)?;
        let (dir, peer, api) = (self.dir(name).display().to_string(), peer.to_string(), api.to_string());
        let admin = self.node(name).admin.to_string();
        let listen = ["--listen", &peer, "--http-listen", &api, "--admin-listen", &admin];
        self.must(&[&["init", "--name", "grown", "--dir", &dir][..], &listen, more].concat())?;
        Ok(())
    }

    /// Gives a node that was made by [`Self::init`] the keyring of the cluster, as an operator does
    /// before a restore.
    ///
    /// # Errors
    /// When the file cannot be copied.
    pub fn bring_keyring(&self, name: &str) -> Result<(), RigError> {
        let to = self.dir(name).join("keyring.toml");
        std::fs::copy(self.keyring(), &to).map_err(RigError::at("write", &to))?;
        Ok(())
    }

    /// Gives a node the credential of the first operator, so that commands can be typed with its configuration, as
    /// `join` says. Does nothing where the first node's is gone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn bring_credential(&self, name: &str) -> Result<(), RigError> {
        let (from, to) = (self.dir("a").join("operator.pem"), self.dir(name).join("operator.pem"));
        match std::fs::read_to_string(&from) {
            Ok(credential) => secret_file::write(&to, &credential),
            Err(_) => Ok(()),
        }
    }

    /// Makes the directory of node `id` with a certificate that the CA of `authority` signs by hand.
    ///
    /// # Errors
    /// When the CA's key is not there, or a file cannot be written.
    pub fn issue(&mut self, name: &str, id: u64, authority: &str) -> Result<(), RigError> {
        let (peer, api) = self.add_node(name)?;
        let (dir, ca_dir) = (self.dir(name), self.dir(authority));
        std::fs::create_dir_all(&dir).map_err(RigError::at("make", &dir))?;
        let failed = |error: keymoot_tls::PkiError| RigError::Program(format!("no certificate: {error}"));
        ClusterCa::load(&ca_dir.join("ca.pem"), &ca_dir.join("ca-key.pem"))
            .and_then(|ca| ca.issue_node(id)?.save_new(&dir.join("node.pem"), &dir.join("node-key.pem")))
            .map_err(failed)?;
        let (ca, ring) = (ca_dir.join("ca.pem").display().to_string(), self.keyring());
        let text = format!(
            "[node]\nid = {id}\ndata_dir = \"data\"\n\n[cluster]\nname = \"grown\"\npeer_listen = \"{peer}\"\n\
             ca_file = \"{ca}\"\ncert_file = \"node.pem\"\nkey_file = \"node-key.pem\"\n\n\
             [http]\nlisten = \"{api}\"\n\n[keys]\nkeyring_file = \"{ring}\"\n"
        );
        let config = dir.join("keymoot.toml");
        std::fs::write(&config, text).map_err(RigError::at("write", &config))
    }

    /// Makes a join token at a node, with more arguments.
    ///
    /// # Errors
    /// When the command fails.
    pub fn token(&self, at: &str, more: &[&str]) -> Result<String, RigError> {
        let config = self.config(at);
        let args = [&["cluster", "token", "create", "--config", &config][..], more].concat();
        Ok(self.must(&args)?.out.trim().to_owned())
    }

    /// Runs `cluster join` for a new node at a member, and returns the result. Its clients are served in the clear
    /// unless `more` names a `--http-name`.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn try_join(
        &self,
        name: &str,
        token: &str,
        at: SocketAddr,
        more: &[&str],
    ) -> Result<CommandOutput, RigError> {
        let node = self.node(name);
        let (dir, peer, api) =
            (self.dir(name).display().to_string(), node.peer.to_string(), node.api.to_string());
        let (at, admin) = (at.to_string(), node.admin.to_string());
        let keyring = self.keyring();
        let mut args = vec!["cluster", "join", "--token", token, "--member", &at, "--dir", &dir];
        args.extend(["--listen", &peer, "--http-listen", &api, "--admin-listen", &admin]);
        if !more.contains(&"--http-name") {
            args.push("--plain-http");
        }
        if !more.contains(&"--keyring") {
            args.extend(["--keyring", &keyring]);
        }
        args.extend(more);
        self.run(&args)
    }

    /// The arguments that replace a stopped node whose data are lost, asked of a member.
    pub fn replacing(&self, name: &str, at: &str) -> Vec<String> {
        let id = self.id(at).unwrap_or_default();
        let member = format!("{id}={}", self.node(at).peer);
        let config = self.config(name);
        ["cluster", "replace-disk", "--config", &config, "--member", &member, "--yes"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Runs `cluster replace-disk` for a stopped node, asked of a member, and returns the result.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn replace_disk(&self, name: &str, at: &str, more: &[&str]) -> Result<CommandOutput, RigError> {
        let args = self.replacing(name, at);
        self.run(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    /// The id in a node's configuration.
    pub fn id(&self, name: &str) -> Option<u64> {
        let text = std::fs::read_to_string(self.config(name)).ok()?;
        text.lines().find_map(|line| line.strip_prefix("id = ")?.parse().ok())
    }

    /// Joins a new node at a member, starts it, and waits until it knows its cluster: until the
    /// leader has reached it, a node that serves still reports that it belongs to none.
    ///
    /// # Errors
    /// When that fails.
    pub fn join(&mut self, name: &str, at: &str, zone: &str, token_args: &[&str]) -> Result<(), RigError> {
        self.add_node(name)?;
        let token = self.token(at, token_args)?;
        let said = self.try_join(name, &token, self.node(at).peer, &["--zone", zone])?;
        if said.code != Some(0) {
            return Err(RigError::Program(format!("join failed: {said:?}")));
        }
        self.bring_credential(name)?;
        self.serve(name)?;
        self.await_status_at(name, &format!("node {name} to know its cluster"), |table| !table.is_empty())
    }

    /// Starts a node, and waits until it is healthy.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn serve(&mut self, name: &str) -> Result<(), RigError> {
        self.serve_with(name, &[])?;
        let api = self.node(name).api;
        let started =
            wait_until(&format!("node {name} to be healthy"), START_WITHIN, || metrics::is_healthy(api));
        started.map_err(|error| RigError::Program(format!("{error}\n{}", self.log_tails())))
    }

    /// Starts a node with further environment variables, and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn serve_with(&mut self, name: &str, env: &[(&str, &str)]) -> Result<(), RigError> {
        let log = self.path(&format!("{name}.log"));
        let file =
            File::options().create(true).append(true).open(&log).map_err(RigError::at("open", &log))?;
        let errors = file.try_clone().map_err(RigError::at("open", &log))?;
        let config = self.config(name);
        let mut command = Command::new(binary::keymoot()?);
        command.args(["serve", "--config", &config]).stdin(Stdio::null()).stdout(file).stderr(errors);
        command.envs(self.env.iter().map(|(name, value)| (name, value))).envs(env.iter().copied());
        let child = command.spawn().map_err(RigError::io("cannot start a node"))?;
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name) {
            node.child = Some(child);
        }
        Ok(())
    }

    /// Kills a node at once.
    ///
    /// # Errors
    /// When it still runs afterwards.
    pub fn kill(&mut self, name: &str) -> Result<(), RigError> {
        self.signal(name, Signal::KILL)
    }

    /// Asks a node to stop, and waits until it has.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub fn stop(&mut self, name: &str) -> Result<(), RigError> {
        self.signal(name, Signal::TERM)
    }

    fn signal(&mut self, name: &str, signal: Signal) -> Result<(), RigError> {
        let dir = self.dir(name);
        if let Some(child) = self.child(name) {
            process::signal(child.id(), signal, &dir)?;
            process::wait_for_exit(child, STOP_WITHIN)?;
        }
        Ok(())
    }

    /// Waits until a node ends by itself.
    ///
    /// # Errors
    /// When it still runs after the deadline.
    pub fn await_end(&mut self, name: &str, within: Duration) -> Result<ExitStatus, RigError> {
        let child = self.child(name).ok_or_else(|| RigError::Program(format!("node {name} never ran")))?;
        process::wait_for_exit(child, within)
    }

    /// The process id of a node.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.nodes.iter().find(|node| node.name == name)?.child.as_ref().map(Child::id)
    }

    fn child(&mut self, name: &str) -> Option<&mut Child> {
        self.nodes.iter_mut().find(|node| node.name == name)?.child.as_mut()
    }

    /// The log of a node.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// Waits until the log of a running node says this: what a node did can be seen before it has written so.
    ///
    /// # Errors
    /// [`RigError::Deadline`] with the log.
    pub fn await_log(&self, name: &str, text: &str) -> Result<(), RigError> {
        wait_until(&format!("node {name} to log {text:?}"), LOGGED_WITHIN, || match self.log(name) {
            log if log.contains(text) => Ok(()),
            log => Err(RigError::Answer(log)),
        })
    }

    /// Runs the program to its end.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, args: &[&str]) -> Result<CommandOutput, RigError> {
        operator::keymoot(args)
    }

    /// Runs the program, which must succeed.
    ///
    /// # Errors
    /// When it does not; with its output.
    pub fn must(&self, args: &[&str]) -> Result<CommandOutput, RigError> {
        let said = self.run(args)?;
        match said.code {
            Some(0) => Ok(said),
            // A token in the arguments must not be repeated.
            _ => Err(RigError::Program(format!("{:?} failed: {}{}", args.first(), said.out, said.err))),
        }
    }

    /// Runs `keymoot cluster` with a node's configuration.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn cluster(&self, at: &str, args: &[&str]) -> Result<CommandOutput, RigError> {
        let config = self.config(at);
        self.run(&[&["cluster"], args, &["--config", &config]].concat())
    }

    /// The status that a node reports, in JSON.
    ///
    /// # Errors
    /// When there is none.
    pub fn status(&self, at: &str) -> Result<serde_json::Value, RigError> {
        let said = self.cluster(at, &["status", "--output", "json"])?;
        serde_json::from_str(&said.out).map_err(|_| RigError::Answer(format!("no status: {}", said.err)))
    }

    /// Waits until the status table at the first running node is `wanted`.
    ///
    /// # Errors
    /// When it does not become so in time.
    pub fn await_status(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<(), RigError> {
        self.await_status_at("a", what, wanted)
    }

    /// The same, at a node.
    ///
    /// # Errors
    /// When it does not become so in time.
    pub fn await_status_at(
        &self,
        at: &str,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), RigError> {
        wait_until(what, START_WITHIN, || {
            let said = self.cluster(at, &["status"])?;
            if wanted(&said.out) {
                Ok(())
            } else {
                Err(RigError::Answer(format!("{}{}", said.out, said.err)))
            }
        })
        .map_err(|error| RigError::Program(format!("{error}\n{}", self.log_tails())))
    }

    /// Waits until there are `count` voters, all of them up.
    ///
    /// # Errors
    /// When there are not in time.
    pub fn await_voters(&self, at: &str, count: usize) -> Result<(), RigError> {
        self.await_status_at(at, &format!("{count} voters"), |table| {
            table.lines().filter(|line| line.contains("  yes  ") && !line.contains("silent")).count() == count
        })
    }

    fn log_tails(&self) -> String {
        let paths: Vec<PathBuf> = self
            .nodes
            .iter()
            .map(|node| self.path(&format!("{}.log", node.name)))
            .filter(|p| p.exists())
            .collect();
        logs::tails(&paths)
    }
}

impl Drop for Grown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tails());
        }
        for child in self.nodes.iter_mut().filter_map(|node| node.child.as_mut()) {
            process::end(child, Duration::from_secs(5));
        }
    }
}
