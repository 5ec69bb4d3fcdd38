//! The plan of a membership change: its effect, or why it cannot be made.
//!
//! Pure: it computes a plan from the present members and the request. The leader plans again under
//! its lock before it acts, so that a plan that was shown earlier is never carried out on changed
//! members.

use std::collections::{BTreeMap, BTreeSet};

use keymoot_model::NodeId;

use crate::members::placement::{advice, failures_survived};
use crate::wire::membership_change::{Change, ChangePlan, ChangeRequest, MemberState, Verdict};

/// The most entries that a learner may lack to become a voter: few enough that it has them at once.
pub(crate) const CAUGHT_UP_ENTRIES: u64 = 256;

/// The present members.
#[derive(Clone, Debug, Default)]
pub(crate) struct MembersView {
    pub leader: NodeId,
    /// The members, by id.
    pub members: Vec<MemberState>,
    /// Ids that were removed.
    pub removed: BTreeSet<NodeId>,
    /// Voters that cannot lead now, and why, from their own answers.
    pub unfit: BTreeMap<NodeId, String>,
}

/// Plans a change.
pub(crate) fn plan(now: &MembersView, request: &ChangeRequest) -> ChangePlan {
    let mut after = now.members.clone();
    let verdict = apply(now, &request.change, &mut after);
    let voters = |members: &[MemberState]| members.iter().filter(|member| member.voter).count();
    let verdict = match verdict {
        Verdict::Ready if now.members != after => endangered(now, &after, request.force),
        verdict => verdict,
    };
    let zones = after.iter().filter(|member| member.voter).map(|member| member.zone.as_str());
    ChangePlan {
        leader: now.leader,
        survives_before: failures_survived(voters(&now.members)),
        survives_after: failures_survived(voters(&after)),
        advice: advice(zones),
        before: now.members.clone(),
        after,
        verdict,
    }
}

fn apply(now: &MembersView, change: &Change, after: &mut Vec<MemberState>) -> Verdict {
    let id = match change {
        Change::Promote(id) | Change::Demote(id) | Change::Remove(id) | Change::Address(id, _) => *id,
        Change::AddLearner(id, address) => return add(now, *id, address, after),
        Change::TransferLeader(to) => return transfer(now, *to),
    };
    let Some(at) = after.iter().position(|member| member.id == id) else {
        return match (now.removed.contains(&id), change) {
            (true, Change::Remove(_)) => Verdict::Nothing(format!("node {id} was removed already")),
            (true, _) => Verdict::Refused(format!("node {id} was removed; ids are not used again")),
            (false, _) => Verdict::Refused(format!("there is no node {id}; see keymoot cluster status")),
        };
    };
    let Some(member) = after.get_mut(at) else { return Verdict::Ready };
    match change {
        Change::Promote(_) if member.voter => return Verdict::Nothing(format!("node {id} votes already")),
        Change::Promote(_) if now.removed.contains(&id) => {
            return Verdict::Refused(format!("node {id} is being removed"));
        }
        Change::Promote(_) if !member.up => {
            return Verdict::NotYet(format!(
                "node {id} is silent: a voter that is down only weakens the cluster"
            ));
        }
        Change::Promote(_) if member.lag > CAUGHT_UP_ENTRIES => {
            return Verdict::NotYet(format!("node {id} lacks {} entries: let it catch up first", member.lag));
        }
        Change::Promote(_) => member.voter = true,
        Change::Demote(_) if !member.voter => {
            return Verdict::Nothing(format!("node {id} is a learner already"));
        }
        Change::Demote(_) => member.voter = false,
        Change::Address(_, address) if member.peer_address == *address => {
            return Verdict::Nothing(format!("node {id} is reached at {address} already"));
        }
        Change::Address(_, address) => member.peer_address.clone_from(address),
        _ => {
            after.remove(at);
        }
    }
    Verdict::Ready
}

