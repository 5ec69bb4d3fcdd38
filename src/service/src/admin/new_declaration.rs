//! A declaration of accounts as the admin API takes it, account by account: with signing keys, which are wrapped at
//! the node. So the node says how the cluster differs, and secrets that are the same stay as they are.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use keymoot_crypto::Keyring;
use keymoot_model::{Account, AccountId, AccountStatus, DocumentSettings, Sha1Use};

use super::{NewAccount, Operation};
use crate::document_settings::check_documents;
use crate::{DeclaredAccount, Differs, MakeAccountError, load_accounts, refuse_changed_secrets};

/// An accounts file that was read, with its keys.
#[derive(Clone, Debug)]
pub struct NewDeclaration {
    /// Which version it is; later ones have higher numbers.
    pub revision: Option<u64>,
    /// SHA-256 of its file.
    pub digest: [u8; 32],
    pub accounts: Vec<NewDeclaredAccount>,
}

/// An account of a declaration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDeclaredAccount {
    pub account: NewAccount,
    /// The ends of credentials by their names: milliseconds since 1970 UTC, or null for none. Those that are not named
    /// stay as they are.
    #[serde(default)]
    pub expires_at_ms: BTreeMap<String, Option<u64>>,
    /// What `udrm-sha1` signatures open; left out, that stays as it is.
    #[serde(default)]
    pub sha1: Option<Sha1Use>,
    /// What holds of its SPEKE and CPIX documents; left out, that stays as it is.
    #[serde(default)]
    pub documents: Option<DocumentSettings>,
}

impl NewDeclaration {
    /// Reads a file, with the key files that it names.
    ///
    /// # Errors
    /// [`MakeAccountError`], naming account and credential.
    pub fn load(path: &Path) -> Result<Self, MakeAccountError> {
        let file = load_accounts(path)?;
        let accounts = file.accounts.iter().map(|entry| {
            let (account, expires_at_ms) = (NewAccount::read(entry)?, entry.ends().collect());
            let (sha1, documents) = (entry.sha1, entry.documents.clone());
            Ok::<_, MakeAccountError>(NewDeclaredAccount { account, expires_at_ms, sha1, documents })
        });
        let accounts = accounts.collect::<Result<_, _>>()?;
        Ok(Self { revision: file.revision, digest: file.digest, accounts })
    }
}

impl NewDeclaredAccount {
    /// The account's name.
    pub const fn id(&self) -> &AccountId {
        &self.account.id
    }

    /// Its keys wrapped.
    fn wrap(self, keyring: &Keyring) -> Result<DeclaredAccount, String> {
        let names = self.account.credential_names();
        if let Some(name) = self.expires_at_ms.keys().find(|name| !names.contains(name.as_str())) {
            return Err(format!("expires_at_ms names credential `{name}`, which the account does not have"));
        }
        if let Some(documents) = &self.documents {
            check_documents(documents)?;
        }
        let account = self.account.wrap(keyring)?;
        let expires_at_ms = self.expires_at_ms.into_iter().collect();
        Ok(DeclaredAccount { account, expires_at_ms, sha1: self.sha1, documents: self.documents })
    }

    /// How the account that is there differs from it.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn compare(
        self,
        known: Option<&(Account, AccountStatus)>,
        keyring: &Keyring,
    ) -> Result<Vec<Differs>, String> {
        Ok(self.wrap(keyring)?.compare(known, keyring))
    }

    /// The operation that stores it as the declaration of this revision has it.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn into_operation(
        self,
        revision: u64,
        known: Option<&(Account, AccountStatus)>,
        keyring: &Keyring,
    ) -> Result<Operation, String> {
        let mut declared = self.wrap(keyring)?;
        // Credentials that are the same become those that are there.
        let differs = declared.compare(known, keyring);
        let status = known.map(|(_, status)| status);
        refuse_changed_secrets(revision, &declared.account.id, status, &differs)?;
        Ok(Operation::DeclareAccount { revision, declared: Box::new(declared) })
    }
}
