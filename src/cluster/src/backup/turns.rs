//! When this node claims the turn to take the scheduled backup.
//!
//! Of the members the one that took the last good backup comes first, then the lowest ids. Each waits
//! for those before it: a member that is away does not claim, and the next one does. A taker says again
//! and again that it is at work; one that falls silent is taken over, in the same order. All waiting
//! goes by the node's steady clock; only whether a backup is due goes by the wall clock. Members whose
//! clocks disagree by more than the interval would find one due again and again, so none claims within
//! half an interval of a good one that it saw come.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::NodeId;
use keymoot_state::{BackupSchedule, Backups, GoodBackup};

/// The longest wait for each member that comes before.
const STEP_MAX: Duration = Duration::from_secs(30);
/// A taker that has said nothing for this many steps has lost its turn.
const SILENT_STEPS: u32 = 3;
/// The shortest and longest pause of a node after its own failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(15 * 60));

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    /// Claim the turn after this one.
    Claim {
        after: u64,
    },
    /// Give up a turn that this node claimed before it was restarted, or the cluster restored.
    GiveUp {
        turn: u64,
    },
}

/// What a node sees of the present turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    turn: u64,
    /// What its taker said last; `None` when nobody is at work.
    under_way: Option<u64>,
    due: bool,
}

/// What this node remembers of the turns.
#[derive(Debug)]
pub(super) struct Turns {
    node: NodeId,
    /// What it sees, and since when it is so.
    seen: Option<(Look, Instant)>,
    failed_at: Option<Instant>,
    /// The last good backup as last seen, and when it came if this node saw that.
    good: Option<(Option<GoodBackup>, Option<Instant>)>,
}

impl Turns {
    pub(super) const fn new(node: NodeId) -> Self {
        Self { node, seen: None, failed_at: None, good: None }
    }

    /// An attempt of this node has failed.
    pub(super) fn note_failure(&mut self, now: Instant) {
        self.failed_at = Some(now);
    }

    /// What to do. This node is not at work on a backup.
    pub(super) fn step(
        &mut self,
        backups: &Backups,
        members: &BTreeSet<NodeId>,
        (now_ms, now): (u64, Instant),
    ) -> Step {
        let came_at = self.good_came_at(backups, now);
        let Some(schedule) = &backups.schedule else {
            self.seen = None;
            return Step::Wait;
        };
        let turn = &backups.turn;
        if turn.under_way.is_some() && turn.node == self.node {
            return Step::GiveUp { turn: turn.number };
        }
        let half = Duration::from_secs(schedule.every_s / 2);
        let fresh = came_at.is_some_and(|at| now.duration_since(at) < half);
        let due = is_due(schedule, backups, now_ms) && !fresh;
        let since = self.since(Look { turn: turn.number, under_way: turn.under_way, due }, now);
        let Some(before) = self.members_before(backups, members) else { return Step::Wait };
        let silence = if turn.under_way.is_some() { SILENT_STEPS } else { 0 };
        let wait = step_of(schedule).saturating_mul(silence.saturating_add(before));
        let rests = self.failed_at.is_some_and(|at| now.duration_since(at) < retry_of(schedule));
        if due && !rests && now.duration_since(since) >= wait {
            return Step::Claim { after: turn.number };
        }
        Step::Wait
    }

    fn good_came_at(&mut self, backups: &Backups, now: Instant) -> Option<Instant> {
        let good = &backups.turn.good;
        match &self.good {
            Some((known, came_at)) if known == good => *came_at,
            known => {
                let came_at = known.is_some().then_some(now);
                self.good = Some((good.clone(), came_at));
                came_at
            }
        }
    }

    fn since(&mut self, look: Look, now: Instant) -> Instant {
        match self.seen {
            Some((seen, since)) if seen == look => since,
            _ => {
                self.seen = Some((look, now));
                now
            }
        }
    }

    /// How many members come before this node; `None` when it is no member.
    fn members_before(&self, backups: &Backups, members: &BTreeSet<NodeId>) -> Option<u32> {
        let last = backups.turn.good.as_ref().map(|good| good.node).filter(|node| members.contains(node));
        let others = members.iter().filter(|node| Some(**node) != last).copied();
        let place = last.into_iter().chain(others).position(|node| node == self.node)?;
        u32::try_from(place).ok()
    }
}

/// How long a member waits for each one that comes before it; a taker at work speaks twice as often.
pub(super) fn step_of(schedule: &BackupSchedule) -> Duration {
    Duration::from_secs(schedule.every_s / 10).min(STEP_MAX)
}

fn retry_of(schedule: &BackupSchedule) -> Duration {
    Duration::from_secs(schedule.every_s / 4).clamp(RETRY.0, RETRY.1)
}

