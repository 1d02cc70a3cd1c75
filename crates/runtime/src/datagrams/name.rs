//! Socket addresses as the kernel writes them (`sockaddr_in`, `sockaddr_in6`), as plain bytes.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for a `sockaddr_in6`, the larger of the two.
pub(super) const ROOM: usize = 28;
const V4_LENGTH: usize = 16;

/// A socket address as the kernel writes it.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4))]
pub(super) struct Name(pub(super) [u8; ROOM]);

impl Name {
    pub(super) const EMPTY: Self = Self([0; ROOM]);

    /// Writes an address; how many bytes it takes.
    pub(super) fn write(&mut self, address: SocketAddr) -> usize {
        let family = |v6: bool| (if v6 { libc::AF_INET6 } else { libc::AF_INET }) as u16;
        self.0 = [0; ROOM];
        self.0[..2].copy_from_slice(&family(address.is_ipv6()).to_ne_bytes());
        self.0[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                self.0[4..8].copy_from_slice(&v4.ip().octets());
                V4_LENGTH
            }
            SocketAddr::V6(v6) => {
                self.0[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                self.0[8..24].copy_from_slice(&v6.ip().octets());
                self.0[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                ROOM
            }
        }
    }

    /// Reads an address of so many bytes.
    pub(super) fn read(&self, length: usize) -> Option<SocketAddr> {
        let bytes = self.0.get(..length)?;
        let family = i32::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
        if family == libc::AF_INET {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            return Some(SocketAddrV4::new(Ipv4Addr::from(ip), port).into());
        }
        if family != libc::AF_INET6 {
            return None;
        }
        let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
        // The flow label belongs to the client's packets, not to who it is.
        let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
        Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope).into())
    }
}

#[cfg(test)]
mod tests {
    use super::Name;
    use std::net::SocketAddr;

    #[test]
    fn what_is_written_is_read() {
        for text in ["127.0.0.1:53", "[2001:db8::1]:65535", "[fe80::1%3]:9"] {
            let address: SocketAddr = text.parse().unwrap();
            let mut name = Name::EMPTY;
            let length = name.write(address);
            assert_eq!(name.read(length), Some(address));
            assert_eq!(name.read(length - 1).filter(|_| address.is_ipv6()), None);
        }
        assert_eq!(Name::EMPTY.read(28), None);
        assert_eq!(Name::EMPTY.read(0), None);
    }
}
