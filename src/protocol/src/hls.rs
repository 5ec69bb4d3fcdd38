//! What an encoder asks of HLS key-info, beside who asks: `key_uri` and `crypto_period_seconds` in the query.

use std::num::NonZeroU32;

use keymoot_model::{KeyUri, KeyUriError};

use super::query::{self, QueryError};

/// The parameters of a request for key-info.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfoQuery {
    /// The key URI for the playlist, if it is not the server's own.
    pub key_uri: Option<KeyUri>,
    /// How long crypto periods are, if the key changes with them.
    pub period_s: Option<NonZeroU32>,
}

/// Why a query string asks for no key-info. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyInfoError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("parameter key_uri: {0}")]
    KeyUri(#[from] KeyUriError),
    /// Players would go on with the first key.
    #[error("parameter key_uri must hold {{kid}} where keys change: players fetch each URI once")]
    KeyUriForAll,
    #[error("parameter crypto_period_seconds must be a number of seconds from 1")]
    PeriodLength,
}

impl KeyInfoQuery {
    /// Reads a query string as received.
    ///
    /// # Errors
    /// [`KeyInfoError`] names the parameter at fault.
    pub fn parse(raw: &str) -> Result<Self, KeyInfoError> {
        let key_uri = query::parameter(raw, "key_uri")?.map(KeyUri::new).transpose()?;
        let period_s = query::parameter(raw, "crypto_period_seconds")?.map(|text| text.parse()).transpose();
        let period_s = period_s.map_err(|_| KeyInfoError::PeriodLength)?;
        if period_s.is_some() && key_uri.as_ref().is_some_and(|uri| !uri.has_kid_placeholder()) {
            return Err(KeyInfoError::KeyUriForAll);
        }
        Ok(Self { key_uri, period_s })
    }
}

/// The index of the period that an instant is in, in seconds since 1970 UTC, from when periods are counted;
/// none after the last that has an index.
pub fn period_at(now_s: u64, length_s: NonZeroU32) -> Option<u32> {
    u32::try_from(now_s / u64::from(length_s.get())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(raw: &str) -> String {
        KeyInfoQuery::parse(raw).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_parameter_is_told() {
        for raw in ["crypto_period_seconds=0", "crypto_period_seconds=1.5", "crypto_period_seconds="] {
            assert!(refused(raw).contains("a number of seconds from 1"), "{raw}");
        }
        assert!(refused("key_uri=a%0Ab").contains("key_uri: a key URI must be of visible ASCII"));
        assert!(refused("key_uri=a.key&crypto_period_seconds=10").contains("must hold {kid}"));
        assert!(KeyInfoQuery::parse("key_uri=%7Bkid%7D.key&crypto_period_seconds=10&custom_data=x").is_ok());
    }

    #[test]
    fn periods_are_counted_from_1970() {
        let ten = NonZeroU32::new(10).unwrap();
        assert_eq!(period_at(1_800_000_009, ten), Some(180_000_000));
        assert_eq!(period_at(1_800_000_010, ten), Some(180_000_001));
        assert_eq!(period_at(u64::MAX, NonZeroU32::MIN), None);
    }
}
