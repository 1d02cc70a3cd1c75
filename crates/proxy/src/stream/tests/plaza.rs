//! A worker with a TCP listener, and what stands on both sides of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tollgate_decision::{Reason, Recorder, RecorderSettings};
use tollgate_http1::HeadLimits;
use tollgate_routing::RouteTable;
use tollgate_routing::normalise::PathRules;
use tollgate_telemetry::Shard;
use tollgate_telemetry::shard::Succession;
use tollgate_upstream::balancers;
use tollgate_upstream::{Endpoint, Upstream, UpstreamSettings};

use crate::listen::{ConnectionLimits, ListenSocket};
use crate::publication::Publication;
use crate::recorder::Entry;
use crate::snapshot::{
    ClientTimeouts, ForwardedFields, HttpSettings, Keys, Listener, ProxyHeader, Service, Snapshot,
    TcpService, TcpTimeouts, Transport, UpstreamProtocol,
};
use crate::trust::TrustedProxies;
use crate::worker::{Command, Graces, Worker};

/// So long anything may take that is expected to come. Nothing waits for it unless a test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a plaza is made of.
pub struct Setup {
    pub service: TcpService,
    pub proxies: TrustedProxies,
    pub per_address: Option<u32>,
    /// Endpoints of each upstream, and the header they want.
    pub upstreams: Vec<(Vec<SocketAddr>, Option<ProxyHeader>)>,
}

impl Setup {
    /// Everything goes to these endpoints.
    pub fn to(endpoints: &[SocketAddr]) -> Self {
        Self {
            service: TcpService {
                tls: None,
                names: [].into(),
                otherwise: Some(0),
                timeouts: TcpTimeouts { prelude_ms: 60_000, connect_ms: 60_000, idle_ms: 600_000 },
                connect_retries: 0,
            },
            proxies: TrustedProxies::default(),
            per_address: None,
            upstreams: vec![(endpoints.to_vec(), None)],
        }
    }
}

