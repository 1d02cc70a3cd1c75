//! Asking name servers: those of the system, or those that the document names.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};
use tokio::sync::Semaphore;

use super::ask::{Ask, Asked, Asking, Kind, Records, Service};
use crate::file::Stamp;

/// How many questions all sources together may have under way.
const QUESTIONS_AT_ONCE: usize = 64;

/// What the system says about names.
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The name servers. Names are then asked for as they are. Empty for the system's, with its search domains and
    /// its hosts file.
    pub resolvers: Vec<SocketAddr>,
    /// How long a question may take, with all its repetitions.
    pub timeout: Duration,
}

/// Asks name servers, by UDP, and by TCP what is too long for that. Remembers no answers: when to ask again is not
/// decided here. The system's settings are read again when their files have changed.
pub struct Client {
    settings: Settings,
    system: Mutex<Option<Arc<System>>>,
    questions: Semaphore,
}

impl Default for Settings {
    fn default() -> Self {
        Self { resolvers: Vec::new(), timeout: Duration::from_secs(2) }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What questions go by, as it was read.
struct System {
    /// What the files looked like.
    read: [Option<Stamp>; 2],
    resolver: Result<TokioResolver, String>,
    hosts: Hosts,
    search: Vec<Name>,
    ndots: usize,
}

impl Client {
    /// Nothing is asked yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, system: Mutex::new(None), questions: Semaphore::new(QUESTIONS_AT_ONCE) }
    }

    /// Whether the system's name servers are asked.
    pub fn is_systems(&self) -> bool {
        self.settings.resolvers.is_empty()
    }

    fn system(&self) -> Arc<System> {
        let now = match self.settings.resolvers.is_empty() {
            true => [RESOLV_CONF, HOSTS].map(|path| Stamp::of(Path::new(path))),
            false => [None, None],
        };
        let mut system = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        match &*system {
            Some(system) if system.read == now => system.clone(),
            _ => system.insert(Arc::new(self.read(now))).clone(),
        }
    }

    fn read(&self, read: [Option<Stamp>; 2]) -> System {
        if !self.settings.resolvers.is_empty() {
            let servers = self.settings.resolvers.iter().map(|server| name_server(*server)).collect();
            let config = ResolverConfig::from_name_servers(servers);
            let resolver = self.resolver(config, ResolverOpts::default());
            return System { read, resolver, hosts: Hosts::default(), search: Vec::new(), ndots: 0 };
        }
        let hosts = Hosts::from_system().unwrap_or_default();
        match system_conf::read_system_conf() {
            Ok((config, options)) => {
                let search = match config.search().is_empty() {
                    true => config.domain().cloned().into_iter().collect(),
                    false => config.search().to_vec(),
                };
                let ndots = options.ndots;
                System { read, resolver: self.resolver(config, options), hosts, search, ndots }
            }
            Err(error) => {
                let resolver = Err(format!("{RESOLV_CONF} cannot be used: {}", plain(&error)));
                System { read, resolver, hosts, search: Vec::new(), ndots: 1 }
            }
        }
    }

    fn resolver(&self, config: ResolverConfig, mut options: ResolverOpts) -> Result<TokioResolver, String> {
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        // Two tries within the time that there is.
        options.attempts = 1;
        options.timeout = self.settings.timeout / 2;
        options.preserve_intermediates = true;
        options.edns0 = true;
        let provider = TokioRuntimeProvider::default();
        TokioResolver::builder_with_config(config, provider)
            .with_options(options)
            .build()
            .map_err(|error| format!("no resolver can be made: {}", plain(&error)))
    }

    async fn asked(&self, name: &str, kind: Kind) -> Result<Records, Asked> {
        let failed = |why: String| Asked::Failed(format!("`{}`: {why}", name.trim_end_matches('.')));
        let system = self.system();
        let resolver = system.resolver.as_ref().map_err(|why| failed(why.clone()))?;
        let name = Name::from_str_relaxed(name).map_err(|error| failed(error.to_string()))?;
        let record_type = match kind {
            Kind::V4 => RecordType::A,
            Kind::V6 => RecordType::AAAA,
            Kind::Service => RecordType::SRV,
        };
        // The semaphore is never closed.
        let _turn = self.questions.acquire().await;
        let question = resolver.lookup(name.clone(), record_type);
        match tokio::time::timeout(self.settings.timeout, question).await {
            Ok(Ok(lookup)) => Ok(records(&name, kind, &lookup)),
            Ok(Err(NetError::Dns(DnsError::NoRecordsFound(_)))) => Err(Asked::Nothing),
            Ok(Err(error)) => Err(failed(plain(&error))),
            Err(_) => Err(failed(plain(&NetError::Timeout))),
        }
        .and_then(|records| match records.addresses.is_empty() && records.services.is_empty() {
            true => Err(Asked::Nothing),
            false => Ok(records),
        })
    }
}

impl Ask for Client {
    fn names(&self, name: &str) -> Vec<String> {
        let system = self.system();
        candidates(name, &system.search, system.ndots)
    }

