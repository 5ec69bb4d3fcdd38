//! A backup file, verified from the first byte to the last before any of it is used.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use keymoot_crypto::{CredentialPlace, Keyring, SIGNATURE_BYTES, SignedBackup, UnwrapError};
use keymoot_model::{Account, MasterKeyId};
use keymoot_state::{
    AuthorityRecord, BackupSchedule, GoodBackup, StateError, StoredSecret, Survey, Table, account_in,
    authority_in, secrets_of,
};
use keymoot_store::{SnapshotReader, SnapshotRecord};

use super::error::BackupError;
use super::header::BackupHeader;
use crate::raft::state_machine::META_MARK;

/// A backup whose bytes match its checksums, and whose records match its header.
#[derive(Debug)]
pub struct BackupFile {
    header: BackupHeader,
    /// The bytes before the snapshot.
    first: Vec<u8>,
    snapshot: SnapshotReader,
    bytes: u64,
    authority: Option<AuthorityRecord>,
    signature: Option<[u8; SIGNATURE_BYTES]>,
}

/// The result of unwrapping a backup's secrets with a keyring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenedSecrets {
    /// How many secrets could be unwrapped.
    pub opened: u64,
    /// The master keys that the keyring lacks, with the number of secrets that each wraps.
    pub missing: BTreeMap<MasterKeyId, u64>,
    /// How many could not be unwrapped although the keyring has a master key with that id.
    pub refused: u64,
}

impl OpenedSecrets {
    /// Whether every secret could be unwrapped.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.refused == 0
    }
}

impl BackupFile {
    /// Verifies the file at `path`: the checksums, that nothing is missing or follows, that every
    /// record can be read, the counts, and the digest of the state.
    ///
    /// # Errors
    /// [`BackupError`], with the offset of the damage.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let (header, first) = read_header(path)?;
        let behind = if header.signed_under.is_some() { SIGNATURE_BYTES as u64 } else { 0 };
        let snapshot =
            SnapshotReader::open_within(path, first.len() as u64, behind).map_err(BackupError::of_store)?;
        let end = first.len() as u64 + snapshot.byte_count();
        let signature = header.signed_under.as_ref().map(|_| read_signature(path, end)).transpose()?;
        let mut file = Self { header, first, snapshot, bytes: end + behind, authority: None, signature };
        file.authority = file.check()?;
        Ok(file)
    }

    /// The header of the file at `path`; the rest of the file is not read.
    ///
    /// # Errors
    /// When the file does not begin like a backup.
    pub fn inspect(path: &Path) -> Result<BackupHeader, BackupError> {
        read_header(path).map(|(header, _)| header)
    }

    /// The backup's header.
    pub const fn header(&self) -> &BackupHeader {
        &self.header
    }

    /// The length of the file.
    pub const fn byte_count(&self) -> u64 {
        self.bytes
    }

    /// What the cluster is told of this backup, which lies at `path`.
    pub fn good(&self, path: &Path) -> GoodBackup {
        let mut file = path.display().to_string();
        file.truncate(file.floor_char_boundary(BackupSchedule::PATH_BYTES_MAX));
        GoodBackup {
            node: self.header.node,
            made_at_ms: self.header.made_at_ms,
            index: self.header.applied.index,
            bytes: self.bytes,
            digest: self.header.digest.clone(),
            file,
        }
    }

    /// The certificate authority of the cluster, if the cluster holds its key.
    pub const fn authority(&self) -> Option<&AuthorityRecord> {
        self.authority.as_ref()
    }

    pub(super) const fn snapshot(&self) -> &SnapshotReader {
        &self.snapshot
    }

    /// Checks the signature with `keyring`. A file without one passes only if it `may_lack` it.
    ///
    /// # Errors
    /// [`BackupError::Signature`] and [`BackupError::Unsigned`].
    pub fn check_signature(&self, keyring: &Keyring, may_lack: bool) -> Result<(), BackupError> {
        let (Some(id), Some(signature)) = (&self.header.signed_under, &self.signature) else {
            return if may_lack { Ok(()) } else { Err(BackupError::Unsigned { path: self.path() }) };
        };
        let (bytes, digest) = (self.snapshot.byte_count(), self.snapshot.digest());
        keyring
            .verify_backup(id, &SignedBackup { first: &self.first, bytes, digest }, signature)
            .map_err(|fault| BackupError::Signature { path: self.path(), fault })
    }

    /// Unwraps every secret with `keyring`, and keeps none.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn open_secrets(&self, keyring: &Keyring) -> Result<OpenedSecrets, BackupError> {
        let mut result = OpenedSecrets::default();
        self.each(|table, key, value| {
            for secret in secrets_of(table, key, value)? {
                match open(keyring, &self.header.cluster, &secret) {
                    Ok(()) => result.opened += 1,
                    Err(UnwrapError::MissingMasterKey(id)) => *result.missing.entry(id).or_default() += 1,
                    Err(_) => result.refused += 1,
                }
            }
            Ok(())
        })?;
        Ok(result)
    }

    /// Checks the records against the header; returns the certificate authority among them.
    fn check(&self) -> Result<Option<AuthorityRecord>, BackupError> {
        let mut survey = Survey::default();
        let mut authority = None;
        self.each(|table, key, value| {
            if let Some(record) = authority_in(table, key, value)? {
                authority = Some(record);
            }
            survey.add(table, key, value)
        })?;
        let (master_keys, mut tables) = BackupHeader::counts(&survey);
        // Earlier versions had fewer tables.
        tables.truncate(self.header.tables.len());
        let contradiction = if !survey.is_sound() || survey.digest().to_string() != self.header.digest {
            "the digest"
        } else if tables != self.header.tables {
            "the number of records"
        } else if master_keys != self.header.master_keys {
            "the master keys"
        } else {
            return Ok(authority);
        };
        Err(BackupError::Contradiction { path: self.path(), what: contradiction })
    }

    /// Calls `visit` with every record of the state.
    fn each(
        &self,
        mut visit: impl FnMut(Table, &[u8], &[u8]) -> Result<(), StateError>,
    ) -> Result<(), BackupError> {
        for record in self.records()? {
            let (table, key, value) = record?;
            visit(table, &key, &value).map_err(|source| BackupError::Record { path: self.path(), source })?;
        }
        Ok(())
    }

    /// The records of the state, in the order of tables and keys.
    pub(crate) fn records(
        &self,
    ) -> Result<impl Iterator<Item = Result<(Table, Bytes, Bytes), BackupError>>, BackupError> {
        let tables: Vec<Table> = self.snapshot.tables().iter().map_while(|name| Table::named(name)).collect();
        let records = self.snapshot.records().map_err(BackupError::of_store)?.map(move |record| {
            let SnapshotRecord { table, key, value } = record.map_err(BackupError::of_store)?;
            let unknown = || BackupError::Contradiction { path: self.path(), what: "an unknown table" };
            Ok((*tables.get(table).ok_or_else(unknown)?, key, value))
        });
        let is_mark = |record: &Result<(Table, Bytes, Bytes), BackupError>| matches!(record, Ok((Table::Meta, key, _)) if key == META_MARK);
        Ok(records.filter(move |record| !is_mark(record)))
    }

    /// The accounts in the backup, sorted by name.
    ///
    /// # Errors
    /// [`BackupError`] when the file cannot be read.
    pub fn accounts(&self) -> Result<Vec<Account>, BackupError> {
        let mut accounts = Vec::new();
        self.each(|table, _, value| {
            accounts.extend(account_in(table, value)?);
            Ok(())
        })?;
        Ok(accounts)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.snapshot.path().to_owned()
    }
}

