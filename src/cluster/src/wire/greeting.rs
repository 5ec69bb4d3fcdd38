//! The first message on a connection, in the form of each version of the protocol.

use serde::{Deserialize, Serialize};

use keymoot_codec as codec;
use keymoot_codec::{CodecError, Kind};
use keymoot_crypto::PeerVersion;
use keymoot_store::{Incarnation, LogPosition, PeerMemory, Start, StoredVote};

use crate::wire::message::Hello;

/// The first message on a connection, in both directions: all of it if both ends know
/// [`PeerVersion::Third`], without the last three members between ends that know
/// [`PeerVersion::Second`], otherwise the hello alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// The identity of the sender.
    pub hello: Hello,
    /// The sender's data directory; `None` from a tool.
    pub incarnation: Option<Incarnation>,
    /// The receiver's data directory that the sender remembers.
    pub remembered: Option<Incarnation>,
    /// What the sender's data directory claims of itself; `None` from a tool.
    pub claim: Option<DirectoryClaim>,
    /// What the sender remembers of the receiver.
    pub memory: Option<PeerMemory>,
    /// In an answer: why the sender refuses the receiver.
    pub refusal: Option<String>,
}

/// What a node says of its data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DirectoryClaim {
    /// The present start.
    pub start: Start,
    /// The last vote that is on disk.
    pub vote: Option<StoredVote>,
    /// The last entry of the log that is on disk.
    pub log_end: Option<LogPosition>,
    /// The address at which peers reach the node.
    pub address: String,
}

/// The members of a greeting that [`PeerVersion::Second`] knows.
#[derive(Serialize, Deserialize)]
struct SecondGreeting {
    hello: Hello,
    incarnation: Option<Incarnation>,
    remembered: Option<Incarnation>,
}

impl Greeting {
    /// The greeting of an operator's tool.
    pub(crate) const fn of_tool(hello: Hello) -> Self {
        Self { hello, incarnation: None, remembered: None, claim: None, memory: None, refusal: None }
    }

    /// The bytes of the greeting.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub(crate) fn encode(&self, version: PeerVersion) -> Result<Vec<u8>, CodecError> {
        match version {
            PeerVersion::First => codec::encode(Kind::Hello, &self.hello),
            PeerVersion::Second => {
                let Self { hello, incarnation, remembered, .. } = self.clone();
                codec::encode(Kind::Greeting, &SecondGreeting { hello, incarnation, remembered })
            }
            PeerVersion::Third | PeerVersion::Fourth => codec::encode(Kind::DirectoryGreeting, self),
        }
    }

    /// Decodes a greeting.
    ///
    /// # Errors
    /// When the bytes are not a greeting of that version.
    pub(crate) fn decode(version: PeerVersion, bytes: &[u8]) -> Result<Self, CodecError> {
        match version {
            PeerVersion::First => codec::decode(Kind::Hello, bytes).map(Self::of_tool),
            PeerVersion::Second => {
                let SecondGreeting { hello, incarnation, remembered } = codec::decode(Kind::Greeting, bytes)?;
                Ok(Self { incarnation, remembered, ..Self::of_tool(hello) })
            }
            PeerVersion::Third | PeerVersion::Fourth => codec::decode(Kind::DirectoryGreeting, bytes),
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
    fn every_form_has_these_bytes() {
        let greeting = Greeting {
            hello: hello(),
            incarnation: Some(Incarnation::from_number(5)),
            remembered: Some(Incarnation::from_number(300)),
            ..Greeting::of_tool(hello())
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
        let start = Start { number: 7, id: 8 };
        let vote = Some(StoredVote { term: 2, node: 1, committed: true });
        let at = Some(LogPosition { term: 2, node: 1, index: 9 });
        let whole = Greeting {
            claim: Some(DirectoryClaim { start, vote, log_end: at, address: "h:1".to_owned() }),
            memory: Some(PeerMemory { start, vote, held: at, address: None }),
            refusal: Some("no".to_owned()),
            ..greeting
        };
        let third = whole.encode(PeerVersion::Third).unwrap();
        assert_eq!(third[..4], [75, 77, 10, 1]);
        assert_eq!(
            third[12..],
            [
                1, 4, 119, 101, 115, 116, 1, 3, 1, 0, 1, 0, 1, 5, 1, 251, 44, 1, 1, 7, 8, 1, 2, 1, 1, 1, 2,
                1, 9, 3, 104, 58, 49, 1, 7, 8, 1, 2, 1, 1, 1, 2, 1, 9, 0, 1, 2, 110, 111
            ]
        );
        assert_eq!(Greeting::decode(PeerVersion::Third, &third).unwrap(), whole);
        assert!(Greeting::decode(PeerVersion::Third, &second).is_err());
        assert!(Greeting::decode(PeerVersion::First, &second).is_err());
        assert!(Greeting::decode(PeerVersion::Second, &first).is_err());
    }
}
