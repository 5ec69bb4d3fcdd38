//! Which membership changes are made, and which are refused.

use super::*;

/// Members 1.. as (votes, up, lag); node 1 leads.
fn view(members: &[(bool, bool, u64)]) -> MembersView {
    let member = |(at, (voter, up, lag)): (usize, &(bool, bool, u64))| MemberState {
        id: at as NodeId + 1,
        voter: *voter,
        zone: String::new(),
        peer_address: format!("h:{at}"),
        up: *up,
        lag: *lag,
    };
    MembersView {
        leader: 1,
        members: members.iter().enumerate().map(member).collect(),
        removed: [9].into(),
        unfit: BTreeMap::new(),
    }
}

fn verdict(now: &MembersView, change: Change) -> Verdict {
    plan(now, &ChangeRequest { change, force: false, dry_run: true }).verdict
}

const UP: (bool, bool, u64) = (true, true, 0);
const DOWN: (bool, bool, u64) = (true, false, 0);

#[test]
fn the_last_voter_stays_whatever_is_forced() {
    let now = view(&[UP, (false, true, 0)]);
    for change in [Change::Remove(1), Change::Demote(1)] {
        let plan = plan(&now, &ChangeRequest { change, force: true, dry_run: false });
        assert!(matches!(plan.verdict, Verdict::Refused(_)), "{:?}", plan.verdict);
    }
}

#[test]
fn voters_that_are_up_must_stay_a_majority_unless_forced() {
    let now = view(&[UP, UP, DOWN]);
    assert!(matches!(verdict(&now, Change::Remove(2)), Verdict::Dangerous(_)));
    assert!(matches!(verdict(&now, Change::Demote(2)), Verdict::Dangerous(_)));
    assert_eq!(verdict(&now, Change::Remove(3)), Verdict::Ready, "the silent one may go");
    let forced = ChangeRequest { change: Change::Remove(2), force: true, dry_run: false };
    assert_eq!(plan(&now, &forced).verdict, Verdict::Ready);
    let plan = plan(&now, &ChangeRequest { change: Change::Remove(3), force: false, dry_run: true });
    assert_eq!((plan.survives_before, plan.survives_after, plan.after.len()), (1, 0, 2));
    assert!(plan.advice[0].contains("2 voters"), "{:?}", plan.advice);
}

#[test]
fn a_learner_votes_only_when_it_is_up_and_has_caught_up() {
    let with = |learner| view(&[UP, UP, learner]);
    assert_eq!(verdict(&with((false, true, CAUGHT_UP_ENTRIES)), Change::Promote(3)), Verdict::Ready);
    for learner in [(false, true, CAUGHT_UP_ENTRIES + 1), (false, false, 0)] {
        assert!(matches!(verdict(&with(learner), Change::Promote(3)), Verdict::NotYet(_)));
    }
    assert!(matches!(verdict(&with(UP), Change::Promote(3)), Verdict::Nothing(_)));
}

#[test]
fn leadership_goes_to_no_voter_that_is_full_silent_or_behind_and_the_refusal_says_who_leads() {
    let refused = |now: &MembersView, to, why: &str| {
        let verdict = verdict(now, Change::TransferLeader(to));
        let Verdict::Refused(text) = verdict else { panic!("{verdict:?}") };
        assert!(text.contains(why) && text.ends_with("node 1 goes on leading"), "{text}");
    };
    let full =
        MembersView { unfit: [(2, "its disk is nearly full".to_owned())].into(), ..view(&[UP, UP, UP]) };
    refused(&full, Some(2), "node 2 cannot lead now: its disk is nearly full");
    assert_eq!(verdict(&full, Change::TransferLeader(Some(3))), Verdict::Ready);
    assert_eq!(verdict(&full, Change::TransferLeader(None)), Verdict::Ready);
    let behind = (true, true, CAUGHT_UP_ENTRIES + 1);
    let none = MembersView { members: view(&[UP, DOWN, behind]).members, ..full };
    refused(&none, Some(3), "it lacks 257 entries");
    refused(&none, None, "node 2: its disk is nearly full; node 3: it lacks 257 entries");
    refused(&view(&[UP, DOWN]), Some(2), "it is silent");
    refused(&view(&[UP]), None, "no other voter can lead");
}

#[test]
fn what_is_so_already_is_nothing_and_what_cannot_be_is_refused() {
    let now = view(&[UP, UP, (false, true, 0)]);
    for nothing in [
        Change::Demote(3),
        Change::Remove(9),
        Change::TransferLeader(Some(1)),
        Change::Address(2, "h:1".into()),
        Change::AddLearner(3, "x:1".into()),
    ] {
        assert!(matches!(verdict(&now, nothing.clone()), Verdict::Nothing(_)), "{nothing:?}");
    }
    for refused in [
        Change::Promote(9),
        Change::Promote(7),
        Change::Remove(7),
        Change::TransferLeader(Some(3)),
        Change::TransferLeader(Some(7)),
        Change::AddLearner(9, "x:1".into()),
    ] {
        assert!(matches!(verdict(&now, refused.clone()), Verdict::Refused(_)), "{refused:?}");
    }
    for ready in [
        Change::TransferLeader(None),
        Change::TransferLeader(Some(2)),
        Change::Address(2, "new:1".into()),
        Change::AddLearner(4, "x:1".into()),
    ] {
        assert_eq!(verdict(&now, ready.clone()), Verdict::Ready, "{ready:?}");
    }
}

#[test]
fn a_voter_that_is_shut_out_counts_until_it_is_removed() {
    let silenced = |members: &[(bool, bool, u64)], id| silenced(&view(members).members, id);
    assert!(silenced(&[UP], 1).is_some() && silenced(&[UP, UP], 2).is_some());
    assert_eq!(silenced(&[UP, UP, UP], 2), None);
    assert!(silenced(&[UP, UP, DOWN], 2).is_some_and(|said| said.contains("of the 3 voters, 1 would be up")));
    assert_eq!(silenced(&[UP, UP, DOWN], 3), None, "it is silent anyway");
    assert_eq!(silenced(&[UP, (false, true, 0)], 2), None, "a learner has no vote");
}
