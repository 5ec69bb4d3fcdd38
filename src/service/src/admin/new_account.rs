//! An account and a credential as the admin API takes them: with signing keys, which are wrapped before anything else
//! is done.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use keymoot_crypto::{CredentialPlace, Keyring, SecretBytes, secret_file};
use keymoot_drm::LicenseUrl;
use keymoot_model::{Account, AccountId, Consistency, Credential, ResponseShape, Scheme, Scope, networks};

use crate::clock::now_ms;
use crate::credential_secret::stored_secret;
use crate::{AccountEntry, AccountsFileError, CredentialEntry, MakeAccountError};

/// An account to be stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    pub id: AccountId,
    /// The `ca_system` values its requests may carry; empty accepts any.
    #[serde(default)]
    pub ca_systems: Vec<String>,
    /// Networks whose addresses may reach the encryption endpoints. Empty: none.
    #[serde(default, deserialize_with = "networks")]
    pub allow_list: Vec<IpNet>,
    #[serde(default)]
    pub consistency: Consistency,
    #[serde(default)]
    pub response_shape: ResponseShape,
    #[serde(default)]
    pub license_url: Option<String>,
    #[serde(default)]
    pub playready_la_url: Option<String>,
    #[serde(default)]
    pub minimum_scheme: Option<Scheme>,
    #[serde(default)]
    pub allow_unsigned_packagers: bool,
    #[serde(default)]
    pub credentials: Vec<NewCredential>,
}

/// A credential with its key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    pub name: String,
    pub scope: Scope,
    #[serde(default = "udrm")]
    pub scheme: Scheme,
    /// What a key file holds: docs/authentication.md says what each scheme needs.
    pub key: Zeroizing<String>,
}

fn udrm() -> Scheme {
    Scheme::UdrmSha1
}

impl fmt::Debug for NewCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewCredential({}, {})", self.name, self.scheme)
    }
}

impl NewCredential {
    /// The credential that `entry` describes, its key read from its file.
    ///
    /// # Errors
    /// [`MakeAccountError`], naming account and credential.
    pub fn read(account: &AccountId, entry: &CredentialEntry) -> Result<Self, MakeAccountError> {
        let secret = secret_file::read_signing_key(&entry.key_file).map_err(|source| {
            AccountsFileError::Key { account: account.clone(), credential: entry.name.clone(), source }
        })?;
        Self::of(account, entry, secret)
    }

    fn of(
        account: &AccountId,
        entry: &CredentialEntry,
        secret: SecretBytes,
    ) -> Result<Self, MakeAccountError> {
        let CredentialEntry { name, scope, scheme, .. } = entry;
        let unfit = |expected| MakeAccountError::Secret {
            account: account.clone(),
            credential: name.clone(),
            expected,
        };
        let text = std::str::from_utf8(secret.expose()).map_err(|_| unfit("text in UTF-8"))?;
        let key = Zeroizing::new(text.to_owned());
        // The node checks it again; here the file is named.
        stored_secret(*scheme, secret).map_err(unfit)?;
        Ok(Self { name: name.clone(), scope: *scope, scheme: *scheme, key })
    }

    /// The credential of this account, its key wrapped.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn wrap(self, account: &AccountId, keyring: &Keyring) -> Result<Credential, String> {
        let Self { name, scope, scheme, key } = self;
        let secret = stored_secret(scheme, SecretBytes::new(key.as_bytes().to_vec()))
            .map_err(|expected| format!("credential `{name}`: its key must be {expected}"))?;
        let place = CredentialPlace { account, name: &name, scope };
        let secret = keyring.wrap_credential(&secret, place).map_err(|error| error.to_string())?;
        Ok(Credential { name, scope, scheme, secret, created_at_ms: now_ms() })
    }
}

impl NewAccount {
    /// The account that `entry` describes, its keys read from their files.
    ///
    /// # Errors
    /// [`MakeAccountError`], naming account and credential.
    pub fn read(entry: &AccountEntry) -> Result<Self, MakeAccountError> {
        let keys = entry.signing_keys()?.into_iter();
        let credentials = keys.map(|key| NewCredential::of(&entry.id, key.credential, key.secret));
        Ok(Self {
            id: entry.id.clone(),
            ca_systems: entry.ca_systems.clone(),
            allow_list: entry.allow_list.clone(),
            consistency: entry.consistency,
            response_shape: entry.response_shape,
            license_url: entry.license_url.clone(),
            playready_la_url: entry.playready_la_url.clone(),
            minimum_scheme: entry.minimum_scheme,
            allow_unsigned_packagers: entry.allow_unsigned_packagers,
            credentials: credentials.collect::<Result<_, _>>()?,
        })
    }

    /// The account, its keys wrapped.
    ///
    /// # Errors
    /// A text that names what cannot be used.
    pub fn wrap(self, keyring: &Keyring) -> Result<Account, String> {
        if let Some(url) = &self.playready_la_url {
            LicenseUrl::new(url).map_err(|error| format!("playready_la_url cannot be used: {error}"))?;
        }
        if let Some((first, second)) = self.shared_key() {
            return Err(format!(
                "credentials `{first}` and `{second}` share one signing key; scopes need keys of their own"
            ));
        }
        let credentials = self.credentials.into_iter().map(|credential| credential.wrap(&self.id, keyring));
        Ok(Account {
            credentials: credentials.collect::<Result<_, _>>()?,
            id: self.id,
            ca_systems: self.ca_systems.iter().map(|system| system.to_lowercase()).collect(),
            allow_list: self.allow_list,
            consistency: self.consistency,
            response_shape: self.response_shape,
            license_url: self.license_url,
            playready_la_url: self.playready_la_url,
            created_at_ms: now_ms(),
            minimum_scheme: self.minimum_scheme,
            allow_unsigned_packagers: self.allow_unsigned_packagers,
        })
    }

    /// Two credentials of different scopes with one key: a player's request, replayed at the encryption endpoint,
    /// would hand it the content key.
    fn shared_key(&self) -> Option<(&str, &str)> {
        self.credentials.iter().enumerate().find_map(|(at, later)| {
            let mut earlier = self.credentials.iter().take(at);
            let same = earlier.find(|earlier| earlier.scope != later.scope && earlier.key == later.key)?;
            Some((same.name.as_str(), later.name.as_str()))
        })
    }

    /// The names of its credentials.
    pub(super) fn credential_names(&self) -> BTreeSet<&str> {
        self.credentials.iter().map(|credential| credential.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_under_two_scopes_is_refused_and_the_key_is_in_no_text() {
        let credential = |name: &str, scope| NewCredential {
            name: name.to_owned(),
            scope,
            scheme: Scheme::UdrmSha1,
            key: Zeroizing::new("a long random text".to_owned()),
        };
        let account: NewAccount = serde_json::from_str(r#"{ "id": "a" }"#).unwrap();
        let both = [credential("one", Scope::Encryption), credential("two", Scope::License)];
        let account = NewAccount { credentials: both.to_vec(), ..account };
        assert!(!format!("{account:?}").contains("random"));
        let refused = account.clone().wrap(&Keyring::generate().unwrap()).unwrap_err();
        assert!(refused.contains("`one` and `two` share one signing key"), "{refused}");
        let [one, _] = both;
        let alone = NewAccount { credentials: vec![one], ..account };
        assert!(alone.wrap(&Keyring::generate().unwrap()).is_ok());
    }
}
