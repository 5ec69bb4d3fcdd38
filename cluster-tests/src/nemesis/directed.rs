//! Schedules that each target one weakness. The real program must survive all of them; a mutant
//! must fail its own.

use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::Xoshiro256PlusPlus;
use rustix::process::Signal;

use crate::RigError;
use crate::nemesis::fabric::Hears;
use crate::nemesis::faults::{Draw, Kind};
use crate::nemesis::run::Run;
use crate::nemesis::schedule::Step;
use crate::nemesis::workload::Load;
use crate::wait::{pause, wait_until};

/// The time limit for the others to elect a leader while the old one is stopped.
const ELECTED_WITHIN: Duration = Duration::from_secs(30);

/// A schedule, and the mutant that it must catch.
#[derive(Clone, Copy)]
pub struct Directed {
    /// The value of `KEYMOOT_MUTANT`.
    pub mutant: &'static str,
    /// A description of the weakness.
    pub weakness: &'static str,
    act: fn(&mut Run) -> Result<(), RigError>,
}

impl Directed {
    /// Runs the schedule.
    ///
    /// # Errors
    /// When the rig itself fails, or is interrupted.
    pub fn act(&self, run: &mut Run) -> Result<(), RigError> {
        (self.act)(run)
    }

    /// The clients that meet the weakness often.
    pub fn load(&self) -> Load {
        let load = Load { think: Duration::from_millis(25), ..Load::default() };
        if self.mutant == "no-dedup" { Load { policy_clients: 8, ..load } } else { load }
    }
}

/// All schedules.
pub const DIRECTED: &[Directed] = &[
    Directed { mutant: "no-fsync", weakness: "what is acknowledged is not on the disk", act: lose_power },
    Directed { mutant: "local-read", weakness: "reads do not ask the quorum", act: cut_leader_off },
    Directed {
        mutant: "no-vote",
        weakness: "a restarted node forgets whom it voted for",
        act: resume_deposed,
    },
    Directed { mutant: "no-dedup", weakness: "a retried change is applied again", act: lose_answers },
    Directed {
        mutant: "no-incarnation",
        weakness: "a voter that lost its data is let back in",
        act: empty_voter,
    },
];

/// Every node loses power at once, some time after the system's last write-back.
fn lose_power(run: &mut Run) -> Result<(), RigError> {
    pause(Duration::from_secs(3))?;
    run.site.each(|machine| machine.disk.sync())?;
    pause(Duration::from_secs(2))?;
    strike(run, "power_cut_all", Duration::from_secs(1)).map(drop)
}

/// The leader is cut off from the others, not from its clients, and the others continue without it.
fn cut_leader_off(run: &mut Run) -> Result<(), RigError> {
    pause(Duration::from_secs(2))?;
    for _ in 0..2 {
        if !strike(run, "isolate_leader", Duration::from_secs(9))? {
            break;
        }
    }
    Ok(())
}

/// A leader is suspended with its clock, like a virtual machine. The others elect another one and
/// write. Then the new leader is cut off with one follower, the two other followers are killed and
/// restarted, and the old leader resumes among them. They have promised not to follow it.
fn resume_deposed(run: &mut Run) -> Result<(), RigError> {
    pause(Duration::from_secs(2))?;
    let old = run.site.await_leader(ELECTED_WITHIN)?;
    run.site.machine(old)?.orders.drift(-1_000_000)?;
    run.site.machine(old)?.signal(Signal::STOP)?;
    run.record("inject", "suspend_leader", &format!("node {}", old + 1));
    let new = wait_until("another leader", ELECTED_WITHIN, || match run.site.leader() {
        Some(new) if new != old => Ok(new),
        _ => Err(RigError::Answer("none yet".to_owned())),
    })?;
    pause(Duration::from_secs(2))?;

    let followers: Vec<usize> = (0..run.site.len()).filter(|node| *node != old && *node != new).collect();
    let (forgetful, loyal) = followers.split_at(run.site.len() / 2);
    let one: Vec<usize> = forgetful.iter().copied().chain([old]).collect();
    let other: Vec<usize> = loyal.iter().copied().chain([new]).collect();
    let rules = one.iter().flat_map(|a| {
        other.iter().flat_map(|b| [(*a, Hears::NothingFrom(*b)), (*b, Hears::NothingFrom(*a))])
    });
    let laid = run.site.fabric.lay(rules.collect())?;
    run.record("inject", "cut_successor_off", &format!("node {}", new + 1));
    for node in forgetful {
        run.site.machine(*node)?.kill()?;
        run.site.machine(*node)?.bring_up()?;
    }
    run.site.machine(old)?.orders.drift(0)?;
    run.site.machine(old)?.signal(Signal::CONT)?;
    run.record("heal", "suspend_leader", &format!("node {}", old + 1));
    pause(Duration::from_secs(8))?;
    run.site.fabric.take_up(laid)?;
    run.record("heal", "cut_successor_off", "");
    run.must_come_back().map(drop)
}