fn read_header(path: &Path) -> Result<(BackupHeader, Vec<u8>), BackupError> {
    let file = File::open(path).map_err(|source| BackupError::Open { path: path.to_owned(), source })?;
    BackupHeader::read(&mut BufReader::new(file))
        .map_err(|fault| BackupError::Header { path: path.to_owned(), fault })
}

fn read_signature(path: &Path, at: u64) -> Result<[u8; SIGNATURE_BYTES], BackupError> {
    let mut signature = [0; SIGNATURE_BYTES];
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut signature)
    });
    read.map_err(|source| BackupError::Open { path: path.to_owned(), source })?;
    Ok(signature)
}

fn open(keyring: &Keyring, cluster: &str, secret: &StoredSecret) -> Result<(), UnwrapError> {
    match secret {
        StoredSecret::ContentKey(record) => keyring.unwrap_content_key(record).map(drop),
        StoredSecret::Seed(record) => keyring.unwrap_period_seed(record).map(drop),
        StoredSecret::Credential { account, name, scope, secret } => {
            keyring.unwrap_credential(secret, CredentialPlace { account, name, scope: *scope }).map(drop)
        }
        StoredSecret::ServerSecret(wrapped) => keyring.unwrap_server_secret(wrapped).map(drop),
        StoredSecret::KidKey(wrapped) => keyring.unwrap_kid_key(wrapped).map(drop),
        StoredSecret::Authority(wrapped) => keyring.unwrap_authority(cluster, wrapped).map(drop),
        StoredSecret::Check { cluster, check } => keyring.verify_check(cluster, check),
        StoredSecret::SignIn { operator, kind, secret } => {
            keyring.unwrap_sign_in(operator, *kind, secret).map(drop)
        }
        StoredSecret::DocumentSeed(record) => {
            keyring.unwrap_document_seed(&record.account, record.id, &record.seed).map(drop)
        }
    }
}
