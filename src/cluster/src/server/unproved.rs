//! Connections to the peer port that have shown neither a node's certificate nor a proof of a master key yet:
//! anybody can open them, so they are few, for each address and altogether, and none holds up another. When
//! there is no room, the one that has waited longest is closed, of the address that has the most. A network of IPv6
//! counts as one address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keymoot_model::client_network;
use keymoot_telemetry::Metrics;
use tokio::sync::oneshot;

/// The bounds on such connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnprovedLimits {
    pub connections_max: usize,
    pub per_address_max: usize,
}

/// All such connections of a node.
pub(crate) struct UnprovedPeers {
    limits: UnprovedLimits,
    waiting: Mutex<Waiting>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    open: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
}

impl Waiting {
    /// The longest waiting of this address.
    fn oldest_of(&self, address: IpAddr) -> Option<u64> {
        self.open.iter().find(|(_, (from, _))| *from == address).map(|(number, _)| *number)
    }

    fn count(&self, address: IpAddr) -> usize {
        self.open.values().filter(|(from, _)| *from == address).count()
    }

    /// The longest waiting of the address that has the most.
    fn oldest_of_most(&self) -> Option<u64> {
        let mut counts: BTreeMap<IpAddr, (usize, u64)> = BTreeMap::new();
        for (number, (address, _)) in &self.open {
            counts.entry(*address).or_insert((0, *number)).0 += 1;
        }
        let most = counts.into_values().max_by_key(|(count, oldest)| (*count, std::cmp::Reverse(*oldest)));
        most.map(|(_, oldest)| oldest)
    }
}

impl UnprovedPeers {
    /// None yet.
    pub(crate) fn new(limits: UnprovedLimits, metrics: Arc<Metrics>) -> Self {
        Self { limits, waiting: Mutex::default(), metrics }
    }

    /// Notes a connection from there until the returned value is dropped, and makes room for it.
    pub(crate) fn enter(self: &Arc<Self>, from: IpAddr) -> UnprovedPeer {
        let from = client_network(from);
        let (gives_way, evicted) = oneshot::channel();
        let mut waiting = self.lock();
        let crowded = if waiting.count(from) >= self.limits.per_address_max {
            waiting.oldest_of(from).map(|number| (number, "address"))
        } else if waiting.open.len() >= self.limits.connections_max {
            waiting.oldest_of_most().map(|number| (number, "crowded"))
        } else {
            None
        };
        if let Some((number, reason)) = crowded {
            // Its task sees that the sender is gone.
            waiting.open.remove(&number);
            self.count_closed(reason);
        }
        let number = waiting.next;
        waiting.next += 1;
        waiting.open.insert(number, (from, gives_way));
        self.metrics.peer_unproved_connections.set(i64::try_from(waiting.open.len()).unwrap_or(i64::MAX));
        drop(waiting);
        UnprovedPeer { all: self.clone(), number, evicted }
    }

    fn count_closed(&self, reason: &str) {
        self.metrics.peer_unproved_closed_total.with_label_values(&[reason]).inc();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has proved nothing yet.
pub(crate) struct UnprovedPeer {
    all: Arc<UnprovedPeers>,
    number: u64,
    evicted: oneshot::Receiver<()>,
}

impl UnprovedPeer {
    /// Does what is done until it proves something, within this time, and unless it must give way.
    ///
    /// # Errors
    /// When it took too long, had to give way, or `work` failed.
    pub(crate) async fn during<T>(
        &mut self,
        patience: std::time::Duration,
        work: impl Future<Output = std::io::Result<T>>,
    ) -> std::io::Result<T> {
        let evicted = &mut self.evicted;
        let work = async {
            tokio::select! {
                done = work => done,
                _ = evicted => Err(std::io::Error::other("too many connections have proved nothing yet")),
            }
        };
        if let Ok(done) = tokio::time::timeout(patience, work).await {
            return done;
        }
        self.all.count_closed("silent");
        Err(std::io::ErrorKind::TimedOut.into())
    }
}

impl Drop for UnprovedPeer {
    fn drop(&mut self) {
        let mut waiting = self.all.lock();
        waiting.open.remove(&self.number);
        self.all.metrics.peer_unproved_connections.set(i64::try_from(waiting.open.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peers(connections_max: usize, per_address_max: usize) -> Arc<UnprovedPeers> {
        let limits = UnprovedLimits { connections_max, per_address_max };
        Arc::new(UnprovedPeers::new(limits, Arc::new(Metrics::new().unwrap())))
    }

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    async fn must_go(peer: &mut UnprovedPeer) -> bool {
        let waiting = std::future::pending::<std::io::Result<()>>();
        let error = peer.during(Duration::from_secs(1), waiting).await.unwrap_err();
        error.kind() == std::io::ErrorKind::Other
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_gives_way_to_itself_and_the_most_numerous_to_all() {
        let peers = peers(4, 3);
        let mut of_one = Vec::from([1, 1, 1].map(|last| peers.enter(address(last))));
        let mut other = peers.enter(address(2));
        let fourth = peers.enter(address(1));
        assert!(must_go(&mut of_one[0]).await && !must_go(&mut of_one[1]).await);
        let mut third = peers.enter(address(3));
        assert!(must_go(&mut of_one[1]).await, "its address had the most");
        assert!(!must_go(&mut other).await && !must_go(&mut third).await && !must_go(&mut of_one[2]).await);
        assert_eq!(peers.metrics.peer_unproved_connections.get(), 4);
        drop((of_one, other, fourth, third));
        assert_eq!(peers.metrics.peer_unproved_connections.get(), 0);
        let closed = |reason| peers.metrics.peer_unproved_closed_total.with_label_values(&[reason]).get();
        assert_eq!((closed("address"), closed("crowded"), closed("silent")), (1, 1, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_a_network_of_ipv6_is_one_client_and_gives_way_to_itself() {
        let peers = peers(64, 2);
        let from = |text: &str| peers.enter(text.parse().unwrap());
        let mut of_network = ["2001:db8::1", "2001:db8::ffff:2"].map(from);
        let mut other = from("2001:db8:0:1::1");
        let _third = from("2001:db8::3");
        assert!(must_go(&mut of_network[0]).await, "the third of its network");
        assert!(!must_go(&mut other).await, "another network");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_is_done_in_time_is_done() {
        let mut peer = peers(1, 1).enter(address(1));
        let done = async { Ok(7) };
        assert_eq!(peer.during(Duration::from_secs(1), done).await.unwrap(), 7);
    }
}
