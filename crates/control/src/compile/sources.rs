//! Where the endpoints of upstreams come from besides their addresses.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tollgate_config::{
    self as config, AddressFamily, Diagnostic, Endpoint, EndpointPlace, FilePath, Follow, Located,
};
use tollgate_discovery::dns::{Family, Settings, Wanted};
use tollgate_discovery::{Course, Found, Look, OnEmpty, Rules, file};
use tollgate_runtime::Clock;
use tollgate_upstream::{Member, Source, Traits};

use super::Compiler;
use super::upstreams::traits;

/// A name is asked for again after this at the soonest: name servers that give out a time to live of 0 mean every time,
/// and one question a second is more often than records change and less than any of them notices.
const MIN_TTL: Duration = Duration::from_secs(1);

/// And after this at the latest, whatever its time to live: about as long as somebody waits for a change.
const MAX_TTL: Duration = Duration::from_secs(60);

/// After a failure a name is asked for again in half a second to a second, then in twice that, up to this.
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// How many endpoints of an answer or a file are used.
const MAX_ENDPOINTS: u32 = 1_000;

/// A source of endpoints. The same plan is the same source, also in another document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourcePlan {
    /// What it is called among those of its upstream: `dns api.internal:8080`.
    pub key: Arc<str>,
    /// What is looked at.
    pub place: SourcePlace,
    /// How often, and what becomes of it.
    pub rules: Rules,
    /// What all its endpoints are besides their addresses. A service's priorities are tiers from this one on.
    pub traits: Arc<Traits>,
}

/// What a source looks at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourcePlace {
    /// A name in DNS.
    Dns {
        /// What is asked for.
        wanted: Wanted,
        /// Which addresses.
        family: Family,
        /// It is written as an address, so that it has to be known when the document is loaded.
        is_address: bool,
    },
    /// A file of endpoints.
    File {
        /// Where it is.
        path: PathBuf,
        /// It has a line for each endpoint.
        lines: bool,
    },
}

impl SourcePlan {
    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        match &self.place {
            SourcePlace::Dns { wanted: Wanted::Host { .. }, .. } => "dns",
            SourcePlace::Dns { wanted: Wanted::Service(_), .. } => "srv",
            SourcePlace::File { .. } => "file",
        }
    }

    /// The source that an item of `endpoints` is; `None` for an address that is not followed.
    pub fn of(endpoint: &Endpoint, traits: &Arc<Traits>) -> Option<Self> {
        let follow = endpoint.follow.as_deref();
        let host = |address: &config::EndpointAddress| Wanted::Host {
            host: address.host().into(),
            port: address.port(),
            weight: endpoint.weight.get(),
        };
        let dns = |wanted, is_address| SourcePlace::Dns { wanted, family: family(follow), is_address };
        let place = match &endpoint.place {
            EndpointPlace::Address(address) if is_fixed(address) => return None,
            EndpointPlace::Address(address) => dns(host(address), true),
            EndpointPlace::Dns(address) => dns(host(address), false),
            EndpointPlace::Srv(service) => dns(Wanted::Service(service.as_str().into()), false),
            EndpointPlace::File(path) => of_file(path),
        };
        let (key, rules) = (endpoint.name().into(), rules(&place, follow));
        Some(Self { key, rules, place, traits: traits.clone() })
    }

    /// The source that the address of a destination is, which stands in a route; `None` if it is not followed.
    pub fn of_address(address: &config::EndpointAddress) -> Option<Self> {
        if is_fixed(address) {
            return None;
        }
        let wanted = Wanted::Host { host: address.host().into(), port: address.port(), weight: 1 };
        let place = SourcePlace::Dns { wanted, family: Family::Any, is_address: true };
        let (key, rules) = (address.to_string().into(), rules(&place, None));
        Some(Self { key, rules, place, traits: Arc::default() })
    }

    /// Whether it asks name servers.
    pub fn asks(&self) -> bool {
        matches!(self.place, SourcePlace::Dns { .. })
    }

    /// The same as its upstream knows it.
    pub fn source(&self) -> Source {
        let mut plan = DefaultHasher::new();
        self.hash(&mut plan);
        Source { key: self.key.clone(), kind: self.kind().into(), plan: plan.finish() }
    }
}

