//! Who may enter by a certificate: told by its public key and the register in this node's state.
//!
//! Every node can sign certificates for any id, because the authority's key is in the state. So what a certificate says
//! counts only for the key that is registered for that node. A revoked key never enters. For a key that the state
//! does not know, it matters whether the state is up to date: a node that follows its leader refuses it. A node that
//! lags or has no leader cannot know of nodes that came meanwhile, and might need them to elect one. It hears Raft's
//! messages from them and nothing else, with the authority's signature and proof of a master key, and looks again as
//! soon as it has caught up. The key of a witness permits Raft's messages and what a node says of itself, whatever the
//! certificate says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use keymoot_crypto::PeerChannel;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{KeyStanding, StateError, Tables};
use keymoot_store::LogPosition;

use crate::wire::message::Request;

/// How often it is looked whether a connection's key is still good.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// That the state is up to date is noted no more often.
const NOTE_EVERY: Duration = Duration::from_millis(250);

/// What whoever shows a certificate may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// What a node may.
    Node,
    /// What a witness may, without proof of a master key; the text says why nothing else.
    Witness(String),
    /// Send Raft's messages, and ask to join: this node may be behind, and not know the key yet.
    Unsure(String),
    /// Ask to join, and nothing else; the text says why.
    Guest(String),
    /// Be told that its node was removed, and nothing else.
    Removed(String),
    /// Nothing; the text says why and what to do.
    Refused(String),
}

impl Entry {
    /// Whether it may send this.
    pub(crate) fn permits(&self, request: &Request) -> bool {
        match self {
            Self::Node => true,
            Self::Witness(_) => request.is_of_witness(),
            Self::Unsure(_) => request.is_of_raft() || matches!(request, Request::Join(_)),
            Self::Guest(_) => matches!(request, Request::Join(_)),
            Self::Removed(_) | Self::Refused(_) => false,
        }
    }

    /// Why it may not do what a node may.
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Node => None,
            Self::Witness(reason)
            | Self::Unsure(reason)
            | Self::Guest(reason)
            | Self::Removed(reason)
            | Self::Refused(reason) => Some(reason),
        }
    }
}

/// Whether a state that is applied up to `applied` holds all that was acknowledged when the leader of `term` said that
/// this is committed. A new leader does not know what is before it has committed something itself.
pub(crate) fn holds_all(term: u64, committed: Option<&LogPosition>, applied: Option<u64>) -> bool {
    committed.is_some_and(|at| at.term == term && Some(at.index) <= applied)
}

type Read = dyn Fn(NodeId, &[u8; 32]) -> Result<KeyStanding, StateError> + Send + Sync;

/// Tells who may enter. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KnownKeys(Arc<Shared>);

struct Shared {
    read: Box<Read>,
    /// The members by Raft, some of whom may not have described themselves yet.
    members: ArcSwap<BTreeSet<NodeId>>,
    /// When the state was last known to be up to date.
    current_at: Mutex<Option<Instant>>,
    /// For how long it counts as up to date then.
    silence: Duration,
}