/// Followers forward changes to the leader, and its answers are lost: they retry.
fn lose_answers(run: &mut Run) -> Result<(), RigError> {
    pause(Duration::from_secs(2))?;
    for round in 0..12 {
        let leader = run.site.await_leader(ELECTED_WITHIN)?;
        let node = (leader + 1 + round % (run.site.len().max(2) - 1)) % run.site.len().max(1);
        let laid = run.site.fabric.lay(vec![(node, Hears::NothingFrom(leader))])?;
        run.record("inject", "lose_answers", &format!("of node {} to node {}", leader + 1, node + 1));
        pause(Duration::from_millis(300))?;
        run.site.fabric.reset_between(node, leader)?;
        run.site.fabric.take_up(laid)?;
        run.record("heal", "lose_answers", "");
        pause(Duration::from_millis(700))?;
    }
    run.must_come_back().map(drop)
}

/// Two followers are cut off while the others acknowledge. Then the leader and one follower die, the third loses its
/// disk and is started again, and the two are back: with the emptied one they are a majority, which has nothing of what
/// was acknowledged meanwhile. A suspended follower would not do: it finds that in its sockets when it resumes.
fn empty_voter(run: &mut Run) -> Result<(), RigError> {
    pause(Duration::from_secs(2))?;
    let leader = run.site.await_leader(ELECTED_WITHIN)?;
    let followers: Vec<usize> = (0..run.site.len()).filter(|node| *node != leader).collect();
    let [one, other, emptied, died] = followers.as_slice() else {
        return Err(RigError::Program("this schedule is for five nodes".to_owned()));
    };
    let rules = [one, other].into_iter().flat_map(|apart| {
        [leader, *emptied, *died]
            .into_iter()
            .flat_map(|rest| [(*apart, Hears::NothingFrom(rest)), (rest, Hears::NothingFrom(*apart))])
    });
    let laid = run.site.fabric.lay(rules.collect())?;
    run.record("inject", "halves", &format!("node {}, {} apart", one + 1, other + 1));
    pause(Duration::from_secs(4))?;
    for node in [leader, *died] {
        run.site.machine(node)?.kill()?;
    }
    run.record("inject", "kill_node", &format!("node {}, {}", leader + 1, died + 1));
    let machine = run.site.machine(*emptied)?;
    machine.start_with_other_data("its disk was replaced", |machine| machine.disk.replace())?;
    run.record("inject", "lost_disk", &format!("node {}", emptied + 1));
    run.site.fabric.take_up(laid)?;
    run.record("heal", "halves", "");
    pause(Duration::from_secs(10))?;
    for node in [leader, *died] {
        run.site.machine(node)?.start_again()?;
    }
    run.record("heal", "kill_node", "");
    run.must_come_back().map(drop)
}

/// Runs one step of one fault.
fn strike(run: &mut Run, name: &str, hold: Duration) -> Result<bool, RigError> {
    let kind = Kind::named(name)?;
    let nodes = run.site.len();
    let mut numbers = Xoshiro256PlusPlus::seed_from_u64(0);
    let fault = kind.draw(&mut Draw { numbers: &mut numbers, nodes });
    run.strike(Step { faults: vec![(kind.name, fault)], hold, calm: Duration::from_secs(1) })
}
