use super::*;
use crate::wire::message::Hello;
use keymoot_store::{Identity, Log, LogOptions};

const PEER: NodeId = 2;

fn hello(fence: Option<u64>) -> Hello {
    Hello { protocol: 1, cluster: "west".to_owned(), node: Some(3), fence, feature_level: 1, removed: false }
}

/// A greeting of the second version.
fn said(incarnation: u128, remembered: Option<u128>) -> Greeting {
    Greeting {
        incarnation: Some(Incarnation::from_number(incarnation)),
        remembered: remembered.map(Incarnation::from_number),
        ..Greeting::of_tool(hello(Some(0)))
    }
}

fn start(number: u64, id: u64) -> Start {
    Start { number, id }
}

fn vote(term: u64) -> Option<StoredVote> {
    Some(StoredVote { term, node: 1, committed: true })
}

fn entry(term: u64, index: u64) -> Option<LogPosition> {
    Some(LogPosition { term, node: 1, index })
}

fn claim(start: Start) -> DirectoryClaim {
    DirectoryClaim { start, vote: vote(4), log_end: entry(4, 40), address: "h:2".to_owned() }
}

/// A greeting of the third version from a peer with incarnation 5.
fn claimed(claim: DirectoryClaim) -> Greeting {
    Greeting { claim: Some(claim), ..said(5, None) }
}

fn open(home: &std::path::Path) -> Directory {
    let directory =
        Directory::open(home, &Identity { cluster: "west".to_owned(), node: 3, fence: 0 }).unwrap();
    directory.announce_start().unwrap();
    // With a log, the directory stays the same one.
    drop(Log::open(&directory.log(), LogOptions::default()).unwrap());
    directory
}

fn judge(
    ours: &Directory,
    peer: NodeId,
    version: PeerVersion,
    enrolled: Option<EnrolledDirectory>,
    theirs: &Greeting,
) -> Result<(), Refused> {
    let claim = DirectoryClaim { address: "h:3".to_owned(), ..claim(ours.start()) };
    let memory = ours.memory_of(peer);
    Judge { ours, claim: &claim, enrolled, is_enrolled: false, memory: memory.as_ref() }
        .judge(peer, version, 0, theirs)
}

fn third(ours: &Directory, theirs: &Greeting) -> Result<(), Refused> {
    judge(ours, PEER, PeerVersion::Third, None, theirs)
}

#[track_caller]
fn refused(judged: Result<(), Refused>, parts: &[&str]) {
    let Err(Refused::Peer(reason)) = judged else { panic!("let in: {judged:?}") };
    for part in parts.iter().chain(&["keymoot cluster replace-disk", "node 2"]) {
        assert!(reason.contains(part), "{part}: {reason}");
    }
}

#[test]
fn every_level_demands_the_version_that_all_its_builds_speak() {
    let demanded = [0, 1, 2, 3, 4, 9].map(version_of).map(|version| version as u8);
    assert_eq!(demanded, [0, 0, 1, 2, 3, 3]);
}

#[test]
fn the_first_directory_of_a_peer_is_remembered_and_any_other_refused() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    let judge = |greeting| judge(&ours, PEER, PeerVersion::Second, None, &greeting);
    assert_eq!(judge(said(5, None)), Ok(()));
    assert_eq!(judge(said(5, None)), Ok(()));
    refused(judge(said(6, None)), &["is not the one it had before"]);
    assert_eq!(ours.remembered(PEER), Some(Incarnation::from_number(5)));
    // Another id has a directory of its own.
    assert_eq!(super::tests::judge(&ours, 1, PeerVersion::Second, None, &said(6, None)), Ok(()));
}

