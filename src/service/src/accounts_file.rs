//! Accounts as a person writes them, made into accounts as they are replicated.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{AccountEntry, AccountsFileError, load_accounts};
use keymoot_crypto::{CredentialPlace, Keyring};
use keymoot_drm::{DrmError, LicenseUrl};
use keymoot_model::{Account, AccountId, Credential};
use keymoot_state as state;
use keymoot_state::Command;

use super::credential_secret::stored_secret;
use super::error::ServiceError;
use super::replicated_state::ReplicatedState;

/// How long to wait before a cluster that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an account could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeAccountError {
    /// A key file cannot be used.
    #[error(transparent)]
    File(#[from] AccountsFileError),
    /// The account's PlayReady headers cannot name this URL.
    #[error("account `{account}`: playready_la_url cannot be used")]
    LicenseUrl { account: AccountId, source: DrmError },
    /// What the key file holds is of no use to the credential's scheme.
    #[error("account `{account}`, credential `{credential}`: its key file must hold {expected}")]
    Secret {
        account: AccountId,
        credential: String,
        /// What the scheme needs.
        expected: &'static str,
    },
    /// A signing key could not be wrapped.
    #[error("a signing key cannot be wrapped")]
    Wrap(#[from] keymoot_crypto::WrapError),
}

/// Makes the account that `entry` describes, its signing keys read from their files and wrapped.
///
/// # Errors
/// [`MakeAccountError`], naming account and credential.
pub fn make_account(entry: &AccountEntry, keyring: &Keyring) -> Result<Account, MakeAccountError> {
    if let Some(url) = &entry.playready_la_url {
        // Found here, a mistake stops the one who makes it; found later, it would stop every packager.
        LicenseUrl::new(url)
            .map_err(|source| MakeAccountError::LicenseUrl { account: entry.id.clone(), source })?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let created_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let mut credentials = Vec::new();
    for key in entry.signing_keys()? {
        let (name, scope) = (key.credential.name.clone(), key.credential.scope);
        let place = CredentialPlace { account: &entry.id, name: &name, scope };
        let scheme = key.credential.scheme;
        let secret = stored_secret(scheme, key.secret).map_err(|expected| MakeAccountError::Secret {
            account: entry.id.clone(),
            credential: name.clone(),
            expected,
        })?;
        let secret = keyring.wrap_credential(&secret, place)?;
        credentials.push(Credential { name, scope, scheme, secret, created_at_ms });
    }
    Ok(Account {
        id: entry.id.clone(),
        ca_systems: entry.ca_systems.clone(),
        credentials,
        allow_list: entry.allow_list.clone(),
        consistency: entry.consistency,
        response_shape: entry.response_shape,
        license_url: entry.license_url.clone(),
        playready_la_url: entry.playready_la_url.clone(),
        created_at_ms,
        minimum_scheme: entry.minimum_scheme,
        allow_unsigned_packagers: entry.allow_unsigned_packagers,
    })
}

/// Applies an accounts file to the cluster: adds what is missing, changes what differs, and waits
/// for a quorum as long as it takes. Accounts that the file does not name are left alone.
///
/// # Errors
/// [`MakeAccountError`] when the file or a key file cannot be used; nothing was changed then.
pub async fn apply_accounts_file(
    cluster: &impl ReplicatedState,
    keyring: &Keyring,
    file: &Path,
) -> Result<(), MakeAccountError> {
    let mut accounts = Vec::new();
    for entry in load_accounts(file)? {
        accounts.push(make_account(&entry, keyring)?);
    }
    for account in accounts {
        while let Err(error) = apply_account(cluster, keyring, &account).await {
            tracing::info!(account = %account.id, %error, "the accounts file waits for the cluster");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
    Ok(())
}

async fn apply_account(
    cluster: &impl ReplicatedState,
    keyring: &Keyring,
    account: &Account,
) -> Result<(), ServiceError> {
    cluster.read_barrier().await?;
    match state::account(cluster.state(), &account.id)? {
        Some(existing) if is_same(&existing, account, keyring) => Ok(()),
        _ => {
            tracing::info!(target: "audit", account = %account.id, "applied from the accounts file");
            let command = Command::PutAccount { account: account.clone(), if_absent: false };
            cluster.propose_one(command).await.map(drop).map_err(Into::into)
        }
    }
}

/// Whether two accounts say the same, however their keys are wrapped.
fn is_same(existing: &Account, wanted: &Account, keyring: &Keyring) -> bool {
    let comparable = |account: &Account| {
        let mut account = account.clone();
        account.created_at_ms = 0;
        account.credentials.clear();
        account
    };
    let same_key = |a: &Credential, b: &Credential| {
        let open = |credential: &Credential| {
            let place =
                CredentialPlace { account: &wanted.id, name: &credential.name, scope: credential.scope };
            keyring.unwrap_credential(&credential.secret, place).ok()
        };
        (&a.name, a.scope, a.scheme) == (&b.name, b.scope, b.scheme)
            && open(a).zip(open(b)).is_some_and(|(a, b)| a.expose() == b.expose())
    };
    comparable(existing) == comparable(wanted)
        && existing.credentials.len() == wanted.credentials.len()
        && existing.credentials.iter().zip(&wanted.credentials).all(|(a, b)| same_key(a, b))
}
