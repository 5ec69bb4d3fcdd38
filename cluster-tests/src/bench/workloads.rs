//! What is measured: which requests go where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::etcd::{EtcdCluster, EtcdLoad};
use super::load::{self, Http, Outcome, Plan, Traffic};
use crate::signed::WIDEVINE;
use crate::{Cluster, RigError, Signer, license, wait};

/// Who answers a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Three nodes of Keymoot.
    Keymoot,
    /// Three nodes of etcd.
    Etcd,
    /// The bare actix-web server.
    Bare,
}

/// The workloads, by the names that tables and figures use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// Fixed bytes from a bare actix-web server.
    Bare,
    /// POST for contents that have no key, at all nodes.
    Create,
    /// Puts at all nodes of etcd.
    EtcdPut,
    /// GET of keys at all nodes, linearizable.
    Read,
    /// POST for contents that have a key, at all nodes.
    ReadByPost,
    /// GET at the leader only.
    LeaderRead,
    /// GET at the followers only.
    FollowerRead,
    /// Linearizable gets at all nodes of etcd.
    EtcdGet,
    /// Clear Key licenses at all nodes.
    License,
    /// 95 reads by GET and 5 creates of each hundred, at all nodes.
    MixedDay,
}

impl Name {
    /// As tables show it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Bare => "bare actix-web",
            Self::Create => "create (POST)",
            Self::EtcdPut => "etcd put",
            Self::Read => "read (GET)",
            Self::ReadByPost => "read (POST)",
            Self::LeaderRead => "read at leader",
            Self::FollowerRead => "read at followers",
            Self::EtcdGet => "etcd get",
            Self::License => "Clear Key license",
            Self::MixedDay => "95 % reads",
        }
    }

    /// Who answers.
    pub const fn system(self) -> System {
        match self {
            Self::Bare => System::Bare,
            Self::EtcdPut | Self::EtcdGet => System::Etcd,
            _ => System::Keymoot,
        }
    }
}

/// A workload, ready to run.
pub struct Workload {
    /// Which.
    pub name: Name,
    load: Loading,
}

enum Loading {
    Http(Arc<Http>),
    Etcd(Arc<EtcdLoad>),
}

impl Workload {
    /// Runs it.
    ///
    /// # Errors
    /// Those of [`load::run`], and any refusal: a benchmark of refusals says nothing.
    pub async fn run(&self, plan: &Plan) -> Result<Outcome, RigError> {
        let outcome = match &self.load {
            Loading::Http(http) => load::run(plan, http.clone()).await?,
            Loading::Etcd(etcd) => load::run(plan, etcd.clone()).await?,
        };
        match &outcome.first_refusal {
            None => Ok(outcome),
            Some(refusal) => {
                let text = format!("{}: {} refusals, first {refusal}", self.name.text(), outcome.refused);
                Err(RigError::Answer(text))
            }
        }
    }
}

/// A content that has a key.
pub struct Content {
    /// Its content id.
    pub name: String,
    /// Its key id.
    pub kid: [u8; 16],
}

/// Creates the contents that reads ask for.
///
/// # Errors
/// When a node does not answer.
pub fn known_contents(cluster: &Cluster, count: usize) -> Result<Vec<Content>, RigError> {
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let names: Vec<String> = (0..count).map(|serial| format!("known-{serial}.mp4")).collect();
    let mut contents = Vec::with_capacity(names.len());
    for part in names.chunks(64) {
        wait::not_interrupted()?;
        std::thread::scope(|scope| {
            let creators: Vec<_> = part
                .iter()
                .zip(nodes.iter().cycle())
                .map(|(content, node)| scope.spawn(move || signer.create(*node, content)))
                .collect();
            creators.into_iter().try_for_each(|creator| {
                let key =
                    creator.join().map_err(|_| RigError::Program("a creator panicked".to_owned()))??;
                contents.push(Content { name: key.content_id.clone(), kid: key.bytes()?.1 });
                Ok::<(), RigError>(())
            })
        })?;
    }
    Ok(contents)
}

