//! Operators: signs their certificates and has their records changed.
//!
//! A certificate opens nothing before its fingerprint is registered, and is handed out only after.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_model::{OperatorName, Role};
use keymoot_state as state;
use keymoot_state::{ApprovalChange, Command, OperatorChange, Response, SignInChange, Voucher};
use keymoot_tls::{ClusterCa, NodeRequest, OperatorIssued, PeerTls, TrustedAuthorities};

use crate::error::ClusterError;
use crate::members::authority::open_authority;
use crate::peer::local_end::LocalEnd;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::wire::operators::{
    CertificateWish, EnrolledCertificate, OPERATOR_CERTIFICATE_LIFE_MAX, OperatorEnrolment,
};
use crate::write::clock::now_ms;
use crate::write::command_rights;
use crate::write::forwarder::ProposalForwarder;

/// Adds operators and changes them.
pub(crate) struct OperatorService {
    local: LocalEnd,
    state: StateView,
    barrier: Arc<ReadBarrier>,
    forwarder: Arc<ProposalForwarder>,
    /// Which authorities this node trusts; `None` in a simulation.
    tls: Option<PeerTls>,
}

impl OperatorService {
    /// Signs with the authority in this state.
    pub(crate) const fn new(
        local: LocalEnd,
        state: StateView,
        barrier: Arc<ReadBarrier>,
        forwarder: Arc<ProposalForwarder>,
        tls: Option<PeerTls>,
    ) -> Self {
        Self { local, state, barrier, forwarder, tls }
    }

    /// The certificates of the authorities that this node trusts, PEM: while one replaces another, both.
    fn authority_pem(&self) -> String {
        self.tls.as_ref().map(PeerTls::authority_pem).unwrap_or_default()
    }

    /// Adds an operator on the word of whoever proved a master key to this node.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says why; else when no quorum answered.
    pub(crate) async fn add_for_keyring(
        &self,
        enrolment: OperatorEnrolment,
        deadline: Instant,
    ) -> Result<EnrolledCertificate, ClusterError> {
        let voucher = Voucher::Keyring { node: self.local.node.unwrap_or_default(), acknowledged_by: None };
        let (name, roles) = (enrolment.name.clone(), listed(&enrolment.roles));
        let added = self.add(enrolment, voucher, deadline).await?;
        tracing::warn!(
            operator = %name, roles, fingerprint = %added.fingerprint,
            "an operator was added by proof of a master key"
        );
        Ok(added)
    }

    /// Adds an operator.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says why; else when no quorum answered.
    pub(crate) async fn add(
        &self,
        enrolment: OperatorEnrolment,
        voucher: Voucher,
        deadline: Instant,
    ) -> Result<EnrolledCertificate, ClusterError> {
        let OperatorEnrolment { name, roles, certificate } = enrolment;
        check_roles(&roles)?;
        let (issued, authority_pem) = self.sign(&name, &certificate, deadline).await?;
        let OperatorIssued { certificate_pem, fingerprint, expires_at_s } = issued;
        self.change(OperatorChange::Add { name, roles, fingerprint, expires_at_s, voucher }, deadline)
            .await?;
        Ok(EnrolledCertificate { certificate_pem, authority_pem, fingerprint, expires_at_s })
    }

    /// Gives an operator another certificate, as one asked for it.
    ///
    /// # Errors
    /// As for [`Self::add`].
    pub(crate) async fn add_certificate(
        &self,
        name: OperatorName,
        by: OperatorName,
        certificate: CertificateWish,
        deadline: Instant,
    ) -> Result<EnrolledCertificate, ClusterError> {
        let (issued, authority_pem) = self.sign(&name, &certificate, deadline).await?;
        let OperatorIssued { certificate_pem, fingerprint, expires_at_s } = issued;
        self.change(OperatorChange::AddCertificate { name, by, fingerprint, expires_at_s }, deadline).await?;
        Ok(EnrolledCertificate { certificate_pem, authority_pem, fingerprint, expires_at_s })
    }

    /// Has a record changed. `false` when it was so already.
    ///
    /// # Errors
    /// [`ClusterError::Refused`] says why; else when no quorum answered.
    pub(crate) async fn change(
        &self,
        change: OperatorChange,
        deadline: Instant,
    ) -> Result<bool, ClusterError> {
        if let OperatorChange::SetRoles { roles, .. } = &change {
            check_roles(roles)?;
        }
        self.replicate(Command::ChangeOperators(Box::new(change)), deadline).await
    }

    /// Has changed what operators sign in with, or a session. `false` when it was so already.
    ///
    /// # Errors
    /// As for [`Self::change`].
    pub(crate) async fn change_sign_in(
        &self,
        change: SignInChange,
        deadline: Instant,
    ) -> Result<bool, ClusterError> {
        self.replicate(Command::ChangeSignIn(Box::new(change)), deadline).await
    }

