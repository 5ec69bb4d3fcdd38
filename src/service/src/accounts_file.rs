//! Accounts as a person writes them, made into accounts as they are replicated.

use crate::{AccountEntry, AccountsFileError, SigningKey};
use keymoot_crypto::{CredentialPlace, Keyring};
use keymoot_drm::{DrmError, LicenseUrl};
use keymoot_model::{Account, AccountId, Credential};

use super::clock::now_ms;
use super::credential_secret::stored_secret;

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
pub(crate) fn make_account(entry: &AccountEntry, keyring: &Keyring) -> Result<Account, MakeAccountError> {
    if let Some(url) = &entry.playready_la_url {
        // Found here, a mistake stops the one who makes it; found later, it would stop every packager.
        LicenseUrl::new(url)
            .map_err(|source| MakeAccountError::LicenseUrl { account: entry.id.clone(), source })?;
    }
    let created_at_ms = now_ms();
    let wrapped = |key| credential(&entry.id, key, created_at_ms, keyring);
    let credentials = entry.signing_keys()?.into_iter().map(wrapped).collect::<Result<_, _>>()?;
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

fn credential(
    account: &AccountId,
    key: SigningKey<'_>,
    created_at_ms: u64,
    keyring: &Keyring,
) -> Result<Credential, MakeAccountError> {
    let (name, scope, scheme) = (key.credential.name.clone(), key.credential.scope, key.credential.scheme);
    let place = CredentialPlace { account, name: &name, scope };
    let secret = stored_secret(scheme, key.secret).map_err(|expected| MakeAccountError::Secret {
        account: account.clone(),
        credential: name.clone(),
        expected,
    })?;
    let secret = keyring.wrap_credential(&secret, place)?;
    Ok(Credential { name, scope, scheme, secret, created_at_ms })
}
