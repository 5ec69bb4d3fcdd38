//! Admitting a new node: its request, and how a member handles it.
//!
//! A node without a certificate may send nothing else on the peer port. The replicated state checks
//! the token and marks it as used. Any member can sign the certificate, because the authority's key
//! is in the state. Before anything else is checked, the node must prove that it holds a master key
//! of the cluster: a token alone grants nothing. A witness has none to prove, and a token of its own kind, which makes it
//! known as a witness for good.

use std::sync::Arc;

use tokio::time::Instant;

use crate::settings::PeerAddress;
use keymoot_audit::{Action, Outcome};
use keymoot_crypto::ProofRefusal;
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{Admission, Command, KeyStanding, Response, TokenKind, TokenRefusal};
use keymoot_telemetry::LastingConditions;
use keymoot_tls::{ClusterCa, NodeRequest, TrustedAuthorities};

use crate::error::ClusterError;
use crate::members::authority::{fingerprint_of, open_authority};
use crate::members::membership::Members;
use crate::members::node_info::NodeInfo;
use crate::peer::feature_level::check_level;
use crate::peer::known_keys;
use crate::peer::local_end::LocalEnd;
use crate::peer::proof;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::join::{Admitted, JoinReply, JoinRequest};
use crate::wire::membership_change::{Change, ChangeRequest, Verdict};
use crate::wire::message::PROTOCOL;
use crate::write::clock::now_ms;
use crate::write::forwarder::ProposalForwarder;
use crate::write::log_index::noting_log_index;

/// What a node proved by a certificate of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proven {
    /// The id in it.
    pub id: NodeId,
    /// SHA-256 of the public key in it.
    pub key_digest: [u8; 32],
}

/// Admits new nodes.
pub(crate) struct JoinService {
    local: LocalEnd,
    state: StateView,
    barrier: Arc<ReadBarrier>,
    forwarder: Arc<ProposalForwarder>,
    members: Arc<Members>,
    info: Arc<NodeInfo>,
    /// Why nodes were not admitted.
    unadmitted: LastingConditions<String>,
}

impl JoinService {
    /// Admits nodes to the cluster of this end of the connection.
    pub(crate) const fn new(
        local: LocalEnd,
        state: StateView,
        barrier: Arc<ReadBarrier>,
        forwarder: Arc<ProposalForwarder>,
        members: Arc<Members>,
        info: Arc<NodeInfo>,
    ) -> Self {
        let unadmitted = LastingConditions::new();
        Self { local, state, barrier, forwarder, members, info, unadmitted }
    }

    /// Answers a node that asks to join and has proved a master key, or asks to be a witness. `proven` is what its certificate proves,
    /// if it showed one.
    pub(crate) async fn join(
        &self,
        request: JoinRequest,
        kind: TokenKind,
        proven: Option<Proven>,
        deadline: Instant,
    ) -> JoinReply {
        match self.admit(request, kind, proven, deadline).await {
            Ok(reply) => reply,
            Err(error) => {
                if let Some(unlogged) = self.unadmitted.note(error.to_string()) {
                    tracing::warn!(reason = %error, unlogged, "a node was not admitted");
                }
                JoinReply::Refused(error.to_string())
            }
        }
    }