/// Whether an address needs no following: an IP address, or a name that means this machine (RFC 6761 section 6.3) and
/// is in no DNS.
fn is_fixed(address: &config::EndpointAddress) -> bool {
    let host = address.host();
    address.socket().is_some() || host == "localhost" || host.ends_with(".localhost")
}

fn of_file(path: &FilePath) -> SourcePlace {
    let lines = path.path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("txt"));
    SourcePlace::File { path: path.path().to_owned(), lines }
}

fn family(follow: Option<&Follow>) -> Family {
    match follow.and_then(|follow| follow.family.as_ref()).map(|family| family.value) {
        None | Some(AddressFamily::Any) => Family::Any,
        Some(AddressFamily::V4) => Family::V4,
        Some(AddressFamily::V6) => Family::V6,
    }
}

fn rules(place: &SourcePlace, follow: Option<&Follow>) -> Rules {
    let max = follow.and_then(|follow| follow.max.as_ref()).map_or(MAX_ENDPOINTS, |max| max.get());
    if let SourcePlace::File { .. } = place {
        return file::rules(max as usize);
    }
    let ttl = |key: Option<&Located<config::Duration<100>>>| key.map(|ttl| ttl.get());
    let min = ttl(follow.and_then(|follow| follow.min_ttl.as_ref()));
    let max_ttl = ttl(follow.and_then(|follow| follow.max_ttl.as_ref()));
    // The one that is written moves the other one along.
    let latest = max_ttl.unwrap_or_else(|| MAX_TTL.max(min.unwrap_or_default()));
    let soonest = min.unwrap_or(MIN_TTL).min(latest);
    let millis = |duration: Duration| duration.as_millis() as u64;
    Rules {
        soonest_ms: millis(soonest),
        latest_ms: millis(latest),
        retry_first_ms: millis(RETRY.min(latest)),
        retry_latest_ms: millis(RETRY_MAX.min(latest)),
        on_empty: match follow.and_then(|follow| follow.on_empty.as_ref()).map(|on| on.value) {
            Some(config::OnEmpty::Remove) => OnEmpty::Remove,
            None | Some(config::OnEmpty::Keep) => OnEmpty::Keep,
        },
        max: max as usize,
    }
}

/// Whom a document asks for names.
pub fn dns_settings(dns: &config::Dns) -> Settings {
    let resolvers = dns.resolvers.iter().map(|resolver| resolver.socket()).collect();
    Settings { resolvers, timeout: dns.timeout.get() }
}

