//! The snapshot: a compiled document, immutable while it runs.

pub mod rescue;
pub mod sticky;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_acme::Challenges;
use tollgate_http1::HeadLimits;
use tollgate_http1::edits::Edits;
use tollgate_policy::{Chain, ConsumerCell, KeySource};
use tollgate_routing::RouteTable;
use tollgate_routing::normalise::PathRules;
use tollgate_routing::rewrite::{PathChange, Redirect};
use tollgate_telemetry::access::LogPlan;
use tollgate_telemetry::trace::Tracing;
use tollgate_tls::{Acceptor, Connector};
use tollgate_upstream::{BackOff, Class, Subset, Upstream, View};

pub use self::rescue::{Failures, Fallback, FallbackTo, Hedge, Hold, Rescue, Responses};
pub use self::sticky::{Carrier, Sessions, Sticky};
use crate::mirroring::Mirror;
use crate::trust::TrustedProxies;

/// Everything a worker needs to serve exchanges.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which one it is of those that this process ran, from 1.
    pub number: u64,
    /// The listeners.
    pub listeners: Vec<Arc<Listener>>,
    /// Finds the index of a request's route.
    pub table: Arc<RouteTable>,
    /// The routes, in document order.
    pub routes: Vec<Route>,
    /// The upstreams that routes refer to by index.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Parts of them that routes refer to by index.
    pub subsets: Vec<UpstreamSubset>,
    /// How each of them is spoken to, by the same index.
    pub transports: Vec<Arc<Transport>>,
    /// What of a request the endpoints and the order of the queue go by, by the same index.
    pub keys: Vec<Keys>,
    /// How messages are read and what is told to origins about clients.
    pub http: HttpSettings,
    /// What is told of exchanges, and to whom.
    pub logs: Arc<LogPlan>,
    /// Where spans go; `None` where nothing is traced.
    pub tracing: Option<Arc<Tracing>>,
    /// The consumers, which can change while it runs.
    pub consumers: Arc<ConsumerCell>,
    /// What an authority is answered that asks whether names are ours; `None` where no certificates come from ACME.
    pub challenges: Option<Arc<Challenges>>,
}

/// Some of an upstream's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSubset {
    /// The upstream, by index.
    pub upstream: u32,
    /// Which of its endpoints.
    pub subset: Arc<Subset>,
}

impl Snapshot {
    /// The views that a worker keeps: one of each upstream, then one of each subset. Empty so far.
    pub fn views(&self) -> Vec<Arc<View>> {
        let whole = self.upstreams.iter().map(|_| Arc::default());
        let parts = self.subsets.iter().map(|part| Arc::new(View::of(Arc::clone(&part.subset))));
        whole.chain(parts).collect()
    }

    /// Where among [`Snapshot::views`] that of an upstream is, or of a subset of it.
    #[inline]
    pub fn view_of(&self, upstream: u32, subset: Option<u32>) -> usize {
        subset.map_or(upstream as usize, |subset| self.upstreams.len() + subset as usize)
    }
}

/// A socket that takes traffic.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name in logs and metrics.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// How many connections it may have, over all workers.
    pub max_connections: Option<u32>,
    /// How many connections one client address may have, over all workers.
    pub max_connections_per_address: Option<u32>,
    /// Connections are handed over once the client has sent something.
    pub defer_accept: bool,
    /// Whose `X-Forwarded-*`, `Forwarded` and `X-Request-ID` are believed on it.
    pub trusted: TrustedProxies,
    /// Whose connections begin with a PROXY header, and only theirs.
    pub proxy_header_from: TrustedProxies,
    /// What it speaks.
    pub service: Service,
}

/// What a listener speaks.
#[derive(Clone, Debug)]
pub enum Service {
    /// HTTP: requests are routed.
    Http(HttpService),
    /// TCP: connections are carried to an upstream.
    Tcp(TcpService),
    /// UDP: flows are carried to an upstream.
    Udp(UdpService),
}

/// How a listener speaks HTTP.
#[derive(Clone, Debug)]
pub struct HttpService {
    /// How its connections are encrypted; `None` for plain ones.
    pub tls: Option<Arc<Acceptor>>,
    /// How long a TLS handshake may take, in milliseconds.
    pub handshake_ms: u64,
    /// The versions that it speaks.
    pub versions: HttpVersions,
    /// Plain requests are sent to https on this port instead of being routed.
    pub redirect_https: Option<u16>,
    /// The value of `Strict-Transport-Security` (RFC 6797) in responses over TLS.
    pub hsts: Option<Arc<str>>,
}

