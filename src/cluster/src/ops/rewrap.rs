//! Rewrapping every secret of the state under the active master key, in batches of records, through
//! Raft.
//!
//! The operator's tool requests one batch after the other and shows the progress; nothing continues
//! without it. Each secret is replaced only if its wrapping is still the one that was unwrapped, so
//! that concurrent rotations and deletions are kept. Any batch can be repeated: after a crash, or
//! by two operators at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use keymoot_audit::{Action, Outcome};
use keymoot_crypto::{CredentialPlace, Keyring, RewrapError};
use keymoot_state::{Command, Response, SECRET_TABLES, StoredSecret, secrets_of};
use keymoot_store::{StoreError, View};
use keymoot_telemetry::Metrics;

use crate::error::ClusterError;
use crate::peer::local_end::LocalEnd;
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::settings::RaftSection;
use crate::wire::rewrap::{KeyringStatus, RewrapMark, Rewrapped};
use crate::write::forwarder::ProposalForwarder;

/// The most records that are read in one batch.
const RECORDS_MAX: usize = 4096;
/// The most secrets that are replaced in one proposal.
const COMMANDS_MAX: usize = 256;
const _: () = assert!(COMMANDS_MAX <= RaftSection::BATCH_COMMANDS_MAX);

/// Rewraps secrets under the active master key.
pub(crate) struct RewrapService {
    local: LocalEnd,
    state: StateView,
    barrier: Arc<ReadBarrier>,
    forwarder: Arc<ProposalForwarder>,
    metrics: Arc<Metrics>,
}

impl RewrapService {
    /// Rewraps with the keyring of this end.
    pub(crate) const fn new(
        local: LocalEnd,
        state: StateView,
        barrier: Arc<ReadBarrier>,
        forwarder: Arc<ProposalForwarder>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { local, state, barrier, forwarder, metrics }
    }

    /// The node's master keys; with `count`, also the number of secrets under each, of everything
    /// acknowledged before.
    pub(crate) async fn keyring_status(
        &self,
        count: bool,
        deadline: Instant,
    ) -> Result<KeyringStatus, ClusterError> {
        let mut secrets = BTreeMap::new();
        if count {
            self.barrier.wait(deadline).await?;
            let view = self.state.view();
            secrets = blocking(move || counted(&view)).await?;
        }
        let fingerprints = self.local.keyring.fingerprints().into_iter();
        Ok(KeyringStatus {
            node: self.local.node.unwrap_or_default(),
            active: self.local.keyring.active().0,
            fingerprints: fingerprints.map(|(id, fingerprint)| (id.0, fingerprint)).collect(),
            secrets,
        })
    }

    /// Rewraps the secrets of the batch after `after` under the active master key.
    pub(crate) async fn rewrap(
        &self,
        after: Option<RewrapMark>,
        deadline: Instant,
    ) -> Result<Rewrapped, ClusterError> {
        self.barrier.wait(deadline).await?;
        let (view, keyring, cluster) =
            (self.state.view(), self.local.keyring.clone(), self.local.cluster.clone());
        let mut stretch = blocking(move || walk(&view, &keyring, cluster.as_str(), after)).await?;
        let mut commands = std::mem::take(&mut stretch.commands);
        while !commands.is_empty() {
            let rest = commands.split_off(commands.len().min(COMMANDS_MAX));
            let responses = self.forwarder.replicate(commands, deadline).await?;
            let done = responses.iter().filter(|response| **response == Response::Done).count() as u64;
            stretch.result.exchanged += done;
            stretch.result.changed_meanwhile += responses.len() as u64 - done;
            commands = rest;
        }
        let (exchanged, active) = (stretch.result.exchanged, &stretch.result.active);
        if exchanged > 0 {
            self.metrics.rewrapped_secrets_total.inc_by(exchanged);
            tracing::info!(exchanged, %active, "secrets were put under the active master key");
            let object = format!("exchanged={exchanged} active={active}");
            self.local.audit.note(self.local.audit.own(Action::SECRETS_REWRAP, Outcome::Done, object));
        }
        Ok(stretch.result)
    }
}

