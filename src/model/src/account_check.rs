//! What an account must be to be of use.

use std::collections::BTreeSet;

use super::{Account, Credential, Scheme, Scope};

/// Why an account cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// One name for two credentials.
    #[error("credential `{0}` is there twice")]
    Twice(String),
    /// No name, or a long one.
    #[error("a credential's name must be 1 to {} bytes", Credential::NAME_BYTES_MAX)]
    CredentialName,
    /// A scheme of the Widevine API for another scope.
    #[error("credential `{0}`: its scheme only opens scope `encryption`")]
    Scope(String),
    /// It would open nothing.
    #[error("credential `{0}`: scope `admin` opens nothing; the scopes are encryption, license and policy")]
    AdminScope(String),
    /// The URL is none of the web.
    #[error("license_url must start with https:// or http://")]
    LicenseUrl,
    /// Requests' values are compared in lower case.
    #[error("ca_system `{0}` must be in lower case")]
    CaSystem(String),
}

/// What is known of a credential before its secret is wrapped.
#[derive(Clone, Copy, Debug)]
pub struct CredentialTerms<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it opens.
    pub scope: Scope,
    /// How it is proved.
    pub scheme: Scheme,
}

impl CredentialTerms<'_> {
    /// Whether a credential can be of these terms.
    ///
    /// # Errors
    /// [`AccountError`] says why not.
    pub fn check(self) -> Result<(), AccountError> {
        let Self { name, scope, scheme } = self;
        if name.is_empty() || name.len() > Credential::NAME_BYTES_MAX {
            return Err(AccountError::CredentialName);
        }
        if scope == Scope::Admin {
            return Err(AccountError::AdminScope(name.to_owned()));
        }
        if scheme.is_widevine() && scope != Scope::Encryption {
            return Err(AccountError::Scope(name.to_owned()));
        }
        Ok(())
    }
}

impl Credential {
    /// What is checked of it.
    pub fn terms(&self) -> CredentialTerms<'_> {
        CredentialTerms { name: &self.name, scope: self.scope, scheme: self.scheme }
    }

    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;
}

impl Account {
    /// Whether the account can be used.
    ///
    /// # Errors
    /// [`AccountError`] says why not.
    pub fn check(&self) -> Result<(), AccountError> {
        let credentials = self.credentials.iter().map(Credential::terms);
        Self::check_terms(&self.ca_systems, credentials, self.license_url.as_deref())
    }

    /// The same for an account whose secrets are not wrapped yet.
    ///
    /// # Errors
    /// As for [`Self::check`].
    pub fn check_terms<'a>(
        ca_systems: &[String],
        credentials: impl IntoIterator<Item = CredentialTerms<'a>>,
        license_url: Option<&str>,
    ) -> Result<(), AccountError> {
        if let Some(upper) = ca_systems.iter().find(|system| **system != system.to_lowercase()) {
            return Err(AccountError::CaSystem(upper.clone()));
        }
        let mut names = BTreeSet::new();
        for credential in credentials {
            if !names.insert(credential.name) {
                return Err(AccountError::Twice(credential.name.to_owned()));
            }
            credential.check()?;
        }
        let is_web = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        if license_url.is_some_and(|url| !is_web(url)) {
            return Err(AccountError::LicenseUrl);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(credentials: &[(&str, Scope, Scheme)]) -> Result<(), AccountError> {
        let terms = credentials.iter().map(|(name, scope, scheme)| CredentialTerms {
            name,
            scope: *scope,
            scheme: *scheme,
        });
        Account::check_terms(&["ovp".to_owned()], terms, Some("https://drm.example"))
    }

    #[test]
    fn each_credential_can_be_used_and_is_the_only_one_of_its_name() {
        let udrm = |name| (name, Scope::License, Scheme::UdrmSha1);
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&[udrm("a"), udrm("b")]), Ok(()));
        assert_eq!(check(&[udrm("a"), udrm("a")]), Err(AccountError::Twice("a".into())));
        assert_eq!(check(&[udrm("")]), Err(AccountError::CredentialName));
        assert_eq!(check(&[udrm(&"n".repeat(65))]), Err(AccountError::CredentialName));
        let widevine = [("w", Scope::License, Scheme::WidevineAes)];
        assert_eq!(check(&widevine), Err(AccountError::Scope("w".into())));
        let admin = [("x", Scope::Admin, Scheme::MutualTls)];
        assert_eq!(check(&admin), Err(AccountError::AdminScope("x".into())));
    }

    #[test]
    fn systems_are_in_lower_case_and_players_are_sent_to_the_web() {
        let check = |system: &str, url| Account::check_terms(&[system.to_owned()], [], Some(url));
        assert_eq!(check("ovp", "http://a"), Ok(()));
        assert_eq!(check("OVP", "http://a"), Err(AccountError::CaSystem("OVP".into())));
        assert_eq!(check("ovp", "ftp://a"), Err(AccountError::LicenseUrl));
    }
}
