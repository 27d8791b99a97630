//! Which addresses a name may lead to.
//!
//! **A name never grants a private address.** The effects check every address that a name resolves to, and connect to no
//! other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{denial::Denial, line, word::Word};

/// An address that only a written network allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {kind}")]
pub struct AddressRefused {
    /// The address. An IPv4 address inside an IPv6 one stands here as IPv4.
    pub address: IpAddr,
    /// What kind of address, with its article: `a private address`.
    pub kind: &'static str,
}

/// Lets a public address pass, and any other that lies in one of the networks in `allowed`.
///
/// # Errors
///
/// Every other address. An IPv4 address mapped into IPv6 is judged as what it is.
pub fn check(address: IpAddr, allowed: &[IpNet]) -> Result<(), AddressRefused> {
    let address = address.to_canonical();
    let kind = match address {
        IpAddr::V4(v4) => special_v4(v4),
        IpAddr::V6(v6) => special_v6(v6),
    };
    match kind {
        Some(kind) if !allowed.iter().any(|net| net.contains(&address)) => Err(AddressRefused { address, kind }),
        _ => Ok(()),
    }
}

/// Whether each of the networks in `narrow` lies within one of those in `wide`.
///
/// Never wrongly true. False where only several networks together hold one.
#[must_use]
pub fn includes(wide: &[IpNet], narrow: &[IpNet]) -> bool {
    narrow.iter().all(|net| wide.iter().any(|wide| wide.contains(net)))
}

impl AddressRefused {
    /// The narrowest network that would allow it.
    #[must_use]
    pub fn network(&self) -> IpNet {
        IpNet::from(self.address)
    }

    /// The denial of a peer's address. `addresses` are those that the peer has. The hint is the line of the peer.
    #[must_use]
    pub fn at_peer(&self, word: Word, peer: &str, addresses: &[IpNet]) -> Denial {
        Denial::new(word, peer, format!("{self}, and the peer's `addresses` do not hold it"))
            .with_hint(Some(format!("addresses = {}", self.added_to(addresses))))
    }

    /// `addresses` and the narrowest network, as an array of TOML.
    pub(crate) fn added_to(&self, addresses: &[IpNet]) -> String {
        line::array(addresses.iter().copied().chain([self.network()]).map(|net| line::text(&net.to_string())))
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The first that holds an address names its kind.
const SPECIAL_V4: [(Ipv4Net, &str); 19] = [
    (v4(0, 0, 0, 0, 32), "the unspecified address"),
    (v4(0, 0, 0, 0, 8), "an address of this host (0.0.0.0/8)"),
    (v4(127, 0, 0, 0, 8), "a loopback address"),
    (v4(169, 254, 169, 254, 32), "a cloud metadata address"),
    (v4(168, 63, 129, 16, 32), "a cloud metadata address"),
    (v4(100, 100, 100, 200, 32), "a cloud metadata address"),
    (v4(192, 0, 0, 192, 32), "a cloud metadata address"),
    (v4(169, 254, 0, 0, 16), "a link-local address"),
    (v4(10, 0, 0, 0, 8), "a private address"),
    (v4(172, 16, 0, 0, 12), "a private address"),
    (v4(192, 168, 0, 0, 16), "a private address"),
    (v4(100, 64, 0, 0, 10), "a carrier's shared address (CGNAT)"),
    (v4(192, 0, 0, 0, 24), "a protocol assignment address"),
    (v4(192, 0, 2, 0, 24), "a documentation address"),
    (v4(198, 51, 100, 0, 24), "a documentation address"),
    (v4(203, 0, 113, 0, 24), "a documentation address"),
    (v4(198, 18, 0, 0, 15), "a benchmark address"),
    (v4(192, 88, 99, 0, 24), "a 6to4 relay address"),
    (v4(224, 0, 0, 0, 4), "a multicast address"),
];

/// The first that holds an address names its kind.
const SPECIAL_V6: [(Ipv6Net, &str); 19] = [
    (v6(0, 0, 0, 128), "the unspecified address"),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128), "a cloud metadata address"),
    (Ipv6Net::new_assert(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128), "a cloud metadata address"),
    (v6(0, 0, 0, 96), "an IPv4-compatible address"),
    (v6(0x64, 0xff9b, 0, 96), "a NAT64 address"),
    (v6(0x64, 0xff9b, 1, 48), "a NAT64 address"),
    (v6(0x100, 0, 0, 64), "a discard address"),
    (v6(0x2001, 0, 0, 32), "a Teredo address"),
    (v6(0x2001, 2, 0, 48), "a benchmark address"),
    (v6(0x2001, 0xdb8, 0, 32), "a documentation address"),
    (v6(0x2001, 0, 0, 23), "a protocol assignment address"),
    (v6(0x2002, 0, 0, 16), "a 6to4 address"),
    (v6(0x3fff, 0, 0, 20), "a documentation address"),
    (v6(0xfc00, 0, 0, 7), "a unique-local address"),
    (v6(0xfe80, 0, 0, 10), "a link-local address"),
    (v6(0xfec0, 0, 0, 10), "a site-local address"),
    (v6(0xff00, 0, 0, 8), "a multicast address"),
    (v6(0, 0, 0, 3), "a reserved address"),
];

