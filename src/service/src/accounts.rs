//! Accounts as authentication needs them: with their signing keys opened, from memory.
//!
//! The replicated accounts hold wrapped secrets. Opened ones are kept as long as no account of the
//! state has changed since; a change of any account outdates them all, which is cheap because
//! changes are rare and opening takes microseconds.

use std::sync::Arc;

use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use keymoot_auth::{AccountDirectory, OpenAccount, SigningKey, Unreadable};
use keymoot_cluster::{Cluster, ClusterError};
use keymoot_crypto::{CredentialPlace, Keyring, SecretBytes, UnwrapError};
use keymoot_model::{Account, AccountId, Credential};
use keymoot_state as state;
use keymoot_state::StateError;

use super::replicated_state::ReplicatedState;

/// Opened accounts kept at most.
const OPEN_ACCOUNTS_MAX: usize = 10_000;

/// The accounts of the state, opened. Unknown ones are not remembered.
pub struct Accounts<R = Cluster> {
    cluster: R,
    keyring: Arc<Keyring>,
    /// Each with the state's account changes as of which it was opened.
    open: Cache<AccountId, (u64, Arc<OpenAccount>)>,
}

impl<R: ReplicatedState> Accounts<R> {
    /// Over this cluster, with this keyring.
    pub fn new(cluster: R, keyring: Arc<Keyring>) -> Self {
        Self { cluster, keyring, open: Cache::new(OPEN_ACCOUNTS_MAX) }
    }

    /// Makes sure that accounts changed elsewhere before now are seen here. For a request that was
    /// refused: its account may be younger than what this node has applied.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn refresh(&self) -> Result<(), ClusterError> {
        self.cluster.read_barrier().await
    }

    fn open_credential(
        &self,
        account: &Account,
        credential: &Credential,
    ) -> Result<SecretBytes, UnwrapError> {
        let place = CredentialPlace { account: &account.id, name: &credential.name, scope: credential.scope };
        self.keyring.unwrap_credential(&credential.secret, place)
    }

    fn open(&self, account: Account) -> OpenAccount {
        let mut keys = Vec::with_capacity(account.credentials.len());
        let mut unopened = Vec::new();
        for credential in &account.credentials {
            match self.open_credential(&account, credential) {
                Ok(secret) => keys.push(SigningKey {
                    name: credential.name.clone(),
                    scope: credential.scope,
                    scheme: credential.scheme,
                    secret: Zeroizing::new(secret.expose().to_vec()),
                }),
                // The others may still serve.
                Err(error) => {
                    unopened.push(credential.scope);
                    tracing::error!(
                        account = %account.id, credential = %credential.name, %error,
                        "a signing key cannot be opened"
                    );
                }
            }
        }
        OpenAccount { account, keys, unopened }
    }
}

impl<R: ReplicatedState> AccountDirectory for Accounts<R> {
    fn account(&self, id: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable> {
        // Read before the account is: what is opened may then be newer than it says, never older.
        let changes = self.cluster.account_changes();
        if let Some((as_of, open)) = self.open.get(id)
            && as_of == changes
        {
            return Ok(Some(open));
        }
        let account = state::account(self.cluster.state(), id).map_err(|error| unreadable(&error))?;
        let Some(account) = account else { return Ok(None) };
        let open = Arc::new(self.open(account));
        // A master key that is missing may come with the next look.
        if open.unopened.is_empty() {
            self.open.insert(id.clone(), (changes, open.clone()));
        }
        Ok(Some(open))
    }
}

fn unreadable(error: &StateError) -> Unreadable {
    let why = std::error::Error::source(error).map(|source| format!(": {source}"));
    Unreadable(format!("{error}{}", why.unwrap_or_default()))
}
