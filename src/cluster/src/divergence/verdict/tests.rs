use proptest::prelude::*;

use super::*;

const fn at(index: u64) -> LogPosition {
    LogPosition { term: 1, node: 1, index }
}

/// The digests of a node after entries 1, 2, …; 0 stands for no report.
fn digests(of: &[u128]) -> Vec<StateDigest> {
    let reported = (1..).zip(of).filter(|(_, digest)| **digest != 0);
    reported.map(|(index, digest)| StateDigest { at: at(index), digest: *digest }).collect()
}

fn reported(of: &[(NodeId, &[u128])]) -> Reported {
    of.iter().map(|(node, of)| (*node, digests(of))).collect()
}

fn set(ids: &[NodeId]) -> BTreeSet<NodeId> {
    ids.iter().copied().collect()
}

fn verdict(voters: &[&[NodeId]], of: &[(NodeId, &[u128])]) -> (BTreeSet<NodeId>, Option<u64>) {
    let voters: Vec<_> = voters.iter().map(|ids| set(ids)).collect();
    let Verdict { outvoted, decided, undecided } = compare(&voters, &reported(of));
    assert_eq!(outvoted.is_empty(), decided.is_none());
    (outvoted, undecided.map(|found| found.at.index))
}

const THREE: &[&[NodeId]] = &[&[1, 2, 3]];

#[test]
fn equal_digests_and_those_of_different_entries_are_no_contradiction() {
    assert_eq!(verdict(THREE, &[(1, &[7, 8]), (2, &[7, 8]), (3, &[7])]), (set(&[]), None));
    assert_eq!(verdict(THREE, &[(1, &[7, 0, 9]), (2, &[0, 8]), (3, &[])]), (set(&[]), None));
    assert_eq!(verdict(&[], &[(1, &[7]), (2, &[8])]), (set(&[]), None), "no voters are known yet");
}

#[test]
fn entries_of_different_terms_at_one_index_are_different_entries() {
    let other = StateDigest { at: LogPosition { term: 2, node: 3, index: 1 }, digest: 9 };
    let reported = Reported::from([(1, digests(&[7])), (2, digests(&[7])), (3, vec![other])]);
    assert_eq!(compare(&[set(&[1, 2, 3])], &reported).decided, None);
}

#[test]
fn who_is_not_with_the_majority_is_outvoted_and_nobody_else() {
    assert_eq!(verdict(THREE, &[(1, &[7]), (2, &[7]), (3, &[8])]), (set(&[3]), None));
    assert_eq!(verdict(THREE, &[(1, &[7, 8]), (2, &[7, 9]), (3, &[7, 8])]), (set(&[2]), None));
    let five: &[&[NodeId]] = &[&[1, 2, 3, 4, 5]];
    let of: &[(NodeId, &[u128])] = &[(1, &[7]), (2, &[7]), (3, &[7]), (4, &[8]), (5, &[9])];
    assert_eq!(verdict(five, of), (set(&[4, 5]), None));
}

#[test]
fn without_a_majority_nobody_is_outvoted_and_it_is_undecided() {
    assert_eq!(verdict(THREE, &[(1, &[7]), (2, &[8]), (3, &[9])]), (set(&[]), Some(1)));
    assert_eq!(verdict(THREE, &[(1, &[7]), (2, &[8])]), (set(&[]), Some(1)), "node 3 is away");
    assert_eq!(verdict(&[&[1, 2]], &[(1, &[7]), (2, &[8])]), (set(&[]), Some(1)));
    let four: &[&[NodeId]] = &[&[1, 2, 3, 4]];
    assert_eq!(verdict(four, &[(1, &[7]), (2, &[7]), (3, &[8]), (4, &[8])]), (set(&[]), Some(1)));
    assert_eq!(verdict(four, &[(1, &[7]), (2, &[7]), (3, &[7]), (4, &[8])]), (set(&[4]), None));
}