fn add(now: &MembersView, id: NodeId, address: &str, after: &mut Vec<MemberState>) -> Verdict {
    if now.removed.contains(&id) {
        return Verdict::Refused(format!("node {id} was removed; ids are not used again"));
    }
    if after.iter().any(|member| member.id == id) {
        return Verdict::Nothing(format!("node {id} is a member already"));
    }
    after.push(MemberState {
        id,
        voter: false,
        zone: String::new(),
        peer_address: address.to_owned(),
        up: false,
        lag: 0,
    });
    Verdict::Ready
}

fn transfer(now: &MembersView, to: Option<NodeId>) -> Verdict {
    let leads = format!("node {} goes on leading", now.leader);
    let Some(to) = to else {
        let others = now.members.iter().filter(|member| member.voter && member.id != now.leader);
        let reasons: Option<Vec<String>> =
            others.map(|it| unfit(now, it).map(|why| format!("node {}: {why}; ", it.id))).collect();
        return match reasons {
            Some(reasons) => {
                Verdict::Refused(format!("no other voter can lead; {}{leads}", reasons.concat()))
            }
            None => Verdict::Ready,
        };
    };
    if to == now.leader {
        return Verdict::Nothing(format!("node {to} leads already"));
    }
    match now.members.iter().find(|member| member.id == to) {
        None => Verdict::Refused(format!("there is no node {to}; see keymoot cluster status")),
        Some(member) if !member.voter => {
            Verdict::Refused(format!("node {to} is a learner and cannot lead; see keymoot cluster promote"))
        }
        Some(member) => match unfit(now, member) {
            Some(why) => Verdict::Refused(format!("node {to} cannot lead now: {why}; {leads}")),
            None => Verdict::Ready,
        },
    }
}

/// Why a voter cannot lead now: its own answer, else the leader's view of it.
fn unfit(now: &MembersView, member: &MemberState) -> Option<String> {
    match now.unfit.get(&member.id) {
        Some(reason) => Some(reason.clone()),
        None if !member.up => Some("it is silent".to_owned()),
        None if member.lag > CAUGHT_UP_ENTRIES => Some(format!("it lacks {} entries", member.lag)),
        None => None,
    }
}

/// Why the change endangers the cluster, if the remaining voters that are up are no majority.
fn endangered(now: &MembersView, after: &[MemberState], force: bool) -> Verdict {
    let voters = |members: &[MemberState]| members.iter().filter(|m| m.voter).map(|m| m.id).collect();
    let (before, then): (BTreeSet<NodeId>, BTreeSet<NodeId>) = (voters(&now.members), voters(after));
    if then.is_empty() {
        let text = "this is the last voter: a cluster without one is none; add another node first";
        return Verdict::Refused(text.to_owned());
    }
    let silent: Vec<NodeId> = after.iter().filter(|m| m.voter && !m.up).map(|m| m.id).collect();
    let up = then.len() - silent.len();
    if before != then && up * 2 <= then.len() && !force {
        return Verdict::Dangerous(format!(
            "of the {} voters that would be left, {up} are up: no majority, so nothing could be written any \
             more. Silent: {silent:?}. Bring them back, or remove them first",
            then.len()
        ));
    }
    Verdict::Ready
}

/// Why a voter must not be shut out that stays a member: the voters that are left and up are no majority.
pub(crate) fn silenced(members: &[MemberState], id: NodeId) -> Option<String> {
    let voters: Vec<&MemberState> = members.iter().filter(|member| member.voter).collect();
    let up = voters.iter().filter(|member| member.up && member.id != id).count();
    let is_voter = voters.iter().any(|member| member.id == id);
    (is_voter && up * 2 <= voters.len()).then(|| {
        format!(
            "node {id} votes until it is removed: of the {} voters, {up} would be up without it: no majority, so nothing \
             could be written any more, and node {id} could not be removed either. Remove it first, which shuts it out as \
             well: keymoot cluster remove {id}; or revoke it all the same with --force (over the API: force)",
            voters.len()
        )
    })
}

#[cfg(test)]
mod tests;
