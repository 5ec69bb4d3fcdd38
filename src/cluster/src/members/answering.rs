//! Which voters answer now: a heartbeat of a moment ago says too little where the quorum is to become smaller.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use keymoot_model::NodeId;

use crate::members::membership::Members;
use crate::members::plan::MembersView;
use crate::peer::link::LinkError;
use crate::wire::message::Request;

/// How soon a voter is asked again whose connection broke.
const ASK_AGAIN: Duration = Duration::from_millis(20);

impl Members {
    /// Voters that do not answer count as down. Of three, one that died a moment ago and one that is removed now
    /// would leave no quorum.
    pub(super) async fn ask_voters(&self, view: &mut MembersView) {
        let others =
            view.members.iter_mut().filter(|member| member.voter && member.up && member.id != self.id);
        let asked = others.map(|member| async move { member.up = self.answers(member.id).await });
        futures::future::join_all(asked).await;
    }

    async fn answers(&self, id: NodeId) -> bool {
        let Some(link) = self.leader_client.link_to(id) else { return false };
        let until = Instant::now() + self.silence;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match link.call(Request::Ping, left).await {
                Ok(_) => return true,
                // It may have restarted: the next request connects anew.
                Err(LinkError::Broken { .. }) if !left.is_zero() => sleep(ASK_AGAIN).await,
                Err(_) => return false,
            }
        }
    }
}
