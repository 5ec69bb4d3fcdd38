//! The peers of this node: the addresses of each, which may change, and links by purpose.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::sync::watch;

use keymoot_model::NodeId;
use keymoot_telemetry::LastingConditions;
use keymoot_tls::server_name_of;

use crate::peer::link::Link;
use crate::peer::local_end::LocalEnd;
use crate::peer::route::{Dial, Route};

/// Makes links to peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    shared: Arc<SharedPeers>,
}

struct SharedPeers {
    local: LocalEnd,
    dial: Dial,
    connect_timeout: Duration,
    unreachable: Arc<LastingConditions<NodeId>>,
    known: Mutex<HashMap<NodeId, Known>>,
}

struct Known {
    addresses: watch::Sender<Vec<String>>,
    /// Carries forwarded proposals and read indexes, apart from replication, so that they do not
    /// queue behind each other.
    requests: Link,
}

impl Peers {
    /// The peers of a node or a tool, dialled over `dial`.
    pub(crate) fn new(local: LocalEnd, dial: impl Into<Dial>, connect_timeout: Duration) -> Self {
        let shared = SharedPeers {
            local,
            dial: dial.into(),
            connect_timeout,
            unreachable: Arc::default(),
            known: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Stores a peer's address, if none is known yet.
    pub(crate) fn learn(&self, id: NodeId, address: &str) {
        if self.requests(id).is_none() {
            self.locate(id, vec![address.to_owned()]);
        }
    }

    /// Stores the addresses at which a peer may be reached, the likeliest first; existing links
    /// connect there from now on.
    pub(crate) fn locate(&self, id: NodeId, addresses: Vec<String>) {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = known.get(&id) {
            peer.addresses.send_if_modified(|now| {
                let changed = *now != addresses;
                if changed {
                    *now = addresses;
                }
                changed
            });
            return;
        }
        let addresses = watch::Sender::new(addresses);
        if let Some(requests) = self.link(id, &addresses, "requests") {
            known.insert(id, Known { addresses, requests });
        }
    }

    /// The link for requests to a peer whose address is known.
    pub(crate) fn requests(&self, id: NodeId) -> Option<Link> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).map(|peer| peer.requests.clone())
    }

    /// A separate new link to a peer whose address is known.
    pub(crate) fn dedicated(&self, id: NodeId, purpose: &str) -> Option<Link> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).and_then(|peer| self.link(id, &peer.addresses, purpose))
    }

    fn link(&self, id: NodeId, addresses: &watch::Sender<Vec<String>>, purpose: &str) -> Option<Link> {
        let name = server_name_of(id, &self.shared.local.cluster);
        let server_name: ServerName<'static> = match name {
            Ok(name) => name,
            Err(error) => {
                tracing::error!(peer = id, %error, "the peer has no valid name");
                return None;
            }
        };
        let route = Route {
            peer: id,
            addresses: addresses.subscribe(),
            server_name,
            dial: self.shared.dial.clone(),
            local: self.shared.local.clone(),
            connect_timeout: self.shared.connect_timeout,
            unreachable: self.shared.unreachable.clone(),
        };
        Some(Link::new(format!("node {id} ({purpose})"), route))
    }
}
