//! Accounts: stored, changed, declared, deleted. What holds of an account beside what it is has a record of its own,
//! which accounts from before it lack.
//!
//! A revoked credential never comes back: its secret is gone, and its name is refused for as long as the account is
//! there. An older declaration of accounts is refused, whoever asks for it.

use serde::{Deserialize, Serialize};

use keymoot_model::{
    Account, AccountChange, AccountId, AccountStatus, Credential, DocumentPath, DocumentSettings, Sha1Use,
};

use super::acts::Act;
use super::documents::{self, NewDocumentSeed};
use super::features::{ACCOUNT_LIFE, level};
use super::layout::{META_ACCOUNT, META_DECLARATION, account_key, account_of_status, account_status_key};
use super::query::get;
use super::response::Response;
use super::second_person;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::{Transaction, decode};

/// The declaration of accounts that was applied last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedDeclaration {
    /// The revision that its file states.
    pub revision: u64,
    /// SHA-256 of its file, which holds no secret.
    pub digest: [u8; 32],
}

/// Why an account or a credential is not changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AccountRefusal {
    /// There is no such account.
    #[error("there is no such account")]
    NoAccount,
    /// The account has no credential of this name.
    #[error("the account has no such credential")]
    NoCredential,
    /// The account has a credential of this name.
    #[error("the account has a credential of this name")]
    CredentialExists,
    /// The account had a credential of this name, which was revoked.
    #[error("a credential of this name was revoked, and its name is not used again")]
    CredentialRevoked,
    /// The cluster has applied a later declaration, or another one of the same revision.
    #[error("the cluster has applied revision {applied}")]
    Revision {
        /// The revision of the declaration that was applied last.
        applied: u64,
    },
    /// Another account's documents are asked for at this path.
    #[error("the path {path} is account {account}'s")]
    PathTaken { path: DocumentPath, account: AccountId },
}

/// The status of an account; the default where it has no record.
///
/// # Errors
/// When the tables cannot be read.
pub fn account_status<T: Tables>(tables: &T, id: &AccountId) -> Result<AccountStatus, StateError> {
    Ok(get(tables, Table::Meta, &account_status_key(id))?.unwrap_or_default())
}

/// The declaration of accounts that was applied last, if any was.
///
/// # Errors
/// When the tables cannot be read.
pub fn applied_declaration<T: Tables>(tables: &T) -> Result<Option<AppliedDeclaration>, StateError> {
    get(tables, Table::Meta, META_DECLARATION)
}

/// What accounts decide of their documents, as far as they decide anything.
///
/// # Errors
/// When the tables cannot be read.
pub fn document_settings<T: Tables>(tables: &T) -> Result<Vec<(AccountId, DocumentSettings)>, StateError> {
    let mut found = Vec::new();
    for (key, value) in tables.prefix(Table::Meta, META_ACCOUNT)? {
        let status: AccountStatus = read(tables, Table::Meta, &value)?;
        if status.documents != DocumentSettings::default()
            && let Some(id) = account_of_status(&key).and_then(|id| AccountId::new(id).ok())
        {
            found.push((id, status.documents));
        }
    }
    Ok(found)
}

/// The accounts that a restored backup brought back and no operator confirmed.
///
/// # Errors
/// When the tables cannot be read.
pub fn restored_accounts<T: Tables>(tables: &T) -> Result<Vec<AccountId>, StateError> {
    let mut restored = Vec::new();
    for (key, value) in tables.prefix(Table::Meta, META_ACCOUNT)? {
        let status: AccountStatus = read(tables, Table::Meta, &value)?;
        if status.restored_from_ms.is_some() {
            restored.extend(account_of_status(&key).and_then(|id| AccountId::new(id).ok()));
        }
    }
    Ok(restored)
}

pub(super) fn put<T: Tables>(
    run: &mut Transaction<'_, T>,
    account: &Account,
    if_absent: bool,
) -> Result<Response, StateError> {
    let key = account_key(&account.id);
    let is_known = run.get::<Account>(Table::Accounts, key)?.is_some();
    if if_absent && is_known {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Accounts, key, account)?;
    if !is_known && level(run)? >= ACCOUNT_LIFE {
        put_status(run, &account.id, &new_status(None))?;
    }
    Ok(Response::Done)
}

/// The status of an account that is new: what SHA-1 opens is bound, unless the account is to have it otherwise.
fn new_status(sha1: Option<Sha1Use>) -> AccountStatus {
    AccountStatus { sha1: sha1.unwrap_or(Sha1Use::Bound), ..AccountStatus::default() }
}

