//! The accounts file: accounts as a person declares them, with signing keys in files of their own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use sha2::{Digest as _, Sha256};

use keymoot_crypto::SecretBytes;
use keymoot_crypto::secret_file::{self, SecretFileError, beside};
use keymoot_crypto::toml_file::{self, TomlFileError};
use keymoot_model::{
    Account, AccountId, Consistency, CredentialTerms, DocumentSettings, ResponseShape, Scheme, Scope,
    Sha1Use, TimeStamp, networks,
};

use super::document_settings::check_documents;

/// Why an accounts file is refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountsFileError {
    /// The file could not be read, or is not what is expected.
    #[error(transparent)]
    File(#[from] TomlFileError),
    /// An account that cannot be used.
    #[error("{}: account `{account}`: {problem}", path.display())]
    Account {
        path: PathBuf,
        account: AccountId,
        /// What is wrong with it.
        problem: String,
    },
    /// A signing key could not be read.
    #[error("account `{account}`, credential `{credential}`: its key file cannot be used")]
    Key { account: AccountId, credential: String, source: SecretFileError },
    /// One key under two scopes.
    #[error(
        "account `{account}`: credentials `{first}` and `{second}` share one signing key; scopes need keys of their own"
    )]
    SharedKey { account: AccountId, first: String, second: String },
}

/// An account as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountEntry {
    pub id: AccountId,
    /// The `ca_system` values its requests may carry, lower case; empty accepts any.
    #[serde(default)]
    pub ca_systems: Vec<String>,
    /// Networks whose addresses may reach the encryption endpoints. Empty: none.
    #[serde(default, deserialize_with = "networks")]
    pub allow_list: Vec<IpNet>,
    /// How reads are answered.
    #[serde(default)]
    pub consistency: Consistency,
    /// The shape of encryption answers.
    #[serde(default)]
    pub response_shape: ResponseShape,
    /// Where players ask for licenses.
    pub license_url: Option<String>,
    /// What PlayReady headers name as `LA_URL`.
    pub playready_la_url: Option<String>,
    /// The weakest scheme that proves its requests; none accepts every scheme.
    pub minimum_scheme: Option<Scheme>,
    /// Whether packagers that cannot sign are served, held by the allow-list alone.
    #[serde(default)]
    pub allow_unsigned_packagers: bool,
    /// What `udrm-sha1` signatures open; left out, that stays as it is: `bound` for a new account.
    pub sha1: Option<Sha1Use>,
    /// What holds of its SPEKE and CPIX documents; left out, that stays as it is.
    pub documents: Option<DocumentSettings>,
    #[serde(default, rename = "credential")]
    pub credentials: Vec<CredentialEntry>,
}

/// A signing key of an account, in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialEntry {
    /// Names the credential within its account.
    pub name: String,
    pub scope: Scope,
    /// How it is proved.
    #[serde(default = "default_scheme")]
    pub scheme: Scheme,
    /// Holds the key's text; a secret file.
    pub key_file: PathBuf,
    /// When it ends; left out, as the cluster has it.
    #[serde(default, deserialize_with = "end")]
    pub expires_at: Option<CredentialEnd>,
}

/// When a declared credential ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialEnd {
    At {
        /// Milliseconds since 1970 UTC.
        at_ms: u64,
    },
    Never,
}

fn end<'de, D: Deserializer<'de>>(from: D) -> Result<Option<CredentialEnd>, D::Error> {
    let text = String::deserialize(from)?;
    if text == "never" {
        return Ok(Some(CredentialEnd::Never));
    }
    let wrong = |why: String| serde::de::Error::custom(format!("expires_at is {text:?}: {why}"));
    let at: TimeStamp = text.parse().map_err(|error| wrong(format!("{error}, nor \"never\"")))?;
    let at_s = u64::try_from(at.unix_s());
    let at_s = at_s.map_err(|_| wrong("it is before 1970; give a later instant, or \"never\"".to_owned()))?;
    Ok(Some(CredentialEnd::At { at_ms: at_s.saturating_mul(1000) }))
}

