//! Accounts as authentication needs them: with their signing keys opened, from memory.
//!
//! The replicated accounts hold wrapped secrets. Opened ones are kept as long as no account of the
//! state has changed since, and no credential of theirs has ended; a change of any account outdates them all, which is
//! cheap because changes are rare and opening takes microseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use keymoot_auth::{AccountDirectory, OpenAccount, SigningKey, Unreadable, allowed};
use keymoot_cluster::{Cluster, ClusterError, UseRegistry};
use keymoot_crypto::{CredentialPlace, Keyring, SecretBytes, UnwrapError};
use keymoot_model::{Account, AccountId, AccountStatus, Consistency, Credential, DocumentPath, Scheme};
use keymoot_state as state;
use keymoot_state::StateError;

use super::clock::now_ms;
use super::replicated_state::ReplicatedState;

/// Opened accounts kept at most.
const OPEN_ACCOUNTS_MAX: usize = 10_000;

/// The accounts of the state, opened. Unknown ones are not remembered.
pub struct Accounts<R = Cluster> {
    cluster: R,
    keyring: Arc<Keyring>,
    uses: UseRegistry,
    open: Cache<AccountId, Kept>,
    listed: Mutex<Option<Listed>>,
}

/// What is known of all accounts together, and the state's account changes as of which it was gathered.
#[derive(Clone)]
struct Listed {
    as_of: u64,
    /// The networks of all allow-lists.
    networks: Arc<[IpNet]>,
    /// Whose documents are asked for where.
    paths: Arc<BTreeMap<DocumentPath, (AccountId, DocumentKind)>>,
    /// Whose access key ids are whose; `None` for one that several accounts have.
    access_keys: Arc<BTreeMap<String, Option<AccountId>>>,
}

/// What is asked for at a path of an account's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    Speke,
    Cpix,
}

/// An opened account, for as long as nothing has changed.
#[derive(Clone)]
struct Kept {
    /// The state's account changes as of which it was opened.
    as_of: u64,
    /// When the next credential ends: milliseconds since 1970 UTC.
    until_ms: u64,
    open: Arc<OpenAccount>,
}

impl<R: ReplicatedState> Accounts<R> {
    /// Over this cluster, with this keyring.
    pub fn new(cluster: R, keyring: Arc<Keyring>, uses: UseRegistry) -> Self {
        Self { cluster, keyring, uses, open: Cache::new(OPEN_ACCOUNTS_MAX), listed: Mutex::default() }
    }

    /// Whether the account's reads are answered from this node's own state, as far as that is known here.
    pub fn reads_locally(&self, id: &AccountId) -> bool {
        let account = self.account(id).ok().flatten();
        account.is_some_and(|open| open.account.consistency == Consistency::Local)
    }

    /// Makes sure that accounts changed elsewhere before now are seen here. For a request that was
    /// refused: its account may be younger than what this node has applied.
    ///
    /// # Errors
    /// When the cluster does not answer.
    pub async fn refresh(&self) -> Result<(), ClusterError> {
        self.cluster.read_barrier().await
    }