#[test]
fn a_node_that_is_not_known_any_more_ends_if_whoever_says_so_is_known() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    let judge = |greeting| judge(&ours, PEER, PeerVersion::Second, None, &greeting);
    // The first peer it meets tells it: the node remembers nothing of its peers.
    let Err(Refused::Own(reason)) = judge(said(5, Some(1))) else { panic!("not ended") };
    for part in ["node 3 of cluster west", "than node 2", "keymoot cluster replace-disk"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!(ours.remembered(PEER), None);
    assert_eq!(judge(said(5, None)), Ok(()));
    assert!(matches!(judge(said(5, Some(1))), Err(Refused::Own(_))));
    // An emptied node cannot judge others.
    assert!(matches!(judge(said(6, Some(1))), Err(Refused::Peer(_))));
    let known = Greeting { remembered: Some(ours.incarnation()), ..said(5, None) };
    assert_eq!(judge(known), Ok(()));
}

#[test]
fn builds_from_before_say_less_and_are_let_in_and_others_must_say() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    ours.remember(0, PEER, Incarnation::from_number(5)).unwrap();
    let judge = |version, greeting| judge(&ours, PEER, version, None, &greeting);
    let mute = Greeting::of_tool(hello(Some(0)));
    assert_eq!(judge(PeerVersion::First, mute.clone()), Ok(()));
    for version in [PeerVersion::Second, PeerVersion::Third] {
        assert_eq!(judge(version, mute.clone()), Err(unsaid()));
    }
    assert_eq!(judge(PeerVersion::Second, said(5, None)), Ok(()));
    assert_eq!(judge(PeerVersion::Third, said(5, None)), Err(unsaid()));
}

#[test]
fn a_start_is_followed_by_later_ones_only() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    assert_eq!(third(&ours, &claimed(claim(start(7, 70)))), Ok(()));
    assert_eq!(third(&ours, &claimed(claim(start(7, 70)))), Ok(()), "another connection of the same process");
    refused(third(&ours, &claimed(claim(start(6, 60)))), &["older copy", "at start 6", "start 7"]);
    refused(third(&ours, &claimed(claim(start(7, 71)))), &["older copy", "(0000000000000047)"]);
    assert_eq!(
        third(&ours, &claimed(claim(start(9, 90)))),
        Ok(()),
        "a start that this node missed is between"
    );
    assert_eq!(ours.memory_of(PEER).unwrap().address.as_deref(), Some("h:2"));
    drop(ours);
    // It outlasts a restart of this node.
    let again = open(home.path());
    refused(third(&again, &claimed(claim(start(7, 70)))), &["start 9"]);
}

#[test]
fn a_log_or_vote_from_before_what_was_acknowledged_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    let now = |vote, log_end| claimed(DirectoryClaim { vote, log_end, ..claim(start(7, 70)) });
    assert_eq!(third(&ours, &now(vote(4), entry(4, 40))), Ok(()));
    ours.note_progress(PEER, vote(5), entry(4, 38));
    refused(
        third(&ours, &now(vote(4), entry(4, 40))),
        &["its vote is of term 4, and one of term 5 was seen"],
    );
    refused(third(&ours, &now(None, entry(4, 40))), &["set back"]);
    refused(third(&ours, &now(vote(5), entry(4, 37))), &["ends with entry 37", "acknowledged entry 38"]);
    refused(third(&ours, &now(vote(5), entry(3, 90))), &["set back"]);
    // Entries that were not committed were truncated, and others came in their place.
    assert_eq!(third(&ours, &now(vote(5), entry(4, 38))), Ok(()));
    assert_eq!(third(&ours, &now(vote(6), entry(5, 39))), Ok(()));
}

