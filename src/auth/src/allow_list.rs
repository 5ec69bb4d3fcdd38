//! Where a request comes from, and whether that place may ask (uDRM 2.5.1).
//!
//! A forwarded address is believed only as far as every proxy between it and this node is trusted:
//! the walk starts at the connection's peer and stops at the first address that is no trusted proxy.
//! What a caller wrote into the header itself is thus never reached. IPv4 addresses mapped into IPv6
//! count as IPv4, in addresses and in networks. An empty list allows nobody.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Net};

/// How many forwarded addresses are walked at most; a longer chain is a forgery or a loop.
pub const FORWARDED_HOPS_MAX: usize = 32;

/// The caller's address: `peer`, or what trusted proxies say stands behind it.
///
/// `forwarded_for` are the values of all `X-Forwarded-For` headers in the order they arrived. An
/// entry that is no address ends the walk at the proxy that reported it: the caller then counts as
/// that proxy, which an allow-list of scramblers does not hold.
pub fn client_address<'h>(
    peer: IpAddr,
    forwarded_for: impl IntoIterator<Item = &'h str, IntoIter: DoubleEndedIterator>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut caller = peer.to_canonical();
    let entries = forwarded_for.into_iter().rev().flat_map(|value| value.rsplit(','));
    for entry in entries.take(FORWARDED_HOPS_MAX) {
        if !allowed(caller, trusted) {
            break;
        }
        match parse_entry(entry) {
            Some(address) => caller = address,
            None => break,
        }
    }
    caller
}

/// Whether `address` lies in one of the `networks`.
pub fn allowed(address: IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| unmapped(network).contains(&address))
}

/// An address as proxies write it: bare, in brackets, or with a port behind it, each perhaps in quotes.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let entry = entry.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(entry);
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = match bare.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => entry.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// The IPv4 network that a network of mapped addresses means.
fn unmapped(network: &IpNet) -> IpNet {
    if let IpNet::V6(mapped) = network
        && let Some(address) = mapped.addr().to_ipv4_mapped()
        && let Some(length) = mapped.prefix_len().checked_sub(96)
        && let Ok(network) = Ipv4Net::new(address, length)
    {
        return IpNet::V4(network);
    }
    *network
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn seen(peer: &str, headers: &[&str]) -> String {
        let trusted = nets(&["10.0.0.0/8", "fd00::/8"]);
        client_address(ip(peer), headers.iter().copied(), &trusted).to_string()
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_caller_whatever_it_claims() {
        assert_eq!(seen("203.0.113.9", &["192.0.2.1"]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &[]), "203.0.113.9");
    }

    #[test]
    fn trusted_proxies_are_walked_from_the_right_to_the_first_stranger() {
        assert_eq!(seen("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, 192.0.2.1 ,10.1.1.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, 192.0.2.1", "10.1.1.1"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["10.2.2.2,10.1.1.1"]), "10.2.2.2");
        assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn an_entry_that_is_no_address_leaves_the_caller_at_the_proxy_that_reported_it() {
        for bad in
            ["unknown", "", "1.2.3", "1.2.3.4.5", "192.0.2.1;10.1.1.1", "[::1", "fe80::1%eth0", "\"10.1.1.1"]
        {
            assert_eq!(seen("10.0.0.1", &[bad]), "10.0.0.1", "{bad:?}");
            assert_eq!(seen("10.0.0.1", &[&format!("192.0.2.1,{bad},10.1.1.1")]), "10.1.1.1", "{bad:?}");
        }
    }

    #[test]
    fn ports_and_brackets_and_mapped_addresses_are_understood() {
        assert_eq!(seen("10.0.0.1", &["192.0.2.1:443"]), "192.0.2.1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["\"[2001:db8::1]:443\""]), "2001:db8::1");
        assert_eq!(seen("10.0.0.1", &["198.51.100.7, \"192.0.2.1\" ,\"10.1.1.1:80\""]), "192.0.2.1");
        assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn an_empty_list_allows_nobody() {
        assert!(!allowed(ip("127.0.0.1"), &[]));
        assert!(!allowed(ip("::1"), &[]));
    }

    #[test]
    fn mapped_and_plain_addresses_match_mapped_and_plain_networks() {
        for network in ["192.0.2.0/24", "::ffff:192.0.2.0/120"] {
            for address in ["192.0.2.77", "::ffff:192.0.2.77"] {
                assert!(allowed(ip(address), &nets(&[network])), "{address} in {network}");
            }
            assert!(!allowed(ip("192.0.3.1"), &nets(&[network])));
            assert!(!allowed(ip("2001:db8::1"), &nets(&[network])));
        }
    }

    #[test]
    fn a_chain_longer_than_the_limit_is_not_walked_to_its_end() {
        let chain = format!("192.0.2.1{}", ",10.1.1.1".repeat(FORWARDED_HOPS_MAX));
        assert_eq!(seen("10.0.0.1", &[&chain]), "10.1.1.1");
    }

    proptest! {
        #[test]
        fn what_a_caller_writes_left_of_its_own_address_changes_nothing(forged in "[ -~]{0,60}") {
            let honest = seen("10.0.0.1", &["192.0.2.1"]);
            prop_assert_eq!(seen("10.0.0.1", &[&format!("{forged},192.0.2.1")]), honest.clone());
            prop_assert_eq!(seen("10.0.0.1", &[&forged, "192.0.2.1"]), honest);
        }

        #[test]
        fn a_network_allows_its_own_addresses(bits: u32, length in 0_u8..=32) {
            let network = Ipv4Net::new(bits.into(), length).unwrap();
            prop_assert!(allowed(IpAddr::V4(bits.into()), &[network.into()]));
            let mapped = std::net::Ipv4Addr::from(bits).to_ipv6_mapped();
            prop_assert!(allowed(IpAddr::V6(mapped), &[network.into()]));
        }
    }
}