    /// Asks for an approval, gives one, or does what takes two persons.
    ///
    /// # Errors
    /// As for [`Self::change`].
    pub(crate) async fn change_approvals(
        &self,
        change: ApprovalChange,
        deadline: Instant,
    ) -> Result<Response, ClusterError> {
        let command = Command::ChangeApprovals(Box::new(change));
        // Its bounds hold here too, and not only for what another node forwards.
        command_rights::check_own(&command).map_err(|error| ClusterError::Refused(error.to_string()))?;
        match self.forwarder.replicate(vec![command], deadline).await?.pop() {
            Some(Response::ApprovalRefused(refusal)) => Err(ClusterError::Refused(refusal.to_string())),
            Some(answer) => Ok(answer),
            None => Err(ClusterError::Protocol("no answer to a change of approvals".into())),
        }
    }

    async fn replicate(&self, command: Command, deadline: Instant) -> Result<bool, ClusterError> {
        match self.forwarder.replicate(vec![command], deadline).await?.pop() {
            Some(Response::Done) => Ok(true),
            Some(Response::Unchanged) => Ok(false),
            Some(Response::OperatorRefused(refusal)) => Err(ClusterError::Refused(refusal.to_string())),
            Some(Response::ApprovalRefused(refusal)) => Err(ClusterError::Refused(refusal.to_string())),
            _ => Err(ClusterError::Protocol("no answer to a change of operators".into())),
        }
    }

    async fn sign(
        &self,
        name: &OperatorName,
        wish: &CertificateWish,
        deadline: Instant,
    ) -> Result<(OperatorIssued, String), ClusterError> {
        let refused = |reason: &str| Err(ClusterError::Refused(reason.to_owned()));
        let (request, life) = match wish {
            CertificateWish::Sign { request, life_s } => (request, Duration::from_secs(*life_s)),
            CertificateWish::Register { certificate_pem } => return self.issued_elsewhere(certificate_pem),
        };
        let Some(request) = NodeRequest::from_der(request) else {
            return refused("the certificate request is not valid PKCS #10, or its signature is not");
        };
        check_life(life)?;
        self.barrier.wait(deadline).await?;
        let signer = self.signer()?;
        let issued = signer.issue_operator_for(name, &request, life);
        let issued = issued.map_err(|error| ClusterError::State(error.to_string()))?;
        // Nodes whose certificates are of either authority are believed with it; tokens name the first.
        let trusted = TrustedAuthorities::from_pem(&self.authority_pem());
        Ok((issued, trusted.replaced(&[signer.certificate_pem()], &[]).to_pem()))
    }

    /// A certificate that is only to be registered. Whether the authority signed it, TLS checks at each use.
    fn issued_elsewhere(&self, pem: &str) -> Result<(OperatorIssued, String), ClusterError> {
        let refused = |reason: &str| ClusterError::Refused(reason.to_owned());
        let issued = OperatorIssued::from_pem(pem).ok_or_else(|| refused("it is no certificate in PEM"))?;
        let left = issued.expires_at_s.checked_sub(now_ms() / 1000);
        check_life(Duration::from_secs(left.ok_or_else(|| refused("the certificate has expired"))?))?;
        Ok((issued, self.authority_pem()))
    }

    /// The authority from the replicated state, if this node's listener accepts what it signs. Of two, the one that
    /// stays: while it is announced, operators come to have certificates that are good afterwards.
    fn signer(&self) -> Result<ClusterCa, ClusterError> {
        let refused = |reason: &str| ClusterError::Refused(reason.to_owned());
        let trusted = TrustedAuthorities::from_pem(&self.authority_pem());
        let announced = state::authority_change(&self.state)?.filter(|change| !change.adopted);
        let announced = announced.filter(|change| trusted.include(&change.other.certificate_pem));
        let held = match announced {
            Some(change) => Some(change.other),
            None => state::authority(&self.state)?,
        };
        let held = held.ok_or_else(|| {
            refused(
                "this cluster does not hold its authority's key, so it signs no operators' certificates: issue \
                 one with that key, and register it with keymoot operator add --issued FILE",
            )
        })?;
        if !trusted.include(&held.certificate_pem) {
            return Err(refused(
                "this cluster holds the key of another certificate authority than the one in cluster.ca_file, so \
                 what it signs would be refused: docs/backup.md says how the cluster gets the right key",
            ));
        }
        open_authority(&held, &self.local.cluster, &self.local.keyring)
            .map_err(|error| ClusterError::State(error.to_string()))
    }
}

fn check_life(life: Duration) -> Result<(), ClusterError> {
    if life.is_zero() || life > OPERATOR_CERTIFICATE_LIFE_MAX {
        let days = OPERATOR_CERTIFICATE_LIFE_MAX.as_secs() / (24 * 3600);
        let text = format!("an operator's certificate is good for a second to {days} days");
        return Err(ClusterError::Refused(text));
    }
    Ok(())
}

fn check_roles(roles: &[Role]) -> Result<(), ClusterError> {
    if roles.is_empty() {
        return Err(ClusterError::Refused("an operator has at least one role: pass --role".into()));
    }
    Ok(())
}

fn listed(roles: &[Role]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",")
}
