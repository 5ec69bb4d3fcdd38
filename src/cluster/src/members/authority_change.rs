//! The replacement of the cluster's certificate authority while the cluster serves.
//!
//! An operator's command takes it from step to step; each is taken only when every member is that far, so that none is
//! shut out. What each node does by itself: it trusts what the state names, renews under the authority that signs, and
//! says so.

use std::sync::Arc;

use tokio::time::Instant;

use keymoot_audit::{Action, Outcome};
use keymoot_crypto::secret_file;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, Command, NodeTrust, Response};
use keymoot_tls::{ClusterCa, PeerTls, TrustedAuthorities};

use crate::error::ClusterError;
use crate::members::certificate::RenewalError;
use crate::members::membership::Members;
use crate::peer::local_end::LocalEnd;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::authority::{AuthorityProgress, AuthorityStage};

/// Takes the steps.
pub(crate) struct AuthorityReplacement {
    local: LocalEnd,
    members: Arc<Members>,
    barrier: Arc<ReadBarrier>,
}

impl AuthorityReplacement {
    /// Replaces the authority of the cluster of this end.
    pub(crate) const fn new(local: LocalEnd, members: Arc<Members>, barrier: Arc<ReadBarrier>) -> Self {
        Self { local, members, barrier }
    }

    /// How far it is; with `step`, takes the next step if every member is that far.
    ///
    /// # Errors
    /// When the cluster holds no authority's key, or no quorum answers.
    pub(crate) async fn progress(
        &self,
        step: bool,
        deadline: Instant,
    ) -> Result<AuthorityProgress, ClusterError> {
        self.barrier.wait(deadline).await?;
        let tables = &self.members.state;
        let change = state::authority_change(tables)?;
        let Some(current) = state::authority(tables)? else {
            return Err(ClusterError::Refused(
                "this cluster does not hold its authority's key; what trusts which CA is for your own tool to change: \
                 docs/certificates.md"
                    .to_owned(),
            ));
        };
        let noted = state::node_trust(tables)?;
        let lacks = |is_so: &dyn Fn(&NodeTrust) -> bool| -> Vec<NodeId> {
            let members: Vec<NodeId> = self.members.membership().nodes().map(|(id, _)| *id).collect();
            let far = |id: &NodeId| noted.iter().any(|trust| trust.node == *id && is_so(trust));
            members.into_iter().filter(|id| !far(id)).collect()
        };
        let adopted_at_ms = change.as_ref().and_then(|change| change.adopted_at_ms);
        let (stage, waits_for, next) = match change {
            None => (AuthorityStage::Settled, Vec::new(), None),
            Some(change) if !change.adopted => {
                let next = digest_of(&change.other);
                let waits_for = lacks(&|trust| next.is_some_and(|next| trust.trusted.contains(&next)));
                (AuthorityStage::Announced, waits_for, Some(Command::AdoptAuthority))
            }
            Some(_) => {
                let own = digest_of(&current);
                let waits_for = lacks(&|trust| trust.issuer.is_some() && trust.issuer == own);
                (AuthorityStage::Adopted, waits_for, Some(Command::RetireAuthority))
            }
        };
        if step && waits_for.is_empty() {
            let command = match next {
                Some(command) => command,
                None => Command::BeginAuthorityChange(Box::new(self.draw()?)),
            };
            tracing::info!(%command, "the replacement of the cluster's authority goes on");
            let answer = self.change(command, deadline).await?;
            if let Some(Response::ApprovalRefused(refusal)) = answer {
                return Err(ClusterError::Refused(refusal.to_string()));
            }
        }
        Ok(AuthorityProgress { stage, waits_for, adopted_at_ms })
    }

    /// Takes a step, which the audit has before and after.
    async fn change(&self, command: Command, deadline: Instant) -> Result<Option<Response>, ClusterError> {
        let audit = &self.local.audit;
        let event = audit.own(Action::AUTHORITY_CHANGE, Outcome::Intended, command.to_string());
        let pending = audit.begin(event).await.map_err(|why| ClusterError::Refused(why.to_string()))?;
        let committed = self.members.forwarder.commit(vec![command], deadline).await;
        let refused = |response: Option<&Response>| match response {
            Some(Response::ApprovalRefused(refusal)) => Some(refusal.to_string()),
            _ => None,
        };
        let told = match &committed {
            Ok(committed) => match refused(committed.responses.last()) {
                Some(refusal) => pending.end(Outcome::Refused, Some(refusal), committed.log_index),
                None => pending.end(Outcome::Done, None, committed.log_index),
            },
            Err(error) => pending.end(Outcome::Unknown, Some(error.to_string()), None),
        };
        // The intent stands without an outcome where that cannot be written.
        drop(told);
        Ok(committed?.responses.pop())
    }

