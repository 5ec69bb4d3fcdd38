//! Initializing a cluster: members, identity, and the authority's key in the replicated state.
//!
//! An operator initializes it with given members, or the first start of the first node does. The
//! first leader then stores the identity. The key's file marks a cluster that is still to be
//! initialized. It is deleted once the cluster has the key, and a mark in its place keeps a node that
//! lost its data from initializing a second cluster of the same name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::errors::{InitializeError, RaftError};
use tokio::time::Instant;

use crate::settings::{ClusterSettings, FoundingOperator};
use keymoot_crypto::secret_file;
use keymoot_crypto::{Keyring, WrapError};
use keymoot_model::{NodeId, Role};
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, ClusterIdentity, Command, OperatorChange, Voucher};
use keymoot_telemetry::LastingConditions;
use keymoot_tls::{ClusterCa, PkiError, TrustedAuthorities};

use crate::error::ClusterError;
use crate::members::authority::fingerprint_of;
use crate::members::membership::Members;
use crate::wire::raft_types::Member;

/// The time limit for replicating the identity.
const IDENTITY_PATIENCE: Duration = Duration::from_secs(2);
/// The time limit for replicating the authority's key.
const AUTHORITY_PATIENCE: Duration = Duration::from_secs(3);

/// The extension of the mark that stays where the key's file was.
const MARK: &str = "founded";
/// The extension that earlier versions gave the key's file, which they kept.
const KEPT_BEFORE: &str = "offline.pem";

/// A cluster that is to be initialized.
pub(crate) struct Founding {
    authority: ClusterCa,
    file: PathBuf,
    /// The operator that the cluster begins with.
    operator: Option<FoundingOperator>,
}

