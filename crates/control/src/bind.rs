//! Binding listeners: a socket of each kind that they need for each worker, all of a listener on one address. Sockets
//! that are inherited are taken instead, as many as there are.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_http3::{Relay, Seat, Secret, steering};
use tollgate_proxy::Snapshot;
use tollgate_proxy::listen::{ConnectionLimits, DatagramSocket, ListenSocket};
use tollgate_proxy::snapshot::{HttpService, Listener, Service};
use tollgate_runtime::datagrams;
use tollgate_runtime::sockets::{self, ListenOptions};

use crate::inherited::{Inherited, Passed, PassedQuic};

/// Connections that the kernel holds until a worker takes them; it may be told less by `somaxconn`.
const BACKLOG: i32 = 65_535;

/// A listener that is bound, through all snapshots that have it.
#[derive(Clone, Debug)]
pub struct Bound {
    /// What the document says.
    pub settings: Arc<Listener>,
    /// Where it listens; with port 0 in the document, the port that was given.
    pub address: SocketAddr,
    limits: Arc<ConnectionLimits>,
    kept: Arc<Mutex<Kept>>,
}

/// The sockets of a listener a second time, to be passed to the next process. A socket is closed when the worker and
/// this have closed it.
#[derive(Debug, Default)]
struct Kept {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    /// Of each of `udp`, where they take HTTP/3.
    seats: Vec<Seat>,
}

impl Bound {
    /// Takes over the limits that the document has now.
    pub fn set_limits(&self) {
        self.limits.set(&self.settings);
    }

    /// Its sockets, for the next process.
    ///
    /// # Errors
    ///
    /// Where no descriptor is left for them.
    pub fn pass(&self) -> io::Result<Vec<Passed>> {
        let kept = self.kept();
        let passed = |socket: io::Result<OwnedFd>, quic| {
            let (wanted, listener) = (Some(self.settings.address), self.settings.name.to_string());
            Ok(Passed { socket: socket?, wanted, listener, quic })
        };
        let tcp = kept.tcp.iter().map(|socket| passed(socket.try_clone().map(Into::into), None));
        let udp = kept.udp.iter().enumerate().map(|(index, socket)| {
            let quic = |seat: &Seat| {
                Ok::<_, io::Error>(PassedQuic { key: seat.secret.key(), before: seat.relay.offer()? })
            };
            passed(socket.try_clone().map(Into::into), kept.seats.get(index).map(quic).transpose()?)
        });
        tcp.chain(udp).collect()
    }

    /// They will not be taken.
    pub fn stay(&self) {
        self.kept().seats.iter().for_each(|seat| seat.relay.stay());
    }

