//! Endpoints by names in DNS: addresses (A and AAAA) and services (SRV, RFC 2782).

mod ask;
mod client;
mod lookup;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::course::Look;
use crate::follow::{Looking, Source};
use crate::found::Found;

pub use ask::{Ask, Asked, Asking, Kind, Records, Service};
pub use client::{Client, Settings};
pub use lookup::Family;

use lookup::{Addresses, addresses};

/// How many targets of a service one source asks for at once. All sources together are bounded by their [`Client`].
const TARGETS_AT_ONCE: usize = 16;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// All addresses of a host.
    Host {
        /// Its name, or an IP address, which needs no question.
        host: Arc<str>,
        /// The port that they listen on.
        port: u16,
        /// The weight of each.
        weight: u32,
    },
    /// The hosts of a service, with the ports, weights and priorities that its records have.
    Service(Arc<str>),
}

/// Endpoints by a name.
#[derive(Debug)]
pub struct DnsSource {
    ask: Arc<dyn Ask>,
    wanted: Wanted,
    family: Family,
    /// How many targets of a service are asked for: as many as endpoints are used.
    max: usize,
}

impl DnsSource {
    /// Asks for the addresses of a family. Of a service at most `max` targets are asked for.
    pub fn new(ask: Arc<dyn Ask>, wanted: Wanted, family: Family, max: usize) -> Self {
        Self { ask, wanted, family, max }
    }

    async fn host(&self, host: &str, port: u16, weight: u32, last: Option<&[Found]>) -> Look {
        let name: Arc<str> = authority(host, port).into();
        let endpoint =
            |ip: IpAddr| Found { name: name.clone(), address: (ip, port).into(), weight, priority: 0 };
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Look::List { found: vec![endpoint(ip)], fresh_ms: None, problem: None };
        }
        let names = self.ask.names(host);
        match addresses(&*self.ask, host, &names, self.family).await {
            Ok(Addresses { ips, ttl_s, unknown }) => {
                let mut found: Vec<_> = ips.into_iter().map(endpoint).collect();
                let kept = unknown.as_ref().map(|(family, _)| {
                    let last = last.unwrap_or_default().iter();
                    last.filter(|found| family.has(found.address.ip())).cloned()
                });
                found.extend(kept.into_iter().flatten());
                let problem = unknown.map(|(_, why)| why);
                Look::List { found, fresh_ms: Some(u64::from(ttl_s) * 1_000), problem }
            }
            Err(Asked::Nothing) => Look::Nothing(format!("the name `{host}` has no addresses")),
            Err(Asked::Failed(why)) => Look::Failed(why),
        }
    }

    async fn service(&self, name: &str, last: Option<&[Found]>) -> Look {
        let mut records = Err(Asked::Nothing);
        for name in self.ask.names(name) {
            records = self.ask.ask(&name, Kind::Service).await;
            if !matches!(records, Err(Asked::Nothing)) {
                break;
            }
        }
        let Records { mut services, ttl_s, .. } = match records {
            Ok(records) => records,
            Err(Asked::Nothing) => return Look::Nothing(format!("the service `{name}` has no records")),
            Err(Asked::Failed(why)) => return Look::Failed(why),
        };
        // RFC 2782: a target that is the root says that the service is decidedly not available.
        services.retain(|service| !matches!(&*service.target, "." | ""));
        if services.is_empty() {
            let fresh_ms = Some(u64::from(ttl_s) * 1_000);
            return Look::List { found: Vec::new(), fresh_ms, problem: None };
        }
        services.sort_unstable();
        services.dedup();
        services.truncate(self.max);
        self.targets(services, ttl_s, last.unwrap_or_default()).await
    }

    /// Asks for the addresses of a service's targets, some at once. What comes with the service's records besides is
    /// not used: it need not be all.
    async fn targets(&self, services: Vec<Service>, mut ttl_s: u32, last: &[Found]) -> Look {
        let (mut waiting, mut asking) = (services.into_iter(), JoinSet::new());
        let (mut found, mut problem) = (Vec::new(), None);
        loop {
            while asking.len() < TARGETS_AT_ONCE
                && let Some(service) = waiting.next()
            {
                let (ask, family) = (self.ask.clone(), self.family);
                asking.spawn(async move {
                    let target = &*service.target;
                    let addresses = addresses(&*ask, target, &[target.to_owned()], family).await;
                    (service, addresses)
                });
            }
            let Some(ended) = asking.join_next().await else { break };
            let Ok((service, addresses)) = ended else {
                problem = Some("a question was ended".to_owned());
                continue;
            };
            let name: Arc<str> = authority(service.target.trim_end_matches('.'), service.port).into();
            let kept = |family: Family| {
                let of_it = move |f: &&Found| f.name == name && family.has(f.address.ip());
                last.iter().filter(of_it).map(|f| f.address).collect::<Vec<_>>()
            };
            let sockets = match addresses {
                Ok(Addresses { ips, ttl_s: ttl, unknown }) => {
                    ttl_s = ttl_s.min(ttl);
                    let mut sockets: Vec<_> =
                        ips.into_iter().map(|ip| SocketAddr::new(ip, service.port)).collect();
                    if let Some((family, why)) = unknown {
                        sockets.extend(kept(family));
                        problem = Some(why);
                    }
                    sockets
                }
                // Others may have some.
                Err(Asked::Nothing) => {
                    problem = Some(format!("the target `{}` has no addresses", service.target));
                    Vec::new()
                }
                Err(Asked::Failed(why)) => {
                    problem = Some(why);
                    kept(Family::Any)
                }
            };
            found.extend(sockets.into_iter().map(|address| service.found(address)));
        }
        match problem {
            Some(why) if found.is_empty() => Look::Failed(why),
            problem => Look::List { found, fresh_ms: Some(u64::from(ttl_s) * 1_000), problem },
        }
    }
}

impl Source for DnsSource {
    fn look<'a>(&'a self, last: Option<&'a [Found]>) -> Looking<'a> {
        Box::pin(async move {
            match &self.wanted {
                Wanted::Host { host, port, weight } => self.host(host, *port, *weight, last).await,
                Wanted::Service(name) => self.service(name, last).await,
            }
        })
    }
}

impl Service {
    fn found(&self, address: SocketAddr) -> Found {
        Found {
            name: authority(self.target.trim_end_matches('.'), self.port).into(),
            address,
            // RFC 2782 gives a weight of 0 "a very small chance"; here 0 would be none, and services without weights
            // have 0 in all of their records.
            weight: u32::from(self.weight).max(1),
            priority: u32::from(self.priority),
        }
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