/// A running worker with one TCP listener.
pub struct Plaza {
    pub address: SocketAddr,
    pub shard: Arc<Shard>,
    pub snapshot: Arc<Snapshot>,
    pub recorder: Arc<Recorder<Entry>>,
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Plaza {
    pub fn open(setup: Setup) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener {
            name: "tcp".into(),
            address,
            max_connections: None,
            max_connections_per_address: setup.per_address,
            defer_accept: false,
            trusted: Default::default(),
            proxy_header_from: setup.proxies,
            service: Service::Tcp(setup.service),
        };
        let limits = ConnectionLimits::new(&listener);
        let snapshot = Arc::new(snapshot(vec![Arc::new(listener)], &setup.upstreams));
        let shard = Arc::new(Shard::new(0, snapshot.upstreams.len(), 1));
        let settings = RecorderSettings { bytes: 1 << 20, slow_us: u64::MAX, sample: 1.0 };
        let recorder = Recorder::new(settings, 1);
        let (commands, receiver) = mpsc::unbounded_channel();
        let parts = (snapshot.clone(), shard.clone(), recorder.clone());
        let thread = std::thread::spawn(move || {
            let (snapshot, shard, recorder) = parts;
            let worker = Worker::new(snapshot, shard, true, Default::default()).recording(recorder);
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
            let socket = ListenSocket { tcp: vec![socket], udp: Vec::new(), listener: 0, limits };
            runtime.unwrap().block_on(Rc::new(worker).run(vec![socket], receiver));
        });
        Self { address, shard, snapshot, recorder, commands, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Puts a snapshot without the listener into force, and waits until nothing listens any more.
    pub fn remove_listener(&self) {
        let succession = Succession { upstreams: vec![], listeners: vec![], routes: vec![] };
        let (done, told) = oneshot::channel();
        let publication = Publication {
            snapshot: Arc::new(snapshot(Vec::new(), &[])),
            shard: Arc::new(self.shard.successor(&succession)),
            log: Default::default(),
            listeners: vec![None],
            sockets: Vec::new(),
            gone: [].into(),
            done,
        };
        self.commands.send(Command::Publish(Box::new(publication))).unwrap();
        told.blocking_recv().unwrap();
    }

    pub fn drain(&self) {
        self.commands.send(Command::Drain(Graces::default())).unwrap();
        // Its socket is closed once it has heard.
        until(|| TcpStream::connect(self.address).is_err());
    }

    /// Waits until so many connections have ended for this reason.
    pub fn ended(&self, reason: Reason, count: u64) {
        until(|| self.shard.reason(reason).get() >= count);
        assert_eq!(self.shard.reason(reason).get(), count);
    }

    /// All that the flight recorder has.
    pub fn entries(&self) -> Vec<Arc<Entry>> {
        self.recorder.all().into_iter().map(|(_, entry)| entry).collect()
    }

    /// Waits until the flight recorder has so many.
    pub fn all_recorded(&self, count: usize) -> Vec<Arc<Entry>> {
        until(|| self.entries().len() >= count);
        self.entries()
    }

    /// The only connection that ended for this reason, as the flight recorder has it.
    pub fn recorded(&self, reason: Reason) -> Arc<Entry> {
        self.ended(reason, 1);
        let mut found = None;
        until(|| {
            found = self.entries().into_iter().find(|entry| entry.reason() == reason);
            found.is_some()
        });
        found.unwrap()
    }
}

impl Drop for Plaza {
    fn drop(&mut self) {
        let _ = self.commands.send(Command::Drain(Graces::default()));
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            thread.join().unwrap();
        }
    }
}

fn snapshot(listeners: Vec<Arc<Listener>>, upstreams: &[(Vec<SocketAddr>, Option<ProxyHeader>)]) -> Snapshot {
    let upstream = |(index, (endpoints, _)): (usize, &(Vec<SocketAddr>, Option<ProxyHeader>))| {
        let endpoints = endpoints.iter().map(|address| Endpoint::new(address.to_string(), *address, 1));
        let balancer = balancers::balancer("round_robin").unwrap().standard();
        let events = tollgate_upstream::HealthEvents::unheard();
        let settings = UpstreamSettings::default();
        Arc::new(Upstream::new(format!("u{index}"), endpoints.collect(), balancer, settings, events))
    };
    let transport = |header| Transport::new(UpstreamProtocol::Http1, None, header, 1);
    Snapshot {
        number: 1,
        listeners,
        table: RouteTable::compile(&[]).unwrap().into(),
        routes: Vec::new(),
        upstreams: upstreams.iter().enumerate().map(upstream).collect(),
        subsets: Vec::new(),
        transports: upstreams.iter().map(|(_, header)| Arc::new(transport(*header))).collect(),
        keys: upstreams.iter().map(|_| Keys::default()).collect(),
        tracing: None,
        consumers: Arc::default(),
        challenges: None,
        http: HttpSettings {
            request_head: HeadLimits::default(),
            response_head: HeadLimits::default(),
            paths: PathRules::default(),
            forwarded: ForwardedFields { x_forwarded: true, rfc7239: false },
            client: ClientTimeouts { head_ms: 60_000, body_ms: 60_000, idle_ms: 60_000, write_ms: 60_000 },
            requests_per_connection: None,
        },
        logs: Default::default(),
    }
}

/// Waits for something that is going to be so.
pub fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "it never came");
        std::thread::yield_now();
    }
}

/// An endpoint that a test plays.
pub struct Endpoints(pub TcpListener);

impl Endpoints {
    pub fn listen() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (Self(listener), address)
    }

    pub fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// An address where nothing listens.
pub fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Reads exactly so many bytes.
pub fn read(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Sends, and reads it on the other side.
pub fn pass(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).unwrap();
    assert_eq!(read(to, bytes.len()).escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

/// Reads to the end.
pub fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Whether the other side resets the connection, whatever it has sent before.
pub fn is_reset(stream: &mut TcpStream) -> bool {
    let result = stream.read_to_end(&mut Vec::new());
    result.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

/// Closes so that the other side sees a reset.
pub fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}
