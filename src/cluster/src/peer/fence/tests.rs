use super::*;
use crate::raft::state_view::StateView;
use keymoot_store::{Identity, Incarnation, LogOptions, LogPosition, Start, StoredVote, TablesOptions};

fn node(home: &std::path::Path, fence: u64) -> Fence {
    let owner = Identity { cluster: "west".to_owned(), node: 3, fence };
    let directory = Arc::new(Directory::open(home, &owner).unwrap());
    let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
    let tables = keymoot_store::Tables::open(home, keymoot_state::TABLE_NAMES, TablesOptions::default());
    let state = StateView::new(tables.unwrap());
    Fence::new(directory, log, VoteLedger::new(3, None, None), state, "h:3")
}

/// The greeting of a peer with this fence and data directory.
fn said(fence: u64, incarnation: u128) -> Greeting {
    let hello = Hello {
        protocol: 1,
        cluster: "west".to_owned(),
        node: None,
        fence: Some(fence),
        feature_level: 1,
        removed: false,
    };
    Greeting { incarnation: Some(Incarnation::from_number(incarnation)), ..Greeting::of_tool(hello) }
}

fn check(node: &Fence, peer: NodeId, fence: u64) -> Result<(), Refused> {
    node.check_peer(peer, PeerVersion::Second, &said(fence, u128::from(peer)), &node.recall(), None)
}

#[test]
fn nodes_of_one_fence_speak_and_others_are_told_what_to_do() {
    assert_eq!(fenced_off(0, 0), None);
    assert_eq!(fenced_off(7, 7), None);
    for (ours, theirs) in [(7, 0), (0, 7), (7, 8)] {
        assert!(fenced_off(ours, theirs).unwrap().contains("under a new id"), "{ours} {theirs}");
    }
    assert!(fenced_off(0, 7).unwrap().starts_with("this node belongs to the cluster before"));
}

#[test]
fn a_node_that_belongs_to_nobody_takes_over_a_fence_once_and_for_ever() {
    let home = tempfile::tempdir().unwrap();
    let fence = node(home.path(), 0);
    assert_eq!(check(&fence, 1, 0), Ok(()));
    assert_eq!(check(&fence, 1, 7), Ok(()));
    assert_eq!(fence.current(), 7);
    assert!(check(&fence, 2, 0).is_err());
    assert!(check(&fence, 2, 8).is_err());
    drop(fence);
    assert_eq!(node(home.path(), 0).current(), 7);
}

#[test]
fn a_node_that_has_voted_keeps_its_fence() {
    let home = tempfile::tempdir().unwrap();
    let fence = node(home.path(), 0);
    let vote = StoredVote { term: 1, node: 1, committed: false };
    fence.log.save_vote(vote, Box::new(|_| {})).unwrap();
    assert!(check(&fence, 1, 7).is_err());
    assert_eq!(fence.refusals().list().len(), 1);
    assert_eq!((fence.current(), check(&fence, 1, 0)), (0, Ok(())));
    assert!(fence.refusals().list().is_empty());
}

#[test]
fn nobody_of_another_fence_is_remembered_and_a_new_fence_begins_with_nobody() {
    let home = tempfile::tempdir().unwrap();
    let fence = node(home.path(), 0);
    check(&fence, 1, 0).unwrap();
    // The node adopts the fence of the recovered cluster, in which node 1 has another
    // directory.
    assert_eq!(fence.check_peer(1, PeerVersion::Second, &said(7, 100), &fence.recall(), None), Ok(()));
    assert!(fence.check_peer(2, PeerVersion::Second, &said(0, 2), &fence.recall(), None).is_err());
    assert_eq!(fence.check_peer(2, PeerVersion::Second, &said(7, 200), &fence.recall(), None), Ok(()));
    let emptied = fence.check_peer(2, PeerVersion::Second, &said(7, 201), &fence.recall(), None);
    assert!(matches!(&emptied, Err(Refused::Peer(reason)) if reason.contains("replace-disk")));
    assert!(fence.refusals().list()[&2].contains("replace-disk"));
    assert_eq!(fence.check_peer(2, PeerVersion::Second, &said(7, 200), &fence.recall(), None), Ok(()));
    assert!(fence.refusals().list().is_empty());
    let says = fence.greeting(said(0, 0).hello, Some(2)).unwrap();
    assert_eq!((says.hello.fence, says.remembered), (Some(7), Some(Incarnation::from_number(200))));
    assert_eq!(fence.greeting(said(0, 0).hello, None).unwrap().remembered, None);
}

#[tokio::test(start_paused = true)]
async fn a_second_process_is_refused_while_the_first_is_connected_and_both_are_named() {
    let home = tempfile::tempdir().unwrap();
    let fence = node(home.path(), 0);
    let [first, second]: [SocketAddr; 2] = ["10.0.0.1:5", "10.0.0.2:6"].map(|from| from.parse().unwrap());
    let greets = |number| {
        let start = Start { number, id: number };
        let claim = DirectoryClaim { start, vote: None, log_end: None, address: "copy:1".to_owned() };
        Greeting { claim: Some(claim), ..said(0, 2) }
    };
    let check =
        |number, from| fence.check_peer(2, PeerVersion::Third, &greets(number), &fence.recall(), Some(from));
    assert_eq!(check(4, first), Ok(()));
    let session = fence.enter(2, &greets(4), first).unwrap();
    let Err(Refused::Peer(reason)) = check(5, second) else { panic!("let in") };
    for part in
        ["another process of node 2", "from 10.0.0.1 ", "from 10.0.0.2 ", "copy:1", "stop the wrong one"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(fence.address_of(2).as_deref(), Some("copy:1"));
    assert_eq!(check(4, first), Ok(()), "the first goes on");
    drop(session);
    assert_eq!(check(5, second), Ok(()), "it was started again");
}

#[test]
fn what_a_peer_reports_after_it_wrote_its_greeting_is_not_held_against_that() {
    let home = tempfile::tempdir().unwrap();
    let fence = node(home.path(), 0);
    let at = |index| Some(LogPosition { term: 1, node: 1, index });
    let greets = |log_end| {
        let start = Start { number: 4, id: 4 };
        let claim = DirectoryClaim { start, vote: None, log_end, address: "h:2".to_owned() };
        Greeting { claim: Some(claim), ..said(0, 2) }
    };
    let check =
        |recalled: &Recalled, end| fence.check_peer(2, PeerVersion::Third, &greets(at(end)), recalled, None);
    assert_eq!(check(&fence.recall(), 7), Ok(()));
    let before = fence.recall();
    fence.note_progress(2, &NodeReport { held: at(9), ..NodeReport::default() });
    assert_eq!(check(&before, 8), Ok(()));
    assert!(matches!(check(&fence.recall(), 8), Err(Refused::Peer(_))));
}