/// The scheme of a credential that names none: uDRM's own.
fn default_scheme() -> Scheme {
    Scheme::UdrmSha1
}

/// A signing key that was read.
#[derive(Debug)]
pub struct SigningKey<'a> {
    pub credential: &'a CredentialEntry,
    /// The key's text bytes.
    pub secret: SecretBytes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileText {
    revision: Option<u64>,
    #[serde(default, rename = "account")]
    accounts: Vec<AccountEntry>,
}

/// An accounts file that was read.
#[derive(Debug)]
pub struct AccountsFile {
    /// Which of its versions this is; later ones have higher numbers.
    pub revision: Option<u64>,
    /// SHA-256 of its text.
    pub digest: [u8; 32],
    pub accounts: Vec<AccountEntry>,
}

/// Reads an accounts file. Key files are not opened yet; see [`AccountEntry::signing_keys`].
///
/// # Errors
/// [`AccountsFileError`], naming file and line or account.
pub fn load_accounts(path: &Path) -> Result<AccountsFile, AccountsFileError> {
    let text = toml_file::text(path, "accounts file")?;
    let file: FileText = toml_file::parse(path, &text)?;
    let mut seen = BTreeSet::new();
    let FileText { revision, mut accounts } = file;
    for account in &mut accounts {
        account.normalise(path);
        let problem = if seen.insert(account.id.clone()) {
            account.problem()
        } else {
            Some("is there twice".to_owned())
        };
        if let Some(problem) = problem {
            return Err(AccountsFileError::Account {
                path: path.to_owned(),
                account: account.id.clone(),
                problem,
            });
        }
    }
    Ok(AccountsFile { revision, digest: Sha256::digest(text).into(), accounts })
}

