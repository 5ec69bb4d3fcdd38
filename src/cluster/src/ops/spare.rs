//! Spares a node that should not lead for now: the leadership goes to another voter, and the node stands aside at
//! elections that another one can win.

use std::time::Duration;

use tokio::time::Instant;

use keymoot_telemetry::LastingConditions;

use crate::members::candidacy::Bar;
use crate::members::membership::Members;

/// How often a leader looks for a voter that can lead in its place.
const TRANSFER_EVERY: Duration = Duration::from_millis(500);
/// How often a follower looks for a voter that could win an election in its place.
const STAND_ASIDE_EVERY: Duration = Duration::from_millis(300);

/// When a node that should not lead last took each of its measures.
pub(crate) struct Sparing {
    /// Why it should not.
    bar: Bar,
    transferred: Option<Instant>,
    stood_aside: Option<Instant>,
    /// When another node was last known to lead.
    led: Option<Instant>,
    stays: LastingConditions,
}

impl Sparing {
    pub(crate) fn new(bar: Bar) -> Self {
        Self { bar, transferred: None, stood_aside: None, led: None, stays: LastingConditions::new() }
    }

    /// Transfers the leadership or stands aside at the next election. A node that is elected all the same fills
    /// another one in and transfers the leadership at once.
    pub(crate) async fn spare(&mut self, members: &Members) {
        if !members.leads() {
            self.transferred = None;
            if is_due(&mut self.stood_aside, STAND_ASIDE_EVERY) {
                self.stand_aside(members).await;
            }
        } else if is_due(&mut self.transferred, TRANSFER_EVERY)
            && let Err(error) = members.transfer_leader_away(false).await
            && let Some(unlogged) = self.stays.note(())
        {
            tracing::warn!(%error, unlogged, bar = ?self.bar, "the leadership stays on a node that should not lead");
        }
    }

    /// The node does not stand for election where another voter could win, unless the cluster is without a leader
    /// for long all the same.
    async fn stand_aside(&mut self, members: &Members) {
        let (is_led, is_outdone) = tokio::join!(members.is_led(), members.is_outdone());
        if is_led || self.led.is_none() {
            self.led = Some(Instant::now());
        }
        let is_last_resort = self.led.is_some_and(|led| led.elapsed() >= members.last_resort());
        members.bar(self.bar, is_outdone && !is_last_resort);
    }
}

/// Whether `every` has passed since the last time; if so, that becomes now.
pub(crate) fn is_due(last: &mut Option<Instant>, every: Duration) -> bool {
    let due = last.is_none_or(|at| at.elapsed() >= every);
    if due {
        *last = Some(Instant::now());
    }
    due
}
