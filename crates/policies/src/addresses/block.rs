//! Blocks of addresses as people write them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address. IPv6 spellings of IPv4
/// (`::ffff:192.0.2.1`, `::ffff:192.0.2.0/120`) are IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressBlock {
    first: IpAddr,
    last: IpAddr,
}

/// What is wrong with the text of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBlock {
    /// Before the `/` is no address.
    Address,
    /// Behind the `/` is no number of bits that an address of this kind has.
    Prefix,
    /// The address has bits behind its prefix; this is the block that it lies in.
    Bits {
        /// Its first address.
        first: IpAddr,
        /// Its prefix.
        prefix: u8,
    },
}

impl fmt::Display for BadBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address => {
                f.write_str("not a block of addresses: write it like `10.0.0.0/8` or `192.0.2.1`")
            }
            Self::Prefix => f.write_str("the prefix is not from 0 to 32 (IPv4) or 128 (IPv6)"),
            Self::Bits { first, prefix } => {
                write!(f, "bits are set behind the prefix: write `{first}/{prefix}`")
            }
        }
    }
}

impl std::error::Error for BadBlock {}

impl AddressBlock {
    /// The block of all addresses that share the first `prefix` bits with this one. With bits set behind the
    /// prefix it is refused, since one of the two must be a mistake.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, BadBlock> {
        let block = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let behind = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let first = u32::from(v4) & !behind;
                Self { first: Ipv4Addr::from(first).into(), last: Ipv4Addr::from(first | behind).into() }
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let behind = u128::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
                let first = u128::from(v6) & !behind;
                Self { first: Ipv6Addr::from(first).into(), last: Ipv6Addr::from(first | behind).into() }
            }
            _ => return Err(BadBlock::Prefix),
        };
        if block.first != address {
            return Err(BadBlock::Bits { first: block.first, prefix });
        }
        // Below 96 bits, a block of IPv6 may hold more than IPv4's spellings, and holds none of IPv4.
        let (first, last) = (block.first.to_canonical(), block.last.to_canonical());
        let same_kind = first.is_ipv4() == last.is_ipv4();
        Ok(if same_kind { Self { first, last } } else { block })
    }

    /// The first address.
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    pub fn last(&self) -> IpAddr {
        self.last
    }
}

impl From<IpAddr> for AddressBlock {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { first: address, last: address }
    }
}

impl FromStr for AddressBlock {
    type Err = BadBlock;

    fn from_str(text: &str) -> Result<Self, BadBlock> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| BadBlock::Address)?;
        let Some(prefix) = prefix else { return Ok(address.into()) };
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|_| digits).ok_or(BadBlock::Prefix)?;
        Self::new(address, prefix)
    }
}