    fn known(&self, host: &str) -> Vec<IpAddr> {
        let Ok(name) = Name::from_str_relaxed(host) else { return Vec::new() };
        let system = self.system();
        let known = [RecordType::A, RecordType::AAAA].into_iter().filter_map(|record_type| {
            system.hosts.lookup_static_host(&Query::query(name.clone(), record_type))
        });
        known.flat_map(|lookup| lookup.answers().iter().filter_map(address).collect::<Vec<_>>()).collect()
    }

    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> Asking<'a> {
        Box::pin(self.asked(name, kind))
    }
}

/// What a name may stand for: as it is, if it has enough dots, and in each search domain.
fn candidates(name: &str, search: &[Name], ndots: usize) -> Vec<String> {
    if name.ends_with('.') {
        return vec![name.to_owned()];
    }
    let as_it_is = format!("{name}.");
    let in_domain = |domain: &Name| format!("{name}.{}.", domain.to_string().trim_end_matches('.'));
    let mut names: Vec<_> = search.iter().filter(|domain| !domain.is_root()).map(in_domain).collect();
    match name.matches('.').count() >= ndots {
        true => names.insert(0, as_it_is),
        false => names.push(as_it_is),
    }
    names
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.to_vec())
}

/// The records that answer a question: those of the name itself and of what it is an alias of.
fn records(name: &Name, kind: Kind, lookup: &Lookup) -> Records {
    let mut owners = HashSet::from([name.clone()]);
    let mut ttl_s = u32::MAX;
    // In the order of the chain, as servers send them; each alias adds one name, so that this ends.
    for record in lookup.answers() {
        if let RData::CNAME(alias) = &record.data
            && owners.contains(&record.name)
        {
            owners.insert(alias.0.clone());
            ttl_s = ttl_s.min(record.ttl);
        }
    }
    let mut records = Records { ttl_s, ..Records::default() };
    for record in lookup.answers().iter().filter(|record| owners.contains(&record.name)) {
        let wanted = match (kind, &record.data) {
            (Kind::V4, RData::A(ip)) => {
                records.addresses.push(ip.0.into());
                true
            }
            (Kind::V6, RData::AAAA(ip)) => {
                records.addresses.push(ip.0.into());
                true
            }
            (Kind::Service, RData::SRV(service)) => {
                records.services.push(Service {
                    priority: service.priority,
                    target: service.target.to_lowercase().to_string(),
                    port: service.port,
                    weight: service.weight,
                });
                true
            }
            _ => false,
        };
        if wanted {
            records.ttl_s = records.ttl_s.min(record.ttl);
        }
    }
    records
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(ip) => Some(ip.0.into()),
        RData::AAAA(ip) => Some(ip.0.into()),
        _ => None,
    }
}

/// An error as an operator reads it.
fn plain(error: &NetError) -> String {
    match error {
        NetError::Timeout => "the name servers do not answer in time".to_owned(),
        NetError::NoConnections => "no name server can be reached".to_owned(),
        NetError::Io(error) => format!("no name server can be reached: {error}"),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server answers {code}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_resolver::proto::rr::Name;

    use super::candidates;

    #[test]
    fn search_domains_come_before_or_after_the_name_as_its_dots_say() {
        let search = [Name::from_str("a.example.").unwrap(), Name::from_str("b.example").unwrap()];
        assert_eq!(candidates("api", &search, 1), ["api.a.example.", "api.b.example.", "api."]);
        assert_eq!(candidates("api.x", &search, 1), ["api.x.", "api.x.a.example.", "api.x.b.example."]);
        assert_eq!(candidates("api.x", &search, 5)[2], "api.x.");
        assert_eq!(candidates("api.x.", &search, 5), ["api.x."]);
        assert_eq!(candidates("api", &[], 1), ["api."]);
    }
}
