//! The task on every node that renews its certificate in time, and follows the certificate files without a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use keymoot_audit::{Action, NodeAudit, Outcome};
use keymoot_crypto::Keyring;
use keymoot_model::{ClusterName, NodeId};
use keymoot_state as state;
use keymoot_telemetry::{LastingConditions, Metrics};
use keymoot_tls::{PeerTls, Validity};

use crate::members::authority_change::{follow_authorities, is_replaced};
use crate::members::certificate::{
    CertificateMaker, CertificateReport, RenewalError, ends_soon, install_given, is_due, is_due_of_witness,
};
use crate::members::renewal_client::RenewalClient;
use crate::raft::state_view::StateView;
use crate::write::clock::now_ms;

/// How often the files and the clock are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The pause after a renewal that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Renews the certificate of this node.
pub(crate) struct CertificateRenewal {
    pub(crate) id: NodeId,
    pub(crate) cluster: ClusterName,
    pub(crate) tls: PeerTls,
    pub(crate) state: StateView,
    pub(crate) keyring: Arc<Keyring>,
    /// By which a witness has a member make its next one.
    pub(crate) client: RenewalClient,
    pub(crate) report: CertificateReport,
    pub(crate) metrics: Arc<Metrics>,
    /// How long a certificate is valid.
    pub(crate) life: Duration,
    /// What does not work.
    pub(crate) lasting: LastingConditions<String>,
    pub(crate) audit: NodeAudit,
}

impl CertificateRenewal {
    /// Runs as long as the node.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut not_before = Instant::now();
        self.measure();
        loop {
            self.follow();
            let now_s = now_s();
            let unfollowed = self.follow_authorities();
            let replaced = is_replaced(&self.tls, &self.state).unwrap_or(false);
            let due = |validity: &Validity| match self.keyring.is_empty() {
                true => replaced || is_due_of_witness(*validity, now_s),
                false => replaced || is_due(*validity, self.life, now_s),
            };
            let validity = self.tls.validity().filter(due);
            match validity {
                None => self.report.replace(unfollowed.or_else(|| self.replacement())),
                Some(validity) if Instant::now() >= not_before => {
                    if let Err(error) = self.renew().await {
                        not_before = Instant::now() + RETRY_AFTER;
                        self.complain(&error, validity, now_s);
                    }
                }
                Some(_) => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Makes the next certificate, or has a member make it, and uses it.
    ///
    /// # Errors
    /// [`RenewalError`] says why it cannot; the present one stays then.
    pub(crate) async fn renew(&self) -> Result<(), RenewalError> {
        if self.keyring.is_empty() {
            let given = self.client.ask_members().await;
            let given = given.map_err(|asked| RenewalError::Witness(Box::new(asked)))?;
            install_given(self.tls.files(), &given)?;
            self.follow();
            self.tell();
            return Ok(());
        }
        let (id, cluster, files) = (self.id, &self.cluster, self.tls.files());
        let (state, keyring, life) = (&self.state, &*self.keyring, self.life);
        CertificateMaker { id, cluster, state, keyring, files, life }.renew()?;
        self.follow();
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let object = format!("node={}", self.id);
        self.audit.note(self.audit.own(Action::NODE_CERTIFICATE, Outcome::Done, object));
    }

    /// That the authority is being replaced, for whoever asks how the cluster is.
    fn replacement(&self) -> Option<String> {
        let change = state::authority_change(&self.state).ok()??;
        let stage = match change.adopted {
            false => "the nodes come to trust the next one",
            true => {
                "the next one signs: clients that believe the cluster's CA need the new ca.pem before the old one is retired"
            }
        };
        let cure = "keymoot cluster authority show says how far it is, and keymoot cluster authority replace goes on with it: docs/certificates.md";
        Some(format!("the cluster's CA is being replaced, and {stage}; {cure}"))
    }

    /// Trusts the authorities of a replacement, and no longer those that were retired. Returns why it cannot, as
    /// `problem; remedy`.
    fn follow_authorities(&self) -> Option<String> {
        match follow_authorities(&self.tls, &self.state) {
            Ok(false) => None,
            Ok(true) => {
                tracing::info!(
                    "the authorities that the node trusts were changed, as they are being replaced"
                );
                self.follow();
                None
            }
            Err(error) => {
                let remedy = error.remedy();
                if let Some(unlogged) = self.lasting.note(format!("authorities: {error}")) {
                    tracing::error!(%error, remedy, unlogged, "the node cannot follow the replacement of the CA");
                }
                Some(format!(
                    "the cluster's CA is being replaced, and this node holds it up: {error}; {remedy}"
                ))
            }
        }
    }

    /// Uses the files if they changed.
    fn follow(&self) {
        match self.tls.reload() {
            Ok(false) => {}
            Ok(true) => {
                self.measure();
                let days = self.tls.validity().map_or(0, |it| (it.not_after_s - now_s()) / 86_400);
                tracing::info!(days, "the node's certificate was renewed; new connections to peers use it");
            }
            Err(error) => {
                let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
                if let Some(unlogged) = self.lasting.note(format!("{error}{why}")) {
                    tracing::error!(
                        %error, why, unlogged,
                        "the node's certificate files were changed and cannot be used; what was read before stays in use"
                    );
                }
            }
        }
    }

    fn measure(&self) {
        if let Some(validity) = self.tls.validity() {
            let until = self.metrics.certificate_expires_timestamp_seconds.with_label_values(&["peers"]);
            until.set(validity.not_after_s);
        }
    }

    fn complain(&self, error: &RenewalError, validity: Validity, now_s: i64) {
        // A long one of another tool is none of the node's business.
        if !ends_soon(validity, self.life, now_s) {
            return self.report.replace(None);
        }
        let (ends, remedy) = (ends_in(validity.not_after_s - now_s), error.remedy());
        self.report.replace(Some(format!(
            "its certificate {ends}, and the node cannot renew it: {error}; {remedy}"
        )));
        if let Some(unlogged) = self.lasting.note(error.to_string()) {
            tracing::warn!(%error, ends, remedy, unlogged, "the node's certificate is due and cannot be renewed");
        }
    }
}

fn ends_in(left_s: i64) -> String {
    match left_s {
        ..=0 => "has ended".to_owned(),
        _ => format!("ends in {} days", left_s / 86_400),
    }
}

fn now_s() -> i64 {
    i64::try_from(now_ms() / 1000).unwrap_or(i64::MAX)
}