    /// Leaves the sockets to the workers alone, who may close them from now on.
    pub fn let_go(&self) {
        *self.kept() = Kept::default();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listener that could not be bound.
#[derive(Debug)]
pub struct BindError(pub SocketAddr, pub io::Error);

/// The listeners of a snapshot, and the sockets of those that are new.
pub struct Binding {
    /// By index in the snapshot.
    pub bound: Vec<Bound>,
    /// By worker.
    pub sockets: Vec<Vec<ListenSocket>>,
    /// For each listener that was bound before: its index now.
    pub successors: Vec<Option<u32>>,
}

/// Binds the listeners of a snapshot that are not among those bound before. Where one cannot be bound, none
/// is, and those from before stay as they are.
///
/// A listener is the same as one before if it has its address and way of accepting; of several with one
/// address (port 0) the first is the first.
///
/// Of what is inherited it takes the sockets that listen where a listener wants to.
pub fn bind(
    before: &[Bound],
    snapshot: &Snapshot,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<Binding, BindError> {
    let passed = (inherited.tcp_addresses(), inherited.udp_addresses());
    let mut sockets: Vec<Vec<ListenSocket>> = (0..workers).map(|_| Vec::new()).collect();
    let mut successors: Vec<Option<u32>> = vec![None; before.len()];
    let mut bound = Vec::new();
    for (index, settings) in (0..).zip(&snapshot.listeners) {
        let same = |listener: &Bound| {
            let then = &listener.settings;
            (then.address, then.defer_accept, Kinds::of(then))
                == (settings.address, settings.defer_accept, Kinds::of(settings))
        };
        let kept = before.iter().zip(&mut successors).find(|(b, taken)| taken.is_none() && same(b));
        if let Some((kept, successor)) = kept {
            *successor = Some(index);
            bound.push(Bound { settings: settings.clone(), ..kept.clone() });
            continue;
        }
        // What this process holds already would be taken for somebody else's.
        let held = |kind: fn(Kinds) -> bool, passed: &[SocketAddr]| {
            let holders = before.iter().filter(|b| kind(Kinds::of(&b.settings))).map(|b| &b.address);
            holders.chain(passed).any(|address| overlap(*address, settings.address))
        };
        let (kinds, failed) = (Kinds::of(settings), |error| BindError(settings.address, error));
        if kinds.tcp && !held(|kinds| kinds.tcp, &passed.0) {
            sockets::check_free(settings.address).map_err(failed)?;
        }
        if kinds.udp && !held(|kinds| kinds.udp, &passed.1) {
            datagrams::check_free(settings.address).map_err(failed)?;
        }
        bound.push(open(index, settings, &mut sockets, inherited).map_err(failed)?);
    }
    Ok(Binding { bound, sockets, successors })
}

fn open(
    index: u32,
    settings: &Arc<Listener>,
    sockets: &mut [Vec<ListenSocket>],
    inherited: &mut Inherited,
) -> io::Result<Bound> {
    let workers = sockets.len();
    let mut address = settings.address;
    let tcp = open_tcp(settings, &mut address, workers, inherited)?;
    let (udp, seats) = open_udp(settings, &mut address, workers, inherited)?;
    let kept = Kept { tcp: again(&tcp)?, udp: again(&udp)?, seats: seats.clone() };
    let limits = ConnectionLimits::new(settings);
    let (mut tcp, mut udp) = (share_tcp(tcp, workers)?, share_udp(udp, seats, workers));
    for (worker, sockets) in sockets.iter_mut().enumerate() {
        let (tcp, udp) = (std::mem::take(&mut tcp[worker]), std::mem::take(&mut udp[worker]));
        sockets.push(ListenSocket { tcp, udp, listener: index, limits: limits.clone() });
    }
    Ok(Bound { settings: settings.clone(), address, limits, kept: Arc::new(Mutex::new(kept)) })
}

/// The sockets for connections: those that are inherited, else one for each worker. Port 0 is asked for once; all
/// others take the port that the first was given.
fn open_tcp(
    settings: &Listener,
    address: &mut SocketAddr,
    workers: usize,
    inherited: &mut Inherited,
) -> io::Result<Vec<TcpListener>> {
    if !Kinds::of(settings).tcp {
        return Ok(Vec::new());
    }
    let options = ListenOptions { backlog: BACKLOG, defer_accept: settings.defer_accept };
    let taken = inherited.take_tcp(settings).into_iter().map(|socket| sockets::adopt(socket, options));
    let mut opened = taken.collect::<io::Result<Vec<_>>>()?;
    if let Some(first) = opened.first() {
        *address = first.local_addr()?;
        return Ok(opened);
    }
    for _ in 0..workers {
        let socket = sockets::listen(*address, options)?;
        *address = socket.local_addr()?;
        opened.push(socket);
    }
    Ok(opened)
}

/// The sockets for datagrams, and the seats of those that take HTTP/3: there a packet comes to the socket that its
/// connection belongs to.
fn open_udp(
    settings: &Listener,
    address: &mut SocketAddr,
    workers: usize,
    inherited: &mut Inherited,
) -> io::Result<(Vec<UdpSocket>, Vec<Seat>)> {
    if !Kinds::of(settings).udp {
        return Ok((Vec::new(), Vec::new()));
    }
    let (taken, before) = inherited.take_udp(settings);
    if let Service::Http(HttpService { tls: Some(acceptor), .. }) = &settings.service {
        let tls = acceptor.rustls_config_for_quic();
        let key = before.iter().flatten().map(|before| before.key.clone()).next();
        let secret = key.map_or_else(|| Secret::new(&tls), |key| Secret::of(&tls, key))?;
        let sockets = match taken.is_empty() {
            true => steering::bind_group(*address, workers)?.sockets,
            false => steering::adopt_group(taken)?.sockets,
        };
        let mut before = before.into_iter();
        let seats = (0..sockets.len()).map(|index| {
            let before = before.next().flatten().map_or_else(Vec::new, |quic| quic.before);
            let relay = Relay::new(secret.instance(), before)?;
            Ok(Seat { secret: secret.clone(), index, workers: sockets.len(), relay })
        });
        let seats = seats.collect::<io::Result<_>>()?;
        return Ok((sockets, seats));
    }
    let mut opened = taken.into_iter().map(datagrams::adopt).collect::<io::Result<Vec<_>>>()?;
    for _ in opened.len()..if opened.is_empty() { workers } else { 0 } {
        let socket = datagrams::listen(*address)?;
        *address = socket.local_addr()?;
        opened.push(socket);
    }
    if let Some(first) = opened.first() {
        *address = first.local_addr()?;
    }
    Ok((opened, Vec::new()))
}

/// The sockets a second time.
fn again<S: AsFd + From<OwnedFd>>(sockets: &[S]) -> io::Result<Vec<S>> {
    sockets.iter().map(|socket| Ok(S::from(socket.as_fd().try_clone_to_owned()?))).collect()
}

/// Sockets for connections by worker. Where another number of workers has bound them, some accept from several, or
/// several from one: a socket more in the group would take connections that are lost if this process does not come to
/// serve.
fn share_tcp(sockets: Vec<TcpListener>, workers: usize) -> io::Result<Vec<Vec<TcpListener>>> {
    let mut shares: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    let count = sockets.len();
    if count > 0 {
        for worker in count..workers {
            shares[worker].push(sockets[worker % count].try_clone()?);
        }
    }
    for (index, socket) in sockets.into_iter().enumerate() {
        shares[index % workers].push(socket);
    }
    Ok(shares)
}

/// Sockets for datagrams by worker. Two workers cannot read one of them: what belongs together would come to both. So
/// where there are more workers than sockets, some have none.
fn share_udp(sockets: Vec<UdpSocket>, seats: Vec<Seat>, workers: usize) -> Vec<Vec<DatagramSocket>> {
    let mut shares: Vec<Vec<DatagramSocket>> = (0..workers).map(|_| Vec::new()).collect();
    let mut seats = seats.into_iter();
    for (index, socket) in sockets.into_iter().enumerate() {
        shares[index % workers].push(DatagramSocket { socket, seat: seats.next() });
    }
    shares
}

/// Which sockets a listener has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kinds {
    tcp: bool,
    udp: bool,
}

impl Kinds {
    fn of(listener: &Listener) -> Self {
        match &listener.service {
            Service::Http(http) => Self { tcp: true, udp: http.versions.http3 },
            Service::Tcp(_) => Self { tcp: true, udp: false },
            Service::Udp(_) => Self { tcp: false, udp: true },
        }
    }
}

/// Whether connections to one address could come to a socket on the other.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let all = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && (all(a.ip()) || all(b.ip()) || a.ip().to_canonical() == b.ip().to_canonical())
}
