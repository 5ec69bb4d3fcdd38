//! The peer port of a running node, behind TLS: peers that open as they like and then send anything, and nodes that
//! ask to join.
//!
//! The first byte of an input says how the other end opens. Parts follow, each of one byte for its kind (even: bytes as
//! they are; odd: the body of a frame whose length and checksum are right), two for its length, and itself.

use keymoot_cluster::fuzzing::{self, Opening, Part, is_believed};

use super::node::FuzzedNode;

/// The most parts of an input.
const PARTS_MAX: usize = 32;

thread_local! {
    // Never dropped: the fuzzer ends when it likes.
    static NODE: &'static FuzzedNode = {
        let node = FuzzedNode::start();
        node.runtime.block_on(fuzzing::describe_member(&node.cluster)).expect("a member");
        Box::leak(Box::new(node))
    };
}

fn parts(mut rest: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while let [kind, high, low, behind @ ..] = rest
        && parts.len() < PARTS_MAX
    {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(behind.len());
        let (bytes, after) = behind.split_at(length);
        parts.push(if kind & 1 == 0 { Part::Raw(bytes) } else { Part::Body(bytes) });
        rest = after;
    }
    parts
}

/// What a peer sends. Whatever it is, the node goes on, and the connection ends when the peer ends it; who is no member,
/// or proves no master key, changes nothing of what Raft does.
pub fn peer(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let (opening, mut parts) = (Opening::of(*first), parts(rest));
    if opening.is_member && opening.proves {
        parts.retain(|part| !matches!(part, Part::Body(body) if is_believed(body)));
    }
    NODE.with(|node| {
        let term = fuzzing::term(&node.cluster);
        let _ended = node.runtime.block_on(fuzzing::peer(&node.cluster, opening, &parts));
        assert_eq!(fuzzing::term(&node.cluster), term, "a stranger changed the term");
        node.must_run();
    });
}

/// What a node sends that asks to join, or for its next certificate. None is admitted: the fuzzer has no token.
pub fn join_door(input: &[u8]) {
    let Some((first, rest)) = input.split_first() else { return };
    let how = (Opening::of(*first).version, first & 4 != 0, first & 8 != 0);
    NODE.with(|node| {
        let members = fuzzing::members(&node.cluster);
        let _ended = node.runtime.block_on(fuzzing::join(&node.cluster, how, &parts(rest)));
        assert_eq!(fuzzing::members(&node.cluster), members, "it was admitted");
        node.must_run();
    });
}