/// Versions of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpVersions {
    /// HTTP/1.0 and HTTP/1.1.
    pub http1: bool,
    /// HTTP/2: over TLS by ALPN, else by prior knowledge (RFC 9113 section 3.3).
    pub http2: bool,
    /// HTTP/3, on the UDP port of the same number.
    pub http3: bool,
}

/// How a listener carries TCP connections.
#[derive(Clone, Debug)]
pub struct TcpService {
    /// TLS ends here; `None` where bytes pass as they are.
    pub tls: Option<Arc<Acceptor>>,
    /// Upstreams, by index, by the name in the client's TLS hello (exact, or `*.` and a suffix). Without any,
    /// nothing is read before the connection is carried on.
    pub names: Arc<[(String, u32)]>,
    /// The upstream of all other connections, by index.
    pub otherwise: Option<u32>,
    /// Time limits.
    pub timeouts: TcpTimeouts,
    /// How many endpoints are tried after the first.
    pub connect_retries: u32,
}

/// Time limits of a TCP connection, in milliseconds; `u64::MAX` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpTimeouts {
    /// For the client to send what its upstream is chosen by.
    pub prelude_ms: u64,
    /// To open a connection to an endpoint.
    pub connect_ms: u64,
    /// Between two bytes in any direction.
    pub idle_ms: u64,
}

/// How a listener carries UDP flows.
#[derive(Clone, Debug)]
pub struct UdpService {
    /// The upstream, by index.
    pub upstream: u32,
    /// How long a flow may carry nothing, in milliseconds.
    pub idle_ms: u64,
    /// How many flows there may be, over all workers.
    pub max_flows: u32,
    /// How many of them one client address may have, over all workers.
    pub max_flows_per_address: u32,
}

/// How an upstream is spoken to.
#[derive(Debug)]
pub struct Transport {
    /// Tells transports apart: a connection opened with one is of no use for another. Never used twice in a
    /// process.
    pub id: u64,
    /// The protocol that its endpoints speak.
    pub protocol: UpstreamProtocol,
    /// How connections to them are encrypted; `None` for plain ones.
    pub tls: Option<Arc<Connector>>,
    /// The PROXY header that its connections begin with.
    pub proxy_header: Option<ProxyHeader>,
    /// How many streams of one connection are used at once (HTTP/2).
    pub max_streams: u32,
}

/// What of a request an upstream goes by; `None` where by nothing.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    /// Its balancer: requests of one key meet the same endpoint.
    pub balance: Option<KeySource>,
    /// Its queue: requests of different keys take turns.
    pub turns: Option<KeySource>,
    /// How its sessions are kept at their endpoints.
    pub sticky: Option<Arc<Sticky>>,
}

/// The protocol that an upstream's endpoints speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// A line of text.
    V1,
    /// Binary, with type-length-values.
    V2,
}

impl Transport {
    /// A transport with an id of its own.
    pub fn new(
        protocol: UpstreamProtocol,
        tls: Option<Arc<Connector>>,
        proxy_header: Option<ProxyHeader>,
        max_streams: u32,
    ) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Self { id, protocol, tls, proxy_header, max_streams }
    }

    /// HTTP/1.1 over plain TCP.
    pub fn plain() -> Self {
        Self::new(UpstreamProtocol::Http1, None, None, 1)
    }
}

impl HttpService {
    /// HTTP/1.1 over plain TCP.
    pub fn plain() -> Self {
        let versions = HttpVersions { http1: true, http2: false, http3: false };
        Self { tls: None, handshake_ms: u64::MAX, versions, redirect_https: None, hsts: None }
    }
}

/// Settings of the HTTP side that do not depend on the route.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Limits of request heads.
    pub request_head: HeadLimits,
    /// Limits of response heads.
    pub response_head: HeadLimits,
    /// How paths are normalised.
    pub paths: PathRules,
    /// Which fields tell the origin about the client.
    pub forwarded: ForwardedFields,
    /// Time limits towards clients.
    pub client: ClientTimeouts,
    /// How many requests a connection may carry.
    pub requests_per_connection: Option<u32>,
}

/// Which fields tell the origin about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedFields {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub rfc7239: bool,
}

/// Time limits towards clients, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// From the first byte of a head to its last.
    pub head_ms: u64,
    /// Between two reads of a request body.
    pub body_ms: u64,
    /// Between two requests on a connection.
    pub idle_ms: u64,
    /// For the client to take any byte of the response.
    pub write_ms: u64,
}

