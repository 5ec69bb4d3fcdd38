//! Admission to a cluster, as `join` and `replace-disk` ask for it: of one member after another, with a token.
//!
//! The private key is made on this machine and stays here. Member and node prove to each other that they hold the
//! cluster's master key, and the keyring is tried on the cluster's check value, before the token is spent; of a witness,
//! which has none, only the member proves it. Whatever
//! is cut short can be repeated: the same key and token give the same id.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::operator::unexpected;
use keymoot_cluster::settings::MemberAddress;
use keymoot_cluster::{AdminClient, Admitted, JoinReply, JoinRequest, PROTOCOL, Prover, ask_to_join};
use keymoot_command::Failure;
use keymoot_crypto::{JoinToken, Keyring};
use keymoot_model::NodeId;
use keymoot_state::{FEATURE_LEVEL, NodeFacts};
use keymoot_tls::{NodeKey, PeerIdentity, join_client_config, witness_client_config};
use keymoot_tls::{PeerCredentials, peer_client_config};

/// How long a member may take to answer.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How members are reached.
enum Way {
    /// With nothing but the token.
    Token { key: Box<NodeKey>, tls: Arc<rustls::ClientConfig> },
    /// With a certificate that was issued by hand.
    Certificate { id: NodeId, tls: Arc<rustls::ClientConfig>, keyring: Arc<Keyring> },
}

/// A node that asks to be admitted.
pub(super) struct Applicant<'a> {
    token: &'a JoinToken,
    own: Prover,
    way: Way,
}

impl<'a> Applicant<'a> {
    /// A node that the cluster gives an id and a certificate. Its key is read from the file, or made in it.
    pub(super) fn with_key(
        token: &'a JoinToken,
        keyring: Arc<Keyring>,
        key_file: &Path,
    ) -> Result<Self, Failure> {
        let key = NodeKey::load_or_create(key_file).map_err(Failure::runtime)?;
        let tls = join_client_config(&token.cluster, token.authority).map_err(Failure::runtime)?;
        let own = Prover::holder(token.cluster.clone(), keyring);
        Ok(Self { token, own, way: Way::Token { key: Box::new(key), tls } })
    }

    /// A witness that the cluster gives an id and a certificate. The token says whom it may believe.
    pub(super) fn witness(token: &'a JoinToken, key_file: &Path) -> Result<Self, Failure> {
        let key = NodeKey::load_or_create(key_file).map_err(Failure::runtime)?;
        let tls = witness_client_config(&token.cluster, token.authority).map_err(Failure::runtime)?;
        let own = Prover::witness(token.cluster.clone(), token.verifier.iter().cloned().collect());
        Ok(Self { token, own, way: Way::Token { key: Box::new(key), tls } })
    }

    /// A node with a certificate that was issued by hand: of a cluster whose CA is the operator's own.
    pub(super) fn with_certificate(
        token: &'a JoinToken,
        keyring: Arc<Keyring>,
        [ca, cert, key]: [&Path; 3],
    ) -> Result<Self, Failure> {
        let credentials = PeerCredentials::load(ca, cert, key, &token.cluster).map_err(Failure::usage)?;
        if credentials.authority_fingerprint() != Some(token.authority) {
            return Err(Failure::misuse(format!("{} is not the CA that the token names", ca.display())));
        }
        let PeerIdentity::Node(id) = credentials.identity() else {
            return Err(Failure::misuse(format!(
                "{} is an operator's certificate, no node's",
                cert.display()
            )));
        };
        let tls = peer_client_config(&credentials).map_err(Failure::usage)?;
        let own = Prover::holder(token.cluster.clone(), keyring.clone());
        Ok(Self { token, own, way: Way::Certificate { id, tls, keyring } })
    }

    /// Joins the cluster as a learner that its peers reach at `peer_address`. The ids of `members` are only
    /// looked at by a node with a certificate of its own.
    ///
    /// # Errors
    /// [`Failure`] when no member admits the node; the text says whether the token is spent.
    pub(super) async fn join(
        &self,
        members: &[MemberAddress],
        peer_address: &str,
        zone: &str,
    ) -> Result<Admitted, Failure> {
        let request = JoinRequest {
            protocol: PROTOCOL,
            token: self.token.id,
            secret: self.token.secret.clone(),
            certificate_request: match &self.way {
                Way::Token { key, .. } => Some(key.request().map_err(Failure::runtime)?),
                Way::Certificate { .. } => None,
            },
            peer_address: peer_address.to_owned(),
            facts: NodeFacts {
                zone: zone.to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                feature_level: FEATURE_LEVEL,
            },
            only_check: true,
        };
        match self.ask(members, &request).await? {
            // A witness has no keyring to check.
            JoinReply::Checked { .. } if self.own.is_witness() => {}
            JoinReply::Checked { keyring_check } => self
                .own
                .keyring()
                .verify_check(self.token.cluster.as_str(), &keyring_check)
                .map_err(|error| {
                    Failure::runtime(error)
                        .hint("the token is not spent: repeat this with the keyring that the other nodes use")
                })?,
            JoinReply::Refused(reason) => return Err(Failure::because(reason)),
            JoinReply::Admitted(_) => return Err(unexpected()),
        }
        match self.ask(members, &JoinRequest { only_check: false, ..request }).await? {
            JoinReply::Admitted(admitted) => Ok(*admitted),
            JoinReply::Refused(reason) => Err(Failure::because(reason)),
            JoinReply::Checked { .. } => Err(unexpected()),
        }
    }

    /// Asks the members in turn until one answers.
    async fn ask(&self, members: &[MemberAddress], request: &JoinRequest) -> Result<JoinReply, Failure> {
        let mut said = Vec::new();
        for member in members {
            let address = member.address.as_str();
            let answer = match &self.way {
                Way::Token { tls, .. } => {
                    let asked = ask_to_join(address, tls.clone(), &self.own, request).await;
                    asked.map_err(|error| Failure::runtime(error).message().to_owned())
                }
                Way::Certificate { id, tls, keyring } => {
                    let (tls, keyring) = (tls.clone(), keyring.clone());
                    let client =
                        AdminClient::new(&self.token.cluster, Some(*id), tls, keyring, member.id, address)
                            .map_err(Failure::usage)?;
                    client.join(request.clone(), TIMEOUT).await.map_err(|error| error.to_string())
                }
            };
            match answer {
                Ok(reply) => return Ok(reply),
                Err(reason) => said.push(reason),
            }
        }
        Err(Failure::because(format!("no member could be asked: {}", said.join("; ")))
            .hint("repeat the command as it is: the same directory and token give the node the same id"))
    }
}
