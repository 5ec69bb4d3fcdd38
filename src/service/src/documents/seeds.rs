//! The seeds of an account's documents: drawn here, opened where they are needed.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use keymoot_crypto::{DocumentKeys, DocumentKids, DocumentSeed, Keyring, random_bytes};
use keymoot_model::{AccountId, ContentId};
use keymoot_state as state;
use keymoot_state::{DocumentVersion, NewDocumentSeed, Tables};

use crate::error::ServiceError;

/// Draws a seed, and wraps it.
pub(crate) fn new_document_seed(
    keyring: &Keyring,
    account: &AccountId,
) -> Result<NewDocumentSeed, ServiceError> {
    let making = |error: &dyn std::fmt::Display| ServiceError::Making(error.to_string());
    let id = u64::from_be_bytes(random_bytes().map_err(|error| making(&error))?);
    let seed = DocumentSeed::generate().map_err(|error| making(&error))?;
    let seed = keyring.wrap_document_seed(&seed, account, id).map_err(|error| making(&error))?;
    Ok(NewDocumentSeed { id, seed })
}

/// The seeds of an account that one request needs, each opened once.
pub(super) struct OpenSeeds<'s, T> {
    tables: &'s T,
    keyring: &'s Keyring,
    account: &'s AccountId,
    open: HashMap<u32, DocumentSeed>,
}

impl<'s, T: Tables> OpenSeeds<'s, T> {
    pub(super) fn new(tables: &'s T, keyring: &'s Keyring, account: &'s AccountId) -> Self {
        Self { tables, keyring, account, open: HashMap::new() }
    }

    /// What derives the keys of a content's version.
    pub(super) fn keys<'k>(
        &'k mut self,
        content: &'k ContentId,
        DocumentVersion { version, seed }: DocumentVersion,
    ) -> Result<DocumentKeys<'k>, ServiceError> {
        let account = self.account;
        Ok(DocumentKeys::new(self.open(seed)?, account, content, version))
    }

    /// What makes the key ids of a content's later versions, and knows them again.
    pub(super) fn kids(
        &mut self,
        content: &ContentId,
        DocumentVersion { version, seed }: DocumentVersion,
    ) -> Result<DocumentKids, ServiceError> {
        let account = self.account;
        Ok(DocumentKids::new(self.open(seed)?, account, content, version))
    }

    fn open(&mut self, seed: u32) -> Result<&DocumentSeed, ServiceError> {
        let account = self.account;
        Ok(match self.open.entry(seed) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => {
                let record = state::document_seed(self.tables, account, seed)?;
                let record = record.ok_or(ServiceError::Protocol { command: "note-document" })?;
                closed.insert(self.keyring.unwrap_document_seed(account, record.id, &record.seed)?)
            }
        })
    }
}
