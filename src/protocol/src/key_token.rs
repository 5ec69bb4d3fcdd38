//! Tokens that open one key for a short while, for encoders that fetch a key by a bare URL.
//!
//! A token is made when its account has proved itself, and is good on every node: it is a MAC under a
//! key that all nodes derive from the cluster's secret, over account, content, key id and the time it
//! ends. Nobody without that key can make one, or turn one into another key's. Only reading one makes
//! a [`KeyToken`], so what is not verified cannot be believed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use keymoot_model::{AccountId, ContentId, Kid};

/// HMAC-SHA-256.
const MAC_BYTES: usize = 32;
/// The longest token read: MAC, time, and the longest names, in base64.
const TEXT_BYTES_MAX: usize = (MAC_BYTES + 9 + AccountId::BYTES_MAX + ContentId::BYTES_MAX) * 4 / 3 + 2;

/// Makes and reads tokens.
pub struct KeyTokens(hmac::Key);

/// That this cluster gave somebody leave to fetch one key, and that the leave has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyToken {
    account: AccountId,
    content: ContentId,
    kid: Kid,
}

impl KeyToken {
    /// The account that gave leave.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// The content of the key.
    pub fn content(&self) -> &ContentId {
        &self.content
    }

    pub fn kid(&self) -> &Kid {
        &self.kid
    }
}

impl KeyTokens {
    /// With this key, the same on every node.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// A token for one key, good until `ends_s`, in seconds since 1970 UTC. Fit for a URL.
    pub fn issue(&self, account: &AccountId, content: &ContentId, kid: &Kid, ends_s: u64) -> String {
        // An account's name is at most 64 bytes long.
        let length = u8::try_from(account.as_str().len()).unwrap_or(u8::MAX);
        let claims =
            [&ends_s.to_be_bytes()[..], &[length], account.as_str().as_bytes(), content.as_str().as_bytes()]
                .concat();
        let mac = hmac::sign(&self.0, &signed(kid, &claims));
        URL_SAFE_NO_PAD.encode([mac.as_ref(), &claims].concat())
    }

    /// Reads a token that was shown for a key; `None` when it is not one of this cluster's, is another
    /// key's, or has ended. The MAC is compared in constant time, before anything is believed.
    pub fn read(&self, text: &str, kid: &Kid, now_s: u64) -> Option<KeyToken> {
        if text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (mac, claims) = bytes.split_at_checked(MAC_BYTES)?;
        hmac::verify(&self.0, &signed(kid, claims), mac).ok()?;
        let (ends_s, claims) = claims.split_first_chunk::<8>()?;
        let (length, names) = claims.split_first()?;
        let (account, content) = std::str::from_utf8(names).ok()?.split_at_checked(usize::from(*length))?;
        let token = KeyToken {
            account: AccountId::new(account).ok()?,
            content: ContentId::new(content).ok()?,
            kid: *kid,
        };
        (now_s <= u64::from_be_bytes(*ends_s)).then_some(token)
    }
}

/// What the MAC covers; a key id has one length.
fn signed(kid: &Kid, claims: &[u8]) -> Vec<u8> {
    [kid.as_bytes(), claims].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KID: Kid = Kid::from_bytes([7; 16]);

    fn names(account: &str, content: &str) -> (AccountId, ContentId) {
        (AccountId::new(account).unwrap(), ContentId::new(content).unwrap())
    }

    fn issued(ends_s: u64) -> String {
        let (account, content) = names("167", "film é");
        KeyTokens::new(b"key").issue(&account, &content, &KID, ends_s)
    }

    #[test]
    fn a_token_reads_back_on_any_node_until_it_ends() {
        let token = issued(100);
        let read = |now_s| KeyTokens::new(b"key").read(&token, &KID, now_s);
        assert_eq!(read(100).unwrap().content().as_str(), "film é");
        assert_eq!(read(101), None);
        assert_eq!(KeyTokens::new(b"another").read(&token, &KID, 100), None);
        assert_eq!(KeyTokens::new(b"key").read(&token, &Kid::from_bytes([8; 16]), 100), None);
    }

    #[test]
    fn the_longest_names_fit() {
        let (account, content) = names(&"a".repeat(64), &"c".repeat(512));
        let token = KeyTokens::new(b"key").issue(&account, &content, &KID, 1);
        assert!(KeyTokens::new(b"key").read(&token, &KID, 1).is_some());
        assert_eq!(token.len().max(TEXT_BYTES_MAX), TEXT_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn a_changed_token_is_none(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let mut bytes = URL_SAFE_NO_PAD.decode(issued(100)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(KeyTokens::new(b"key").read(&URL_SAFE_NO_PAD.encode(&bytes), &KID, 0), None);
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in "\\PC{0,200}") {
            prop_assert_eq!(KeyTokens::new(b"key").read(&text, &KID, 0), None);
        }
    }
}
