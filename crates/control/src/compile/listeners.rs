//! Listeners of a document.

use std::sync::Arc;

use tollgate_config::{self as config, Cidr, EffectiveTimeouts, Flows, Located, Place, StreamDestination};
use tollgate_proxy::snapshot::{
    HttpService, HttpVersions, Listener, Service, TcpService, TcpTimeouts, UdpService,
};
use tollgate_proxy::trust::TrustedProxies;

use super::Compiler;
use super::acceptors::handshake_ms;

/// A TCP connection that is silent for so long is closed, where the document says nothing.
const TCP_IDLE_MS: u64 = 3_600_000;

impl Compiler<'_> {
    /// Compiles all listeners. Adds the upstreams of addresses that stand in them.
    pub(super) fn listeners(&mut self) -> Vec<Arc<Listener>> {
        let has_ipv6 = std::net::UdpSocket::bind("[::1]:0").is_ok();
        let common = trusted(&self.document.trusted_proxies);
        let document = self.document;
        let mut listeners = Vec::with_capacity(document.listen.len());
        for listener in document.listen.iter() {
            let Some(service) = self.service(listener) else { continue };
            let name = match &listener.name {
                Some(name) => name.value.to_string(),
                None => listener.place.to_string(),
            };
            listeners.push(Arc::new(Listener {
                name,
                address: listener.place.address().value.socket(has_ipv6),
                max_connections: listener.max_connections.as_ref().map(|max| max.get()),
                max_connections_per_address: listener
                    .max_connections_per_address
                    .as_ref()
                    .map(|max| max.get()),
                defer_accept: listener.defer_accept,
                trusted: listener.trusted_proxies.as_ref().map_or_else(|| common.clone(), |t| trusted(t)),
                proxy_header_from: trusted(&listener.proxy_protocol),
                service,
            }));
        }
        listeners
    }

    /// What a listener speaks; `None` after a finding.
    fn service(&mut self, listener: &Located<config::Listener>) -> Option<Service> {
        match &listener.place {
            Place::Http(_) => self.http_service(listener).map(Service::Http),
            Place::Tcp(_) => self.tcp_service(listener).map(Service::Tcp),
            Place::Udp(_) => {
                let standard = Flows::standard();
                let flows = listener.flows.as_ref().map_or(&standard, |flows| &flows.value);
                Some(Service::Udp(UdpService {
                    upstream: self.carried_to(listener.to.as_ref()?),
                    idle_ms: flows.idle_timeout.get().as_millis() as u64,
                    max_flows: flows.max.get(),
                    max_flows_per_address: flows.max_per_address.get(),
                }))
            }
        }
    }

    fn http_service(&mut self, listener: &Located<config::Listener>) -> Option<HttpService> {
        let versions = listener.versions();
        let hsts = listener.hsts.as_ref().and_then(|hsts| hsts.value.on());
        Some(HttpService {
            tls: match listener.ends_tls() {
                true => Some(self.acceptor(listener)?),
                false => None,
            },
            handshake_ms: handshake_ms(listener),
            versions: HttpVersions { http1: versions.h1, http2: versions.h2, http3: versions.h3 },
            redirect_https: match listener.redirect_https.as_ref().map(|redirect| redirect.value) {
                Some(config::RedirectHttps::To(port)) => Some(port),
                Some(config::RedirectHttps::Off) | None => None,
            },
            hsts: hsts.map(|hsts| hsts_value(hsts).into()),
        })
    }

    fn tcp_service(&mut self, listener: &Located<config::Listener>) -> Option<TcpService> {
        let tls = match listener.ends_tls() {
            true => Some(self.acceptor(listener)?),
            false => None,
        };
        let by_name = listener.sni.as_ref().map(|sni| &sni.value);
        let mut names: Vec<(String, u32)> = Vec::new();
        for (name, to) in by_name.into_iter().flat_map(config::Table::iter) {
            names.push((name.value.as_str().to_owned(), self.carried_to(to)));
        }
        let otherwise = listener.to.as_ref().map(|to| self.carried_to(to));
        // The settings of the one that is for all, or else of the first.
        let first = by_name.and_then(|sni| sni.iter().next()).map(|(_, to)| to);
        let upstream = listener.to.as_ref().or(first).and_then(|to| self.upstream_settings(to));
        let EffectiveTimeouts { connect, .. } = self.document.stream_timeouts(upstream);
        let retry = self.document.stream_retry_plan(upstream);
        Some(TcpService {
            tls,
            names: names.into(),
            otherwise,
            timeouts: TcpTimeouts {
                prelude_ms: match listener.ends_tls() {
                    true => handshake_ms(listener),
                    false => self.document.timeouts.head.get().as_millis() as u64,
                },
                connect_ms: connect.map_or(u64::MAX, |time| time.as_millis() as u64),
                idle_ms: listener
                    .idle_timeout
                    .as_ref()
                    .map_or(TCP_IDLE_MS, |idle| idle.get().as_millis() as u64),
            },
            connect_retries: retry.map_or(0, |plan| plan.attempts.saturating_sub(1)),
        })
    }

    /// The index of the upstream of a listener's destination.
    fn carried_to(&mut self, to: &Located<StreamDestination>) -> u32 {
        match &to.value {
            // Checked with the document: there is one.
            StreamDestination::Upstream(name) => self.by_name.get(name.as_str()).copied().unwrap_or(u32::MAX),
            StreamDestination::Inline(address) => {
                self.inline(&Located { value: address.clone(), origin: to.origin })
            }
        }
    }

    fn upstream_settings(&self, to: &StreamDestination) -> Option<&'_ config::Upstream> {
        match to {
            StreamDestination::Upstream(name) => self.document.upstreams.get(name.as_str()).map(|u| &u.value),
            StreamDestination::Inline(_) => None,
        }
    }
}

/// The value of `Strict-Transport-Security` (RFC 6797 section 6.1).
fn hsts_value(hsts: &config::Hsts) -> String {
    let mut value = format!("max-age={}", hsts.max_age.get().as_secs());
    if hsts.include_subdomains {
        value.push_str("; includeSubDomains");
    }
    if hsts.preload.value {
        value.push_str("; preload");
    }
    value
}

fn trusted(ranges: &[Located<Cidr>]) -> TrustedProxies {
    TrustedProxies::new(ranges.iter().map(|range| (range.value.address(), range.value.prefix())).collect())
}