/// Where clouds hand out credentials to whoever asks from inside.
pub(crate) const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

fn special_v4(address: Ipv4Addr) -> Option<&'static str> {
    let named = SPECIAL_V4.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind);
    named.or((address.octets()[0] >= 240).then_some("a reserved address"))
}

/// Of IPv6 only 2000::/3 is given to the public at all.
fn special_v6(address: Ipv6Addr) -> Option<&'static str> {
    let named = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address)).map(|(_, kind)| *kind);
    named.or((address.segments()[0] >> 13 != 1).then_some("a reserved address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn public_addresses_pass() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.17",
            "2606:4700:4700::1111",
            "2a00::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2003::1",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(check(address(text), &[]), Ok(()), "{text}");
        }
    }

    #[test]
    fn every_other_address_needs_a_network() {
        for (text, kind) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this host"),
            ("10.0.0.1", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "CGNAT"),
            ("100.127.255.255", "CGNAT"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.255", "loopback"),
            ("169.254.0.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200", "metadata"),
            ("192.0.0.192", "metadata"),
            ("192.0.0.8", "protocol"),
            ("192.0.2.1", "documentation"),
            ("198.51.100.1", "documentation"),
            ("203.0.113.9", "documentation"),
            ("198.18.0.1", "benchmark"),
            ("198.19.255.255", "benchmark"),
            ("192.88.99.1", "6to4"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.250", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:169.254.169.254", "metadata"),
            ("::ffff:10.0.0.1", "private"),
            ("::7f00:1", "IPv4-compatible"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b::808:808", "NAT64"),
            ("64:ff9b:1::1", "NAT64"),
            ("100::1", "discard"),
            ("2001::1", "Teredo"),
            ("2001:2::1", "benchmark"),
            ("2001:20::1", "protocol"),
            ("2001:db8::1", "documentation"),
            ("3fff:fff::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("fc00::1", "unique-local"),
            ("fdff::1", "unique-local"),
            ("fd00:ec2::254", "metadata"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("::ffff:0:7f00:1", "reserved"),
            ("4000::1", "reserved"),
            ("5f00::1", "reserved"),
            ("e000::1", "reserved"),
        ] {
            let refused = check(address(text), &[]).unwrap_err();
            assert!(refused.kind.contains(kind), "{text}: {refused}");
            assert_eq!(check(address(text), &[refused.network()]), Ok(()), "{text}");
            let elsewhere = ["9.0.0.0/8".parse().unwrap(), "2a00::/16".parse().unwrap()];
            assert!(check(address(text), &elsewhere).is_err(), "{text}");
        }
    }

    #[test]
    fn metadata_addresses_are_those_of_the_tables() {
        for address in METADATA {
            assert_eq!(check(address, &[]).unwrap_err().kind, "a cloud metadata address", "{address}");
        }
        let named = SPECIAL_V4.iter().map(|(_, kind)| kind).chain(SPECIAL_V6.iter().map(|(_, kind)| kind));
        assert_eq!(named.filter(|kind| kind.contains("metadata")).count(), METADATA.len());
    }

    #[test]
    fn a_network_of_the_other_family_allows_nothing() {
        assert!(check(address("10.0.0.1"), &["::/0".parse().unwrap()]).is_err());
        assert!(check(address("::ffff:10.0.0.1"), &["::/0".parse().unwrap()]).is_err());
        assert!(check(address("fc00::1"), &["0.0.0.0/0".parse().unwrap()]).is_err());
        assert_eq!(check(address("::ffff:10.0.0.1"), &["10.0.0.0/8".parse().unwrap()]), Ok(()));
    }

    #[test]
    fn networks_include_what_lies_within() {
        let nets = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        for (wide, narrow, included) in [
            (&["10.0.0.0/8"][..], &["10.1.0.0/16", "10.0.0.1/32"][..], true),
            (&["10.0.0.0/8"], &[], true),
            (&[], &["10.0.0.0/8"], false),
            (&["10.1.0.0/16"], &["10.0.0.0/8"], false),
            (&["10.0.0.0/8"], &["10.0.0.0/8", "127.0.0.1/32"], false),
            (&["10.0.0.0/8", "127.0.0.0/8"], &["10.0.0.0/8", "127.0.0.1/32"], true),
            (&["::/0"], &["10.0.0.0/8"], false),
            (&["0.0.0.0/0"], &["::1/128"], false),
            // Only both together hold it.
            (&["10.0.0.0/9", "10.128.0.0/9"], &["10.0.0.0/8"], false),
        ] {
            assert_eq!(includes(&nets(wide), &nets(narrow)), included, "{wide:?} {narrow:?}");
        }
    }

    #[test]
    fn the_denial_of_a_peer_shows_its_line() {
        let refused = check(address("10.1.2.3"), &[]).unwrap_err();
        let denial = refused.at_peer(Word::Sql, "main", &["192.168.0.0/16".parse().unwrap()]);
        assert_eq!(
            denial.to_string(),
            "sql main: 10.1.2.3 is a private address, and the peer's `addresses` do not hold it"
        );
        assert_eq!(denial.hint.as_deref(), Some(r#"addresses = ["192.168.0.0/16", "10.1.2.3/32"]"#));
    }
}
