//! The feature level: which commands every member of the cluster understands, and how it applies them.
//!
//! A command is only proposed when the cluster's level has reached the command's own; an operator raises the
//! level once every member runs a program that knows it. So a cluster of two versions never writes what the
//! older one cannot read. The rules of applying change with the entry that raises the level, at the same
//! position of the log on every node and in every replay.

use keymoot_model::{Credential, Scheme};

use super::command::Command;
use super::layout::META_IDENTITY;
use super::nodes;
use super::record::ClusterIdentity;
use super::response::Response;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;

/// The highest feature level that this program knows.
pub const FEATURE_LEVEL: u32 = 4;

/// From this level on, clients are forgotten by a count of newer clients, not by a clock.
pub(super) const COUNTED_CLIENTS: u32 = 2;

/// From this level on, the work for one entry has a bound: versions, leases and tokens are deleted in steps.
pub(super) const BOUNDED_WORK: u32 = 3;

/// From this level on, the state knows a backup schedule and the last good backup.
pub const SCHEDULED_BACKUPS: u32 = 3;

/// From this level on, accounts can be changed, suspended and removed, and credentials expire and are revoked.
pub const ACCOUNT_LIFE: u32 = 4;
/// From this level on, a key id is its account's own.
pub(super) const KIDS_BY_ACCOUNT: u32 = 4;

/// From this level on, a nonce is good once whatever time its request states.
pub(super) const NONCES_BY_THEMSELVES: u32 = 4;

/// From this level on, a peer proves a master key on every connection before it is served at all.
pub const PROVEN_PEERS: u32 = 4;

/// From this level on, the state knows the key that each node proves itself with.
pub(super) const NODE_KEYS: u32 = 4;

/// The lowest version of the program that knows a feature level.
pub fn version_of_level(level: u32) -> &'static str {
    match level {
        0..=4 => "0.1.0",
        _ => "newer than this one",
    }
}

/// From this level on, the state knows the data directories of the nodes.
const ENROLLED_DIRECTORIES: u32 = 3;

/// From this level on, the state knows operators.
pub const OPERATORS: u32 = 4;

/// From this level on, the state knows witnesses, which hold no master key.
pub const WITNESSES: u32 = 4;
/// From this level on, the state knows the audit logs of the nodes.
pub(super) const AUDIT_LOGS: u32 = 4;
/// From this level on, the state knows contents that documents made.
const DOCUMENTS: u32 = 4;
/// From this level on, the state counts the wrappings under each master key.
const COUNTED_WRAPS: u32 = 4;

/// The lowest feature level at which a command may be proposed.
pub fn level_of(command: &Command) -> u32 {
    match command {
        Command::EnrollDirectory { .. } => ENROLLED_DIRECTORIES,
        Command::ScheduleBackups(_)
        | Command::ClaimBackup { .. }
        | Command::NoteBackup { .. }
        | Command::NoteGoodBackup(_) => SCHEDULED_BACKUPS,
        Command::DeleteAccount { .. }
        | Command::ChangeAccount { .. }
        | Command::DeclareAccounts { .. }
        | Command::DeclareAccount { .. } => ACCOUNT_LIFE,
        Command::RegisterNodeKey { .. }
        | Command::RevokeCertificate { .. }
        | Command::BeginAuthorityChange(_)
        | Command::AdoptAuthority
        | Command::RetireAuthority
        | Command::CancelAuthorityChange
        | Command::NoteTrust(_) => NODE_KEYS,
        Command::ChangeOperators(_) | Command::ChangeApprovals(_) | Command::ChangeSignIn(_) => OPERATORS,
        Command::PutWitnessToken(_) | Command::AdmitWitness(_) | Command::SetVerifiers(_) => WITNESSES,
        Command::ReserveWraps { .. } => COUNTED_WRAPS,
        Command::ChangeAuditLogs(_) => AUDIT_LOGS,
        Command::NoteDocument(_)
        | Command::RotateDocuments { .. }
        | Command::DeleteDocuments { .. }
        | Command::DeleteDocumentKid { .. } => DOCUMENTS,
        // An older program cannot read the scheme.
        Command::PutAccount { account, .. } if account.credentials.iter().any(is_sigv4) => ACCOUNT_LIFE,
        // All others came with the first release.
        _ => 1,
    }
}

fn is_sigv4(credential: &Credential) -> bool {
    credential.scheme == Scheme::AwsSigV4
}

/// The cluster's level at this position of the log; 0 before the cluster is founded.
pub(super) fn level<T: Tables>(run: &Transaction<'_, T>) -> Result<u32, StateError> {
    let identity: Option<ClusterIdentity> = run.get(Table::Meta, META_IDENTITY)?;
    Ok(identity.map_or(0, |identity| identity.feature_level))
}

/// Raises the cluster's level, if every member has reported that it knows it.
pub(super) fn raise<T: Tables>(run: &mut Transaction<'_, T>, to: u32) -> Result<Response, StateError> {
    let Some(identity) = run.get::<ClusterIdentity>(Table::Meta, META_IDENTITY)? else {
        return Ok(Response::Unchanged);
    };
    if identity.feature_level >= to {
        return Ok(Response::Unchanged);
    }
    if let Some(behind) = nodes::present(run)?.iter().find(|node| node.facts.feature_level < to) {
        return Ok(Response::LevelUnknownTo { node: behind.id, level: behind.facts.feature_level });
    }
    run.put(Table::Meta, META_IDENTITY, &ClusterIdentity { feature_level: to, ..identity })?;
    Ok(Response::Done)
}
