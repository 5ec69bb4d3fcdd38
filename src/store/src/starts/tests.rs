use std::fs;

use super::*;

const OWN: Incarnation = Incarnation::from_number(7);

fn begin(root: &Path) -> Starts {
    let mut starts = Starts::begin(root, 0, OWN).unwrap();
    starts.announce(root).unwrap();
    starts
}

fn at(term: u64, index: u64) -> LogPosition {
    LogPosition { term, node: 1, index }
}

fn peer(number: u64) -> PeerMemory {
    let vote = Some(StoredVote { term: 3, node: 1, committed: false });
    let start = Start { number, id: 9 };
    PeerMemory { start, vote, held: Some(at(3, 40)), address: Some("h:1".to_owned()) }
}

#[test]
fn the_file_has_this_layout() {
    let home = tempfile::tempdir().unwrap();
    let mut starts = Starts { own: vec![1, 0xabc], ..Starts::empty(4, OWN) };
    starts.meet(home.path(), 4, 2, peer(5)).unwrap();
    let text = fs::read_to_string(home.path().join(FILE)).unwrap();
    let expected = "format = 1\nfence = 4\nincarnation = \"00000000000000000000000000000007\"\n\
                    announced = true\ndropped = 0\nown = [\"0000000000000001\", \"0000000000000abc\"]\n\
                    sum = 134545922\n\n[peers.2]\nnumber = 5\nid = \"0000000000000009\"\nvote = [3, 1]\n\
                    held = [3, 1, 40]\naddress = \"h:1\"\n";
    assert_eq!(text, expected);
    assert_eq!(Starts::read(home.path()).unwrap(), Some(starts));
}

#[test]
fn a_history_holds_its_own_starts_and_no_others() {
    let home = tempfile::tempdir().unwrap();
    let first = begin(home.path()).current();
    assert_eq!(first.number, 1);
    fs::copy(home.path().join(FILE), home.path().join("copy")).unwrap();
    let second = begin(home.path()).current();
    let now = begin(home.path());
    assert!(now.holds(first) && now.holds(second) && now.holds(now.current()));
    assert!(!now.holds(Start { number: 4, id: 1 }), "it had no such start yet");

    // The older copy is started.
    fs::rename(home.path().join("copy"), home.path().join(FILE)).unwrap();
    let copy = begin(home.path());
    assert_eq!(copy.current().number, second.number);
    assert!(copy.holds(first) && !copy.holds(second) && !copy.holds(now.current()));
}

#[test]
fn a_start_that_nobody_met_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let met = begin(home.path()).current();
    let unmet = Starts::begin(home.path(), 0, OWN).unwrap().current();
    let next = Starts::begin(home.path(), 0, OWN).unwrap();
    assert_eq!((next.current().number, next.own.len()), (unmet.number, 2));
    assert!(next.holds(met) && !next.holds(unmet));
}

#[test]
fn starts_belong_to_the_directory_and_peers_to_the_fence() {
    let home = tempfile::tempdir().unwrap();
    let mut first = begin(home.path());
    first.meet(home.path(), 0, 2, peer(5)).unwrap();
    assert!(matches!(first.meet(home.path(), 8, 3, peer(1)), Err(StoreError::OtherFence)));
    let fenced = Starts::begin(home.path(), 8, OWN).unwrap();
    assert!(fenced.peers.is_empty() && fenced.holds(first.current()));
    let other = Starts::begin(home.path(), 8, Incarnation::from_number(8)).unwrap();
    assert_eq!(other.current().number, 1);
}

#[test]
fn progress_of_a_peer_only_goes_forward_and_is_written_when_asked() {
    let home = tempfile::tempdir().unwrap();
    let mut starts = begin(home.path());
    starts.note(2, None, Some(at(9, 9)));
    assert!(starts.peers.is_empty(), "a peer that was never met");
    starts.meet(home.path(), 0, 2, peer(5)).unwrap();
    let later = StoredVote { term: 4, node: 3, committed: true };
    starts.note(2, Some(later), Some(at(4, 41)));
    starts.note(2, peer(5).vote, Some(at(3, 99)));
    let known = &starts.peers[&2];
    assert_eq!((known.vote, known.held), (Some(later), Some(at(4, 41))));
    assert_eq!(Starts::read(home.path()).unwrap().unwrap().peers[&2], peer(5), "not written yet");
    starts.write_out(home.path()).unwrap();
    assert_eq!(Starts::read(home.path()).unwrap().unwrap().peers[&2].held, Some(at(4, 41)));
    // Another meeting does not forget it.
    starts.meet(home.path(), 0, 2, PeerMemory { address: None, ..peer(6) }).unwrap();
    let known = &starts.peers[&2];
    assert_eq!((known.start.number, known.held, &known.address), (6, Some(at(4, 41)), &None));
}

#[test]
fn a_history_is_bounded_and_what_is_dropped_is_believed() {
    let home = tempfile::tempdir().unwrap();
    let full = Starts { own: vec![1; KEPT_MAX], ..Starts::empty(0, OWN) };
    full.write(home.path()).unwrap();
    let next = begin(home.path());
    assert_eq!((next.own.len(), next.current().number), (KEPT_MAX, KEPT_MAX as u64 + 1));
    assert!(next.holds(Start { number: 1, id: 77 }) && !next.holds(Start { number: 2, id: 77 }));
}

#[test]
fn any_damage_is_refused_with_the_file_and_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(FILE);
    let mut starts = begin(home.path());
    starts.meet(home.path(), 0, 2, peer(5)).unwrap();
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let said = Starts::begin(home.path(), 0, OWN).unwrap_err().to_string();
        assert!(said.contains(FILE), "byte {at}: {said}");
    }
}