impl KnownKeys {
    /// The register in these tables. A node that heard nothing of its leader for `silence` may be behind.
    pub(crate) fn of<T: Tables + Send + Sync + 'static>(tables: T, silence: Duration) -> Self {
        Self::new(Box::new(move |id, digest| state::key_standing(&tables, id, digest)), silence)
    }

    /// What a tool knows, which has no state: nothing.
    pub(crate) fn unknown() -> Self {
        Self::new(Box::new(|_, _| Ok(KeyStanding::Unregistered)), Duration::ZERO)
    }

    /// What a tool knows that asks a witness.
    pub(crate) fn of_witness() -> Self {
        Self::new(Box::new(|_, _| Ok(KeyStanding::Witness)), Duration::ZERO)
    }

    fn new(read: Box<Read>, silence: Duration) -> Self {
        let (members, current_at) = (ArcSwap::default(), Mutex::default());
        Self(Arc::new(Shared { read, members, current_at, silence }))
    }

    /// Notes the members by Raft.
    pub(crate) fn note_members(&self, members: &BTreeSet<NodeId>) {
        if **self.0.members.load() != *members {
            self.0.members.store(Arc::new(members.clone()));
        }
    }

    /// Notes that the state holds all that a leader knows to be committed, if `is_so` and it was not noted just now.
    pub(crate) fn note_current(&self, is_so: impl FnOnce() -> bool) {
        let is_due = self.current_since().is_none_or(|since| since >= NOTE_EVERY);
        if is_due && is_so() {
            *self.0.current_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    fn current_since(&self) -> Option<Duration> {
        let at = *self.0.current_at.lock().unwrap_or_else(PoisonError::into_inner);
        at.map(|at| at.elapsed())
    }

    /// What the other end of a connection may do, which shows a certificate of node `id`.
    pub(crate) fn judge(&self, id: NodeId, channel: &PeerChannel) -> Entry {
        let members = self.0.members.load();
        // Who has not looked at the members yet, or knows none, cannot tell who is none.
        let is_current =
            !members.is_empty() && self.current_since().is_some_and(|since| since < self.0.silence);
        match (self.0.read)(id, &channel.peer_key.unwrap_or_default()) {
            Ok(KeyStanding::Registered | KeyStanding::Unregistered) => Entry::Node,
            Ok(KeyStanding::Witness) => Entry::Witness(witness(id)),
            // It is a member for as long as the change of members takes.
            Ok(KeyStanding::Removed { revoked: false }) => Entry::Node,
            Ok(KeyStanding::Removed { revoked: true }) => Entry::Removed(format!(
                "node {id} was removed from the cluster, and its certificates were revoked"
            )),
            Ok(KeyStanding::Revoked) => Entry::Refused(revoked(id)),
            Ok(KeyStanding::Other) if is_current => Entry::Refused(other(id)),
            Ok(KeyStanding::Unknown) if is_current && !members.contains(&id) => Entry::Guest(unknown(id)),
            Ok(KeyStanding::Unknown) if members.contains(&id) => Entry::Node,
            Ok(KeyStanding::Other | KeyStanding::Unknown) => Entry::Unsure(unsure(id)),
            Err(error) => Entry::Refused(format!("this node cannot tell whose certificate it is: {error}")),
        }
    }
}

/// The text about a node whose certificates were revoked.
pub(crate) fn revoked(id: NodeId) -> String {
    format!(
        "the certificates of node {id} were revoked: remove it with keymoot cluster remove {id}; its machine comes back \
         as a new node by keymoot cluster replace-disk, with a token of another node"
    )
}

fn witness(id: NodeId) -> String {
    format!("node {id} is registered as a witness, whose certificate opens Raft's messages and nothing else")
}

fn other(id: NodeId) -> String {
    format!(
        "node {id} shows a certificate for another key than the one that is registered for it: give it back the \
         certificate and key that it had, or make its machine a new node with keymoot cluster replace-disk; if nobody \
         changed them, somebody has made this one with the authority's key: docs/certificates.md"
    )
}

fn unsure(id: NodeId) -> String {
    format!(
        "this node may be behind, and does not know the key in the certificate of node {id}: it takes nothing but \
         Raft's messages from it until it has heard all of its leader; ask again, or ask another node"
    )
}

fn unknown(id: NodeId) -> String {
    format!("no node {id} was ever admitted: it joins with a token, by keymoot cluster join")
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_crypto::PeerVersion;

    const CHANNEL: PeerChannel =
        PeerChannel { version: PeerVersion::Third, binding: [0; 32], peer_key: Some([7; 32]) };

    fn keys(standing: KeyStanding) -> KnownKeys {
        let read = move |_, digest: &[u8; 32]| {
            assert_eq!(digest, &[7; 32]);
            Ok(standing)
        };
        KnownKeys::new(Box::new(read), Duration::from_secs(2))
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_may_be_behind_hears_rafts_messages_from_an_unknown_key_and_no_other_does() {
        let enters = |keys: &KnownKeys| {
            let entry = keys.judge(4, &CHANNEL);
            assert_ne!(entry, Entry::Node, "it is never let in as a node");
            matches!(entry, Entry::Unsure(_))
        };
        for standing in [KeyStanding::Other, KeyStanding::Unknown] {
            let keys = keys(standing);
            keys.note_current(|| true);
            assert!(enters(&keys), "{standing:?}: it knows of no members yet");
            keys.note_members(&BTreeSet::from([1]));
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(enters(&keys), "{standing:?}: it may be behind");
            keys.note_current(|| false);
            assert!(enters(&keys), "{standing:?}: it is behind");
            keys.note_current(|| true);
            assert!(!enters(&keys), "{standing:?}: it is up to date");
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(enters(&keys), "{standing:?}: it has heard of no leader for long");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_never_enters_and_a_member_that_is_not_described_yet_does() {
        let revoked = keys(KeyStanding::Revoked);
        assert!(matches!(revoked.judge(4, &CHANNEL), Entry::Refused(_)));
        let unknown = keys(KeyStanding::Unknown);
        unknown.note_members(&BTreeSet::from([1]));
        unknown.note_current(|| true);
        assert!(matches!(unknown.judge(4, &CHANNEL), Entry::Guest(_)));
        unknown.note_members(&BTreeSet::from([4]));
        assert_eq!(unknown.judge(4, &CHANNEL), Entry::Node);
        let registered = keys(KeyStanding::Registered);
        registered.note_current(|| true);
        assert_eq!(registered.judge(4, &CHANNEL), Entry::Node);
    }

    #[test]
    fn whoever_may_be_unknown_sends_rafts_messages_and_asks_to_join_and_nothing_else() {
        use crate::wire::admin::AdminRequest;
        let vote = keymoot_store::StoredVote { term: 1, node: 1, committed: true };
        let rafts = [Request::Ping, Request::Supports(vote), Request::SnapshotEnd];
        let others = [
            Request::Admin(AdminRequest::Status),
            Request::Propose(bytes::Bytes::new()),
            Request::ReadIndex,
            Request::BackupNext,
            Request::FitnessToLead,
        ];
        let [unsure, guest, removed] =
            [Entry::Unsure, Entry::Guest, Entry::Removed].map(|of| of(String::new()));
        for request in &rafts {
            assert!(Entry::Node.permits(request) && unsure.permits(request), "{request:?}");
            assert!(!guest.permits(request) && !removed.permits(request), "{request:?}");
        }
        for request in &others {
            assert!(Entry::Node.permits(request) && !unsure.permits(request), "{request:?}");
        }
        // What a witness forwards is looked at by itself.
        let witness = Entry::Witness(String::new());
        let permitted = |request: &&Request| witness.permits(request);
        assert_eq!(rafts.iter().filter(permitted).count(), rafts.len());
        assert_eq!(others.iter().filter(permitted).count(), 2, "a proposal, and its fitness");
    }

    #[test]
    fn a_new_leader_says_nothing_of_what_is_committed_before_it_has_committed_something_itself() {
        let at = |term, index| LogPosition { term, node: 1, index };
        assert!(!holds_all(2, None, Some(9)));
        assert!(!holds_all(2, Some(&at(1, 5)), Some(9)), "entries behind it may be committed");
        assert!(!holds_all(2, Some(&at(2, 10)), Some(9)));
        assert!(holds_all(2, Some(&at(2, 9)), Some(9)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_key_of_a_witness_permits_a_witnesss_part_whoever_asks() {
        let witness = keys(KeyStanding::Witness);
        for _ in 0..2 {
            let entry = witness.judge(4, &CHANNEL);
            assert!(matches!(&entry, Entry::Witness(reason) if reason.contains("node 4")), "{entry:?}");
            witness.note_members(&BTreeSet::from([4]));
            witness.note_current(|| true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_register_that_cannot_be_read_lets_nobody_in() {
        let read = |_, _: &[u8; 32]| Err(StateError::Key { table: "meta" });
        let keys = KnownKeys::new(Box::new(read), Duration::from_secs(2));
        for _ in 0..2 {
            assert!(matches!(keys.judge(4, &CHANNEL), Entry::Refused(_)));
            keys.note_members(&BTreeSet::from([4]));
            keys.note_current(|| true);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_key_does_not_enter_while_its_node_is_taken_out_and_may_be_told() {
        let enters = |revoked| {
            let keys = keys(KeyStanding::Removed { revoked });
            keys.note_members(&BTreeSet::from([4]));
            keys.note_current(|| true);
            keys.judge(4, &CHANNEL)
        };
        assert_eq!(enters(false), Entry::Node, "the change of members needs it");
        assert!(matches!(enters(true), Entry::Removed(_)));
    }
}
