//! How a packet finds the worker of its connection.
//!
//! Workers bind the same UDP port. Left alone, the kernel would choose a socket by the client's address, and a
//! client whose address changes (another network, a new NAT binding) would be heard by a worker that does not
//! know it. So the ids that Tollgate gives its connections tell the worker in their first byte, and a small
//! program in the kernel chooses the socket by that byte. The first packets of a client carry an id that the
//! client made up: they go by its first byte, too, and the worker that they reach keeps the connection.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use quinn::{ConnectionId, ConnectionIdGenerator};
use socket2::{Domain, Protocol, Socket, Type};

use crate::settings::Secret;

/// The most workers that can share a port: their number is told in one byte.
pub const MAX_WORKERS: usize = 256;

/// Receive and send buffer asked for each socket, in bytes. The kernel's default of about 200 KiB holds some 150
/// packets, which one scheduling delay of a busy worker overflows. Where the system allows less, it gives less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The sockets of a port, one for each worker in the order of their index.
#[derive(Debug)]
pub struct Group {
    /// One socket for each worker.
    pub sockets: Vec<UdpSocket>,
    /// How packets are spread over them.
    pub steering: Steering,
}

/// How the kernel spreads packets over the sockets of a group.
#[derive(Debug)]
pub enum Steering {
    /// By connection id: a connection outlives a change of its client's address.
    ByConnectionId,
    /// By address, since the kernel refused the program for the reason given. A connection of several workers'
    /// port then ends when its client's address changes.
    ByAddress(io::Error),
}

/// Binds `workers` sockets to a UDP address and has packets steered by connection id.
///
/// With port 0 the kernel chooses one port for all. Must be called once for an address: the order in which
/// sockets join the port is the order of workers.
pub fn bind_group(address: SocketAddr, workers: usize) -> io::Result<Group> {
    if workers == 0 || workers > MAX_WORKERS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("a UDP port is shared by 1 to {MAX_WORKERS} workers, not by {workers}"),
        ));
    }
    let mut sockets = Vec::with_capacity(workers);
    let mut address = address;
    for _ in 0..workers {
        let socket = bind(address)?;
        address = socket.local_addr()?;
        sockets.push(socket);
    }
    Ok(steer(sockets))
}

/// Takes the sockets that another process has bound to a UDP address, in the order in which they joined it, and has
/// packets steered by connection id.
///
/// # Errors
/// They are none, or more than can share a port, or not for datagrams.
pub fn adopt_group(sockets: Vec<UdpSocket>) -> io::Result<Group> {
    if sockets.is_empty() || sockets.len() > MAX_WORKERS {
        let problem = format!("a UDP port is shared by 1 to {MAX_WORKERS} sockets, not by {}", sockets.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let adopt = |socket: UdpSocket| {
        let socket = Socket::from(socket);
        prepare(&socket)?;
        Ok(socket.into())
    };
    Ok(steer(sockets.into_iter().map(adopt).collect::<io::Result<_>>()?))
}

fn steer(sockets: Vec<UdpSocket>) -> Group {
    let steering = match attach_program(&sockets[0], sockets.len()) {
        Ok(()) => Steering::ByConnectionId,
        Err(_) if sockets.len() == 1 => Steering::ByConnectionId,
        Err(error) => Steering::ByAddress(error),
    };
    Group { sockets, steering }
}

fn prepare(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // Less than asked for is no reason not to serve.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    Ok(())
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(true)?;
    prepare(&socket)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// The program: a packet with a long header (first bit set) has its destination connection id from byte 6 on
/// (RFC 8999 section 5.1: flags, version, length, id), one with a short header from byte 1 on (section 5.2).
/// The answer is the index of a socket. A packet too short for a load ends the program with 0, which is a
/// socket like any other and drops it.
#[cfg(target_os = "linux")]
fn program(workers: u32) -> [libc::sock_filter; 7] {
    // The codes of classic BPF, as linux/bpf_common.h has them.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP: u16 = 0x05;
    const JUMP_IF_SET: u16 = 0x45;
    const MODULO: u16 = 0x94;
    const RETURN_ACCUMULATOR: u16 = 0x16;
    let op = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    [
        op(LOAD_BYTE, 0, 0, 0),
        op(JUMP_IF_SET, 0, 2, 0x80),
        op(LOAD_BYTE, 0, 0, 6),
        op(JUMP, 0, 0, 1),
        op(LOAD_BYTE, 0, 0, 1),
        op(MODULO, 0, 0, workers),
        op(RETURN_ACCUMULATOR, 0, 0, 0),
    ]
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe crate sets SO_ATTACH_REUSEPORT_CBPF, without which connections cannot migrate"
)]
fn attach_program(socket: &UdpSocket, workers: usize) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    /// From asm-generic/socket.h; the architectures that Tollgate is built for share it.
    const SO_ATTACH_REUSEPORT_CBPF: libc::c_int = 51;
    let mut code = program(workers as u32);
    let filter = libc::sock_fprog { len: code.len() as libc::c_ushort, filter: code.as_mut_ptr() };
    // SAFETY: the descriptor is open as long as `socket` is borrowed; the option's value is a `sock_fprog` that
    // outlives the call, passed with its own size, and points at `len` instructions that outlive it, too. The
    // kernel copies and checks the program and keeps no pointer.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(not(target_os = "linux"))]
fn attach_program(_: &UdpSocket, _: usize) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux steers packets by connection id"))
}

/// Makes connection ids that tell their worker: the first byte modulo the number of workers is its index.
/// Then comes the instance, and the rest is a keyed hash of a count, which nobody without the key can tell from chance.
#[derive(Clone)]
pub(crate) struct WorkerIds {
    key: hmac::Key,
    made: Arc<AtomicU64>,
    instance: Instance,
    index: u8,
    workers: u16,
}

/// What the connection ids of one process have in common. Drawn by chance: that a client makes up an id with it
/// happens once in 16 million.
pub type Instance = [u8; INSTANCE_LENGTH];
pub(crate) const INSTANCE_LENGTH: usize = 3;
/// Where it stands in an id.
const INSTANCE: std::ops::Range<usize> = 1..1 + INSTANCE_LENGTH;

/// Set in the first byte of packets that tell the length of the id they carry (RFC 8999 section 5.1).
const LONG: u8 = 0x80;

/// Whether a packet is one of a connection that stands (RFC 9000 section 17.3).
pub(crate) fn is_short(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first & LONG == 0)
}