/// Makes workloads of these names.
///
/// # Errors
/// When the cluster has no leader.
pub fn workloads(
    names: &[Name],
    cluster: &Cluster,
    contents: &[Content],
    etcd: &EtcdCluster,
    bare: SocketAddr,
) -> Result<Vec<Workload>, RigError> {
    let leader = cluster.leader()?;
    let at_leader = vec![cluster.node(leader)?.api];
    let at_followers: Vec<SocketAddr> =
        cluster.nodes().iter().filter(|node| node.id != leader).map(|node| node.api).collect();
    let at_all = cluster.addresses();
    let signer = cluster.signer();
    let known = |method: &str| -> Arc<dyn Traffic> {
        let request =
            |content: &Content| signer.request(method, WIDEVINE, &signer.custom_data(&content.name, &[]));
        Arc::new(Prepared(contents.iter().map(request).collect()))
    };
    let http = |servers: &[SocketAddr], traffic| {
        Loading::Http(Arc::new(Http { servers: servers.to_vec(), traffic }))
    };
    let load = |name: Name| match name {
        Name::Bare => http(&[bare], known("POST")),
        Name::Create => http(&at_all, Arc::new(Creates::new(signer, "bench"))),
        Name::Read => http(&at_all, known("GET")),
        Name::ReadByPost => http(&at_all, known("POST")),
        Name::LeaderRead => http(&at_leader, known("GET")),
        Name::FollowerRead => http(&at_followers, known("GET")),
        Name::License => http(&at_all, Arc::new(Prepared(licenses(cluster, contents)))),
        Name::MixedDay => {
            http(&at_all, Arc::new(Mixed { reads: known("GET"), creates: Creates::new(signer, "mixed") }))
        }
        Name::EtcdPut => Loading::Etcd(Arc::new(EtcdLoad::puts(&etcd.endpoints))),
        Name::EtcdGet => Loading::Etcd(Arc::new(EtcdLoad::gets(&etcd.endpoints, contents.len() as u64))),
    };
    Ok(names.iter().map(|name| Workload { name: *name, load: load(*name) }).collect())
}

fn licenses(cluster: &Cluster, contents: &[Content]) -> Vec<Vec<u8>> {
    let player = cluster.license_signer();
    let license = |content: &Content| {
        let challenge = license::clear_key_challenge([&content.kid]);
        license::request(&player, license::CLEAR_KEY, &player.custom_data(&content.name, &[]), &challenge)
    };
    contents.iter().map(license).collect()
}

/// POSTs for contents that do not exist yet.
struct Creates {
    signer: Signer,
    series: &'static str,
    next: AtomicU64,
}

impl Creates {
    fn new(signer: &Signer, series: &'static str) -> Self {
        Self { signer: signer.clone(), series, next: AtomicU64::new(0) }
    }
}

impl Traffic for Creates {
    fn write_request(&self, _client: usize, _serial: u64, out: &mut Vec<u8>) {
        let content_id = format!("{}-{}.mp4", self.series, self.next.fetch_add(1, Ordering::Relaxed));
        let custom_data = self.signer.custom_data(&content_id, &[]);
        out.extend_from_slice(&self.signer.request("POST", WIDEVINE, &custom_data));
    }
}

/// Requests made beforehand, in an order of each client's own.
struct Prepared(Vec<Vec<u8>>);

impl Traffic for Prepared {
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>) {
        let count = self.0.len().max(1);
        let index = usize::try_from(serial).unwrap_or(0).wrapping_add(client.wrapping_mul(7919)) % count;
        out.extend_from_slice(self.0.get(index).map_or(&[], Vec::as_slice));
    }
}

/// One create among twenty requests.
struct Mixed {
    reads: Arc<dyn Traffic>,
    creates: Creates,
}

impl Traffic for Mixed {
    fn write_request(&self, client: usize, serial: u64, out: &mut Vec<u8>) {
        match serial.wrapping_add(client as u64) % 20 {
            0 => self.creates.write_request(client, serial, out),
            _ => self.reads.write_request(client, serial, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_creates_are_of_the_same_content() {
        let creates = Creates::new(&Signer::new("a", "OVP", "k"), "x");
        let mut seen = std::collections::HashSet::new();
        for (client, serial) in [(0, 0), (0, 1), (1, 0), (1, 1), (0, 0)] {
            let mut out = Vec::new();
            creates.write_request(client, serial, &mut out);
            assert!(seen.insert(out));
        }
    }

    #[test]
    fn one_of_twenty_requests_of_a_mixed_day_is_a_create() {
        let reads = Arc::new(Prepared(vec![b"read".to_vec()]));
        let mixed = Mixed { reads, creates: Creates::new(&Signer::new("a", "OVP", "k"), "x") };
        let is_create = |serial: &u64| {
            let mut out = Vec::new();
            mixed.write_request(3, *serial, &mut out);
            out != b"read"
        };
        assert_eq!((0..100).filter(is_create).count(), 5);
    }
}