/// What a source has found, as the members of its upstream. Of the priorities in it the lowest is the tier of `traits`, and
/// each higher one is the tier after the one before.
pub fn members_of(found: &[Found], traits: &Arc<Traits>) -> Vec<Member> {
    let mut priorities: Vec<u32> = found.iter().map(|found| found.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let tiers: Vec<Arc<Traits>> = (traits.priority..)
        .zip(&priorities)
        .map(|(priority, _)| match priority == traits.priority {
            true => traits.clone(),
            false => Arc::new(Traits { priority, ..(**traits).clone() }),
        })
        .collect();
    let member = |found: &Found| {
        let tier = priorities.partition_point(|priority| *priority < found.priority);
        let traits = tiers.get(tier).unwrap_or(traits).clone();
        Member { name: found.name.clone(), address: found.address, weight: found.weight, traits }
    };
    found.iter().map(member).collect()
}

/// What sources had found when a document was loaded. That is no part of what the document says: two of these are
/// always equal.
#[derive(Clone, Debug, Default)]
pub struct FirstFound(HashMap<Arc<str>, Vec<(Arc<str>, Known)>>);

/// What is known of what a source has found.
#[derive(Clone, Debug)]
pub struct Known {
    /// The list.
    pub list: Arc<[Found]>,
    /// When it was last good, in milliseconds since the process started.
    pub good_ms: u64,
}

impl FirstFound {
    /// What the source of a key has found for an upstream; `None` if that could not be learned.
    pub fn get(&self, upstream: &str, key: &str) -> Option<&Known> {
        let found = self.0.get(upstream)?.iter().find(|(known, _)| **known == *key);
        found.map(|(_, found)| found)
    }

    /// Notes what a source has found.
    pub fn set(&mut self, upstream: &str, key: &Arc<str>, known: Known) {
        self.0.entry(upstream.into()).or_default().push((key.clone(), known));
    }
}

impl PartialEq for FirstFound {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What the first looks at the sources of a document found. Equal sources of two upstreams are looked at once.
pub(super) type FirstLooks = HashMap<SourcePlan, Look>;

impl Compiler<'_> {
    /// Looks for the first time at the sources of all upstreams: at once, and for a bounded time. Those that are followed
    /// already need no look.
    pub(super) fn look_at_sources(&mut self) {
        let dns = dns_settings(&self.document.dns);
        let upstreams = self.document.upstreams.iter();
        let endpoints = upstreams.flat_map(|(name, upstream)| {
            upstream.endpoints.iter().map(move |endpoint| (name.value.as_str(), endpoint))
        });
        let sources: Vec<SourcePlan> = endpoints
            .filter_map(|(upstream, endpoint)| {
                let plan = SourcePlan::of(endpoint, &traits(endpoint))?;
                self.before.followed(upstream, &plan, &dns).is_none().then_some(plan)
            })
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        self.take_looks(sources);
    }

    fn take_looks(&mut self, plans: Vec<SourcePlan>) {
        if !plans.is_empty() {
            let looks = self.resolver.look(&plans, &dns_settings(&self.document.dns));
            self.beside.first_looks.extend(plans.into_iter().zip(looks));
        }
    }

    /// Notes what a source begins with: what it has found where it is followed already, what its first look found, or else
    /// what it had found in the snapshot that runs. Where something is wrong with it there is a finding.
    pub(super) fn begin_with(&mut self, upstream: &str, plan: &SourcePlan, origin: config::Origin) {
        let dns = dns_settings(&self.document.dns);
        if let Some(known) = self.before.followed(upstream, plan, &dns) {
            self.beside.first_found.set(upstream, &plan.key, known.clone());
            return;
        }
        if !self.beside.first_looks.contains_key(plan) {
            // The address of a destination in a route.
            self.take_looks(vec![plan.clone()]);
        }
        let mut course = Course::new(plan.rules, 0);
        let Some(look) = self.beside.first_looks.get(plan) else { return };
        let list = course.take(look.clone(), 0).list;
        let before = self.before.found(upstream, &plan.key);
        if let Some(why) = course.problem() {
            let is_address = matches!(plan.place, SourcePlace::Dns { is_address: true, .. });
            self.diagnostics.push(match (&list, before) {
                (Some(_), _) => Diagnostic::warning(origin, &**why),
                (None, Some(_)) => {
                    Diagnostic::warning(origin, format!("{why}; the endpoints that it had are kept"))
                }
                (None, None) if is_address => {
                    let mend = "write `{ dns: … }` if it need not be known when the document is loaded";
                    Diagnostic::error(origin, &**why).mend(mend)
                }
                (None, None) => Diagnostic::warning(origin, format!("{why}; it has no endpoints yet")),
            });
        }
        let fresh = list.map(|list| Known { list, good_ms: Clock::new().now_ms() });
        if let Some(known) = fresh.or_else(|| before.cloned()) {
            self.beside.first_found.set(upstream, &plan.key, known);
        }
    }
}