/// The secrets to be replaced, and the result so far.
struct Stretch {
    commands: Vec<Command>,
    result: Rewrapped,
}

fn walk(
    view: &View,
    keyring: &Keyring,
    cluster: &str,
    after: Option<RewrapMark>,
) -> Result<Stretch, ClusterError> {
    let active = keyring.active();
    let result =
        Rewrapped { active: active.0.clone(), records: 0, exchanged: 0, changed_meanwhile: 0, next: None };
    let mut stretch = Stretch { commands: Vec::new(), result };
    // Tables are read in the order of their numbers, which the mark relies on.
    let first = after.as_ref().map_or(0, |mark| mark.table as usize);
    for table in SECRET_TABLES.into_iter().filter(|table| *table as usize >= first) {
        let behind = after.as_ref().filter(|mark| mark.table as usize == table as usize);
        let records = view.starting_at(table as usize, behind.map_or(&[], |mark| &mark.key));
        for record in records.map_err(unreadable)? {
            let (key, value) = record.map_err(unreadable)?;
            if behind.is_some_and(|mark| *mark.key == *key) {
                continue;
            }
            stretch.result.records += 1;
            for secret in secrets_of(table, &key, &value)? {
                if secret.wrapped().master_key != active {
                    stretch.commands.push(exchange(keyring, cluster, secret)?);
                }
            }
            if stretch.result.records >= RECORDS_MAX as u64 {
                stretch.result.next = Some(RewrapMark { table: table as u32, key: key.to_vec() });
                return Ok(stretch);
            }
        }
    }
    Ok(stretch)
}

fn exchange(keyring: &Keyring, cluster: &str, secret: StoredSecret) -> Result<Command, ClusterError> {
    let place = secret.place();
    let new = wrapped_anew(keyring, cluster, &secret).map_err(|error| {
        ClusterError::Refused(format!("a secret cannot be put under another master key: {error}"))
    })?;
    Ok(Command::Rewrap { place, old: secret.wrapped().clone(), new })
}

fn wrapped_anew(
    keyring: &Keyring,
    cluster: &str,
    secret: &StoredSecret,
) -> Result<keymoot_model::Wrapped, RewrapError> {
    match secret {
        StoredSecret::ContentKey(record) => keyring.rewrap_content_key(record),
        StoredSecret::Seed(record) => keyring.rewrap_period_seed(record),
        StoredSecret::Credential { account, name, scope, secret } => {
            keyring.rewrap_credential(secret, CredentialPlace { account, name, scope: *scope })
        }
        StoredSecret::ServerSecret(wrapped) => keyring.rewrap_server_secret(wrapped),
        StoredSecret::KidKey(wrapped) => keyring.rewrap_kid_key(wrapped),
        StoredSecret::Authority(wrapped) => keyring.rewrap_authority(cluster, wrapped),
        StoredSecret::Check { cluster, check } => keyring.rewrap_check(cluster, check),
        StoredSecret::SignIn { operator, kind, secret } => keyring.rewrap_sign_in(operator, *kind, secret),
        StoredSecret::DocumentSeed(record) => {
            keyring.rewrap_document_seed(&record.account, record.id, &record.seed)
        }
    }
}

fn counted(view: &View) -> Result<BTreeMap<String, u64>, ClusterError> {
    let mut counts = BTreeMap::new();
    for table in SECRET_TABLES {
        for record in view.iter(table as usize).map_err(unreadable)? {
            let (key, value) = record.map_err(unreadable)?;
            for secret in secrets_of(table, &key, &value)? {
                *counts.entry(secret.wrapped().master_key.0.clone()).or_default() += 1;
            }
        }
    }
    Ok(counts)
}

fn unreadable(error: StoreError) -> ClusterError {
    ClusterError::State(error.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClusterError> + Send + 'static,
) -> Result<T, ClusterError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ClusterError::State(error.to_string()))?
}
