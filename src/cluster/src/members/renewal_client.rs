//! The node's side of asking a member for its next certificate, when its own has ended and its state has nothing to
//! make one with: it was admitted and off for long, or its state is from before.

use keymoot_crypto::{Keyring, ProofPurpose};
use keymoot_model::{ClusterName, NodeId};
use keymoot_tls::{NodeKey, TrustedAuthorities, renewal_client_config};

use crate::members::join_client::{ANSWER_TIMEOUT, JoinError, ask, connect, prove};
use crate::settings::ClusterSettings;
use crate::wire::join::{ProvenRenewal, RenewalReply};

/// Why no member gave the next certificate.
#[derive(Debug, thiserror::Error)]
pub enum AskedInVain {
    /// Nobody is known.
    #[error("it knows no member to ask: name one in cluster.peer_hints")]
    Nobody,
    /// The files of the node cannot be used.
    #[error("no member can be asked: {0}")]
    Files(String),
    /// No member that was asked gave one.
    #[error("no member made it either: {}", .0.join("; "))]
    Refused(Vec<String>),
}

/// Asks the members at these addresses, one after another, and returns the certificate, PEM.
///
/// # Errors
/// [`AskedInVain`] says what each of them said.
pub(crate) async fn ask_members(
    config: &ClusterSettings,
    keyring: &Keyring,
    addresses: &[String],
) -> Result<String, AskedInVain> {
    let files = config.cluster.peer_tls_files();
    let unusable = |error: &dyn std::fmt::Display| AskedInVain::Files(error.to_string());
    let key = NodeKey::load(&files.key).map_err(|error| unusable(&error))?;
    let request = key.request().map_err(|error| unusable(&error))?;
    let trusted = TrustedAuthorities::load(&files.ca).map_err(|error| unusable(&error))?;
    let asking = Asking { id: config.node.id, cluster: &config.cluster.name, keyring, request };
    let mut said = Vec::new();
    for address in addresses {
        // While the authority is replaced there are two.
        for authority in trusted.digests() {
            match asking.ask(address, authority).await {
                Ok(RenewalReply::Renewed { certificate_pem }) => return Ok(certificate_pem),
                Ok(RenewalReply::Refused(reason)) => said.push(format!("{address}: {reason}")),
                Err(error) => said.push(told(&error)),
            }
        }
    }
    Err(if said.is_empty() { AskedInVain::Nobody } else { AskedInVain::Refused(said) })
}

/// What a member did not answer, without what is said of tokens.
fn told(error: &JoinError) -> String {
    match error {
        JoinError::Unproven { member } => {
            format!(
                "{member} does not prove any master key of this keyring: use a copy of the one that the nodes use"
            )
        }
        JoinError::TooOld { member } => {
            format!("{member} runs an earlier version of Keymoot, which makes no certificates for others")
        }
        error => error.to_string(),
    }
}

/// What is asked for.
struct Asking<'a> {
    id: NodeId,
    cluster: &'a ClusterName,
    keyring: &'a Keyring,
    request: Vec<u8>,
}

impl Asking<'_> {
    async fn ask(&self, address: &str, authority: [u8; 32]) -> Result<RenewalReply, JoinError> {
        let failed = |source| JoinError::Unreachable { member: address.to_owned(), source };
        let tls = renewal_client_config(self.cluster, authority).map_err(std::io::Error::other);
        let mut stream = connect(address, self.cluster, tls.map_err(failed)?).await?;
        let channel = keymoot_tls::peer_channel(stream.get_ref().1).map_err(std::io::Error::other);
        let channel = channel.map_err(failed)?;
        let asking = async {
            let own = ProofPurpose::Renew(&self.request);
            let Some(proof) = prove(&mut stream, self.cluster, &channel, self.keyring, own).await? else {
                return Ok(None);
            };
            let certificate_request = self.request.clone();
            ask(&mut stream, &ProvenRenewal { id: self.id, certificate_request, proof }).await.map(Some)
        };
        let late = |_| JoinError::TooLate { member: address.to_owned() };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asking).await.map_err(late)?.map_err(failed)?;
        answer.ok_or_else(|| JoinError::Unproven { member: address.to_owned() })
    }
}