    /// Whether the address is on any account's allow-list: then it may open an encryption scope.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn is_listed(&self, address: IpAddr) -> Result<bool, Unreadable> {
        Ok(allowed(address, &self.listed()?.networks))
    }

    /// Whose documents are asked for at this path, and of which kind.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn of_path(&self, path: &DocumentPath) -> Result<Option<(AccountId, DocumentKind)>, Unreadable> {
        Ok(self.listed()?.paths.get(path).cloned())
    }

    /// The account with this access key id, if one alone has it.
    ///
    /// # Errors
    /// When the accounts cannot be read.
    pub fn of_access_key(&self, id: &str) -> Result<Option<AccountId>, Unreadable> {
        Ok(self.listed()?.access_keys.get(id).cloned().flatten())
    }

    fn listed(&self) -> Result<Listed, Unreadable> {
        // Read before the accounts are: what is gathered may then be newer than it says, never older.
        let as_of = self.cluster.account_changes();
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listed.as_ref().filter(|known| known.as_of == as_of) {
            return Ok(known.clone());
        }
        let accounts = state::accounts(self.cluster.state()).map_err(|error| unreadable(&error))?;
        let mut access_keys = BTreeMap::new();
        for account in &accounts {
            let keys = account.credentials.iter().filter(|credential| credential.scheme == Scheme::AwsSigV4);
            for Credential { name, .. } in keys {
                let id = Some(account.id.clone());
                access_keys.entry(name.clone()).and_modify(|known| *known = None).or_insert(id);
            }
        }
        let networks: BTreeSet<IpNet> = accounts.into_iter().flat_map(|account| account.allow_list).collect();
        let mut paths = BTreeMap::new();
        for (id, documents) in
            state::document_settings(self.cluster.state()).map_err(|error| unreadable(&error))?
        {
            let own = |path: DocumentPath, kind| (path, (id.clone(), kind));
            paths.extend(documents.speke_paths.into_iter().map(|path| own(path, DocumentKind::Speke)));
            paths.extend(documents.cpix_paths.into_iter().map(|path| own(path, DocumentKind::Cpix)));
        }
        let known = Listed {
            as_of,
            networks: networks.into_iter().collect(),
            paths: Arc::new(paths),
            access_keys: Arc::new(access_keys),
        };
        *listed = Some(known.clone());
        Ok(known)
    }

    fn open_credential(
        &self,
        account: &Account,
        credential: &Credential,
    ) -> Result<SecretBytes, UnwrapError> {
        let place = CredentialPlace { account: &account.id, name: &credential.name, scope: credential.scope };
        self.keyring.unwrap_credential(&credential.secret, place)
    }

    fn open(&self, account: Account, status: &AccountStatus, now_ms: u64) -> OpenAccount {
        let mut keys = Vec::with_capacity(account.credentials.len());
        let mut unopened = Vec::new();
        let in_force = |credential: &&Credential| !status.is_expired(&credential.name, now_ms);
        for credential in account.credentials.iter().filter(in_force) {
            match self.open_credential(&account, credential) {
                Ok(secret) => {
                    let Credential { name, scope, scheme, .. } = credential.clone();
                    let last_used_ms = self.uses.cell(&account.id, &name);
                    let key = SigningKey::new(name, scope, scheme, Zeroizing::new(secret.expose().to_vec()));
                    if key.is_unsound() {
                        tracing::error!(
                            account = %account.id, credential = %key.name, %scheme,
                            "a signing key is one under which anybody could sign: it opens nothing, replace it"
                        );
                    }
                    keys.push(SigningKey { last_used_ms, ..key });
                }
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
        OpenAccount {
            account,
            is_suspended: status.is_suspended(),
            sha1: status.sha1,
            documents: status.documents.clone(),
            keys,
            unopened,
        }
    }
}

impl<R: ReplicatedState> AccountDirectory for Accounts<R> {
    fn account(&self, id: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable> {
        // Read before the account is: what is opened may then be newer than it says, never older.
        let changes = self.cluster.account_changes();
        let now_ms = now_ms();
        if let Some(kept) = self.open.get(id)
            && kept.as_of == changes
            && now_ms < kept.until_ms
        {
            return Ok(Some(kept.open));
        }
        let tables = self.cluster.state();
        // The status first: with an account that is removed in between, it would be that of one that nobody suspended.
        let status = state::account_status(tables, id).map_err(|error| unreadable(&error))?;
        let account = state::account(tables, id).map_err(|error| unreadable(&error))?;
        let Some(account) = account else { return Ok(None) };
        let open = Arc::new(self.open(account, &status, now_ms));
        // A master key that is missing may come with the next look.
        if open.unopened.is_empty() {
            let until_ms = status.next_expiry_ms(now_ms).unwrap_or(u64::MAX);
            self.open.insert(id.clone(), Kept { as_of: changes, until_ms, open: open.clone() });
        }
        Ok(Some(open))
    }
}

fn unreadable(error: &StateError) -> Unreadable {
    let why = std::error::Error::source(error).map(|source| format!(": {source}"));
    Unreadable(format!("{error}{}", why.unwrap_or_default()))
}
