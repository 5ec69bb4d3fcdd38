//! All measured systems, on one disk: three nodes of Keymoot, three of etcd, three bare servers.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::bare::BareServer;
use super::etcd::{EtcdCluster, EtcdLoad};
use super::front::Front;
use super::known::{self, Content};
use super::machine;
use super::names::System;
use super::rounds::Watched;
use crate::speke::{self, Encryptor};
use crate::{Cluster, Options, RigError, metrics};

const BARE_SERVERS: usize = 3;

/// All measured systems; they end when this value is dropped.
pub struct Peers {
    /// Three nodes of Keymoot.
    pub keymoot: Cluster,
    /// The node that led when everything was ready.
    pub leader: SocketAddr,
    /// Contents that have keys.
    pub contents: Vec<Content>,
    /// Three nodes of etcd, unless the benchmark runs without it.
    pub etcd: Option<EtcdCluster>,
    /// The bare servers.
    pub bare: Vec<BareServer>,
    /// Who sends documents of SPEKE.
    pub encryptor: Encryptor,
    /// The sizes in bytes of the answers to reads, to license requests and to documents.
    pub answer_bytes: [usize; 3],
    front: Option<Front>,
    dir: TempDir,
}

impl Peers {
    /// Starts all systems, each with `contents` keys.
    ///
    /// # Errors
    /// When one does not start.
    pub fn start(contents: usize, with_etcd: bool) -> Result<Self, RigError> {
        let dir = TempDir::with_prefix("keymoot-bench-").map_err(RigError::io("cannot make a directory"))?;
        let keymoot = Options::default().dir(dir.path().join("keymoot")).start()?;
        let contents = known::contents(keymoot.signer(), &keymoot.addresses(), contents)?;
        let encryptor = speke::add_account(&keymoot, &["--if-absent"])?;
        let answers = answers(&keymoot, &contents, &encryptor)?;
        let bare = (0..BARE_SERVERS).map(|_| BareServer::start(&answers)).collect::<Result<_, _>>()?;
        let etcd = with_etcd.then(|| EtcdCluster::start(dir.path())).transpose()?;
        if let Some(etcd) = &etcd {
            EtcdLoad::fill(&etcd.endpoints, contents.len() as u64)?;
        }
        let answer_bytes = answers.each_ref().map(String::len);
        let leader = keymoot.node(keymoot.leader()?)?.api;
        Ok(Self { keymoot, leader, contents, etcd, bare, encryptor, answer_bytes, front: None, dir })
    }

    /// A description of the disk.
    pub fn disk(&self) -> String {
        machine::disk(self.dir.path())
    }

    /// Checks that the same node still leads: otherwise reads at the leader were reads at a
    /// follower.
    ///
    /// # Errors
    /// When another node leads.
    pub fn leader_is_the_same(&self) -> Result<(), RigError> {
        if self.keymoot.node(self.keymoot.leader()?)?.api == self.leader {
            return Ok(());
        }
        let text = "the leader changed meanwhile, so requests at the leader went elsewhere; measure again";
        Err(RigError::Answer(text.to_owned()))
    }

    /// Restarts Keymoot behind TLS, after everything else is measured.
    ///
    /// # Errors
    /// When a node does not come back.
    pub fn put_behind_tls(&mut self) -> Result<(), RigError> {
        self.front = Some(Front::put_before(&mut self.keymoot)?);
        Ok(())
    }

    /// The clients' access once Keymoot is behind TLS.
    ///
    /// # Errors
    /// When it is not.
    pub fn front(&self) -> Result<&Front, RigError> {
        self.front.as_ref().ok_or_else(|| RigError::Program("Keymoot is not behind TLS".to_owned()))
    }

    /// The nodes of etcd.
    ///
    /// # Errors
    /// When the benchmark runs without it.
    pub fn etcd(&self) -> Result<&EtcdCluster, RigError> {
        self.etcd.as_ref().ok_or_else(|| RigError::Program("etcd was not started".to_owned()))
    }

    /// The addresses of the first `count` bare servers.
    pub fn bare_addresses(&self, count: usize) -> Vec<SocketAddr> {
        self.bare.iter().take(count).map(|server| server.address).collect()
    }

    fn fsyncs_behind_tls(&self, node: SocketAddr) -> Result<f64, RigError> {
        let answer = self.front()?.read(node, "/metrics")?;
        let text = String::from_utf8_lossy(&answer.body);
        metrics::value_of(&text, metrics::LOG_FSYNCS)
            .ok_or_else(|| RigError::Answer(format!("{node} tells no fsyncs")))
    }
}

impl Watched for Peers {
    fn pids(&self, system: System) -> Result<Vec<u32>, RigError> {
        Ok(match system {
            System::Keymoot | System::KeymootTls => {
                self.keymoot.nodes().iter().map(|node| node.pid).collect()
            }
            System::Etcd => self.etcd()?.pids(),
            System::Bare(count) => self.bare.iter().take(count).map(BareServer::pid).collect(),
        })
    }

    fn fsyncs(&self, system: System) -> Result<f64, RigError> {
        let behind_tls = |node| self.fsyncs_behind_tls(node);
        match system {
            System::Keymoot => self.keymoot.fsyncs(system),
            System::KeymootTls => self.keymoot.addresses().into_iter().map(behind_tls).sum(),
            System::Etcd => self.etcd()?.fsyncs(),
            System::Bare(_) => Ok(0.0),
        }
    }

    fn fsync_ms(&self) -> Result<f64, RigError> {
        self.keymoot.fsync_ms()
    }
}

/// Keymoot's answers to a read, to a license request and to a document.
fn answers(keymoot: &Cluster, contents: &[Content], encryptor: &Encryptor) -> Result<[String; 3], RigError> {
    let node = keymoot.node(keymoot.leader()?)?.api;
    let some = contents.get(..1).ok_or_else(|| RigError::Program("no content is known".to_owned()))?;
    let answer = |requests: Vec<Vec<u8>>| {
        let answer = known::send_all(&[node], None, requests)?.pop();
        let body = answer.map(|answer| answer.body).unwrap_or_default();
        String::from_utf8(body).map_err(|_| RigError::Answer("the answer is no text".to_owned()))
    };
    Ok([
        answer(known::reads(keymoot.signer(), some))?,
        answer(known::licenses(keymoot, some))?,
        answer(known::documents(encryptor, 1))?,
    ])
}
