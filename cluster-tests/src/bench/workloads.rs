//! The workloads: which requests are sent to which servers.

use std::net::SocketAddr;
use std::sync::Arc;

use super::etcd::EtcdLoad;
use super::http::{Http, Traffic};
use super::known;
use super::load::{self, Load as _, Outcome, Plan};
use super::names::Name;
use super::peers::Peers;
use super::traffic::{Fresh, Mixed, Resigned, Ring};
use crate::signed::WIDEVINE;
use crate::{RigError, Signer, raw};

/// The number of existing live streams, of contents with five tracks, and of known documents.
const KNOWN_STREAMS: usize = 200;

/// A workload that is ready to run.
pub struct Workload {
    pub name: Name,
    load: Loading,
}

enum Loading {
    Http(Arc<Http>),
    Etcd(Arc<EtcdLoad>),
}

impl Workload {
    /// Requests over plain HTTP.
    pub fn http(name: Name, servers: Vec<SocketAddr>, traffic: Arc<dyn Traffic>) -> Self {
        Self { name, load: Loading::Http(Arc::new(Http { servers, tls: None, traffic })) }
    }

    /// Prepares about this many requests.
    pub fn prepare(&self, requests: usize) {
        match &self.load {
            Loading::Http(http) => http.prepare(requests),
            Loading::Etcd(etcd) => etcd.prepare(requests),
        }
    }

    /// Runs the workload; `begun` is called when all clients are connected.
    ///
    /// # Errors
    /// As for [`load::run`], and for any refusal: a benchmark of refusals measures nothing.
    pub fn run(&self, plan: &Plan, begun: impl Fn() + Send + Sync) -> Result<Outcome, RigError> {
        let outcome = match &self.load {
            Loading::Http(http) => load::run(plan, http, begun)?,
            Loading::Etcd(etcd) => load::run(plan, etcd, begun)?,
        };
        match &outcome.first_refusal {
            None => Ok(outcome),
            Some(refusal) => {
                let text = format!("{}: {} refusals, first {refusal}", self.name, outcome.refused);
                Err(RigError::Answer(text))
            }
        }
    }
}

/// Makes the workload with this name.
///
/// # Errors
/// When its system was not started.
pub fn workload(name: Name, peers: &Peers) -> Result<Workload, RigError> {
    let (signer, contents) = (peers.keymoot.signer(), &peers.contents);
    let all = peers.keymoot.addresses();
    let leader = peers.leader;
    let followers: Vec<SocketAddr> = all.iter().copied().filter(|node| *node != leader).collect();
    let at = |servers: &[SocketAddr], traffic| Ok(Workload::http(name, servers.to_vec(), traffic));
    let gets = || ring(known::reads(signer, contents));
    let posts = || ring(contents.iter().map(|content| post(signer, &content.name)).collect());
    let etcd = |load| Ok(Workload { name, load: Loading::Etcd(Arc::new(load)) });
    let keys = contents.len() as u64;
    match name {
        Name::BareOne => at(&peers.bare_addresses(1), gets()),
        Name::BareTwo => at(&peers.bare_addresses(2), gets()),
        Name::BareThree => at(&peers.bare_addresses(3), gets()),
        Name::BareLicense => at(&peers.bare_addresses(3), ring(known::licenses(&peers.keymoot, contents))),
        Name::BareDocument => at(&peers.bare_addresses(3), documents(peers)),
        Name::Create => at(&all, creates(signer, name)),
        Name::CreateAtLeader => at(&[leader], creates(signer, name)),
        Name::CreateAtFollowers => at(&followers, creates(signer, name)),
        Name::Read => at(&all, gets()),
        Name::ReadAtLeader => at(&[leader], gets()),
        Name::ReadAtFollowers => at(&followers, gets()),
        Name::ReadByPost => at(&all, posts()),
        Name::ReadByPostAtLeader => at(&[leader], posts()),
        Name::ReadByPostAtFollowers => at(&followers, posts()),
        Name::Schedule => at(&all, ring(known::schedules(&peers.keymoot, KNOWN_STREAMS)?)),
        Name::Widevine => at(&all, ring(known::tracks(&peers.keymoot, KNOWN_STREAMS)?)),
        Name::WidevineCreate => {
            known::tracks(&peers.keymoot, 1)?;
            // The key is a constant, so signing cannot fail.
            let make = |serial| known::five_tracks(&format!("tracks-{serial}.mp4")).unwrap_or_default();
            at(&all, Arc::new(Fresh::new(make)))
        }
        Name::License => at(&all, ring(known::licenses(&peers.keymoot, contents))),
        Name::Document => {
            known::send_all(&all, None, known::documents(&peers.encryptor, KNOWN_STREAMS))?;
            at(&all, documents(peers))
        }
        Name::Mixed => at(&all, Arc::new(Mixed { reads: gets(), creates: fresh(signer, name) })),
        Name::TlsCreate | Name::TlsRead => behind_tls(name, peers),
        Name::EtcdPut => etcd(EtcdLoad::puts(&peers.etcd()?.endpoints, name.text())),
        Name::EtcdPutAtFollowers => etcd(EtcdLoad::puts(&peers.etcd()?.followers()?, name.text())),
        Name::EtcdGet => etcd(EtcdLoad::gets(&peers.etcd()?.endpoints, keys)),
        Name::EtcdGetAtFollowers => etcd(EtcdLoad::gets(&peers.etcd()?.followers()?, keys)),
    }
}