impl Founding {
    /// The new cluster from the configuration; `None` when this node initializes none. A cluster whose authority is
    /// `held` needs no key: one that was left over when its authority was replaced is of no use.
    ///
    /// # Errors
    /// [`PkiError`] when the authority's key exists and cannot be used.
    pub(crate) fn read(
        config: &ClusterSettings,
        held: Option<&AuthorityRecord>,
    ) -> Result<Option<Self>, PkiError> {
        let Some(file) = config.cluster.founding_ca_key_file.as_ref().filter(|file| file.exists()) else {
            return Ok(None);
        };
        match ClusterCa::load(&config.cluster.ca_file, file) {
            Ok(authority) => {
                Ok(Some(Self { authority, file: file.clone(), operator: config.founding_operator.clone() }))
            }
            Err(PkiError::KeyMismatch { .. }) if held.is_some() => {
                tracing::warn!(
                    file = %file.display(),
                    "this private key is not of the cluster's CA, which the cluster holds itself: it was left over when \
                     the CA was replaced, and no node needs it; delete it"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// What was left in place of the key when this node founded its cluster before, if it did.
    pub(crate) fn founded_before(&self) -> Option<PathBuf> {
        [MARK, KEPT_BEFORE].map(|left| self.file.with_extension(left)).into_iter().find(|file| file.exists())
    }

    /// The authority in the form that the cluster stores.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub(crate) fn record(&self, keyring: &Keyring) -> Result<AuthorityRecord, WrapError> {
        let key = keyring.wrap_authority(self.authority.cluster().as_str(), &self.authority.key_pem())?;
        Ok(AuthorityRecord { certificate_pem: self.authority.certificate_pem().to_owned(), key })
    }

    /// Whether this is the authority that the cluster holds.
    fn is_held(&self, held: &AuthorityRecord) -> bool {
        TrustedAuthorities::from_pem(&held.certificate_pem).include(self.authority.certificate_pem())
    }

    /// Deletes the key's file, because the cluster has the key. A mark stays, which keeps a node that lost its
    /// data from founding a second cluster of the same name.
    pub(crate) fn delete_key(&self) {
        let mark = self.file.with_extension(MARK);
        let text = format!(
            "The cluster {} holds the key of its certificate authority, wrapped under the master key. As long as \
             this file is here, a node without data does not begin another cluster with a copy of that key.\n",
            self.authority.cluster()
        );
        let marked = match mark.exists() {
            true => Ok(()),
            false => secret_file::create_public(&mark, text.as_bytes()),
        };
        let deleted = marked
            .map_err(|error| error.to_string())
            .and_then(|()| std::fs::remove_file(&self.file).map_err(|error| error.to_string()));
        match deleted {
            Ok(()) => tracing::info!(
                file = %self.file.display(),
                "the cluster holds its authority's key now, wrapped under the master key; its file was deleted"
            ),
            Err(error) => tracing::warn!(
                file = %self.file.display(), %error,
                "the cluster holds its authority's key now, and its file cannot be deleted: delete it yourself"
            ),
        }
    }
}

/// Tells the operator of a key that an earlier version kept, which opens every node's door.
pub(crate) fn warn_of_kept_key(config: &ClusterSettings) {
    let kept = config.cluster.founding_ca_key_file.as_ref().map(|file| file.with_extension(KEPT_BEFORE));
    if let Some(file) = kept.filter(|file| file.exists()) {
        tracing::warn!(
            file = %file.display(),
            "the private key of the cluster's authority lies on this disk, and no node needs it: move it off-line, \
             or delete it"
        );
    }
}

/// Initializes the cluster, on the node that is to do so.
pub(crate) struct Founder {
    members: Arc<Members>,
    /// `None` on a witness, which begins no cluster.
    identity: Option<ClusterIdentity>,
    /// The address on which peers reach this node.
    peer_address: String,
    /// The authority in the form that the cluster stores, if this node supplies it.
    authority: Option<AuthorityRecord>,
    /// `None` once the cluster has the authority's key.
    pending: Mutex<Option<Founding>>,
    /// What does not get on.
    delayed: LastingConditions<&'static str>,
}

impl Founder {
    /// Initializes a cluster of this identity; with `founding`, on its own.
    ///
    /// # Errors
    /// [`WrapError`] when no nonce could be drawn.
    pub(crate) fn new(
        members: Arc<Members>,
        identity: Option<ClusterIdentity>,
        peer_address: String,
        founding: Option<Founding>,
        keyring: &Keyring,
    ) -> Result<Self, WrapError> {
        let authority = founding.as_ref().map(|founding| founding.record(keyring)).transpose()?;
        let (pending, delayed) = (Mutex::new(founding), LastingConditions::new());
        Ok(Self { members, identity, peer_address, authority, pending, delayed })
    }

    /// Initializes a cluster of these members for an operator. Returns `false` when it was
    /// initialized before.
    ///
    /// # Errors
    /// When this node is not among them, or Raft refuses.
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

    /// On the first node: initializes the cluster, and stores the authority's key in it.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(crate) async fn begin_alone(&self) -> Result<(), state::StateError> {
        if self.pending().is_none() {
            return Ok(());
        }
        let me = Member { peer_address: self.peer_address.clone() };
        match self.members.raft.initialize(BTreeMap::from([(self.members.id, me)])).await {
            Ok(()) => tracing::info!("the cluster begins with this node"),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => {
                if let Some(unlogged) = self.delayed.note("begin") {
                    tracing::error!(%error, unlogged, "the cluster cannot begin");
                }
            }
        }
        if let Some(held) = state::authority(&self.members.state)? {
            // What makes the cluster is put away last: until then this is tried again.
            if let Some(first) = self.first_operator(&held)? {
                let deadline = Instant::now() + AUTHORITY_PATIENCE;
                if let Err(error) = self.members.forwarder.replicate(vec![first], deadline).await {
                    tracing::debug!(%error, "the first operator was not stored yet");
                }
                return Ok(());
            }
            match self.pending().take() {
                Some(founding) if founding.is_held(&held) => founding.delete_key(),
                Some(founding) => tracing::error!(
                    file = %founding.file.display(), held = fingerprint_of(&held),
                    "the cluster holds the key of another authority than the one in this file, and nodes that it \
                     signs for are refused: keep the file, take a backup, and restore it with this configuration; \
                     docs/backup.md"
                ),
                None => {}
            }
        } else if state::cluster_identity(&self.members.state)?.is_some() {
            let record = self.authority.iter().cloned().map(|record| Command::PutAuthority(Box::new(record)));
            let deadline = Instant::now() + AUTHORITY_PATIENCE;
            if let Err(error) = self.members.forwarder.replicate(record.collect(), deadline).await {
                tracing::debug!(%error, "the authority's key was not stored yet");
            }
        }
        Ok(())
    }

    /// On the leader of a cluster without an identity: stores the identity.
    pub(crate) async fn store_identity(&self) {
        let Some(identity) = &self.identity else { return };
        let mut found = vec![Command::Found(identity.clone())];
        found.extend(
            self.authority.iter().map(|authority| Command::PutAuthority(Box::new(authority.clone()))),
        );
        let deadline = Instant::now() + IDENTITY_PATIENCE;
        if let Err(error) = self.members.forwarder.replicate(found, deadline).await
            && let Some(unlogged) = self.delayed.note("identity")
        {
            tracing::warn!(%error, unlogged, "the cluster's identity is not yet replicated");
        }
    }

    /// The operator whom the cluster begins with, until there is one of this name.
    fn first_operator(&self, held: &AuthorityRecord) -> Result<Option<Command>, state::StateError> {
        let pending = self.pending();
        let founding = pending.as_ref().filter(|founding| founding.is_held(held));
        let Some(operator) = founding.and_then(|founding| founding.operator.as_ref()) else {
            return Ok(None);
        };
        let level = state::cluster_identity(&self.members.state)?.map_or(0, |own| own.feature_level);
        let FoundingOperator { name, fingerprint, expires_at_s } = operator.clone();
        // A keyring may have vouched for another one meanwhile.
        let is_known = state::operators(&self.members.state)?.iter().any(|known| known.name == name);
        if level < state::OPERATORS || is_known {
            return Ok(None);
        }
        let (roles, voucher) = (Role::ALL.to_vec(), Voucher::Founder);
        let change = OperatorChange::Add { name, roles, fingerprint, expires_at_s, voucher };
        Ok(Some(Command::ChangeOperators(Box::new(change))))
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, Option<Founding>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