/// A route: what is done with the requests that it matches.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name in logs and metrics.
    pub name: String,
    /// What happens.
    pub action: Action,
    /// The rest, shared between the routes that have the same.
    pub settings: Arc<RouteSettings>,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is forwarded to an upstream.
    Forward(Destination),
    /// It is redirected.
    Redirect {
        /// Where to.
        redirect: Redirect,
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// It gets a fixed response.
    Respond(Arc<FixedResponse>),
}

/// The upstreams of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One upstream.
    Upstream(Target),
    /// Several, each with its share: the running sum of the weights up to and including its own.
    Split(Arc<[(u64, Target)]>),
}

/// An upstream, or some of its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The upstream, by index.
    pub upstream: u32,
    /// Which of its endpoints, by the index of the subset; `None` for all.
    pub subset: Option<u32>,
}

impl Target {
    /// All endpoints of an upstream.
    pub fn whole(upstream: u32) -> Self {
        Self { upstream, subset: None }
    }
}

/// A response from the document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FixedResponse {
    /// The status code.
    pub status: u16,
    /// `Content-Type`; none for an empty body.
    pub content_type: Option<String>,
    /// Further fields.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Settings that many routes share.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Changes to the request's fields.
    pub request_edits: Edits,
    /// Changes to the response's fields.
    pub response_edits: Edits,
    /// Another host and path for the origin.
    pub rewrite: Rewrite,
    /// What its requests have to pass first.
    pub policies: Option<Arc<Chain>>,
    /// Where copies of its requests go.
    pub mirrors: Option<Arc<[Mirror]>>,
    /// When and how often an attempt is repeated.
    pub retry: Retry,
    /// What else is done to save a request; `None` for nothing.
    pub rescue: Option<Arc<Rescue>>,
    /// Which sessions its exchanges belong to.
    pub sessions: Sessions,
    /// Time limits towards upstreams.
    pub timeouts: UpstreamTimeouts,
    /// How large a request body may be, in bytes.
    pub max_body: Option<u64>,
    /// Whether clients may upgrade their connection (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// Its exchanges are part of traces, where the document traces at all.
    pub trace: bool,
    /// How urgent its exchanges are, where they wait for an upstream.
    pub priority: Class,
}

/// What a request becomes before it is sent on.
#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    /// The new `Host`.
    pub host: Option<String>,
    /// The new path.
    pub path: Option<PathChange>,
}

/// When and how often an attempt is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How many attempts may follow the first.
    pub attempts: u32,
    /// How many bytes of a request (head and body) are kept so that it can be sent again.
    pub replay_bytes: usize,
    /// The wait before a repeated attempt.
    pub back_off: BackOff,
}

/// Time limits towards upstreams, in milliseconds; `u64::MAX` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To open a connection.
    pub connect_ms: u64,
    /// From the last byte of the request to the first of the response.
    pub first_byte_ms: u64,
    /// Between two reads or writes.
    pub idle_ms: u64,
    /// One attempt, up to the last byte of its response.
    pub try_ms: u64,
    /// The whole exchange, all attempts together.
    pub total_ms: u64,
    /// Between two bytes of an upgraded connection.
    pub tunnel_idle_ms: u64,
}

impl Destination {
    /// The upstream for a random number; `None` where no upstream has any weight.
    pub fn choose(&self, seed: u64) -> Option<Target> {
        match self {
            Self::Upstream(target) => Some(*target),
            Self::Split(shares) => {
                let total = shares.last().map_or(0, |(sum, _)| *sum);
                // The widening product spreads the 64 bits over the total without a division.
                let point = ((u128::from(seed) * u128::from(total)) >> 64) as u64;
                let at = shares.partition_point(|(sum, _)| *sum <= point);
                shares.get(at).map(|(_, target)| *target)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Destination, Target};
    use tollgate_runtime::Random;

    #[test]
    fn a_split_gives_each_upstream_its_share() {
        let split =
            Destination::Split([(95, 0), (95, 1), (100, 2)].map(|(sum, to)| (sum, Target::whole(to))).into());
        let mut random = Random::from_seed(3);
        let mut counts = [0u32; 3];
        for _ in 0..100_000 {
            counts[split.choose(random.next_u64()).unwrap().upstream as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((94_500..95_500).contains(&counts[0]), "{counts:?}");
        assert_eq!(Destination::Split([(0, Target::whole(0))].into()).choose(1), None);
        assert_eq!(Destination::Split([].into()).choose(1), None);
    }
}
