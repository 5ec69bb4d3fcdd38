//! A node and the address at which it is reached: `ID=HOST:PORT`.

use std::fmt;
use std::str::FromStr;

use keymoot_model::NodeId;
use serde::{Deserialize, Serialize};

use super::PeerAddress;

/// A node and the address that other nodes dial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberAddress {
    /// The node's number.
    pub id: NodeId,
    /// Its peer address.
    pub address: PeerAddress,
}

impl fmt::Display for MemberAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.id, self.address)
    }
}

impl FromStr for MemberAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = text.split_once('=').ok_or("a member is ID=HOST:PORT")?;
        let id = id.parse().ok().filter(|id| *id != 0).ok_or("a node's ID is a number from 1")?;
        Ok(Self { id, address: PeerAddress::new(address).map_err(|error| error.to_string())? })
    }
}

impl TryFrom<String> for MemberAddress {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MemberAddress> for String {
    fn from(member: MemberAddress) -> Self {
        member.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_its_id_and_address() {
        let member: MemberAddress = "3=km-3.example.net:9081".parse().unwrap();
        assert_eq!((member.id, member.to_string().as_str()), (3, "3=km-3.example.net:9081"));
        for bad in ["", "3", "3=", "0=h:1", "x=h:1", "3=h", "h:1"] {
            assert!(bad.parse::<MemberAddress>().is_err(), "{bad:?}");
        }
    }
}
