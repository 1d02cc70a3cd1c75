//! Control messages beside a datagram (`cmsg(3)`), as plain bytes: where it was sent to, and how it was joined.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for the address of the packet and the size of its segments.
pub(super) const ROOM: usize = 64;
const WORD: usize = size_of::<usize>();
/// `cmsghdr`: length, level, type.
const HEADER: usize = WORD + 8;

/// Control messages of one datagram.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control(pub(super) [u8; ROOM]);

/// The address of this machine that a packet was sent to, and that replies to it must come from: of a socket
/// that is bound to all addresses nobody else knows (`IP_PKTINFO`, `IPV6_PKTINFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PacketAddress {
    /// The address; of an IPv6 socket an IPv6 one, IPv4 ones mapped.
    ip: IpAddr,
    /// The interface, for addresses that mean something only with it; else 0.
    interface: u32,
}

impl PacketAddress {
    /// The address.
    pub fn ip(&self) -> IpAddr {
        self.ip.to_canonical()
    }
}

/// What control messages say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) to: Option<PacketAddress>,
    /// The size of the datagrams that were joined; 0 where there is one.
    pub(super) segment: u16,
}

impl Control {
    pub(super) const EMPTY: Self = Self([0; ROOM]);

    /// Reads so many bytes of control messages.
    pub(super) fn read(&self, length: usize) -> Said {
        let mut said = Said::default();
        let mut rest = self.0.get(..length).unwrap_or(&self.0);
        while let Some((level, kind, data, next)) = next_message(rest) {
            match (level, kind) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => said.to = packet_address_v4(data).or(said.to),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => said.to = packet_address_v6(data).or(said.to),
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = data.first_chunk().map_or(0, |size| i32::from_ne_bytes(*size));
                    said.segment = u16::try_from(size).unwrap_or(0);
                }
                _ => {}
            }
            rest = next;
        }
        said
    }

    /// Writes control messages; how many bytes they take.
    pub(super) fn write(&mut self, from: Option<PacketAddress>, segment: u16) -> usize {
        let mut at = 0;
        match from {
            Some(PacketAddress { ip: IpAddr::V4(ip), .. }) => {
                // Interface (any), source, and an address that only matters to receivers.
                let mut data = [0; 12];
                data[4..8].copy_from_slice(&ip.octets());
                at = self.message(at, libc::IPPROTO_IP, libc::IP_PKTINFO, &data);
            }
            Some(PacketAddress { ip: IpAddr::V6(ip), interface }) => {
                let mut data = [0; 20];
                data[..16].copy_from_slice(&ip.octets());
                data[16..].copy_from_slice(&interface.to_ne_bytes());
                at = self.message(at, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &data);
            }
            None => {}
        }
        if segment != 0 {
            at = self.message(at, libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        at
    }

    fn message(&mut self, at: usize, level: i32, kind: i32, data: &[u8]) -> usize {
        let end = at + HEADER + data.len();
        self.0[at..at + WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        self.0[at + WORD..at + WORD + 4].copy_from_slice(&level.to_ne_bytes());
        self.0[at + WORD + 4..at + HEADER].copy_from_slice(&kind.to_ne_bytes());
        self.0[at + HEADER..end].copy_from_slice(data);
        end.next_multiple_of(WORD)
    }
}

/// The first message: its level, type and data, and what comes behind it.
fn next_message(bytes: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let length = usize::from_ne_bytes(*bytes.first_chunk()?);
    let level = i32::from_ne_bytes(*bytes.get(WORD..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*bytes.get(WORD + 4..)?.first_chunk()?);
    let data = bytes.get(HEADER..length)?;
    Some((level, kind, data, bytes.get(length.next_multiple_of(WORD)..).unwrap_or_default()))
}

/// `in_pktinfo`: the interface, the local address to answer from, the address in the packet (which may be a
/// broadcast).
fn packet_address_v4(data: &[u8]) -> Option<PacketAddress> {
    let ip: [u8; 4] = *data.get(4..)?.first_chunk()?;
    Some(PacketAddress { ip: Ipv4Addr::from(ip).into(), interface: 0 })
}

/// `in6_pktinfo`: the address in the packet, the interface.
fn packet_address_v6(data: &[u8]) -> Option<PacketAddress> {
    let ip = Ipv6Addr::from(*data.first_chunk::<16>()?);
    let interface = u32::from_ne_bytes(*data.get(16..)?.first_chunk()?);
    let interface = if ip.is_unicast_link_local() { interface } else { 0 };
    // Nothing can be sent from a group's address.
    (!ip.is_multicast()).then_some(PacketAddress { ip: ip.into(), interface })
}

#[cfg(test)]
mod tests {
    use super::{Control, PacketAddress, Said};

    #[test]
    fn what_is_written_is_read() {
        let v4 = PacketAddress { ip: "127.0.0.9".parse().unwrap(), interface: 0 };
        let v6 = PacketAddress { ip: "2001:db8::1".parse().unwrap(), interface: 0 };
        let local = PacketAddress { ip: "fe80::1".parse().unwrap(), interface: 7 };
        for to in [None, Some(v4), Some(v6), Some(local)] {
            let mut control = Control::EMPTY;
            let length = control.write(to, 0);
            assert_eq!(control.read(length), Said { to, segment: 0 });
            // Cut short it says nothing, and nothing is read beyond it.
            (0..length).for_each(|cut| assert!(control.read(cut).segment == 0));
            assert!(control.write(to, 1200) <= super::ROOM);
        }
        assert_eq!(Control([0xff; 64]).read(64), Said::default());
    }
}