/// Deletes an account with its status. From [`ACCOUNT_LIFE`] on it stays known that the cluster had accounts.
pub(super) fn delete<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: &AccountId,
    now_ms: u64,
) -> Result<Response, StateError> {
    if run.get::<Account>(Table::Accounts, account_key(id))?.is_none() {
        return Ok(Response::Unchanged);
    }
    if let Some(held) = second_person::hold(run, &Act::RemoveAccount { id: id.clone() }, None, now_ms)? {
        return Ok(held);
    }
    run.delete(Table::Accounts, account_key(id))?;
    run.delete(Table::Meta, &account_status_key(id))?;
    if level(run)? >= ACCOUNT_LIFE && run.get::<AppliedDeclaration>(Table::Meta, META_DECLARATION)?.is_none()
    {
        run.put(Table::Meta, META_DECLARATION, &AppliedDeclaration { revision: 0, digest: [0; 32] })?;
    }
    Ok(Response::Done)
}

/// Notes that a declaration is applied, unless a later one was, or another of its revision.
pub(super) fn declare<T: Tables>(
    run: &mut Transaction<'_, T>,
    revision: u64,
    digest: [u8; 32],
) -> Result<Response, StateError> {
    let new = AppliedDeclaration { revision, digest };
    match run.get::<AppliedDeclaration>(Table::Meta, META_DECLARATION)? {
        Some(applied) if applied == new => return Ok(Response::Unchanged),
        Some(applied) if applied.revision >= revision => {
            return Ok(refused(AccountRefusal::Revision { applied: applied.revision }));
        }
        _ => {}
    }
    run.put(Table::Meta, META_DECLARATION, &new)?;
    Ok(Response::Done)
}

/// In a declaration, the end of a credential that shall have none.
pub const NEVER_ENDS_MS: u64 = u64::MAX;

/// An account as a declaration has it; what it leaves out stays as it is.
pub(super) struct Declared<'d> {
    pub account: &'d Account,
    pub ends: &'d [(String, u64)],
    pub sha1: Option<Sha1Use>,
    pub documents: Option<&'d DocumentSettings>,
}

/// Stores an account as the declaration of this revision has it. Credentials that it does not name are revoked, and
/// those that were revoked stay so.
pub(super) fn declare_account<T: Tables>(
    run: &mut Transaction<'_, T>,
    revision: u64,
    Declared { account, ends, sha1, documents }: Declared<'_>,
    now_ms: u64,
) -> Result<Response, StateError> {
    let applied = run.get::<AppliedDeclaration>(Table::Meta, META_DECLARATION)?;
    let applied = applied.map_or(0, |applied| applied.revision);
    if applied != revision {
        return Ok(refused(AccountRefusal::Revision { applied }));
    }
    let before: Option<Account> = run.get(Table::Accounts, account_key(&account.id))?;
    let mut status = match &before {
        Some(_) => status_in(run, &account.id)?,
        None => new_status(sha1),
    };
    status.sha1 = sha1.unwrap_or(status.sha1);
    if let Some(documents) = documents {
        documents.clone_into(&mut status.documents);
    }
    if let Some(taken) = taken_path(run, &account.id, &status)? {
        return Ok(refused(taken));
    }
    let mut account = account.clone();
    account.credentials.retain(|credential| !status.has_revoked(&credential.name));
    if let Some(before) = before {
        // Its file may name another key file's secret though its text is the same.
        let is_other = |old: &Credential| {
            account.credentials.iter().any(|credential| credential.name == old.name && credential != old)
        };
        if status.declared_revision == Some(revision) && before.credentials.iter().any(is_other) {
            return Ok(refused(AccountRefusal::Revision { applied }));
        }
        account.created_at_ms = before.created_at_ms;
        let left_out =
            |old: &&Credential| !account.credentials.iter().any(|credential| credential.name == old.name);
        for revoked in before.credentials.iter().filter(left_out) {
            status.note_revoked(revoked, now_ms);
        }
    }
    for (name, end) in ends {
        if !account.credentials.iter().any(|credential| credential.name == *name) {
            continue;
        }
        match *end {
            NEVER_ENDS_MS => status.expires_at_ms.remove(name),
            end => status.expires_at_ms.insert(name.clone(), end),
        };
    }
    status.declared_revision = Some(revision);
    run.put(Table::Accounts, account_key(&account.id), &account)?;
    put_status(run, &account.id, &status)?;
    Ok(Response::Done)
}

