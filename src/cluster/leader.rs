//! Asking the leader, wherever it is, through elections and lost connections, up to a deadline.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::model::NodeId;

use super::error::ClusterError;
use super::link::Link;
use super::peers::Peers;

/// How long to wait before asking again when nothing tells that asking again would help.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// Who leads, as this node knows it. A new term is news even when the leader stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The term.
    pub term: u64,
    /// The leader, when one is known.
    pub leader: Option<NodeId>,
}

/// Where the leader is.
pub enum Leader {
    /// This node.
    Here,
    /// A peer, reached over this link.
    There(Link),
}

/// Why the leader did not answer.
pub enum Unanswered {
    /// It may answer when asked again.
    Retry,
    /// This node has stopped.
    Stopped,
}

/// Asks whoever leads. Cheap to clone.
#[derive(Clone)]
pub struct LeaderSeat {
    me: NodeId,
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
}

impl LeaderSeat {
    /// The seat as node `me` sees it.
    pub fn new(me: NodeId, peers: Peers, leadership: watch::Receiver<Leadership>) -> Self {
        Self { me, peers, leadership }
    }

    /// Asks the leader and asks again, also a new leader, until it answers or the deadline is
    /// there. What is asked may be asked more than once; it must be safe to repeat.
    pub async fn ask<T, F, Asking>(&self, deadline: Instant, ask: F) -> Result<T, ClusterError>
    where
        F: Fn(Leader) -> Asking,
        Asking: Future<Output = Result<T, Unanswered>>,
    {
        let began = Instant::now();
        let mut leadership = self.leadership.clone();
        loop {
            let now = *leadership.borrow_and_update();
            let attempt = async {
                match self.find(now) {
                    Some(leader) => ask(leader).await,
                    // A leader can be known before the membership that says where it is; nothing tells
                    // when that has come.
                    None if now.leader.is_some() => Err(Unanswered::Retry),
                    None => std::future::pending().await,
                }
            };
            let retry = tokio::select! {
                answer = attempt => match answer {
                    Ok(answer) => return Ok(answer),
                    Err(Unanswered::Stopped) => return Err(ClusterError::Stopped),
                    Err(Unanswered::Retry) => true,
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

    fn find(&self, now: Leadership) -> Option<Leader> {
        match now.leader? {
            id if id == self.me => Some(Leader::Here),
            id => self.peers.requests(id).map(Leader::There),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::crypto::ClusterName;

    fn peers() -> Peers {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        Peers::new(&ClusterName::new("test").unwrap(), Some(1), Arc::new(tls), Duration::from_millis(10))
    }

    #[tokio::test]
    async fn a_leader_that_is_known_before_its_address_is_asked_once_the_address_is() {
        let (peers, leader) = (peers(), Leadership { term: 1, leader: Some(2) });
        let (_leads, leadership) = watch::channel(leader);
        let seat = LeaderSeat::new(1, peers.clone(), leadership);
        let learn = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            peers.learn(2, "127.0.0.1:1");
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let ask = seat.ask(deadline, |leader| async move { Ok(matches!(leader, Leader::There(_))) });
        let (answer, ()) = tokio::join!(ask, learn);
        assert_eq!(answer.ok(), Some(true));
        assert!(Instant::now() + Duration::from_secs(5) < deadline, "it waited for something else");
    }
}
