//! The first message on a connection, in the form of each version of the protocol.

use serde::{Deserialize, Serialize};

use keymoot_codec as codec;
use keymoot_codec::{CodecError, Kind};
use keymoot_crypto::PeerVersion;
use keymoot_store::Incarnation;

use crate::wire::message::Hello;

/// The first message on a connection, in both directions: all of it if both ends know
/// [`PeerVersion::Second`], otherwise the hello alone. Fields are append-only from the release of
/// that version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// The identity of the sender.
    pub hello: Hello,
    /// The sender's data directory; `None` from a tool.
    pub incarnation: Option<Incarnation>,
    /// The receiver's data directory that the sender remembers.
    pub remembered: Option<Incarnation>,
}

impl Greeting {
    /// The greeting of an operator's tool.
    pub(crate) const fn of_tool(hello: Hello) -> Self {
        Self { hello, incarnation: None, remembered: None }
    }

    /// The bytes of the greeting.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn encode(&self, version: PeerVersion) -> Result<Vec<u8>, CodecError> {
        match version {
            PeerVersion::First => codec::encode(Kind::Hello, &self.hello),
            PeerVersion::Second | PeerVersion::Third => codec::encode(Kind::Greeting, self),
        }
    }

    /// Decodes a greeting.
    ///
    /// # Errors
    /// When the bytes are not a greeting of that version.
    pub(crate) fn decode(version: PeerVersion, bytes: &[u8]) -> Result<Self, CodecError> {
        match version {
            PeerVersion::First => codec::decode(Kind::Hello, bytes).map(Self::of_tool),
            PeerVersion::Second | PeerVersion::Third => codec::decode(Kind::Greeting, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            protocol: 1,
            cluster: "west".to_owned(),
            node: Some(3),
            fence: Some(0),
            feature_level: 1,
            removed: false,
        }
    }

    #[test]
    fn both_forms_have_these_bytes() {
        let greeting = Greeting {
            hello: hello(),
            incarnation: Some(Incarnation::from_number(5)),
            remembered: Some(Incarnation::from_number(300)),
        };
        let first = greeting.encode(PeerVersion::First).unwrap();
        assert_eq!(
            first,
            [75, 77, 7, 1, 12, 0, 0, 0, 95, 37, 15, 152, 1, 4, 119, 101, 115, 116, 1, 3, 1, 0, 1, 0]
        );
        assert_eq!(Greeting::decode(PeerVersion::First, &first).unwrap(), Greeting::of_tool(hello()));
        let second = greeting.encode(PeerVersion::Second).unwrap();
        assert_eq!(
            second,
            [
                75, 77, 9, 1, 18, 0, 0, 0, 125, 230, 138, 162, 1, 4, 119, 101, 115, 116, 1, 3, 1, 0, 1, 0, 1,
                5, 1, 251, 44, 1
            ]
        );
        assert_eq!(Greeting::decode(PeerVersion::Second, &second).unwrap(), greeting);
        assert!(Greeting::decode(PeerVersion::First, &second).is_err());
        assert!(Greeting::decode(PeerVersion::Second, &first).is_err());
    }
}
