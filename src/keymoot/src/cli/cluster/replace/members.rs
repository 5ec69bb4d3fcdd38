//! The members that a replacement asks: one after another, until one answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep};

use crate::cli::operator::{Operator, TIMEOUT, unexpected};
use crate::config::Config;
use keymoot_cluster::recovery::{Recovery, Taken};
use keymoot_cluster::settings::{MemberAddress, PeerAddress};
use keymoot_cluster::{
    AdminError, AdminRequest, AdminResponse, Change, ChangePlan, ChangeRequest, PeerStatus, Verdict, silence,
};
use keymoot_command::Failure;
use keymoot_crypto::JoinToken;
use keymoot_model::NodeId;
use keymoot_service::admin::Operation;

/// How often something that changes by itself is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A node that was stopped just now counts as up for so long beyond the silence.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Why no member answered.
pub(super) enum Unanswered {
    /// The node whose certificate was shown was removed: nobody answers it any more.
    Removed(String),
    /// Anything else.
    Failed(Failure),
}

impl Unanswered {
    pub(super) fn into_failure(self) -> Failure {
        match self {
            Self::Removed(reason) => Failure::because(reason),
            Self::Failed(failure) => failure,
        }
    }
}

/// What the removal of the old node would do.
pub(super) enum Removal {
    /// It can be made.
    Planned(Box<ChangePlan>),
    /// It was made.
    Made,
    /// The node is no member: the cluster was recovered without it.
    Needless,
}

/// The members, in the order in which they are asked.
pub(super) struct Members(Vec<MemberAddress>);

impl Members {
    pub(super) fn new(known: Vec<MemberAddress>) -> Self {
        let mut members = Self(Vec::new());
        members.add(known);
        members
    }