#[test]
fn what_a_peer_remembers_of_this_node_is_held_against_its_own_directory() {
    let home = tempfile::tempdir().unwrap();
    let first = open(home.path()).start();
    let ours = open(home.path());
    let now = ours.start();
    let remembers = |start, vote, held| {
        let memory = Some(PeerMemory { start, vote, held, address: Some("h:9".to_owned()) });
        third(&ours, &Greeting { memory, ..claimed(claim(Start { number: 7, id: 70 })) })
    };
    assert_eq!(remembers(now, vote(4), entry(4, 40)), Ok(()));
    assert_eq!(remembers(first, None, None), Ok(()), "a peer that was away");
    for unknown in [start(now.number + 1, 1), start(now.number, 1), start(first.number, 1)] {
        let Err(Refused::Unknown(reason)) = remembers(unknown, None, None) else { panic!("{unknown:?}") };
        for part in ["node 2 has met start", "at h:9", "node 3", "keymoot cluster replace-disk"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
    }
    for (vote, held) in [(vote(5), None), (None, entry(4, 41)), (None, entry(5, 1))] {
        let Err(Refused::Own(reason)) = remembers(now, vote, held) else { panic!("{vote:?} {held:?}") };
        assert!(reason.contains("was set back") && reason.contains("replace-disk"), "{reason}");
    }
}

#[test]
fn an_unknown_start_ends_a_node_that_nobody_accepts_and_no_other() {
    for (accepted, ends) in [(false, true), (true, false)] {
        let fatal = FatalSignal::default();
        Refused::Unknown("reason".to_owned()).into_error(&fatal, accepted);
        assert_eq!(fatal.subscribe().borrow().is_some(), ends);
    }
    let fatal = FatalSignal::default();
    Refused::Peer("reason".to_owned()).into_error(&fatal, false);
    assert!(fatal.subscribe().borrow().is_none());
    Refused::Own("reason".to_owned()).into_error(&fatal, true);
    assert!(fatal.subscribe().borrow().is_some());
}

#[test]
fn a_peer_that_was_never_met_is_known_from_the_replicated_state() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    let known = Some(EnrolledDirectory { fence: 0, incarnation: 5, start: 7, start_id: 70 });
    let judge = |greeting| judge(&ours, PEER, PeerVersion::Third, known, &greeting);
    refused(judge(Greeting { claim: Some(claim(start(1, 1))), ..said(6, None) }), &["is not the one it had"]);
    refused(judge(claimed(claim(start(6, 60)))), &["older copy"]);
    refused(judge(claimed(claim(start(7, 71)))), &["older copy"]);
    assert_eq!(ours.memory_of(PEER), None, "nothing of it is remembered");
    assert_eq!(judge(claimed(claim(start(7, 70)))), Ok(()));
    assert_eq!(judge(claimed(claim(start(8, 80)))), Ok(()));
}

#[test]
fn a_start_that_the_cluster_vouches_for_counts_also_where_a_copy_was_met() {
    let home = tempfile::tempdir().unwrap();
    let ours = open(home.path());
    // A copy was started elsewhere, and met by this node alone.
    assert_eq!(third(&ours, &claimed(claim(start(8, 81)))), Ok(()));
    ours.note_progress(PEER, vote(4), entry(4, 40));
    let vouched = |start: u64, id| Some(EnrolledDirectory { fence: 0, incarnation: 5, start, start_id: id });
    let judge = |enrolled, claim| judge(&ours, PEER, PeerVersion::Third, enrolled, &claimed(claim));
    refused(judge(vouched(7, 70), claim(start(8, 80))), &["older copy"]);
    refused(judge(vouched(8, 80), DirectoryClaim { vote: vote(3), ..claim(start(8, 80)) }), &["set back"]);
    assert_eq!(judge(vouched(8, 80), claim(start(8, 80))), Ok(()));
    refused(judge(vouched(8, 80), claim(start(8, 81))), &["older copy"]);

    // The node that is vouched for is not led astray by a peer that has met the copy.
    let memory = Some(PeerMemory { start: start(9, 9), vote: None, held: None, address: None });
    let greeting = Greeting { memory, ..claimed(claim(start(8, 80))) };
    let own = DirectoryClaim { address: "h:3".to_owned(), ..claim(ours.start()) };
    let judge = |is_enrolled| {
        let judge = Judge { ours: &ours, claim: &own, enrolled: None, is_enrolled, memory: None };
        judge.judge(PEER, PeerVersion::Third, 0, &greeting)
    };
    assert!(matches!(judge(false), Err(Refused::Unknown(_))));
    assert_eq!(judge(true), Ok(()));
}
