//! Packets on their way from one process to another, with what the kernel has told of them.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use quinn::udp::{EcnCodepoint, RecvMeta};

/// Bytes before the packets: flags, ECN, stride, the sender's address, port and scope, and where it was sent to.
pub(crate) const HEADER: usize = 1 + 1 + 4 + 16 + 2 + 4 + 16;

const SENDER_IS_V4: u8 = 1;
const HAS_DESTINATION: u8 = 2;
const DESTINATION_IS_V4: u8 = 4;

/// The packets of one entry of a batch.
pub(crate) fn write(packets: &[u8], meta: &RecvMeta) -> Vec<u8> {
    let mut flags = 0;
    let (address, scope) = match meta.addr {
        SocketAddr::V4(v4) => {
            flags |= SENDER_IS_V4;
            (v4.ip().to_ipv6_mapped(), 0)
        }
        SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
    };
    let destination = match meta.dst_ip {
        None => Ipv6Addr::UNSPECIFIED,
        Some(IpAddr::V4(v4)) => {
            flags |= HAS_DESTINATION | DESTINATION_IS_V4;
            v4.to_ipv6_mapped()
        }
        Some(IpAddr::V6(v6)) => {
            flags |= HAS_DESTINATION;
            v6
        }
    };
    let stride = u32::try_from(meta.stride).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(HEADER + packets.len());
    frame.extend_from_slice(&[flags, meta.ecn.map_or(0, |ecn| ecn as u8)]);
    frame.extend_from_slice(&stride.to_be_bytes());
    frame.extend_from_slice(&address.octets());
    frame.extend_from_slice(&meta.addr.port().to_be_bytes());
    frame.extend_from_slice(&scope.to_be_bytes());
    frame.extend_from_slice(&destination.octets());
    frame.extend_from_slice(packets);
    frame
}

/// Reads an entry; false if it is none, or does not fit into the buffer.
pub(crate) fn read(frame: &[u8], buffer: &mut IoSliceMut<'_>, meta: &mut RecvMeta) -> bool {
    let Some((header, packets)) = frame.split_first_chunk::<HEADER>() else { return false };
    let (Some(room), false) = (buffer.get_mut(..packets.len()), packets.is_empty()) else { return false };
    room.copy_from_slice(packets);
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let address = |at: usize| {
        let mut octets = [0; 16];
        octets.copy_from_slice(&header[at..at + 16]);
        Ipv6Addr::from(octets)
    };
    let v4 = |address: Ipv6Addr, flag| match header[0] & flag {
        0 => None,
        _ => address.to_ipv4_mapped(),
    };
    let (flags, port) = (header[0], u16::from_be_bytes([header[22], header[23]]));
    let (sender, destination) = (address(6), address(28));
    meta.addr = match v4(sender, SENDER_IS_V4) {
        Some(sender) => SocketAddr::from((sender, port)),
        None => SocketAddr::V6(SocketAddrV6::new(sender, port, 0, number(24))),
    };
    meta.dst_ip = (flags & HAS_DESTINATION != 0)
        .then(|| v4(destination, DESTINATION_IS_V4).map_or(IpAddr::V6(destination), IpAddr::V4));
    meta.ecn = EcnCodepoint::from_bits(header[1]);
    meta.len = packets.len();
    // What is read in strides must have one.
    meta.stride = (number(2) as usize).clamp(1, packets.len());
    true
}

#[cfg(test)]
mod tests {
    use super::{HEADER, read, write};
    use quinn::udp::{EcnCodepoint, RecvMeta};
    use std::io::IoSliceMut;

    #[test]
    fn what_is_told_of_packets_arrives_with_them() {
        let addresses = ["192.0.2.7:4433", "[2001:db8::1]:443", "[fe80::1%3]:9"];
        let destinations = [None, Some("127.0.0.1".parse().unwrap()), Some("::1".parse().unwrap())];
        for (addr, dst_ip) in addresses.iter().flat_map(|a| destinations.map(|d| (a, d))) {
            for ecn in [None, Some(EcnCodepoint::Ect0), Some(EcnCodepoint::Ect1), Some(EcnCodepoint::Ce)] {
                let mut told = RecvMeta::default();
                (told.addr, told.dst_ip, told.ecn) = (addr.parse().unwrap(), dst_ip, ecn);
                (told.len, told.stride) = (9, 4);
                let frame = write(b"nine byte", &told);
                let (mut room, mut meta) = ([0; 64], RecvMeta::default());
                assert!(read(&frame, &mut IoSliceMut::new(&mut room), &mut meta));
                assert_eq!(&room[..meta.len], b"nine byte");
                assert_eq!((meta.addr, meta.dst_ip, meta.ecn, meta.stride), (told.addr, dst_ip, ecn, 4));
            }
        }
    }

    #[test]
    fn what_is_no_packet_is_not_taken_for_one() {
        let mut meta = RecvMeta::default();
        (meta.len, meta.stride) = (3, 0);
        let frame = write(b"abc", &meta);
        let mut room = [0; 64];
        for length in 0..=HEADER {
            assert!(!read(&frame[..length], &mut IoSliceMut::new(&mut room), &mut meta));
        }
        assert!(!read(&frame, &mut IoSliceMut::new(&mut room[..2]), &mut meta));
        assert!(read(&frame, &mut IoSliceMut::new(&mut room), &mut meta));
        assert_eq!(meta.stride, 1);
    }
}
