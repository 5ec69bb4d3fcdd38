//! A backup on the node that makes it: a view of the applied state, surveyed and then read piece by
//! piece as the operator's tool requests it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::ClusterError;
use crate::raft::state_machine::{META_MARK, mark_of};
use crate::raft::state_view::StateView;
use crate::read::barrier::ReadBarrier;
use crate::write::clock::now_ms;
use keymoot_audit::{Action, NodeAudit, Outcome};
use keymoot_crypto::{BackupSigner, Keyring, SignedBackup};
use keymoot_state::{Survey, Table};
use keymoot_store::{Directory, Identity, JOIN_ANEW, SnapshotWriter, StoreError, View};
use keymoot_telemetry::Metrics;

use super::header::BackupHeader;

/// Makes backups of this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BackupService {
    pub(super) state: StateView,
    barrier: Arc<ReadBarrier>,
    pub(super) directory: Arc<Directory>,
    pub(super) keyring: Arc<Keyring>,
    pub(super) metrics: Arc<Metrics>,
    audit: NodeAudit,
}

impl BackupService {
    pub(crate) const fn new(
        state: StateView,
        barrier: Arc<ReadBarrier>,
        directory: Arc<Directory>,
        keyring: Arc<Keyring>,
        metrics: Arc<Metrics>,
        audit: NodeAudit,
    ) -> Self {
        Self { state, barrier, directory, keyring, metrics, audit }
    }
}

/// A backup that is being read.
pub(crate) struct BackupSource {
    /// Never contended: the lock only lets a connection hold it between two pieces.
    pieces: Mutex<BackupPieces>,
    sent_bytes: u64,
    began: Instant,
}

impl BackupSource {
    /// Makes a view of the state: with `local` of this node's present state, else of everything
    /// acknowledged before. `asker` says who takes it. Returns the bytes that precede the snapshot.
    pub(crate) async fn begin(
        service: &BackupService,
        local: bool,
        asker: &'static str,
        deadline: Instant,
    ) -> Result<(Self, Bytes), ClusterError> {
        let began = Instant::now();
        if !local {
            service.barrier.wait(deadline).await?;
        }
        let view = service.state.view();
        let whose = service.directory.identity();
        let no_key = || ClusterError::Refused("a node without a master key makes no backup".to_owned());
        let signer = service.keyring.backup_signer().ok_or_else(no_key)?;
        let described = tokio::task::spawn_blocking(move || backup_of(&whose, view, Some(signer)));
        let (header, bytes, pieces) =
            described.await.map_err(|error| ClusterError::State(error.to_string()))??;
        let object = format!("index={} local={local} asker={asker}", header.applied.index);
        tracing::info!(object, "a backup is taken");
        let event = service.audit.own(Action::BACKUP_TAKE, Outcome::Done, object);
        service.audit.write(event).await.map_err(|why| ClusterError::Refused(why.to_string()))?;
        let sent_bytes = bytes.len() as u64;
        Ok((Self { pieces: Mutex::new(pieces), sent_bytes, began }, bytes.into()))
    }

    /// The rest of the file, for this node's own disk. A piece takes as long as its disk does.
    pub(super) fn into_pieces(self) -> BackupPieces {
        self.pieces.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next bytes of the file; `None` after the last.
    pub(crate) async fn next(
        mut self,
        service: &BackupService,
    ) -> Result<(Option<Self>, Option<Bytes>), ClusterError> {
        let read = tokio::task::spawn_blocking(move || {
            let piece = self.pieces.get_mut().unwrap_or_else(PoisonError::into_inner).next().transpose();
            (self, piece)
        });
        let (mut source, piece) = read.await.map_err(|error| ClusterError::State(error.to_string()))?;
        match piece.map_err(|error| ClusterError::State(error.to_string()))? {
            Some(piece) => {
                source.sent_bytes += piece.len() as u64;
                Ok((Some(source), Some(piece)))
            }
            None => {
                source.finish(service);
                Ok((None, None))
            }
        }
    }

    fn finish(&self, service: &BackupService) {
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(bytes = self.sent_bytes, took_ms, "backup sent");
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        service.metrics.backup_last_success_timestamp_seconds.set(gauge(now_ms() / 1000));
        service.metrics.backup_last_bytes.set(gauge(self.sent_bytes));
    }
}

/// What follows the first bytes: the pieces of the snapshot, and the signature of the whole. After an error
/// there are no more pieces, and no signature.
pub(crate) struct BackupPieces {
    snapshot: SnapshotWriter,
    bytes: u64,
    signing: Option<(BackupSigner, Vec<u8>)>,
}

impl Iterator for BackupPieces {
    type Item = Result<Bytes, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(piece) = self.snapshot.next() else {
            let (signer, first) = self.signing.take()?;
            let signed = SignedBackup { first: &first, bytes: self.bytes, digest: self.snapshot.digest() };
            return Some(Ok(signer.sign(&signed).into()));
        };
        match &piece {
            Ok(piece) => self.bytes += piece.len() as u64,
            Err(_) => self.signing = None,
        }
        Some(piece)
    }
}

/// A backup of `whose` state: the header, the bytes that precede the snapshot, and the rest. Without a signer
/// it is not signed.
pub(crate) fn backup_of(
    whose: &Identity,
    view: View,
    signer: Option<BackupSigner>,
) -> Result<(BackupHeader, Vec<u8>, BackupPieces), ClusterError> {
    let (view, mut header, mark) = describe(whose, view)?;
    header.signed_under = signer.as_ref().map(|signer| signer.master_key().clone());
    let first = header.to_bytes().map_err(|error| ClusterError::State(error.to_string()))?;
    let signing = signer.map(|signer| (signer, first.clone()));
    Ok((header, first, BackupPieces { snapshot: SnapshotWriter::new(view, mark), bytes: 0, signing }))
}

/// Surveys the view, and refuses a state whose records do not match its digest.
pub(super) fn describe(whose: &Identity, view: View) -> Result<(View, BackupHeader, Vec<u8>), ClusterError> {
    let unreadable = |error: keymoot_store::StoreError| ClusterError::State(error.to_string());
    let mut survey = Survey::default();
    let mut mark = Vec::new();
    for table in Table::ALL {
        for record in view.iter(table as usize).map_err(unreadable)? {
            let (key, value) = record.map_err(unreadable)?;
            if table == Table::Meta && key.as_ref() == META_MARK {
                mark = value.to_vec();
                continue;
            }
            survey.add(table, &key, &value)?;
        }
    }
    if !survey.is_sound() {
        return Err(ClusterError::State(format!(
            "its records do not agree with the digest it keeps of them: do not back up this node; {JOIN_ANEW}"
        )));
    }
    let applied = mark_of(&mark).map_err(|error| ClusterError::State(error.to_string()))?.applied;
    let empty =
        || ClusterError::Refused("the node has applied nothing yet; there is nothing to back up".into());
    let (master_keys, tables) = BackupHeader::counts(&survey);
    let header = BackupHeader {
        cluster: whose.cluster.clone(),
        fence: whose.fence,
        node: whose.node,
        applied: applied.ok_or_else(empty)?,
        made_at_ms: now_ms(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        digest: survey.digest().to_string(),
        master_keys,
        tables,
        signed_under: None,
    };
    Ok((view, header, mark))
}
