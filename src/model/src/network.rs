//! Networks as people write them: an address with the length of its prefix, or one address alone.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

/// Why a text is no network. The message names the entry and what of it is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// A character that no network has.
    #[error(
        "{entry:?} is no network: {character:?} at character {at} has no place in one; write a network such as \
         10.20.0.0/16, or one address such as 192.0.2.7"
    )]
    Character { entry: String, character: char, at: usize },
    /// What stands before the slash is no address.
    #[error(
        "{entry:?} is no network: {address:?} is no IP address; write a network such as 10.20.0.0/16, or one \
         address such as 192.0.2.7"
    )]
    Address { entry: String, address: String },
    /// What stands behind the slash is no length.
    #[error(
        "{entry:?} is no network: behind the slash stands a whole number from 0 to {max}, and not {length:?}"
    )]
    Length { entry: String, length: String, max: u8 },
}

/// Reads a network; an address alone is the network of that one address.
///
/// # Errors
/// [`NetworkError`] names the entry and what is wrong with it.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    let entry = || text.to_owned();
    let is_of_network = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/');
    if let Some((before, character)) = text.chars().enumerate().find(|(_, c)| !is_of_network(*c)) {
        return Err(NetworkError::Character { entry: entry(), character, at: before + 1 });
    }
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let wrong = |_| NetworkError::Address { entry: entry(), address: address.to_owned() };
    let read: IpAddr = address.parse().map_err(wrong)?;
    let Some(length) = length else { return Ok(IpNet::from(read)) };
    let max = if read.is_ipv4() { 32 } else { 128 };
    let number = length.parse().ok().filter(|_| length.bytes().all(|byte| byte.is_ascii_digit()));
    let network = number.and_then(|number| IpNet::new(read, number).ok());
    network.ok_or_else(|| NetworkError::Length { entry: entry(), length: length.to_owned(), max })
}

/// Reads a list of networks; for serde's `deserialize_with`.
///
/// # Errors
/// [`NetworkError`] of the first entry that is none.
pub fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let entries = Vec::<String>::deserialize(from)?;
    entries.iter().map(|entry| network(entry)).collect::<Result<_, _>>().map_err(serde::de::Error::custom)
}

/// The same where the list may be left out.
///
/// # Errors
/// [`NetworkError`] of the first entry that is none.
pub fn optional_networks<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<IpNet>>, D::Error> {
    let Some(entries) = Option::<Vec<String>>::deserialize(from)? else { return Ok(None) };
    let read = entries.iter().map(|entry| network(entry)).collect::<Result<_, _>>();
    read.map(Some).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_the_network_of_that_one_address() {
        let read = |text: &str| network(text).unwrap().to_string();
        assert_eq!(read("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(read("2001:db8::7"), "2001:db8::7/128");
        assert_eq!(read("10.20.0.0/16"), "10.20.0.0/16");
        assert_eq!(read("0.0.0.0/0"), "0.0.0.0/0");
        assert_eq!(read("fd00::/8"), "fd00::/8");
    }

    #[test]
    fn what_is_refused_is_named_with_its_character() {
        let said = |text: &str| network(text).unwrap_err().to_string();
        assert!(
            said("10.0.0.0/8;").contains("\"10.0.0.0/8;\" is no network: ';' at character 11"),
            "{}",
            said("10.0.0.0/8;")
        );
        assert!(said("10.0.0.0 /8").contains("' ' at character 9"));
        assert!(said("proxy.example").contains("'p' at character 1"));
        assert!(said("10.0.0/8").contains("\"10.0.0\" is no IP address"));
        assert!(said("").contains("\"\" is no IP address"));
        for (text, max) in [("10.0.0.0/33", 32), ("10.0.0.0/", 32), ("fd00::/129", 128), ("10.0.0.0/8/8", 32)]
        {
            assert!(said(text).contains(&format!("from 0 to {max}")), "{text}: {}", said(text));
        }
    }

    #[test]
    fn a_list_names_the_entry_at_fault() {
        #[derive(Debug, Deserialize)]
        struct Lists {
            #[serde(deserialize_with = "networks")]
            all: Vec<IpNet>,
            #[serde(default, deserialize_with = "optional_networks")]
            some: Option<Vec<IpNet>>,
        }
        let read = |text: &str| serde_json::from_str::<Lists>(text);
        let lists = read(r#"{"all":["192.0.2.7","10.0.0.0/8"],"some":["::1"]}"#).unwrap();
        assert_eq!((lists.all.len(), lists.some.map(|some| some.len())), (2, Some(1)));
        assert!(read(r#"{"all":[]}"#).unwrap().some.is_none());
        assert!(
            read(r#"{"all":["::1","10.0.0.0/x"]}"#).unwrap_err().to_string().contains("'x' at character 10")
        );
        assert!(read(r#"{"all":[],"some":["1.2.3.4/40"]}"#).unwrap_err().to_string().contains("\"40\""));
    }
}