    /// Gives the replacement up, as long as the next authority signs nothing.
    ///
    /// # Errors
    /// When it signs already, or no quorum answers.
    pub(crate) async fn cancel(&self, deadline: Instant) -> Result<AuthorityProgress, ClusterError> {
        let before = self.progress(false, deadline).await?;
        if before.stage == AuthorityStage::Announced {
            let command = Command::CancelAuthorityChange;
            tracing::info!(%command, "the replacement of the cluster's authority is given up");
            self.change(command, deadline).await?;
        }
        let now = self.progress(false, deadline).await?;
        match now.stage {
            AuthorityStage::Settled => Ok(now),
            AuthorityStage::Announced | AuthorityStage::Adopted => Err(ClusterError::Refused(
                "the next CA signs already, so there is no way back to the one before: go on with keymoot cluster authority \
                 replace; once that is done, replace the CA again if it must not stay"
                    .to_owned(),
            )),
        }
    }

    fn draw(&self) -> Result<AuthorityRecord, ClusterError> {
        let failed = |error: &dyn std::error::Error| ClusterError::State(error.to_string());
        let next = ClusterCa::generate(&self.local.cluster).map_err(|error| failed(&error))?;
        let key = self.local.keyring.wrap_authority(self.local.cluster.as_str(), &next.key_pem());
        let key = key.map_err(|error| failed(&error))?;
        Ok(AuthorityRecord { certificate_pem: next.certificate_pem().to_owned(), key })
    }
}

/// SHA-256 of an authority's certificate.
fn digest_of(authority: &AuthorityRecord) -> Option<[u8; 32]> {
    TrustedAuthorities::from_pem(&authority.certificate_pem).digests().first().copied()
}

/// Makes the node trust the authorities of a replacement, and no longer those that were retired. Returns whether the
/// CA file was changed.
///
/// # Errors
/// When the file cannot be read or replaced.
pub(crate) fn follow_authorities(tls: &PeerTls, tables: &StateView) -> Result<bool, RenewalError> {
    let Some(current) = state::authority(tables)? else { return Ok(false) };
    let (change, retired) = (state::authority_change(tables)?, state::retired_authorities(tables)?);
    if change.is_none() && retired.is_empty() {
        return Ok(false);
    }
    let file = &tls.files().ca;
    let own = TrustedAuthorities::load(file).map_err(RenewalError::Trust)?;
    let known = std::iter::once(&current).chain(change.iter().map(|change| &change.other));
    let named: Vec<&str> = known.map(|authority| authority.certificate_pem.as_str()).collect();
    // A node with a CA of another tool is left alone.
    if !named.iter().any(|pem| own.include(pem)) {
        return Ok(false);
    }
    // The one that signs comes first: tokens name it.
    let next = own.replaced(&named, &retired);
    if next.digests() == own.digests() {
        return Ok(false);
    }
    secret_file::replace_public(file, next.to_pem().as_bytes()).map_err(RenewalError::InstallAuthorities)?;
    Ok(true)
}

/// What this node trusts, while a replacement is under way.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn own_trust(
    id: NodeId,
    tls: &PeerTls,
    tables: &StateView,
) -> Result<Option<NodeTrust>, state::StateError> {
    let (Some(current), Some(change)) = (state::authority(tables)?, state::authority_change(tables)?) else {
        return Ok(None);
    };
    let issuer =
        [&current, &change.other].into_iter().find(|authority| tls.is_of(&authority.certificate_pem));
    let trusted = TrustedAuthorities::from_pem(&tls.authority_pem()).digests();
    Ok(Some(NodeTrust { node: id, trusted, issuer: issuer.and_then(digest_of) }))
}

/// Whether the node's certificate is of an authority that was replaced.
///
/// # Errors
/// When the state cannot be read.
pub(crate) fn is_replaced(tls: &PeerTls, tables: &StateView) -> Result<bool, state::StateError> {
    let (Some(current), Some(change)) = (state::authority(tables)?, state::authority_change(tables)?) else {
        return Ok(false);
    };
    Ok(change.adopted && !tls.is_of(&current.certificate_pem))
}
