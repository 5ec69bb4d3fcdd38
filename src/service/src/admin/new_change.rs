//! A change of an account as the admin API takes it: what it adds is in the clear, and wrapped at the node.

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use keymoot_crypto::Keyring;
use keymoot_drm::LicenseUrl;
use keymoot_model::{
    AccountChange, AccountId, AccountSettings, ApartRule, Consistency, DocumentChange, DocumentPath,
    DocumentSettings, ResponseShape, Scheme, Sha1Use, optional_networks,
};
use keymoot_state::NewDocumentSeed;

use super::{NewCredential, Operation};
use crate::document_settings::check_documents;
use crate::documents::new_document_seed;

/// A change of an account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccountChange {
    pub id: AccountId,
    pub change: NewChange,
}

/// What is changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum NewChange {
    /// Changes settings.
    Settings(#[serde(with = "SettingsForm")] AccountSettings),
    /// Refuses the account's requests until it is resumed.
    Suspend,
    /// Ends a suspension by an operator.
    Resume,
    /// Adds a credential, under a name that no other has or had.
    AddCredential {
        credential: NewCredential,
        /// Its end: milliseconds since 1970 UTC.
        #[serde(default)]
        expires_at_ms: Option<u64>,
    },
    /// Sets the end of a credential, or takes it away.
    ExpireCredential { name: String, expires_at_ms: Option<u64> },
    /// Revokes a credential for ever, and forgets its secret.
    RevokeCredential { name: String },
    /// Lets the account and credentials that a restored backup brought back be used.
    ConfirmRestored,
    /// Makes another seed the one from which the keys of SPEKE's and CPIX's documents derive, for contents that are made
    /// from now on. The node that is asked draws it.
    RotateDocumentSeed,
}

/// Settings in JSON: one that is not there stays; null takes one away that need not be there.
#[derive(Serialize, Deserialize)]
#[serde(remote = "AccountSettings", deny_unknown_fields)]
struct SettingsForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca_systems: Option<Vec<String>>,
    #[serde(default, deserialize_with = "optional_networks", skip_serializing_if = "Option::is_none")]
    allow_list: Option<Vec<IpNet>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    consistency: Option<Consistency>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_shape: Option<ResponseShape>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    license_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    playready_la_url: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    minimum_scheme: Option<Option<Scheme>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_unsigned_packagers: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha1: Option<Sha1Use>,
    #[serde(default, with = "DocumentsForm", skip_serializing_if = "is_unchanged")]
    documents: DocumentChange,
}

/// The same for what holds of documents.
#[derive(Serialize, Deserialize)]
#[serde(remote = "DocumentChange", deny_unknown_fields)]
struct DocumentsForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    speke_paths: Option<Vec<DocumentPath>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cpix_paths: Option<Vec<DocumentPath>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    fairplay_uri: Option<Option<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    aes128_uri: Option<Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encrypted_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apart: Option<Vec<ApartRule>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    systems: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note_later: Option<bool>,
}

fn is_unchanged(change: &DocumentChange) -> bool {
    *change == DocumentChange::default()
}

/// What is there, null or not.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl NewChange {
    /// What it does, in a word that is safe to log.
    const fn verb(&self) -> &'static str {
        match self {
            Self::Settings(_) => "set",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::AddCredential { .. } => "add-credential",
            Self::ExpireCredential { .. } => "expire-credential",
            Self::RevokeCredential { .. } => "revoke-credential",
            Self::ConfirmRestored => "confirm-restored",
            Self::RotateDocumentSeed => "rotate-document-seed",
        }
    }

    fn wrap(self, account: &AccountId, keyring: &Keyring) -> Result<AccountChange, String> {
        Ok(match self {
            Self::Settings(settings) => {
                if let Some(Some(url)) = &settings.playready_la_url {
                    // Found here, a mistake stops the one who makes it; found later, it would stop every packager.
                    LicenseUrl::new(url)
                        .map_err(|error| format!("playready_la_url cannot be used: {error}"))?;
                }
                let mut documents = DocumentSettings::default();
                settings.documents.apply_to(&mut documents);
                check_documents(&documents)?;
                AccountChange::Settings(Box::new(settings))
            }
            Self::Suspend => AccountChange::Suspend,
            Self::Resume => AccountChange::Resume,
            Self::AddCredential { credential, expires_at_ms } => {
                let credential = credential.wrap(account, keyring)?;
                AccountChange::AddCredential { credential, expires_at_ms }
            }
            Self::ExpireCredential { name, expires_at_ms } => {
                AccountChange::ExpireCredential { name, expires_at_ms }
            }
            Self::RevokeCredential { name } => AccountChange::RevokeCredential { name },
            Self::ConfirmRestored => AccountChange::ConfirmRestored,
            Self::RotateDocumentSeed => {
                let NewDocumentSeed { id, seed } =
                    new_document_seed(keyring, account).map_err(|error| error.to_string())?;
                AccountChange::RotateDocumentSeed { id, seed }
            }
        })
    }
}

impl NewAccountChange {
    /// The operation that makes it, what it adds wrapped.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn into_operation(self, keyring: &Keyring) -> Result<Operation, String> {
        let change = Box::new(self.change.wrap(&self.id, keyring)?);
        Ok(Operation::ChangeAccount { id: self.id, change })
    }

    /// What it is about, in words that are safe to log.
    pub(super) fn object(&self) -> String {
        match &self.change {
            NewChange::AddCredential { credential: NewCredential { name, .. }, .. }
            | NewChange::ExpireCredential { name, .. }
            | NewChange::RevokeCredential { name } => format!("{} {name} of {}", self.change.verb(), self.id),
            change => format!("{} {}", change.verb(), self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_taken_away_is_told_from_one_that_stays() {
        let settings = AccountSettings {
            license_url: Some(None),
            minimum_scheme: Some(Some(Scheme::Digest)),
            allow_list: Some(Vec::new()),
            sha1: Some(Sha1Use::NoChanges),
            documents: DocumentChange {
                fairplay_uri: Some(None),
                speke_paths: Some(vec![DocumentPath::new("/a").unwrap()]),
                ..DocumentChange::default()
            },
            ..AccountSettings::default()
        };
        let text = serde_json::to_string(&NewChange::Settings(settings.clone())).unwrap();
        let NewChange::Settings(read) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(read, settings, "{text}");
        let wrong = serde_json::from_str::<NewChange>(r#"{ "Settings": { "licence_url": null } }"#);
        assert!(wrong.unwrap_err().to_string().contains("licence_url"));
    }
}