    pub(super) fn list(&self) -> &[MemberAddress] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, more: impl IntoIterator<Item = MemberAddress>) {
        for member in more {
            if !self.0.contains(&member) {
                self.0.push(member);
            }
        }
    }

    /// Asks who else is a member.
    pub(super) async fn learn(&mut self, operator: &Operator, old: NodeId) -> Result<(), Unanswered> {
        let status = self.status(operator).await?;
        let others = status.iter().filter(|member| member.id != old);
        self.add(others.filter_map(|member| {
            Some(MemberAddress {
                id: member.id,
                address: PeerAddress::new(member.peer_address.as_str()).ok()?,
            })
        }));
        Ok(())
    }

    async fn status(&self, operator: &Operator) -> Result<Vec<PeerStatus>, Unanswered> {
        match self.ask(operator, || AdminRequest::Status).await? {
            AdminResponse::Status(status) => Ok(status.members),
            _ => Err(Unanswered::Failed(unexpected())),
        }
    }

    /// Plans the removal of the old node. It is waited for to be silent: it was stopped just now, or runs elsewhere.
    pub(super) async fn plan_removal(&self, operator: &Operator, old: NodeId) -> Result<Removal, Unanswered> {
        let until = Instant::now() + silence(operator.config.cluster.election_timeout_max_ms) + GONE_WITHIN;
        loop {
            let plan = self.change(operator, Change::Remove(old), true).await?;
            let Some(member) = plan.before.iter().find(|member| member.id == old) else {
                let made = matches!(plan.verdict, Verdict::Nothing(_));
                return Ok(if made { Removal::Made } else { Removal::Needless });
            };
            match member.up.then_some(member) {
                Some(_) if Instant::now() < until => sleep(LOOK_AGAIN).await,
                Some(member) => return Err(Unanswered::Failed(runs_elsewhere(old, &member.peer_address))),
                None => return verdict(plan),
            }
        }
    }

    /// Removes the old node.
    pub(super) async fn remove(&self, operator: &Operator, old: NodeId) -> Result<(), Unanswered> {
        verdict(self.change(operator, Change::Remove(old), false).await?).map(drop)
    }

    async fn change(
        &self,
        operator: &Operator,
        change: Change,
        dry_run: bool,
    ) -> Result<ChangePlan, Unanswered> {
        let request =
            || AdminRequest::Change(ChangeRequest { change: change.clone(), force: false, dry_run });
        match self.ask(operator, request).await? {
            AdminResponse::Planned(plan) => Ok(*plan),
            _ => Err(Unanswered::Failed(unexpected())),
        }
    }

    /// Whether a token still lets this machine in: it is open, or was spent, which can only have been by this machine's
    /// key.
    pub(super) async fn is_good(&self, operator: &Operator, token: &JoinToken) -> Result<bool, Unanswered> {
        let AdminResponse::JoinTokens(tokens) = self.ask(operator, || AdminRequest::JoinTokens).await? else {
            return Err(Unanswered::Failed(unexpected()));
        };
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
        let good = tokens.iter().find(|known| known.id == token.id);
        Ok(good
            .is_some_and(|known| !known.revoked && (known.spent.is_some() || known.expires_at_ms > now_ms)))
    }

    /// Has a use case done.
    pub(super) async fn perform(&self, operator: &Operator, operation: Operation) -> Result<(), Unanswered> {
        let answer = self.ask(operator, || operation.request()).await?;
        operation.outcome(answer).map(drop).map_err(|error| Unanswered::Failed(Failure::runtime(error)))
    }

    /// Waits until a node that is started meanwhile votes.
    pub(super) async fn await_filled(
        &self,
        operator: &Operator,
        node: NodeId,
        within: Duration,
    ) -> Result<(), Failure> {
        let until = Instant::now() + within;
        loop {
            let status = self.status(operator).await;
            let member = status.ok().and_then(|members| members.into_iter().find(|member| member.id == node));
            if member.is_some_and(|member| member.voter) {
                return Ok(());
            }
            if Instant::now() >= until {
                let text = format!("node {node} does not vote yet; it is replaced all the same");
                return Err(
                    Failure::because(text).hint("is it started? keymoot cluster status shows how far it is")
                );
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn ask(
        &self,
        operator: &Operator,
        request: impl Fn() -> AdminRequest,
    ) -> Result<AdminResponse, Unanswered> {
        let mut said = Vec::new();
        for member in &self.0 {
            let client = operator.client(member.id, member.address.as_str()).map_err(Unanswered::Failed)?;
            match client.ask(request(), TIMEOUT).await {
                Ok(answer) => return Ok(answer),
                Err(AdminError::Removed(reason)) => return Err(Unanswered::Removed(reason)),
                Err(error @ AdminError::Unproven(_)) => {
                    return Err(Unanswered::Failed(Failure::because(error.to_string())));
                }
                Err(error) => said.push(format!("{}: {error}", member.address)),
            }
        }
        let hint = "start the other nodes, so that a majority of the voters is up; if a majority is lost for good: keymoot \
                    cluster recover, docs/backup.md. Then repeat the command: it goes on from \
                    here";
        Err(Unanswered::Failed(
            Failure::because(format!("no member answered: {}", said.join("; "))).hint(hint),
        ))
    }
}

fn verdict(plan: ChangePlan) -> Result<Removal, Unanswered> {
    let failed = |failure: Failure| Err(Unanswered::Failed(failure));
    match plan.verdict {
        Verdict::Ready => Ok(Removal::Planned(Box::new(plan))),
        Verdict::Nothing(_) => Ok(Removal::Made),
        Verdict::Dangerous(reason) => failed(Failure::because(reason).hint(
            "the node can be replaced once a majority of the others is up; if they are gone for good: keymoot cluster \
             recover, docs/backup.md",
        )),
        Verdict::Refused(reason) | Verdict::NotYet(reason) => failed(Failure::because(reason)),
    }
}

fn runs_elsewhere(old: NodeId, address: &str) -> Failure {
    Failure::because(format!(
        "the cluster hears node {old}, last known at {address}, so it runs elsewhere and this is a copy of it"
    ))
    .hint(format!(
        "if this machine shall be another node: keymoot cluster join in another --dir, with a token. If it shall take the \
         place of node {old}, stop that one first"
    ))
}

/// The members that the data directory names, where it can be read: an older copy can, an empty one cannot.
pub(super) fn remembered(config: &Config) -> Vec<MemberAddress> {
    let taken = Recovery::take(&config.node.data_dir, &config.cluster.name, config.node.id);
    let Ok(Taken::Survivor(recovery)) = taken else { return Vec::new() };
    let members = recovery.survey().map(|survivor| survivor.members).unwrap_or_default();
    // The directory is locked anew in a moment.
    drop(recovery);
    let others = members.into_iter().filter(|(id, _)| *id != config.node.id);
    others
        .filter_map(|(id, address)| Some(MemberAddress { id, address: PeerAddress::new(address).ok()? }))
        .collect()
}
