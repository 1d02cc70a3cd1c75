//! Upstreams: endpoints, balancing, health, and connections to them.

use super::{
    Balance, BalanceWord, Ejection, EndpointPlace, Follow, Health, Hold, Labels, Overload, PreferZone,
    SharedRetry, SlowStart, Sticky, Timeouts, UpstreamTls,
};
use crate::section::{section, words};
use crate::setting::{NonEmpty, Switch, Toggle, Whole};
use crate::source::Located;
use crate::table::Table;
use crate::units::{Duration, Name, Percent, Surplus};

section! {
    /// A named group of endpoints that answer the same requests.
    pub struct Upstream short "endpoints" {
        /// The endpoints.
        endpoints: NonEmpty<Located<Endpoint>> = required;
        /// How an endpoint is chosen.
        balance: Located<Balance> = default(Located::nowhere(Balance::Of(BalanceWord::RoundRobin)));
        /// The protocol that the endpoints speak.
        protocol: Located<Protocol> = default(Located::nowhere(Protocol::H1));
        /// Requests at once on one connection, for HTTP/2; 100 if left out.
        max_streams: Option<Located<Whole<1, 10_000>>> = optional;
        /// Encrypts the connections to the endpoints: `true`, or the long form. Endpoints written with `https://` have
        /// it without.
        tls: Option<Located<Toggle<UpstreamTls>>> = optional;
        /// Connections begin with a PROXY header, which tells the endpoint about the client.
        proxy_protocol: Option<Located<ProxyHeader>> = optional;
        /// Probes that take silent endpoints out. None if left out.
        health: Option<Located<Health>> = optional;
        /// Takes out endpoints that fail on real traffic.
        ejection: Located<Switch<Ejection>> = default(Located::nowhere(Switch::On(Ejection::standard())));
        /// When fewer than this share of the endpoints is healthy, all are used again: some answers
        /// are better than an overload of the rest.
        panic_threshold: Percent = default(Percent::whole(10));
        /// What becomes of requests beyond what it can serve.
        overload: Overload = flatten;
        /// Which of its endpoints get how much.
        shares: Shares = flatten;
        /// Connections kept open between requests.
        pool: Pool = section;
        /// How long to wait for an endpoint.
        timeouts: Timeouts = section;
        /// When to try again, and how many retries the upstream may get in all.
        retry: Option<Located<Switch<SharedRetry>>> = optional;
        /// Holds requests while it has no endpoint for them: `hold: 10s`. None are held if left out.
        hold: Option<Switch<Hold>> = optional;
    }
}

section! {
    /// Which endpoints of an upstream get which of its traffic and how much, besides their weights.
    pub struct Shares {
        /// Keeps requests of one session at one endpoint: `sticky: { cookie: tollgate-session }`. None are kept if left
        /// out.
        sticky: Option<Box<Sticky>> = optional;
        /// How long endpoints take to get all of their share that are new or were away: `30s`, or the long form. Those that
        /// are there when the process starts have it at once. At once for all if left out.
        slow_start: Option<Located<SlowStart>> = optional;
        /// How much more than their part of the traffic the endpoints of a tier can carry. When those that are usable
        /// cannot carry everything, the next tier gets the rest.
        overprovisioning: Surplus = default(Surplus::of(140));
        /// Endpoints in Tollgate's own zone (`zone` of the document) are preferred: `true`, or the long form.
        prefer_zone: Option<Located<Toggle<PreferZone>>> = optional;
    }
}

section! {
    /// One address of an upstream, or where addresses come from.
    pub struct Endpoint short "address" {
        /// The address, or where addresses come from.
        place: EndpointPlace = choice;
        /// Its share of the traffic relative to the others; with 0 it gets none.
        weight: Whole<0, 65_535> = default(Whole::of::<1>());
        /// Requests at once, instead of `concurrency.endpoint` of the upstream.
        max_requests: Option<Located<Whole<1, 10_000_000>>> = optional;
        /// Its tier; 0 if left out. Those of a later tier are used only as far as the ones before cannot carry the
        /// traffic.
        priority: Option<Located<Whole<0, 100>>> = optional;
        /// Used only when the others cannot carry the traffic: the same as `priority: 1`.
        backup: bool = default(false);
        /// Where it runs, for `prefer_zone`.
        zone: Option<Name> = optional;
        /// What routes choose a part of the endpoints by: `{ version: v2 }`.
        labels: Labels = default(Table::none());
        /// How a name is followed.
        follow: Option<Box<Follow>> = flatten;
    }
}

words! {
    /// The protocol of the upstream side.
    pub enum Protocol {
        /// HTTP/1.1.
        H1 = "h1";
        /// HTTP/2 over TLS, agreed on by ALPN.
        H2 = "h2";
        /// HTTP/2 without TLS, by prior knowledge.
        H2c = "h2c";
        /// gRPC: HTTP/2, over TLS where `tls` is set.
        Grpc = "grpc";
    }
    later ["h3"]
}

words! {
    /// The version of a PROXY header.
    pub enum ProxyHeader {
        /// A line of text.
        V1 = "v1";
        /// Binary, with the name asked for, the protocol agreed on and an id beside the addresses.
        V2 = "v2";
    }
}

impl Endpoint {
    /// Its tier.
    pub fn tier(&self) -> u32 {
        self.priority.as_ref().map_or(u32::from(self.backup), |priority| priority.get())
    }
}

impl Upstream {
    /// How endpoints of Tollgate's own zone are preferred, if they are.
    pub fn locality(&self) -> Option<&PreferZone> {
        self.shares.prefer_zone.as_ref()?.on()
    }

    /// How its connections are encrypted, if they are. All defaults where its endpoints are written with `https://`.
    pub fn encryption(&self) -> Option<UpstreamTls> {
        match &self.tls {
            Some(tls) => tls.on().cloned(),
            None => {
                let is_https =
                    |endpoint: &Located<Endpoint>| endpoint.address().is_some_and(|a| a.is_https());
                self.endpoints.iter().any(is_https).then(UpstreamTls::standard)
            }
        }
    }

    /// Whether its endpoints are spoken to by HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.protocol.value != Protocol::H1
    }
}

section! {
    /// Connections to an endpoint that are kept open between requests.
    pub struct Pool {
        /// Idle connections to one endpoint, kept by one worker; 0 opens a connection per request.
        max_idle: Whole<0, 65_535> = default(Whole::of::<1024>());
        /// How long a connection may be idle. Less than the endpoint's own limit, or requests meet
        /// connections that it has just closed.
        idle_timeout: Duration<1> = default(Duration::seconds(30));
    }
}