/// Whether the next backup is due. One from the far future was made by a clock that was wrong.
fn is_due(schedule: &BackupSchedule, backups: &Backups, now_ms: u64) -> bool {
    let every_ms = schedule.every_s.saturating_mul(1000);
    backups.turn.good.as_ref().is_none_or(|good| {
        now_ms >= good.made_at_ms.saturating_add(every_ms)
            || good.made_at_ms > now_ms.saturating_add(every_ms)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_state::{BackupTurn, GoodBackup};

    const EVERY_S: u64 = 600;
    const STEP: Duration = Duration::from_secs(30);

    fn good(node: NodeId, made_at_ms: u64) -> GoodBackup {
        let (digest, file) = (String::new(), String::new());
        GoodBackup { node, made_at_ms, index: 1, bytes: 1, digest, file }
    }

    fn scheduled(turn: BackupTurn) -> Backups {
        let schedule = BackupSchedule { every_s: EVERY_S, keep: 1, directory: "/b".into() };
        Backups { schedule: Some(schedule), turn, last_good: None }
    }

    /// A node that looks at turns over time.
    struct Looker {
        turns: Turns,
        began: Instant,
    }

    impl Looker {
        fn of(node: NodeId) -> Self {
            Self { turns: Turns::new(node), began: Instant::now() }
        }

        fn at(&mut self, after: Duration, backups: &Backups) -> Step {
            let now_ms = 1_000_000 + u64::try_from(after.as_millis()).unwrap();
            self.turns.step(backups, &BTreeSet::from([1, 2, 3]), (now_ms, self.began + after))
        }
    }

    #[test]
    fn the_first_backup_is_due_at_once_and_members_wait_for_those_before_them() {
        let never = scheduled(BackupTurn::default());
        for (node, wait) in [(1, Duration::ZERO), (2, STEP), (3, 2 * STEP)] {
            let mut looker = Looker::of(node);
            let first = looker.at(Duration::ZERO, &never);
            if wait.is_zero() {
                assert_eq!(first, Step::Claim { after: 0 });
                continue;
            }
            assert_eq!(first, Step::Wait, "{node}");
            assert_eq!(looker.at(wait - Duration::from_millis(1), &never), Step::Wait, "{node}");
            assert_eq!(looker.at(wait, &never), Step::Claim { after: 0 }, "{node}");
        }
        assert_eq!(Looker::of(4).at(STEP * 10, &never), Step::Wait, "no member");
        let off = Backups { schedule: None, ..never };
        assert_eq!(Looker::of(1).at(Duration::ZERO, &off), Step::Wait);
    }

    /// The fifth turn was node 2's, whose backup was good.
    fn last(made_at_ms: u64) -> Backups {
        let good = Some(good(2, made_at_ms));
        scheduled(BackupTurn { number: 5, node: 2, good, ..Default::default() })
    }

    #[test]
    fn whoever_took_the_last_one_takes_the_next_when_it_is_due() {
        let early = last(1_000_000 - EVERY_S * 1000 + 1);
        let late = last(1_000_000 - EVERY_S * 1000);
        assert_eq!(Looker::of(2).at(Duration::ZERO, &early), Step::Wait);
        assert_eq!(Looker::of(2).at(Duration::ZERO, &late), Step::Claim { after: 5 });
        assert_eq!(Looker::of(1).at(Duration::ZERO, &late), Step::Wait);
        // A clock that was years ahead does not end the schedule.
        let future = last(u64::MAX / 2);
        assert_eq!(Looker::of(2).at(Duration::ZERO, &future), Step::Claim { after: 5 });
    }

    #[test]
    fn members_whose_clocks_disagree_do_not_take_one_after_another() {
        // By this node's clock another one's backup is hours old as it comes.
        let mut looker = Looker::of(1);
        assert_eq!(looker.at(Duration::ZERO, &last(999_999)), Step::Wait);
        let half = Duration::from_secs(EVERY_S / 2);
        let came = Duration::from_secs(1);
        assert_eq!(looker.at(came, &last(0)), Step::Wait);
        assert_eq!(looker.at(came + half - Duration::from_millis(1), &last(0)), Step::Wait);
        assert_eq!(looker.at(came + half, &last(0)), Step::Wait, "node 2 is first");
        assert_eq!(looker.at(came + half + STEP, &last(0)), Step::Claim { after: 5 });
    }

    #[test]
    fn a_taker_that_falls_silent_is_taken_over_and_one_that_speaks_is_not() {
        let at_work =
            |beat| scheduled(BackupTurn { number: 7, node: 1, under_way: Some(beat), ..Default::default() });
        let mut looker = Looker::of(2);
        assert_eq!(looker.at(Duration::ZERO, &at_work(0)), Step::Wait);
        assert_eq!(looker.at(3 * STEP, &at_work(0)), Step::Wait, "node 3 would wait longer, node 1 is first");
        assert_eq!(looker.at(4 * STEP, &at_work(1)), Step::Wait, "it has spoken");
        assert_eq!(looker.at(7 * STEP, &at_work(1)), Step::Wait);
        assert_eq!(looker.at(8 * STEP, &at_work(1)), Step::Claim { after: 7 });
        // It knows of no work after a restart.
        assert_eq!(Looker::of(1).at(Duration::ZERO, &at_work(0)), Step::GiveUp { turn: 7 });
    }

    #[test]
    fn a_node_that_failed_rests_and_the_next_one_goes_on() {
        let failed = scheduled(BackupTurn { number: 9, node: 1, failures: 1, ..Default::default() });
        let mut first = Looker::of(1);
        let began = first.began;
        first.turns.note_failure(began);
        assert_eq!(first.at(Duration::from_secs(149), &failed), Step::Wait);
        assert_eq!(first.at(Duration::from_secs(150), &failed), Step::Claim { after: 9 });
        let mut second = Looker::of(2);
        assert_eq!(second.at(Duration::ZERO, &failed), Step::Wait);
        assert_eq!(second.at(STEP, &failed), Step::Claim { after: 9 });
    }
}
