//! The peers as this node reaches them: an address that may change, and links by purpose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::sync::watch;

use keymoot_crypto::{ClusterName, Keyring, server_name_of};
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::StateError;

use super::fence::Fence;
use super::link::{Dial, Link, Route};
use super::message::{Hello, PROTOCOL};
use super::state_view::StateView;

/// Makes links to peers. Cheap to clone.
#[derive(Clone)]
pub struct Peers {
    inner: Arc<SharedPeers>,
}

struct SharedPeers {
    cluster: ClusterName,
    hello: Hello,
    fence: Option<Fence>,
    dial: Dial,
    keyring: Arc<Keyring>,
    connect_timeout: Duration,
    fatal: FatalSignal,
    known: Mutex<HashMap<NodeId, Known>>,
}

/// Stops this node for a reason that it cannot mend, such as its removal. Cheap to clone.
#[derive(Clone)]
pub struct FatalSignal {
    pub reason: watch::Sender<Option<String>>,
    pub state: Option<StateView>,
}

impl Default for FatalSignal {
    fn default() -> Self {
        Self { reason: watch::Sender::new(None), state: None }
    }
}

impl FatalSignal {
    /// The cluster's feature level as this node's state has it; 0 before it is founded.
    pub fn feature_level(&self) -> Result<u32, StateError> {
        let identity = self.state.as_ref().map(state::cluster_identity).transpose()?.flatten();
        Ok(identity.map_or(0, |identity| identity.feature_level))
    }

    /// The level to greet with. A node that cannot read its state greets with 0 and is let in: its log and its
    /// vote still serve the others.
    pub fn greeted_level(&self) -> u32 {
        self.feature_level().unwrap_or_default()
    }

    /// Stops the node for `reason`, unless it is stopping already.
    pub fn raise(&self, reason: &str) {
        self.reason.send_if_modified(|said| {
            let first = said.is_none();
            if first {
                tracing::error!(reason, "the node cannot go on");
                *said = Some(reason.to_owned());
            }
            first
        });
    }
}

struct Known {
    address: watch::Sender<String>,
    /// Carries forwarded proposals and read indexes, apart from replication, so that they do not
    /// queue behind each other.
    requests: Link,
}

impl Peers {
    /// Peers of `cluster` as seen from `node` with its fence, or from an operator's tool, which has none. They
    /// are given proof of the master keys in `keyring`.
    pub fn new(
        cluster: &ClusterName,
        node: Option<NodeId>,
        fence: Option<Fence>,
        dial: impl Into<Dial>,
        keyring: Arc<Keyring>,
        connect_timeout: Duration,
        fatal: FatalSignal,
    ) -> Self {
        let hello = Hello {
            protocol: PROTOCOL,
            cluster: cluster.as_str().to_owned(),
            node,
            fence: None,
            feature_level: 0,
            removed: false,
        };
        Self {
            inner: Arc::new(SharedPeers {
                cluster: cluster.clone(),
                hello,
                fence,
                dial: dial.into(),
                keyring,
                connect_timeout,
                fatal,
                known: Mutex::default(),
            }),
        }
    }

    /// Notes where a peer is; links that exist connect there from now on.
    pub fn learn(&self, id: NodeId, address: &str) {
        let mut known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = known.get(&id) {
            peer.address.send_if_modified(|now| {
                let changed = now != address;
                if changed {
                    address.clone_into(now);
                }
                changed
            });
            return;
        }
        let address = watch::Sender::new(address.to_owned());
        if let Some(requests) = self.link(id, &address, "requests") {
            known.insert(id, Known { address, requests });
        }
    }

    /// The link for requests to a peer whose address is known.
    pub fn requests(&self, id: NodeId) -> Option<Link> {
        let known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).map(|peer| peer.requests.clone())
    }

    /// A new link of its own to a peer whose address is known.
    pub fn dedicated(&self, id: NodeId, purpose: &str) -> Option<Link> {
        let known = self.inner.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).and_then(|peer| self.link(id, &peer.address, purpose))
    }

    fn link(&self, id: NodeId, address: &watch::Sender<String>, purpose: &str) -> Option<Link> {
        let name = server_name_of(id, &self.inner.cluster);
        let server_name: ServerName<'static> = match name {
            Ok(name) => name,
            Err(error) => {
                tracing::error!(peer = id, %error, "the peer has no valid name");
                return None;
            }
        };
        let route = Route {
            peer: id,
            fence: self.inner.fence.clone(),
            address: address.subscribe(),
            server_name,
            dial: self.inner.dial.clone(),
            cluster: self.inner.cluster.clone(),
            keyring: self.inner.keyring.clone(),
            hello: self.inner.hello.clone(),
            connect_timeout: self.inner.connect_timeout,
            fatal: self.inner.fatal.clone(),
        };
        Some(Link::new(format!("node {id} ({purpose})"), route))
    }
}
