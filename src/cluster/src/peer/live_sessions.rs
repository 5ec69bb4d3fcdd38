//! The connections that peers have made to this node, so that a second process of a node is noticed while the
//! first one is connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_store::Start;

/// A process that was heard within this time is alive: twice the pause between two reports. The connections of
/// one that ended are closed by its machine at once; this is for a machine that lost its power.
pub(crate) const ALIVE_WITHIN: Duration = Duration::from_secs(7);

/// A connection of a peer, for as long as it lives.
#[derive(Debug)]
pub(crate) struct LiveSession {
    start: Start,
    place: String,
    heard: Mutex<Instant>,
}

impl LiveSession {
    /// Notes that the peer said something.
    pub(crate) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_alive(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < ALIVE_WITHIN
    }
}

/// The connections of all peers. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct LiveSessions(Arc<Mutex<BTreeMap<NodeId, Vec<Weak<LiveSession>>>>>);

impl LiveSessions {
    /// Registers a connection from `place`; it counts until the returned value is dropped.
    pub(crate) fn enter(&self, peer: NodeId, start: Start, place: String) -> Arc<LiveSession> {
        let session = Arc::new(LiveSession { start, place, heard: Mutex::new(Instant::now()) });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_peer = all.entry(peer).or_default();
        of_peer.retain(|session| session.strong_count() > 0);
        of_peer.push(Arc::downgrade(&session));
        session
    }

    /// Another start of the peer than `start` that is connected and alive, and where it connects from.
    pub(crate) fn other_start(&self, peer: NodeId, start: Start) -> Option<(Start, String)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sessions = all.get(&peer)?.iter().filter_map(Weak::upgrade);
        let other = sessions.find(|session| session.start != start && session.is_alive())?;
        Some((other.start, other.place.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn another_start_counts_while_it_is_connected_and_heard() {
        let sessions = LiveSessions::default();
        let [first, second] = [1, 2].map(|number| Start { number, id: 9 });
        let session = sessions.enter(3, first, "there".to_owned());
        let from = || "there".to_owned();
        assert_eq!(sessions.other_start(3, first), None);
        assert_eq!(sessions.other_start(2, second), None);
        assert_eq!(sessions.other_start(3, second), Some((first, from())));
        tokio::time::advance(ALIVE_WITHIN).await;
        assert_eq!(sessions.other_start(3, second), None, "its machine may have lost its power");
        session.hear();
        assert_eq!(sessions.other_start(3, second), Some((first, from())));
        drop(session);
        assert_eq!(sessions.other_start(3, second), None);
    }
}
