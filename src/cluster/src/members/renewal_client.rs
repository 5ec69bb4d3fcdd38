//! The node's side of asking a member for its next certificate, when its own has ended and its state has nothing to
//! make one with: it was admitted and off for long, or its state is from before. A witness, which cannot open the
//! authority's key, asks each time.

use std::sync::Arc;

use keymoot_crypto::ProofPurpose;
use keymoot_model::NodeId;
use keymoot_store::Directory;
use keymoot_tls::{NodeKey, PeerTlsFiles, TrustedAuthorities, renewal_client_config};

use crate::members::join_client::{ANSWER_TIMEOUT, JoinError, ask, connect, prove};
use crate::peer::proof::Prover;
use crate::settings::MemberAddress;
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

/// Who asks for its next certificate.
pub(crate) struct RenewalClient {
    pub(crate) id: NodeId,
    pub(crate) files: PeerTlsFiles,
    pub(crate) own: Prover,
    /// Where peers said that they are.
    pub(crate) directory: Arc<Directory>,
    /// Where the configuration says that others are.
    pub(crate) hints: Vec<MemberAddress>,
}

impl RenewalClient {
    /// Asks the members one after another, and returns the certificate, PEM.
    ///
    /// # Errors
    /// [`AskedInVain`] says what each of them said.
    pub(crate) async fn ask_members(&self) -> Result<String, AskedInVain> {
        let unusable = |error: &dyn std::fmt::Display| AskedInVain::Files(error.to_string());
        let key = NodeKey::load(&self.files.key).map_err(|error| unusable(&error))?;
        let request = key.request().map_err(|error| unusable(&error))?;
        let trusted = TrustedAuthorities::load(&self.files.ca).map_err(|error| unusable(&error))?;
        let asking = Asking { id: self.id, own: &self.own, request };
        let mut said = Vec::new();
        for address in self.addresses() {
            // While the authority is replaced there are two.
            for authority in trusted.digests() {
                match asking.ask(&address, authority).await {
                    Ok(RenewalReply::Renewed { certificate_pem }) => return Ok(certificate_pem),
                    Ok(RenewalReply::Refused(reason)) => said.push(format!("{address}: {reason}")),
                    Err(error) => said.push(told(&error)),
                }
            }
        }
        Err(if said.is_empty() { AskedInVain::Nobody } else { AskedInVain::Refused(said) })
    }

    fn addresses(&self) -> Vec<String> {
        let hints = self.hints.iter().map(|hint| hint.address.to_string());
        let met = self.directory.memories().into_values().filter_map(|memory| memory.address);
        let mut addresses: Vec<String> = Vec::new();
        for address in met.chain(hints) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }
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
    own: &'a Prover,
    request: Vec<u8>,
}

impl Asking<'_> {
    async fn ask(&self, address: &str, authority: [u8; 32]) -> Result<RenewalReply, JoinError> {
        let failed = |source| JoinError::Unreachable { member: address.to_owned(), source };
        let tls = renewal_client_config(&self.own.cluster, authority).map_err(std::io::Error::other);
        let mut stream = connect(address, &self.own.cluster, tls.map_err(failed)?).await?;
        let channel = keymoot_tls::peer_channel(stream.get_ref().1).map_err(std::io::Error::other);
        let channel = channel.map_err(failed)?;
        let asking = async {
            let purpose = ProofPurpose::Renew(&self.request);
            let Some(proof) = prove(&mut stream, &channel, self.own, purpose).await? else {
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