#[test]
fn a_node_that_was_outvoted_before_leaves_nothing_undecided() {
    // Node 3 has not applied the second entry yet.
    assert_eq!(verdict(THREE, &[(1, &[7, 8]), (2, &[6, 5]), (3, &[7])]), (set(&[2]), None));
    assert_eq!(verdict(THREE, &[(1, &[7, 8]), (2, &[7, 9]), (3, &[7])]), (set(&[]), Some(2)));
}

#[test]
fn a_learner_stops_only_itself() {
    assert_eq!(verdict(&[&[1]], &[(1, &[7]), (2, &[8])]), (set(&[2]), None));
    assert_eq!(verdict(THREE, &[(1, &[7]), (2, &[7]), (4, &[8])]), (set(&[4]), None));
    assert_eq!(verdict(THREE, &[(1, &[7]), (4, &[8]), (5, &[8]), (6, &[8])]), (set(&[]), None));
    assert_eq!(verdict(THREE, &[(4, &[7]), (5, &[8])]), (set(&[]), None));
}

#[test]
fn while_the_members_change_a_majority_of_both_sets_is_needed() {
    let joint: &[&[NodeId]] = &[&[1, 2, 3], &[3, 4, 5]];
    assert_eq!(verdict(joint, &[(1, &[7]), (2, &[7]), (3, &[8])]), (set(&[]), Some(1)));
    assert_eq!(verdict(joint, &[(1, &[7]), (2, &[8]), (3, &[7]), (4, &[7])]), (set(&[2]), None));
}

#[test]
fn it_is_said_who_has_which_digest() {
    let of = reported(&[(1, &[0x7]), (2, &[0x7]), (3, &[0x8])]);
    let decided = compare(&[set(&[1, 2, 3])], &of).decided.unwrap();
    let said = decided.to_string();
    assert!(said.starts_with("after log entry 1 of term 1 each of nodes 1, 2 has digest 000"), "{said}");
    assert!(said.ends_with("8") && said.contains(", node 3 has digest 0"), "{said}");
    assert_eq!((decided.digest_of(3), decided.digest_of(4)), (Some(8), None));
    assert_eq!(decided.with_majority(), set(&[1, 2]));
}

fn some_voters() -> impl Strategy<Value = Vec<BTreeSet<NodeId>>> {
    let ids = || proptest::collection::btree_set(1_u64..8, 1..6);
    proptest::collection::vec(ids(), 1..3)
}

proptest! {
    /// Whatever nodes report, those that are outvoted leave a majority of each set of voters, and
    /// nothing is undecided among nodes that agree with each other.
    #[test]
    fn a_majority_never_stops(
        voters in some_voters(),
        of in proptest::collection::btree_map(1_u64..9, proptest::collection::vec(0_u128..3, 0..5), 0..8),
    ) {
        let of: Reported = of.iter().map(|(node, of)| (*node, digests(of))).collect();
        let verdict = compare(&voters, &of);
        for set in &voters {
            let left: BTreeSet<NodeId> = set.difference(&verdict.outvoted).copied().collect();
            prop_assert!(left.len() > set.len() / 2 , "{verdict:?}");
        }
        if let Some(undecided) = verdict.undecided {
            prop_assert!(undecided.digests.len() > 1 && undecided.majority.is_none());
        }
    }

    /// Nodes that report parts of one history, in any number and as far as each has come, never
    /// contradict each other.
    #[test]
    fn a_healthy_history_yields_no_verdict(
        voters in some_voters(),
        history in proptest::collection::vec(1_u128..4, 1..20),
        seen in proptest::collection::btree_map(1_u64..9, any::<u32>(), 0..8),
    ) {
        let part = |seen: u32| -> Vec<u128> {
            history.iter().enumerate().map(|(bit, digest)| if seen >> bit & 1 == 1 { *digest } else { 0 }).collect()
        };
        let of: Reported = seen.iter().map(|(node, seen)| (*node, digests(&part(*seen)))).collect();
        let verdict = compare(&voters, &of);
        prop_assert_eq!((verdict.outvoted, verdict.decided, verdict.undecided), (set(&[]), None, None));
    }
}