impl AccountEntry {
    /// Reads the signing keys of all credentials.
    ///
    /// # Errors
    /// [`AccountsFileError::Key`] when a file cannot be read or is reachable by others, and
    /// [`AccountsFileError::SharedKey`] when one key stands under two scopes: a player's signed
    /// request, replayed at the encryption endpoint, would hand it the content key.
    pub fn signing_keys(&self) -> Result<Vec<SigningKey<'_>>, AccountsFileError> {
        let mut keys: Vec<SigningKey<'_>> = Vec::with_capacity(self.credentials.len());
        for credential in &self.credentials {
            let secret = secret_file::read_signing_key(&credential.key_file).map_err(|source| {
                AccountsFileError::Key {
                    account: self.id.clone(),
                    credential: credential.name.clone(),
                    source,
                }
            })?;
            let shared = keys.iter().find(|earlier| {
                earlier.credential.scope != credential.scope && earlier.secret.expose() == secret.expose()
            });
            if let Some(earlier) = shared {
                return Err(AccountsFileError::SharedKey {
                    account: self.id.clone(),
                    first: earlier.credential.name.clone(),
                    second: credential.name.clone(),
                });
            }
            keys.push(SigningKey { credential, secret });
        }
        Ok(keys)
    }

    /// The ends of its credentials, by their names: milliseconds since 1970 UTC, or none.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (String, Option<u64>)> {
        self.credentials.iter().filter_map(|credential| {
            let end = match credential.expires_at? {
                CredentialEnd::At { at_ms } => Some(at_ms),
                CredentialEnd::Never => None,
            };
            Some((credential.name.clone(), end))
        })
    }

    fn normalise(&mut self, file: &Path) {
        for system in &mut self.ca_systems {
            *system = system.to_lowercase();
        }
        for credential in &mut self.credentials {
            credential.key_file = beside(file, &credential.key_file);
        }
    }

    fn problem(&self) -> Option<String> {
        let terms = self.credentials.iter().map(|credential| CredentialTerms {
            name: &credential.name,
            scope: credential.scope,
            scheme: credential.scheme,
        });
        if let Err(error) = Account::check_terms(&self.ca_systems, terms, self.license_url.as_deref()) {
            return Some(error.to_string());
        }
        if let Some(Err(problem)) = self.documents.as_ref().map(check_documents) {
            return Some(problem);
        }
        // A node takes such a credential from a tool: an account may go over from one scheme to another.
        let weak = |credential: &&CredentialEntry| {
            self.minimum_scheme.is_some_and(|minimum| !credential.scheme.meets(minimum))
        };
        self.credentials.iter().find(weak).map(|useless| {
            let CredentialEntry { name, scheme, .. } = useless;
            format!("credential `{name}` is of scheme {scheme}, which is weaker than minimum_scheme")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../config/accounts.example.toml");

    fn load(text: &str) -> Result<Vec<AccountEntry>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.toml");
        std::fs::write(&path, text).unwrap();
        load_accounts(&path).map(|file| file.accounts).map_err(|error| error.to_string())
    }

    #[test]
    fn the_example_that_ships_loads() {
        let accounts = load(EXAMPLE).unwrap();
        assert_eq!(accounts[0].ca_systems, ["ovp"]);
        assert_eq!(accounts[0].credentials.len(), 2);
        let end = accounts[0].credentials[1].expires_at;
        assert_eq!(end, Some(CredentialEnd::At { at_ms: 1_830_211_200_000 }));
        assert!(accounts[0].credentials[0].key_file.is_absolute());
    }

    #[test]
    fn mistakes_are_named() {
        let bad = |from: &str, to: &str| load(&EXAMPLE.replacen(from, to, 1)).unwrap_err();
        assert!(bad("allow_list", "allowlist").contains("allowlist"));
        assert!(bad("10.20.0.0/16", "10.20").contains("accounts.toml:"));
        assert!(bad("\"license-2026\"", "\"encryption-2026\"").contains("`encryption-2026` is there twice"));
        assert!(
            bad("scope = \"license\"", "scope = \"license\"\nscheme = \"widevine-aes\"")
                .contains("only opens scope")
        );
        assert!(bad("scope = \"license\"", "scope = \"admin\"").contains("scope `admin` opens nothing"));
        for end in ["1969-12-31T23:59:59Z", "tomorrow"] {
            let said = bad("2027-12-31T00:00:00Z", end);
            assert!(
                said.contains("accounts.toml:") && said.contains(end) && said.contains("never"),
                "{said}"
            );
        }
        let endless = load(&EXAMPLE.replacen("2027-12-31T00:00:00Z", "never", 1)).unwrap();
        assert_eq!(endless[0].credentials[1].expires_at, Some(CredentialEnd::Never));
        assert!(bad("https://drm", "ftp://drm").contains("license_url must start with"));
        assert!(
            load("[[account]]\nid = \"a\"\n[[account]]\nid = \"a\"\n")
                .unwrap_err()
                .contains("`a`: is there twice")
        );
    }

    #[test]
    fn a_credential_that_the_accounts_minimum_would_refuse_is_a_mistake() {
        let text = EXAMPLE.replacen(
            "[[account.credential]]",
            "minimum_scheme = \"digest\"\n[[account.credential]]",
            1,
        );
        assert!(load(&text).unwrap_err().contains("weaker than minimum_scheme"));
        assert!(load(&text.replace("= \"digest\"", "= \"udrm-sha1\"")).is_ok());
        assert!(load(&text.replace("= \"digest\"", "= \"md5\"")).is_err());
    }

    #[test]
    fn one_key_under_two_scopes_is_refused_and_one_for_roll_over_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        secret_file::create(&path("k1"), b"same\n").unwrap();
        secret_file::create(&path("k2"), b"same").unwrap();
        let credential = |name: &str, scope| CredentialEntry {
            name: name.into(),
            scope,
            scheme: Scheme::UdrmSha1,
            key_file: path(name),
            expires_at: None,
        };
        let mut account = load("[[account]]\nid = \"a\"\n").unwrap().remove(0);
        account.credentials = vec![credential("k1", Scope::Encryption), credential("k2", Scope::License)];
        assert!(matches!(account.signing_keys(), Err(AccountsFileError::SharedKey { .. })));
        account.credentials[1].scope = Scope::Encryption;
        assert_eq!(account.signing_keys().unwrap()[1].secret.expose(), b"same");
    }
}
