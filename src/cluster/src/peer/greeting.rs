//! Checks a greeting: its protocol version, and the peer's data directory.
//!
//! A node whose data directory is not the one that a peer remembers has lost its votes and
//! acknowledged entries. Neither side serves the other then. The unknown node stops if it hears so
//! from a peer that is itself the one this node remembers. Earlier versions send and remember no
//! data directory; they are accepted until the cluster's feature level excludes them.

use keymoot_crypto::PeerVersion;
use keymoot_model::NodeId;
use keymoot_store::{Directory, Incarnation};

use crate::peer::fatal_signal::FatalSignal;
use crate::peer::feature_level::FeatureLevel;
use crate::wire::greeting::Greeting;

/// Every program with this feature level also speaks [`PeerVersion::Second`].
const LEVEL_OF_SECOND: u32 = 2;

/// Whether a member that speaks this version is refused: one that could speak the other hides its
/// data directory and proves nothing. If the level cannot be read, the version is refused, because
/// the level may be high.
pub(crate) fn rules_out(version: PeerVersion, level: &FeatureLevel) -> Option<&'static str> {
    let level = level.current().unwrap_or(u32::MAX);
    (version == PeerVersion::First && level >= LEVEL_OF_SECOND)
        .then_some("it speaks the first version of the peer protocol, which no build of the cluster's feature level does")
}

/// Why a member's greeting is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This node refuses the peer; the text says why and what to do.
    Peer(String),
    /// The peer remembers another data directory of this node, which must stop; the text says why
    /// and what to do.
    Own(String),
}

impl Refused {
    /// The error that ends the connection; it also stops the node when the node itself is refused.
    pub(crate) fn into_error(self, fatal: &FatalSignal) -> std::io::Error {
        let reason = match self {
            Self::Peer(reason) => reason,
            Self::Own(reason) => {
                fatal.raise(&reason);
                reason
            }
        };
        std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
    }
}

/// Checks the data directory of a peer with the same fence. A peer that is met first is remembered
/// before this returns.
pub(crate) fn judge_directory(
    ours: &Directory,
    peer: NodeId,
    version: PeerVersion,
    fence: u64,
    theirs: &Greeting,
) -> Result<(), Refused> {
    let Some(incarnation) = theirs.incarnation else {
        return match version {
            PeerVersion::First => Ok(()),
            PeerVersion::Second | PeerVersion::Third => {
                Err(Refused::Peer("it does not say which data directory it has".into()))
            }
        };
    };
    let is_known =
        |known: Incarnation| if known == incarnation { Ok(()) } else { Err(Refused::Peer(stranger(peer))) };
    // A peer that this node does not recognise is not believed either.
    ours.remembered(peer).map_or(Ok(()), is_known)?;
    if theirs.remembered.is_some_and(|known| known != ours.incarnation()) {
        return Err(Refused::Own(emptied(ours, peer)));
    }
    let first = ours.remember(fence, peer, incarnation);
    is_known(first.map_err(|error| Refused::Peer(error.to_string()))?)
}

/// The text for a peer with another data directory.
fn stranger(peer: NodeId) -> String {
    format!(
        "its data directory is not the one it had before, so what it voted and acknowledged is forgotten; bring \
         that directory back, or run keymoot cluster remove {peer} at another node and let its machine join \
         under a new id: docs/disks.md"
    )
}

/// The text for this node when its own data directory is another one.
fn emptied(ours: &Directory, peer: NodeId) -> String {
    let owner = ours.identity();
    format!(
        "node {id} of cluster {cluster} has another data directory than node {peer} knows it by: what it voted \
         and acknowledged before is not in {root}, so it may not go on under this id. If the directory it had \
         was only moved or not mounted, move this one away whole, bring that one back and start the node again. If it is lost, run keymoot \
         cluster remove {id} at another node, then keymoot cluster join on this machine with a new token and an \
         empty directory, which gives a new id: docs/disks.md",
        id = owner.node,
        cluster = owner.cluster,
        root = ours.root().display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Hello;
    use keymoot_store::Identity;

    fn hello(fence: Option<u64>) -> Hello {
        Hello {
            protocol: 1,
            cluster: "west".to_owned(),
            node: Some(3),
            fence,
            feature_level: 1,
            removed: false,
        }
    }

    fn said(incarnation: u128, remembered: Option<u128>) -> Greeting {
        Greeting {
            hello: hello(Some(0)),
            incarnation: Some(Incarnation::from_number(incarnation)),
            remembered: remembered.map(Incarnation::from_number),
        }
    }

    fn open(home: &std::path::Path) -> Directory {
        Directory::open(home, &Identity { cluster: "west".to_owned(), node: 3, fence: 0 }).unwrap()
    }

    #[test]
    fn the_first_directory_of_a_peer_is_remembered_and_any_other_refused() {
        let home = tempfile::tempdir().unwrap();
        let ours = open(home.path());
        let judge = |greeting| judge_directory(&ours, 2, PeerVersion::Second, 0, &greeting);
        assert_eq!(judge(said(5, None)), Ok(()));
        assert_eq!(judge(said(5, None)), Ok(()));
        let Err(Refused::Peer(reason)) = judge(said(6, None)) else { panic!("let in") };
        assert!(reason.contains("keymoot cluster remove 2"), "{reason}");
        assert_eq!(ours.remembered(2), Some(Incarnation::from_number(5)));
        // Another id has a directory of its own.
        assert_eq!(judge_directory(&ours, 1, PeerVersion::Second, 0, &said(6, None)), Ok(()));
    }

    #[test]
    fn a_node_that_is_not_known_any_more_ends_if_whoever_says_so_is_known() {
        let home = tempfile::tempdir().unwrap();
        let ours = open(home.path());
        let judge = |greeting| judge_directory(&ours, 2, PeerVersion::Second, 0, &greeting);
        // The first peer it meets tells it: the node remembers nothing of its peers.
        let Err(Refused::Own(reason)) = judge(said(5, Some(1))) else { panic!("not ended") };
        for part in ["node 3 of cluster west", "than node 2", "keymoot cluster remove 3", "cluster join"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        assert_eq!(ours.remembered(2), None);
        assert_eq!(judge(said(5, None)), Ok(()));
        assert!(matches!(judge(said(5, Some(1))), Err(Refused::Own(_))));
        // An emptied node cannot judge others.
        assert!(matches!(judge(said(6, Some(1))), Err(Refused::Peer(_))));
        let known = Greeting { remembered: Some(ours.incarnation()), ..said(5, None) };
        assert_eq!(judge(known), Ok(()));
    }

    #[test]
    fn builds_from_before_say_nothing_and_are_let_in_and_others_must_say() {
        let home = tempfile::tempdir().unwrap();
        let ours = open(home.path());
        ours.remember(0, 2, Incarnation::from_number(5)).unwrap();
        let mute = Greeting::of_tool(hello(Some(0)));
        assert_eq!(judge_directory(&ours, 2, PeerVersion::First, 0, &mute), Ok(()));
        assert!(matches!(judge_directory(&ours, 2, PeerVersion::Second, 0, &mute), Err(Refused::Peer(_))));
    }
}
