//! What operators' commands must hold beside what holds for everybody's: decided by the node that takes a
//! command, by its own clock and keyring, so that no tool can do without.
//!
//! What every replica must come to alike is decided where commands are applied, who may ask for which in
//! `write/command_rights.rs`.

use std::path::Path;
use std::time::Duration;

use keymoot_crypto::{CredentialPlace, Keyring, SecretBytes, UnwrapError};
use keymoot_model::{Account, AccountChange, AccountError, AccountId, Credential};
use keymoot_state as state;
use keymoot_state::{
    BackupSchedule, Command, JoinTokenRecord, StateError, Tables, TooManyPolicies, room_for_policy,
};

use crate::write::command_rights::FACT_BYTES_MAX;

/// How far a tool's clock may be ahead of this node's.
const CLOCKS_DIFFER_MAX: Duration = Duration::from_secs(300);

/// Why an operator's command is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RuleError {
    /// Its end is too far away.
    #[error(
        "a token lives for at most {}h, and this one would live for {life_h}h by this node's clock",
        JoinTokenRecord::LIFE_MAX.as_secs() / 3600
    )]
    TokenLife { life_h: u64 },
    /// It is of no use.
    #[error("the token has expired already by this node's clock; `keymoot doctor` compares the clocks")]
    TokenExpired,
    /// It was used, they say.
    #[error("a new token is neither used nor revoked, and its zone has at most {FACT_BYTES_MAX} bytes")]
    TokenForm,
    /// It lets nobody in.
    #[error(
        "the credential would have ended by this node's clock; to end one at once use `keymoot account credential revoke`"
    )]
    CredentialExpired,
    /// The account cannot be used.
    #[error("account {id}: {fault}")]
    Account {
        id: String,
        /// Why.
        fault: AccountError,
    },
    /// A player's signed request, shown where keys are made, would open them.
    #[error(
        "account {id}: credentials `{first}` and `{second}` share one signing key; scopes need keys of their own"
    )]
    SharedKey { id: String, first: String, second: String },
    /// It was wrapped for something else, or elsewhere.
    #[error("the new seed of documents does not open on this node: {0}")]
    DocumentSeed(UnwrapError),
    /// The schedule is out of bounds.
    #[error(
        "a backup schedule has an interval of ten seconds to a year, keeps 1 to {} files, and names a directory by its \
         absolute path", BackupSchedule::KEEP.end()
    )]
    Schedule,
    /// The account has no room for it.
    #[error(transparent)]
    Policies(#[from] TooManyPolicies),
    /// This node cannot tell.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Whether an operator's command holds to the rules, by this node's state, keyring and clock.
pub(crate) fn check(
    command: &Command,
    state: &impl Tables,
    keyring: &Keyring,
    now_ms: u64,
) -> Result<(), RuleError> {
    match command {
        Command::PutJoinToken(token) | Command::PutWitnessToken(token) => check_token(token, now_ms),
        Command::PutAccount { account, .. } => check_account(account, keyring),
        Command::DeclareAccount { account, .. } => check_account(account, keyring),
        Command::ChangeAccount { id, change } => check_change(id, change, state, keyring, now_ms),
        Command::ScheduleBackups(Some(schedule)) => check_schedule(schedule),
        Command::PutPolicy { account, policy, .. } => Ok(room_for_policy(state, account, &policy.name)??),
        _ => Ok(()),
    }
}

fn check_token(token: &JoinTokenRecord, now_ms: u64) -> Result<(), RuleError> {
    let zone_bytes = token.zone.as_ref().map_or(0, String::len);
    if token.revoked || token.spent.is_some() || zone_bytes > FACT_BYTES_MAX {
        return Err(RuleError::TokenForm);
    }
    let life = Duration::from_millis(token.expires_at_ms.saturating_sub(now_ms));
    if life.is_zero() {
        return Err(RuleError::TokenExpired);
    }
    if life > JoinTokenRecord::LIFE_MAX + CLOCKS_DIFFER_MAX {
        return Err(RuleError::TokenLife { life_h: life.as_secs() / 3600 });
    }
    Ok(())
}

fn check_schedule(schedule: &BackupSchedule) -> Result<(), RuleError> {
    let directory = Path::new(&schedule.directory);
    let sound = BackupSchedule::EVERY_S.contains(&schedule.every_s)
        && BackupSchedule::KEEP.contains(&schedule.keep)
        && directory.is_absolute()
        && !schedule.directory.contains(char::is_control);
    if sound { Ok(()) } else { Err(RuleError::Schedule) }
}

/// Whether the account is one after the change. That it is there is for the state to say.
fn check_change(
    id: &AccountId,
    change: &AccountChange,
    state: &impl Tables,
    keyring: &Keyring,
    now_ms: u64,
) -> Result<(), RuleError> {
    let ends_before = |end: &Option<u64>| end.is_some_and(|end| end <= now_ms);
    match change {
        AccountChange::AddCredential { expires_at_ms, .. }
        | AccountChange::ExpireCredential { expires_at_ms, .. }
            if ends_before(expires_at_ms) =>
        {
            return Err(RuleError::CredentialExpired);
        }
        // One that does not open would derive no key for any content that is made after.
        AccountChange::RotateDocumentSeed { id: number, seed } => {
            return keyring
                .unwrap_document_seed(id, *number, seed)
                .map(drop)
                .map_err(RuleError::DocumentSeed);
        }
        AccountChange::AddCredential { .. } | AccountChange::Settings(_) => {}
        _ => return Ok(()),
    }
    let Some(mut account) = state::account(state, id)? else { return Ok(()) };
    // Credentials from before may be of terms that no new one can have.
    account.credentials.retain(|credential| credential.terms().check().is_ok());
    match change {
        AccountChange::AddCredential { credential, .. } => {
            account.credentials.retain(|known| known.name != credential.name);
            account.credentials.push(credential.clone());
        }
        AccountChange::Settings(settings) => settings.apply_to(&mut account),
        _ => {}
    }
    check_account(&account, keyring)
}

fn check_account(account: &Account, keyring: &Keyring) -> Result<(), RuleError> {
    account.check().map_err(|fault| RuleError::Account { id: account.id.to_string(), fault })?;
    let opened = account.credentials.iter().filter_map(|credential| {
        let place = CredentialPlace { account: &account.id, name: &credential.name, scope: credential.scope };
        // One that does not open here may open elsewhere; here it lets nobody in.
        Some((credential, keyring.unwrap_credential(&credential.secret, place).ok()?))
    });
    let mut earlier = Vec::with_capacity(account.credentials.len());
    for (credential, secret) in opened {
        let shared = earlier.iter().find(|(other, of_other): &&(&Credential, SecretBytes)| {
            other.scope != credential.scope && of_other.expose() == secret.expose()
        });
        if let Some((other, _)) = shared {
            let (first, second) = (other.name.clone(), credential.name.clone());
            return Err(RuleError::SharedKey { id: account.id.to_string(), first, second });
        }
        earlier.push((credential, secret));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
