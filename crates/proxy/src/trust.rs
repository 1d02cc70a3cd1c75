//! Whose word about its clients is believed, and what a trusted proxy says about them.

use std::net::IpAddr;

/// A set of address ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    ranges: Vec<(IpAddr, u8)>,
}

impl TrustedProxies {
    /// The set of these ranges, each an address and the number of its leading bits that count.
    pub fn new(ranges: Vec<(IpAddr, u8)>) -> Self {
        Self { ranges }
    }

    /// Whether an address is in one of the ranges. An IPv4 address that came in on an IPv6 socket
    /// counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        !self.ranges.is_empty() && {
            let address = address.to_canonical();
            self.ranges.iter().any(|(network, bits)| in_range(address, *network, *bits))
        }
    }

    /// The client's address by `X-Forwarded-For`: the last one that is not a trusted proxy's.
    /// `None` where the field holds none, or something else than addresses.
    pub fn client_address(&self, forwarded_for: &[u8]) -> Option<IpAddr> {
        let text = std::str::from_utf8(forwarded_for).ok()?;
        let mut client = None;
        for entry in text.rsplit(',') {
            let address: IpAddr = entry.trim().parse().ok()?;
            client = Some(address);
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

fn in_range(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => {
            let shift = 32u32.saturating_sub(u32::from(bits));
            u64::from(a.to_bits()) >> shift == u64::from(n.to_bits()) >> shift
        }
        (IpAddr::V6(a), IpAddr::V6(n)) => {
            let shift = 128u32.saturating_sub(u32::from(bits));
            a.to_bits().checked_shr(shift) == n.to_bits().checked_shr(shift)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::TrustedProxies;

    #[test]
    fn ranges_and_the_last_untrusted_address() {
        let trusted = TrustedProxies::new(vec![
            ("10.0.0.0".parse().unwrap(), 8),
            ("::1".parse().unwrap(), 128),
            ("fd00::".parse().unwrap(), 8),
        ]);
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::ffff:10.1.1.1", true),
            ("::1", true),
            ("::2", false),
            ("fd12::1", true),
        ] {
            assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{address}");
        }
        let client = |text: &str| trusted.client_address(text.as_bytes()).map(|a| a.to_string());
        assert_eq!(client("1.2.3.4, 5.6.7.8, 10.0.0.1").as_deref(), Some("5.6.7.8"));
        assert_eq!(client("10.0.0.2, 10.0.0.1").as_deref(), Some("10.0.0.2"));
        assert_eq!(client("evil, 10.0.0.1"), None);
        assert!(
            TrustedProxies::new(vec![("0.0.0.0".parse().unwrap(), 0)]).contains("9.9.9.9".parse().unwrap())
        );
        assert!(TrustedProxies::new(vec![("::".parse().unwrap(), 0)]).contains("2::9".parse().unwrap()));
    }
}