/// The instance that stands in the id a packet goes to; `None` where that is an id of a length that none of ours has.
pub(crate) fn instance_of(packet: &[u8]) -> Option<Instance> {
    let id = match is_short(packet) {
        true => packet.get(1..)?,
        false if usize::from(*packet.get(5)?) == ID_LENGTH => packet.get(6..)?,
        false => return None,
    };
    id.get(..ID_LENGTH)?.get(INSTANCE)?.try_into().ok()
}

/// How long Tollgate's connection ids are, in bytes.
const ID_LENGTH: usize = 8;

impl WorkerIds {
    /// Ids of the worker `index` of `workers`, which are at most [`MAX_WORKERS`].
    pub(crate) fn new(secret: &Secret, index: usize, workers: usize) -> io::Result<Self> {
        match (u8::try_from(index), u16::try_from(workers)) {
            (Ok(worker), Ok(count)) if index < workers && workers <= MAX_WORKERS => {
                let (key, made) = secret.id_key();
                Ok(Self { key, made, instance: secret.instance(), index: worker, workers: count })
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("worker {index} of {workers} cannot have connection ids"),
            )),
        }
    }

    /// The byte nearest to `random` that tells this worker.
    fn mark(&self, random: u8) -> u8 {
        let base = u16::from(random) - u16::from(random) % self.workers;
        let marked = base + u16::from(self.index);
        // The last multiple may leave no room for all workers.
        u8::try_from(marked).unwrap_or_else(|_| (marked - self.workers) as u8)
    }
}

impl ConnectionIdGenerator for WorkerIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let count = self.made.fetch_add(1, Ordering::Relaxed);
        let hash = hmac::sign(&self.key, &count.to_be_bytes());
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&hash.as_ref()[..ID_LENGTH]);
        id[0] = self.mark(id[0]);
        id[INSTANCE].copy_from_slice(&self.instance);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        ID_LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{Steering, WorkerIds, bind_group};
    use quinn::ConnectionIdGenerator;
    use std::net::UdpSocket;

    #[test]
    fn ids_tell_their_worker_whatever_their_number() {
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(std::sync::Arc::new(rustls::server::ResolvesServerCertUsingSni::new()));
        let secret = crate::Secret::new(&tls).unwrap();
        for workers in 1..=256 {
            for index in [0, workers / 2, workers - 1] {
                let ids = WorkerIds::new(&secret, index, workers).unwrap();
                for random in 0..=255 {
                    assert_eq!(
                        usize::from(ids.mark(random)) % workers,
                        index,
                        "{index} of {workers}, byte {random}"
                    );
                }
            }
        }
        assert!(WorkerIds::new(&secret, 2, 2).is_err());
        assert!(WorkerIds::new(&secret, 0, 257).is_err());
        let mut ids = WorkerIds::new(&secret, 1, 3).unwrap();
        assert_ne!(ids.generate_cid(), ids.generate_cid());
    }

    #[test]
    fn packets_go_where_their_id_says() {
        let group = bind_group("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert!(matches!(group.steering, Steering::ByConnectionId), "{:?}", group.steering);
        let to = group.sockets[0].local_addr().unwrap();
        for worker in 0..3_u8 {
            // Each from another address, as a client that wanders.
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            let short = [0x40, 3 + worker, 9, 9, 9, 9, 9, 9, 9];
            let long = [0xc0, 0, 0, 0, 1, 8, 30 + worker, 7, 7, 7, 7, 7, 7, 7];
            client.send_to(&short, to).unwrap();
            client.send_to(&long, to).unwrap();
            let socket = &group.sockets[usize::from(worker)];
            socket.set_nonblocking(false).unwrap();
            let mut buf = [0; 64];
            assert_eq!(socket.recv(&mut buf).unwrap(), short.len());
            assert_eq!(socket.recv(&mut buf).unwrap(), long.len());
        }
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&[0x80, 1], to).unwrap();
        client.send_to(&[], to).unwrap();
        group.sockets[0].set_nonblocking(false).unwrap();
        assert_eq!(group.sockets[0].recv(&mut [0; 64]).unwrap(), 2);
    }

    #[test]
    fn groups_have_a_size() {
        assert!(bind_group("127.0.0.1:0".parse().unwrap(), 0).is_err());
        assert!(bind_group("127.0.0.1:0".parse().unwrap(), 257).is_err());
    }
}
