//! Networks of `in_network`.

use std::net::IpAddr;

/// Addresses of one family with a common beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    V4 { first: u32, mask: u32 },
    V6 { first: u128, mask: u128 },
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address. The error says what is wrong and what would mend it.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<String>)> {
        let (address, length) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let wrong = || (format!("`{text}` is not a network"), Some("such as `10.0.0.0/8`".to_owned()));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match length {
            None => most,
            // No sign, no spaces.
            Some(bits) if !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|&bits| bits <= most).ok_or_else(wrong)?
            }
            Some(_) => return Err(wrong()),
        };
        let (network, first): (_, IpAddr) = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                let first = address.to_bits() & mask;
                (Self::V4 { first, mask }, std::net::Ipv4Addr::from_bits(first).into())
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                let first = address.to_bits() & mask;
                (Self::V6 { first, mask }, std::net::Ipv6Addr::from_bits(first).into())
            }
        };
        match first == address {
            true => Ok(network),
            false => Err((
                format!("`{text}` has bits set behind its length"),
                Some(format!("write `{first}/{bits}`")),
            )),
        }
    }

    /// Whether the address is in it. An IPv4 address is one however it is written.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Self::V4 { first, mask }, IpAddr::V4(address)) => address.to_bits() & mask == *first,
            (Self::V6 { first, mask }, IpAddr::V6(address)) => address.to_bits() & mask == *first,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Network;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
        ] {
            let network = Network::parse(network).unwrap();
            assert_eq!(network.holds(address.parse().unwrap()), inside, "{network:?} {address}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "10/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "a/8",
            "010.0.0.1",
        ] {
            assert!(Network::parse(text).is_err(), "{text}");
        }
        assert_eq!(Network::parse("10.1.2.3/8").unwrap_err().1.unwrap(), "write `10.0.0.0/8`");
    }
}