/// Makes one change of an account.
pub(super) fn change<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: &AccountId,
    change: &AccountChange,
    now_ms: u64,
) -> Result<Response, StateError> {
    let Some(mut account) = run.get::<Account>(Table::Accounts, account_key(id))? else {
        return Ok(refused(AccountRefusal::NoAccount));
    };
    if let AccountChange::RotateDocumentSeed { id: seed_id, seed } = change {
        let seed = NewDocumentSeed { id: *seed_id, seed: seed.clone() };
        return documents::add_seed(run, id, &seed, now_ms);
    }
    let mut status = status_in(run, id)?;
    let before = (account.clone(), status.clone());
    if let Some(refusal) = make(change, &mut account, &mut status, now_ms) {
        return Ok(refused(refusal));
    }
    if (&account, &status) == (&before.0, &before.1) {
        return Ok(Response::Unchanged);
    }
    if status.documents != before.1.documents
        && let Some(taken) = taken_path(run, id, &status)?
    {
        return Ok(refused(taken));
    }
    run.put(Table::Accounts, account_key(id), &account)?;
    put_status(run, id, &status)?;
    Ok(Response::Done)
}

/// Makes a change, or says why not.
fn make(
    change: &AccountChange,
    account: &mut Account,
    status: &mut AccountStatus,
    now_ms: u64,
) -> Option<AccountRefusal> {
    let position = |account: &Account, name: &str| account.credentials.iter().position(|it| it.name == *name);
    match change {
        AccountChange::Settings(settings) => {
            settings.apply_to(account);
            status.sha1 = settings.sha1.unwrap_or(status.sha1);
            settings.documents.apply_to(&mut status.documents);
        }
        AccountChange::Suspend => {
            status.suspended_at_ms.get_or_insert(now_ms);
        }
        AccountChange::Resume => status.suspended_at_ms = None,
        AccountChange::ConfirmRestored => status.restored_from_ms = None,
        AccountChange::AddCredential { credential, expires_at_ms } => {
            // A retry whose answer was lost changes nothing.
            if account.credentials.contains(credential) {
                return None;
            }
            if position(account, &credential.name).is_some() {
                return Some(AccountRefusal::CredentialExists);
            }
            if status.has_revoked(&credential.name) {
                return Some(AccountRefusal::CredentialRevoked);
            }
            account.credentials.push(credential.clone());
            if let Some(end) = expires_at_ms {
                status.expires_at_ms.insert(credential.name.clone(), *end);
            }
        }
        AccountChange::ExpireCredential { name, expires_at_ms } => {
            if position(account, name).is_none() {
                return Some(absent(status, name));
            }
            match expires_at_ms {
                Some(end) => status.expires_at_ms.insert(name.clone(), *end),
                None => status.expires_at_ms.remove(name),
            };
        }
        AccountChange::RevokeCredential { name } => match position(account, name) {
            Some(at) => {
                let revoked = account.credentials.remove(at);
                status.note_revoked(&revoked, now_ms);
            }
            None if status.has_revoked(name) => {}
            None => return Some(AccountRefusal::NoCredential),
        },
        // It is neither of the account nor of its status.
        AccountChange::RotateDocumentSeed { .. } => {}
    }
    None
}

/// A path of the account's documents that is another account's, so that each path is one account's at most.
fn taken_path<T: Tables>(
    run: &Transaction<'_, T>,
    id: &AccountId,
    status: &AccountStatus,
) -> Result<Option<AccountRefusal>, StateError> {
    if status.documents.paths().next().is_none() {
        return Ok(None);
    }
    for (key, value) in run.prefix(Table::Meta, META_ACCOUNT)? {
        let Some(account) = account_of_status(&key).and_then(|id| AccountId::new(id).ok()) else { continue };
        if account == *id {
            continue;
        }
        let other: AccountStatus = decode(Table::Meta, &value)?;
        let taken =
            status.documents.paths().find(|path| other.documents.paths().any(|theirs| theirs == *path));
        if let Some(path) = taken {
            return Ok(Some(AccountRefusal::PathTaken { path: path.clone(), account }));
        }
    }
    Ok(None)
}

fn absent(status: &AccountStatus, name: &str) -> AccountRefusal {
    if status.has_revoked(name) { AccountRefusal::CredentialRevoked } else { AccountRefusal::NoCredential }
}

fn refused(refusal: AccountRefusal) -> Response {
    Response::AccountRefused(refusal)
}

pub(super) fn status_in<T: Tables>(
    run: &Transaction<'_, T>,
    id: &AccountId,
) -> Result<AccountStatus, StateError> {
    Ok(run.get(Table::Meta, &account_status_key(id))?.unwrap_or_default())
}

/// Stores a status; the default has no record.
pub(super) fn put_status<T: Tables>(
    run: &mut Transaction<'_, T>,
    id: &AccountId,
    status: &AccountStatus,
) -> Result<(), StateError> {
    let key = account_status_key(id);
    if *status == AccountStatus::default() {
        return run.delete(Table::Meta, &key);
    }
    run.put(Table::Meta, &key, status)
}