    async fn admit(
        &self,
        request: JoinRequest,
        kind: TokenKind,
        proven: Option<Proven>,
        deadline: Instant,
    ) -> Result<JoinReply, ClusterError> {
        if request.protocol != PROTOCOL {
            return refuse(format!("it speaks protocol {}, this cluster {PROTOCOL}", request.protocol));
        }
        if PeerAddress::new(request.peer_address.as_str()).is_err() {
            return refuse(format!("{:?} is no address that peers can dial", request.peer_address));
        }
        let (certificate, key_digest) = match (&request.certificate_request, proven) {
            (Some(der), None) => {
                let certificate = NodeRequest::from_der(der)
                    .ok_or_else(|| ClusterError::Refused("its certificate request is not valid".into()))?;
                let key_digest = certificate.key_digest();
                (Some(certificate), key_digest)
            }
            (None, Some(proven)) => (None, proven.key_digest),
            _ => return refuse("a node brings a certificate or asks for one".into()),
        };
        self.barrier.wait(deadline).await?;
        let secret_digest = request.secret.digest(&request.token);
        state::check_join_token(&self.state, kind, &request.token, &secret_digest, &key_digest, now_ms())?
            .map_err(|refusal| ClusterError::Refused(token_refusal(refusal)))?;
        let identity = state::cluster_identity(&self.state)?
            .ok_or_else(|| ClusterError::Refused("the cluster is not founded yet; try again".into()))?;
        check_level(identity.feature_level, request.facts.feature_level).map_err(ClusterError::Refused)?;
        let signer = certificate.as_ref().map(|_| self.signer()).transpose()?;
        if request.only_check {
            return Ok(JoinReply::Checked { keyring_check: identity.keyring_check });
        }
        let admission = Admission {
            token: request.token,
            secret_digest,
            key_digest,
            id: proven.map(|proven| proven.id),
            highest_id: self.members.membership().nodes().map(|(id, _)| *id).max().unwrap_or(0),
            facts: request.facts,
        };
        let object = format!(
            "kind={kind:?} address={} zone={} token={}",
            request.peer_address,
            admission.facts.zone,
            base16ct::lower::encode_string(&admission.token)
        );
        let event = self.local.audit.own(Action::NODE_JOIN, Outcome::Intended, object);
        let pending =
            self.local.audit.begin(event).await.map_err(|why| ClusterError::Refused(why.to_string()))?;
        let (spent, log_index) = noting_log_index(self.spend_token(kind, admission, deadline)).await;
        // Told before the certificate is handed out, which opens the cluster.
        let told = match &spent {
            Ok((id, _)) => pending.end(Outcome::Done, Some(format!("node {id}")), log_index),
            Err(ClusterError::Refused(reason)) => {
                pending.end(Outcome::Refused, Some(reason.clone()), log_index)
            }
            Err(error) => pending.end(Outcome::Unknown, Some(error.to_string()), log_index),
        };
        let (id, learner) = spent?;
        let told = told.map_err(|why| ClusterError::Refused(why.to_string()))?;
        if let Some(number) = told {
            let written = self.local.audit.log.written(number).await;
            written.map_err(|why| ClusterError::Refused(why.to_string()))?;
        }
        let certificate_pem = match (&signer, &certificate) {
            (Some(signer), Some(certificate)) => {
                let issued = signer.issue_node_for(id, certificate, self.info.certificate_life);
                Some(issued.map_err(|error| ClusterError::State(error.to_string()))?)
            }
            _ => None,
        };
        self.add_learner(id, &request.peer_address, deadline).await?;
        // The state that is read below must contain the admission, on a follower too.
        self.barrier.wait(deadline).await?;
        tracing::info!(node = id, ?kind, learner, address = request.peer_address, "a node was admitted");
        let zone = state::node(&self.state, id)?.map(|node| node.facts.zone).unwrap_or_default();
        // While the authority is replaced there are two, and the new node needs both.
        let authority_pem = self.info.authority_pem();
        let members = self
            .members
            .membership()
            .nodes()
            .map(|(id, member)| (*id, member.peer_address.clone()))
            .collect();
        Ok(JoinReply::Admitted(Box::new(Admitted {
            id,
            learner,
            zone,
            certificate_pem,
            authority_pem,
            members,
        })))
    }

