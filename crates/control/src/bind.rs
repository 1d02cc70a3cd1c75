//! Binding listeners: a socket of each kind that they need for each worker, all of a listener on one address.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use tollgate_http3::{Secret, steering};
use tollgate_proxy::Snapshot;
use tollgate_proxy::http::http3::Seat;
use tollgate_proxy::listen::{ConnectionLimits, ListenSocket};
use tollgate_proxy::snapshot::{HttpService, Listener, Service};
use tollgate_runtime::datagrams;
use tollgate_runtime::sockets::{self, ListenOptions};
use tollgate_tls::Acceptor;

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
}

impl Bound {
    /// Takes over the limits that the document has now.
    pub fn set_limits(&self) {
        self.limits.set(&self.settings);
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
pub fn bind(before: &[Bound], snapshot: &Snapshot, workers: usize) -> Result<Binding, BindError> {
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
        let held = |kind: fn(Kinds) -> bool| {
            let mut holders = before.iter().filter(|b| kind(Kinds::of(&b.settings)));
            holders.any(|b| overlap(b.address, settings.address))
        };
        let (kinds, failed) = (Kinds::of(settings), |error| BindError(settings.address, error));
        if kinds.tcp && !held(|kinds| kinds.tcp) {
            sockets::check_free(settings.address).map_err(failed)?;
        }
        if kinds.udp && !held(|kinds| kinds.udp) {
            datagrams::check_free(settings.address).map_err(failed)?;
        }
        bound.push(open(index, settings, &mut sockets)?);
    }
    Ok(Binding { bound, sockets, successors })
}

fn open(index: u32, settings: &Arc<Listener>, sockets: &mut [Vec<ListenSocket>]) -> Result<Bound, BindError> {
    let limits = ConnectionLimits::new(settings);
    let mut address = settings.address;
    let failed = |error| BindError(settings.address, error);
    for worker in sockets.iter_mut() {
        let (tcp, udp) = open_one(settings, &mut address).map_err(failed)?;
        worker.push(ListenSocket { tcp, udp, seat: None, listener: index, limits: limits.clone() });
    }
    if let Service::Http(HttpService { tls: Some(acceptor), versions, .. }) = &settings.service
        && versions.http3
    {
        open_http3(address, acceptor, sockets).map_err(failed)?;
    }
    Ok(Bound { settings: settings.clone(), address, limits })
}

/// The UDP sockets of a listener that speaks HTTP/3: a packet comes to the worker that has its connection.
fn open_http3(address: SocketAddr, acceptor: &Acceptor, sockets: &mut [Vec<ListenSocket>]) -> io::Result<()> {
    let workers = sockets.len();
    let secret = Secret::new(&acceptor.rustls_config_for_quic())?;
    let group = steering::bind_group(address, workers)?;
    for (index, (worker, socket)) in sockets.iter_mut().zip(group.sockets).enumerate() {
        if let Some(listener) = worker.last_mut() {
            listener.udp = Some(socket);
            listener.seat = Some(Seat { secret: secret.clone(), index, workers });
        }
    }
    Ok(())
}

/// The sockets of one worker. Port 0 is asked for once; all others take the port that the first was given.
fn open_one(
    settings: &Listener,
    address: &mut SocketAddr,
) -> io::Result<(Option<TcpListener>, Option<UdpSocket>)> {
    let (mut tcp, mut udp) = (None, None);
    let kinds = Kinds::of(settings);
    if kinds.tcp {
        let options = ListenOptions { backlog: BACKLOG, defer_accept: settings.defer_accept };
        let socket = sockets::listen(*address, options)?;
        *address = socket.local_addr()?;
        tcp = Some(socket);
    }
    if matches!(settings.service, Service::Udp(_)) {
        let socket = datagrams::listen(*address)?;
        *address = socket.local_addr()?;
        udp = Some(socket);
    }
    Ok((tcp, udp))
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
