//! Letting in who shows a token that opens one key.

use std::net::IpAddr;

use keymoot_model::Scope;
use keymoot_protocol::KeyToken;

use super::{AuthError, Authenticator, Denied, SignatureFault, Verified};

/// What the audit calls a request that showed a token.
const CREDENTIAL: &str = "key-token";

impl Authenticator {
    /// Finds out whether who shows a token may use it: the account is still there, and the address on
    /// its allow-list.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_token(&self, token: &KeyToken, caller: IpAddr) -> Result<Verified, AuthError> {
        let open = self.directory.account(token.account())?.ok_or_else(|| Denied::Signature {
            account: token.account().clone(),
            scope: Scope::Encryption,
            fault: SignatureFault::UnknownAccount,
        })?;
        super::authenticator::within_bounds(&open, Scope::Encryption, None, caller)?;
        let content = Some(token.content().clone());
        Ok(Verified::without_nonce(open, CREDENTIAL.to_owned(), None, caller, content))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use keymoot_model::{AccountId, ContentId, Kid};
    use keymoot_protocol::KeyTokens;

    use super::super::authenticator::tests::{authenticator, refusal};
    use super::*;

    const KID: Kid = Kid::from_bytes([7; 16]);

    fn token_of(account: &str) -> KeyToken {
        let (account, content) = (AccountId::new(account).unwrap(), ContentId::new("film é").unwrap());
        let tokens = KeyTokens::new(b"key");
        tokens.read(&tokens.issue(&account, &content, &KID, 1), &KID, 0).unwrap()
    }

    /// A token of account 167.
    pub(crate) fn token() -> KeyToken {
        token_of("167")
    }

    #[test]
    fn a_token_opens_encryption_for_its_account_from_its_allow_list_only() {
        let token = token();
        let grant = authenticator().verify_token(&token, "192.0.2.7".parse().unwrap()).unwrap().grant();
        assert_eq!((grant.scope(), grant.credential()), (Scope::Encryption, CREDENTIAL));
        let elsewhere = authenticator().verify_token(&token, "198.51.100.1".parse().unwrap());
        assert_eq!(refusal(elsewhere).reason(), "address");
        let gone = token_of("168");
        let denied = authenticator().verify_token(&gone, "192.0.2.7".parse().unwrap());
        assert_eq!(refusal(denied).reason(), "unknown_account");
    }
}
