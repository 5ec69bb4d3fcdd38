//! Which credential a request says it was proved with: `ACCOUNT` or `ACCOUNT/CREDENTIAL`.

use keymoot_model::AccountId;

/// The text of a `keyid` or of a user name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialName {
    pub account: AccountId,
    /// One credential of it; any, when none is named.
    pub credential: Option<String>,
}

impl CredentialName {
    /// Reads the text; `None` when what stands before the slash is no account's name.
    pub fn parse(text: &str) -> Option<Self> {
        let (account, credential) = match text.split_once('/') {
            Some((account, credential)) => (account, Some(credential.to_owned())),
            None => (text, None),
        };
        Some(Self { account: AccountId::new(account).ok()?, credential })
    }

    /// Whether the credential of this name in this account is meant.
    pub fn means(&self, account: &AccountId, credential: &str) -> bool {
        self.account == *account && self.credential.as_deref().is_none_or(|named| named == credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_alone_means_all_of_its_credentials_and_no_others() {
        let own = AccountId::new("167").unwrap();
        let any = CredentialName::parse("167").unwrap();
        assert!(any.means(&own, "a") && any.means(&own, "b"));
        let one = CredentialName::parse("167/a/b").unwrap();
        assert!(one.means(&own, "a/b") && !one.means(&own, "a"));
        assert!(!one.means(&AccountId::new("168").unwrap(), "a/b"));
        assert_eq!(CredentialName::parse(""), None);
        assert_eq!(CredentialName::parse("a b/c"), None);
    }
}