    /// Signs the next certificate of a node that has proved a master key, or of a witness, for the key that is registered
    /// for it. Whoever else asks for a witness's gets what opens nothing without the witness's private key.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says why not and what to do; else when no quorum answers.
    pub(crate) async fn renew(
        &self,
        id: NodeId,
        request: &[u8],
        proven: Result<(), ProofRefusal>,
        deadline: Instant,
    ) -> Result<String, ClusterError> {
        let request = NodeRequest::from_der(request)
            .ok_or_else(|| ClusterError::Refused("the certificate request is not valid".into()))?;
        // A revocation that was acknowledged is known then.
        self.barrier.wait(deadline).await?;
        let standing = state::key_standing(&self.state, id, &request.key_digest())?;
        if let Err(refusal) = proven
            && standing != KeyStanding::Witness
        {
            return refuse(proof::proof_required(refusal));
        }
        let reason = match standing {
            KeyStanding::Registered | KeyStanding::Witness => {
                let signed = self.signer()?.issue_node_for(id, &request, self.info.certificate_life);
                let signed = signed.map_err(|error| ClusterError::State(error.to_string()))?;
                tracing::info!(node = id, "a node was given its next certificate");
                let event =
                    self.local.audit.own(Action::NODE_CERTIFICATE, Outcome::Done, format!("node={id}"));
                let written = self.local.audit.write(event).await;
                written.map_err(|why| ClusterError::Refused(why.to_string()))?;
                return Ok(signed);
            }
            KeyStanding::Revoked | KeyStanding::Removed { revoked: true } => known_keys::revoked(id),
            KeyStanding::Removed { revoked: false } => {
                format!(
                    "node {id} was removed from the cluster: join its machine anew with keymoot cluster replace-disk"
                )
            }
            KeyStanding::Other | KeyStanding::Unknown | KeyStanding::Unregistered => format!(
                "the key of this request is not the one that the cluster has registered for node {id}: give the node back \
                 the key file that it had, or issue the next certificate by your own tool"
            ),
        };
        refuse(reason)
    }

    async fn spend_token(
        &self,
        kind: TokenKind,
        admission: Admission,
        deadline: Instant,
    ) -> Result<(NodeId, bool), ClusterError> {
        let command = match kind {
            TokenKind::Node => Command::AdmitNode(Box::new(admission)),
            TokenKind::Witness => Command::AdmitWitness(Box::new(admission)),
        };
        match self.forwarder.replicate(vec![command], deadline).await?.pop() {
            Some(Response::Admitted { id, learner }) => Ok((id, learner)),
            Some(Response::TokenRefused(refusal)) => Err(ClusterError::Refused(token_refusal(refusal))),
            Some(Response::NodeIdTaken { next }) => Err(ClusterError::Refused(format!(
                "the certificate names an id that was given before; ids are never used again: issue one for \
                 node-{next}.{}.keymoot.internal",
                self.local.cluster
            ))),
            _ => Err(ClusterError::Protocol("no answer to an admission".into())),
        }
    }

    async fn add_learner(&self, id: NodeId, address: &str, deadline: Instant) -> Result<(), ClusterError> {
        let change = Change::AddLearner(id, address.to_owned());
        let request = ChangeRequest { change, force: false, dry_run: false };
        match self.members.change_members(request, deadline).await?.verdict {
            Verdict::Ready | Verdict::Nothing(_) => Ok(()),
            Verdict::Refused(reason) | Verdict::NotYet(reason) | Verdict::Dangerous(reason) => {
                Err(ClusterError::Refused(reason))
            }
        }
    }

    /// The authority from the replicated state, if the peers of this node trust it.
    fn signer(&self) -> Result<ClusterCa, ClusterError> {
        let Some(authority) = state::authority(&self.state)? else {
            return Err(ClusterError::Refused(format!(
                "this cluster does not hold its authority's key, so it signs no certificates. If it was restored \
                 under a new CA, start the node that has the CA's key and try again. Else issue one by hand \
                 for the DNS name node-ID.{}.keymoot.internal with the next free id, and join with --cert, \
                 --key and --ca",
                self.local.cluster
            )));
        };
        let own = TrustedAuthorities::from_pem(&self.info.authority_pem());
        if !own.include(&authority.certificate_pem) {
            return Err(ClusterError::Refused(format!(
                "this cluster holds the key of certificate authority {}, and its nodes trust {}: what it signs, \
                 they refuse. The token is not spent. Take a backup and restore it with the key of the CA that \
                 the nodes trust in cluster.founding_ca_key_file (docs/backup.md), or join with a certificate \
                 of that CA by --cert, --key and --ca",
                fingerprint_of(&authority),
                own.fingerprint()
            )));
        }
        open_authority(&authority, &self.local.cluster, &self.local.keyring).map_err(|error| {
            let why =
                std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            ClusterError::State(format!("{error}{why}"))
        })
    }
}

fn refuse<T>(reason: String) -> Result<T, ClusterError> {
    Err(ClusterError::Refused(reason))
}

fn token_refusal(refusal: TokenRefusal) -> String {
    format!("{refusal}; make another with keymoot cluster token create")
}
