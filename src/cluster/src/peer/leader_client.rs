//! Sends requests to the leader, whichever node it is, through elections and lost connections, up
//! to a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use keymoot_model::NodeId;

use crate::error::ClusterError;
use crate::peer::link::Link;
use crate::peer::peers::Peers;

/// The pause before a retry when no event signals that a retry would help.
const RETRY_AFTER: Duration = Duration::from_millis(20);
/// How long a leader with a full disk is retried: it may transfer the leadership to one with free
/// space.
const DISK_FULL_PATIENCE: Duration = Duration::from_secs(3);

/// The leader, as this node knows it. A new term is a change even when the leader stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Leadership {
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
}

/// The location of the leader.
pub(crate) enum Leader {
    Here,
    /// A peer, reached over this link.
    There(Link),
}

/// Why the leader did not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unanswered {
    /// A retry may succeed.
    Retry,
    /// The leader's disk is full; another node may lead soon.
    DiskFull,
    /// This node has stopped.
    Stopped,
}

/// Sends requests to the leader. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LeaderClient {
    me: NodeId,
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
}

impl LeaderClient {
    /// The client on node `me`.
    pub(crate) fn new(me: NodeId, peers: Peers, leadership: watch::Receiver<Leadership>) -> Self {
        Self { me, peers, leadership }
    }

    /// The link for requests to a peer, whichever node leads.
    pub(crate) fn link_to(&self, id: NodeId) -> Option<Link> {
        self.peers.requests(id)
    }

    /// Sends a request to the leader, and again, to a new leader too, until it answers or the
    /// deadline is reached. The request may arrive more than once; it must be safe to repeat.
    pub(crate) async fn ask<T, F, Asking>(&self, deadline: Instant, ask: F) -> Result<T, ClusterError>
    where
        F: Fn(Leader) -> Asking,
        Asking: Future<Output = Result<T, Unanswered>>,
    {
        let began = Instant::now();
        let mut leadership = self.leadership.clone();
        let mut full_since: Option<Instant> = None;
        loop {
            let now = *leadership.borrow_and_update();
            let attempt = async {
                match now.leader {
                    None => std::future::pending().await,
                    Some(id) if id == self.me => ask(Leader::Here).await,
                    Some(id) => match self.peers.requests(id) {
                        Some(link) => ask(Leader::There(link)).await,
                        // The leader's address comes with the membership, which may not be applied
                        // yet.
                        None => Err(Unanswered::Retry),
                    },
                }
            };
            let retry = tokio::select! {
                answer = attempt => match answer {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered::Stopped) => return Err(ClusterError::Stopped),
                    Err(Unanswered::Retry) => true,
                    Err(Unanswered::DiskFull) => {
                        if full_since.get_or_insert_with(Instant::now).elapsed() >= DISK_FULL_PATIENCE {
                            return Err(ClusterError::DiskFull);
                        }
                        true
                    }
                },
                changed = leadership.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => return Err(ClusterError::Stopped),
                },
                () = tokio::time::sleep_until(deadline) => {
                    return Err(ClusterError::NoQuorum { waited: began.elapsed() });
                }
            };
            if retry {
                tokio::select! {
                    () = tokio::time::sleep(RETRY_AFTER) => {}
                    _ = leadership.changed() => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keymoot_crypto::Keyring;

    use super::*;
    use crate::peer::local_end::LocalEnd;

    /// Peers of node 1, none of them known, in a cluster without certificates.
    fn no_peers() -> Peers {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Peers::new(
            LocalEnd::of_tool("test".parse().unwrap(), Some(1), Arc::new(Keyring::generate().unwrap())),
            Arc::new(tls),
            Duration::from_millis(10),
        )
    }

    #[tokio::test]
    async fn a_leader_whose_address_comes_late_is_asked_then() {
        let (peers, leadership) = (no_peers(), watch::Sender::new(Leadership { term: 1, leader: Some(2) }));
        let leader_client = LeaderClient::new(1, peers.clone(), leadership.subscribe());
        let asked = tokio::spawn(async move {
            let deadline = Instant::now() + Duration::from_secs(30);
            leader_client
                .ask(deadline, |leader| async move {
                    match leader {
                        Leader::There(_) => Ok(()),
                        Leader::Here => Err(Unanswered::Stopped),
                    }
                })
                .await
        });
        tokio::task::yield_now().await;
        peers.learn(2, "127.0.0.1:1");
        let answer = tokio::time::timeout(Duration::from_secs(5), asked).await;
        assert!(answer.is_ok_and(|asked| asked.is_ok_and(|answer| answer.is_ok())));
    }
}
