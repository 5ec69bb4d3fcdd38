//! What a witness does besides voting: it stands aside where another voter has all of its log, and hands the leadership
//! over as soon as one has.
//!
//! So it leads only where nobody else has what was committed through it, and for as long as it takes to fill another.

use std::sync::Arc;
use std::time::Duration;

use keymoot_telemetry::LastingConditions;

use crate::members::candidacy::Bar;
use crate::members::leader_transfer::LeaderTransferError;
use crate::members::membership::Members;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The duty of a witness.
pub(crate) struct WitnessDuty {
    members: Arc<Members>,
    stays: LastingConditions,
}

impl WitnessDuty {
    /// Of this member.
    pub(crate) fn new(members: Arc<Members>) -> Self {
        Self { members, stays: LastingConditions::new() }
    }

    /// Runs as long as Raft does.
    pub(crate) async fn run(self) {
        // Until the others were asked, one of them may have all that this node has.
        self.members.bar(Bar::Witness, true);
        while self.members.is_running() {
            match self.members.leads() {
                true => self.hand_over().await,
                false => {
                    let is_outdone = self.members.is_outdone().await;
                    self.members.bar(Bar::Witness, is_outdone);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn hand_over(&self) {
        match self.members.transfer_leader_away(true).await {
            Ok(()) => tracing::info!("the witness has handed the leadership over"),
            Err(LeaderTransferError::Stopped) => {}
            Err(error) => {
                if let Some(unlogged) = self.stays.note(()) {
                    tracing::warn!(%error, unlogged, "the witness leads until another voter has all of its log");
                }
            }
        }
    }
}
