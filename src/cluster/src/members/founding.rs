//! Founding: a cluster begins, gets its identity, and takes the authority's key into its state.
//!
//! An operator begins it of given members, or the first start of the first node does. Whoever leads first then
//! stores the identity.
//! The key's file is the mark that a cluster is still to be begun here. It is moved aside once the
//! cluster has the key, so that a node that lost its data never begins a second cluster of the same name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use tokio::time::Instant;

use crate::settings::ClusterSettings;
use keymoot_crypto::{Keyring, WrapError};
use keymoot_model::NodeId;
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, ClusterIdentity, Command};
use keymoot_tls::{ClusterCa, PkiError};

use crate::error::ClusterError;
use crate::members::membership::Members;
use crate::wire::raft_types::Member;

/// How long the identity may take to be replicated.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(2);
/// How long the authority's key may take.
const AUTHORITY_PATIENCE: Duration = Duration::from_secs(3);

/// What the file is called once the cluster has the key.
const PUT_AWAY: &str = "offline.pem";

/// A cluster to be begun.
pub(crate) struct Founding {
    authority: ClusterCa,
    file: PathBuf,
}

impl Founding {
    /// What the configuration says about it; none when this node founds nothing.
    ///
    /// # Errors
    /// [`PkiError`] when the authority's key is there and cannot be used.
    pub(crate) fn read(config: &ClusterSettings) -> Result<Option<Self>, PkiError> {
        match &config.cluster.founding_ca_key_file {
            Some(file) if file.exists() => {
                let authority = ClusterCa::load(&config.cluster.ca_file, file)?;
                Ok(Some(Self { authority, file: file.clone() }))
            }
            _ => Ok(None),
        }
    }

    /// What the cluster stores of the authority.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub(crate) fn record(&self, keyring: &Keyring) -> Result<AuthorityRecord, WrapError> {
        let key = keyring.wrap_authority(self.authority.cluster().as_str(), &self.authority.key_pem())?;
        Ok(AuthorityRecord { certificate_pem: self.authority.certificate_pem().to_owned(), key })
    }

    /// The cluster has the key: the file goes out of the way, and the operator is told.
    pub(crate) fn put_away(&self) {
        let to = put_away_name(&self.file);
        match std::fs::rename(&self.file, &to) {
            Ok(()) => tracing::warn!(
                file = %to.display(),
                "the cluster holds its authority's key now, wrapped under the master key; no node needs this \
                 file any more: keep it off-line, or delete it"
            ),
            Err(error) => tracing::warn!(
                file = %self.file.display(), %error,
                "the cluster holds its authority's key now; move this file away yourself"
            ),
        }
    }
}

/// Founds the cluster, where this node is to.
pub(crate) struct Founder {
    members: Arc<Members>,
    identity: ClusterIdentity,
    /// Where peers reach this node.
    peer_address: String,
    /// The authority as the cluster stores it, where this node brings it.
    authority: Option<AuthorityRecord>,
    /// Until the cluster has the authority's key.
    pending: Mutex<Option<Founding>>,
}

impl Founder {
    /// Founds a cluster of this identity; of `founding` by itself.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub(crate) fn new(
        members: Arc<Members>,
        identity: ClusterIdentity,
        peer_address: String,
        founding: Option<Founding>,
        keyring: &Keyring,
    ) -> Result<Self, WrapError> {
        let authority = founding.as_ref().map(|founding| founding.record(keyring)).transpose()?;
        Ok(Self { members, identity, peer_address, authority, pending: Mutex::new(founding) })
    }

    /// Begins a cluster of these members, as an operator asks. `false` when it has begun before.
    ///
    /// # Errors
    /// When this node is none of them, or Raft refuses.
    pub(crate) async fn begin(&self, members: BTreeMap<NodeId, String>) -> Result<bool, ClusterError> {
        let id = self.members.id;
        if !members.contains_key(&id) {
            let text = format!("the members must include node {id}, which was asked to begin the cluster");
            return Err(ClusterError::Refused(text));
        }
        let members: BTreeMap<NodeId, Member> =
            members.into_iter().map(|(id, peer_address)| (id, Member { peer_address })).collect();
        match self.members.raft.initialize(members).await {
            Ok(()) => Ok(true),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(false),
            Err(error) => Err(ClusterError::Refused(error.to_string())),
        }
    }

    /// On the founding node: begins the cluster, and gives it the authority's key.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn begin_alone(&self) -> Result<(), state::StateError> {
        if self.pending().is_none() {
            return Ok(());
        }
        let me = Member { peer_address: self.peer_address.clone() };
        match self.members.raft.initialize(BTreeMap::from([(self.members.id, me)])).await {
            Ok(()) => tracing::info!(cluster = %self.identity.cluster, "the cluster begins with this node"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => tracing::error!(%error, "the cluster cannot begin"),
        }
        if state::authority(&self.members.state)?.is_some() {
            if let Some(founding) = self.pending().take() {
                founding.put_away();
            }
        } else if state::cluster_identity(&self.members.state)?.is_some() {
            let record = self.authority.iter().cloned().map(|record| Command::PutAuthority(Box::new(record)));
            let deadline = Instant::now() + AUTHORITY_PATIENCE;
            if let Err(error) = self.members.forwarder.replicate(record.collect(), deadline).await {
                tracing::debug!(%error, "what this node is was not stored yet");
            }
        }
        Ok(())
    }

    /// On the leader of a cluster without an identity: stores it.
    pub(crate) async fn store_identity(&self) {
        let mut found = vec![Command::Found(self.identity.clone())];
        found.extend(
            self.authority.iter().map(|authority| Command::PutAuthority(Box::new(authority.clone()))),
        );
        let deadline = Instant::now() + IDENTITY_PATIENCE;
        if let Err(error) = self.members.forwarder.replicate(found, deadline).await {
            tracing::warn!(%error, "the cluster's identity is not yet replicated");
        }
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Founding>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put_away_name(file: &Path) -> PathBuf {
    file.with_extension(PUT_AWAY)
}