fn behind_tls(name: Name, peers: &Peers) -> Result<Workload, RigError> {
    let (front, servers) = (peers.front()?, peers.keymoot.addresses());
    let signer = front.signer.clone();
    let traffic = if name == Name::TlsRead {
        let names = known::names(peers.contents.len());
        let requests: Vec<Vec<u8>> = names.iter().map(|content| unsigned(&signer, content)).collect();
        known::send_all(&servers, Some(&front.tls), requests.clone())?;
        ring(requests)
    } else {
        let make = move |serial| unsigned(&signer, &format!("tls-{serial}.mp4"));
        Arc::new(Fresh::new(make)) as Arc<dyn Traffic>
    };
    let http = Http { servers, tls: Some(front.tls.clone()), traffic };
    Ok(Workload { name, load: Loading::Http(Arc::new(http)) })
}

fn documents(peers: &Peers) -> Arc<dyn Traffic> {
    let encryptor = peers.encryptor.clone();
    Arc::new(Resigned::new(move || known::documents(&encryptor, KNOWN_STREAMS)))
}

fn ring(requests: Vec<Vec<u8>>) -> Arc<dyn Traffic> {
    Arc::new(Ring(requests))
}

/// POSTs for contents that no other workload creates.
pub fn creates(signer: &Signer, series: Name) -> Arc<dyn Traffic> {
    Arc::new(fresh(signer, series))
}

fn fresh(signer: &Signer, series: Name) -> Fresh {
    let signer = signer.clone();
    Fresh::new(move |serial| post(&signer, &format!("{series}-{serial}.mp4")))
}

fn post(signer: &Signer, content: &str) -> Vec<u8> {
    signer.request("POST", WIDEVINE, &signer.custom_data(content, &[]))
}

/// The same without a signature: the connection proves the account.
fn unsigned(signer: &Signer, content: &str) -> Vec<u8> {
    raw::request("POST", WIDEVINE, &[], &signer.custom_data(content, &[]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_creates_are_of_the_same_content() {
        let signer = Signer::new("a", "OVP", "k");
        let mut seen = std::collections::HashSet::new();
        for series in [Name::Create, Name::Mixed] {
            let creates = creates(&signer, series);
            creates.prepare(2);
            for (client, serial) in [(0, 0), (0, 1), (1, 0), (0, 0)] {
                let mut out = Vec::new();
                creates.write_request(client, serial, &mut out);
                assert!(seen.insert(out));
            }
        }
    }
}
