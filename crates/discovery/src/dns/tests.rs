//! Sources over answers that are made up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Ask, Asked, Asking, DnsSource, Family, Kind, Records, Service, Wanted};
use crate::course::Look;
use crate::follow::Source;
use crate::found::Found;

#[derive(Debug, Default)]
struct Made {
    search: Vec<&'static str>,
    hosts: HashMap<&'static str, Vec<IpAddr>>,
    answers: HashMap<(&'static str, Kind), Result<Records, Asked>>,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Made {
    fn addresses(mut self, name: &'static str, kind: Kind, ttl_s: u32, ips: &[&str]) -> Self {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        let records = Records { addresses, ttl_s, ..Records::default() };
        self.answers.insert((name, kind), Ok(records));
        self
    }

    fn failing(mut self, name: &'static str, kind: Kind) -> Self {
        self.answers.insert((name, kind), Err(Asked::Failed(format!("{name} times out"))));
        self
    }

    fn services(mut self, name: &'static str, records: &[(u16, u16, u16, &str)]) -> Self {
        let service = |(priority, weight, port, target): &(u16, u16, u16, &str)| Service {
            priority: *priority,
            weight: *weight,
            port: *port,
            target: (*target).to_owned(),
        };
        let services = records.iter().map(service).collect();
        let records = Records { services, ttl_s: 30, ..Records::default() };
        self.answers.insert((name, Kind::Service), Ok(records));
        self
    }

    fn look(self, wanted: Wanted, family: Family, last: &[Found]) -> (Look, Arc<Self>) {
        let made = Arc::new(self);
        let source = DnsSource::new(made.clone(), wanted, family, 1_000);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        (runtime.block_on(source.look(Some(last))), made)
    }
}

impl Ask for Made {
    fn names(&self, name: &str) -> Vec<String> {
        let in_domain = self.search.iter().map(|domain| format!("{name}.{domain}."));
        in_domain.chain([format!("{name}.")]).collect()
    }

    fn known(&self, host: &str) -> Vec<IpAddr> {
        self.hosts.get(host).cloned().unwrap_or_default()
    }

    fn ask<'a>(&'a self, name: &'a str, kind: Kind) -> Asking<'a> {
        Box::pin(async move {
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            tokio::task::yield_now().await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let answer = self.answers.iter().find(|((known, of), _)| *known == name && *of == kind);
            answer.map_or(Err(Asked::Nothing), |(_, answer)| answer.clone())
        })
    }
}

fn host(host: &str) -> Wanted {
    Wanted::Host { host: host.into(), port: 80, weight: 3 }
}

/// Addresses, sorted, with what holds how long and what is wrong.
fn list(look: Look) -> (Vec<String>, Option<u64>, Option<String>) {
    match look {
        Look::List { found, fresh_ms, problem } => {
            let mut addresses: Vec<_> = found.iter().map(|f| f.address.to_string()).collect();
            addresses.sort();
            (addresses, fresh_ms, problem)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_addresses_of_the_wanted_families_are_found() {
    let made = || {
        Made::default().addresses("api.", Kind::V4, 30, &["192.0.2.1", "192.0.2.2"]).addresses(
            "api.",
            Kind::V6,
            20,
            &["2001:db8::1"],
        )
    };
    let (any, _) = made().look(host("api"), Family::Any, &[]);
    let expected = ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"].map(str::to_owned).to_vec();
    assert_eq!(list(any), (expected.clone(), Some(20_000), None));
    let (v4, _) = made().look(host("api"), Family::V4, &[]);
    assert_eq!(list(v4), (expected[..2].to_vec(), Some(30_000), None));
    let (v6, _) = made().look(host("api"), Family::V6, &[]);
    assert_eq!(list(v6), (expected[2..].to_vec(), Some(20_000), None));
}

#[test]
fn a_family_that_cannot_be_learned_stays_as_it_was() {
    let found = |address: &str| Found {
        name: "api:80".into(),
        address: address.parse().unwrap(),
        weight: 3,
        priority: 0,
    };
    let last = [found("192.0.2.9:80"), found("[2001:db8::9]:80")];
    let made = Made::default().addresses("api.", Kind::V4, 30, &["192.0.2.1"]).failing("api.", Kind::V6);
    let (look, _) = made.look(host("api"), Family::Any, &last);
    let (addresses, _, problem) = list(look);
    assert_eq!(addresses, ["192.0.2.1:80", "[2001:db8::9]:80"]);
    assert_eq!(problem.as_deref(), Some("api. times out"));
    // Nothing of one family, and the other unknown, is not nothing.
    let made = Made::default().failing("api.", Kind::V6);
    assert!(matches!(made.look(host("api"), Family::Any, &last).0, Look::Failed(_)));
    assert!(matches!(Made::default().look(host("api"), Family::Any, &last).0, Look::Nothing(_)));
}

#[test]
fn the_search_goes_on_where_there_is_nothing_and_ends_where_nothing_is_known() {
    let search = vec!["a.example", "b.example"];
    let answers = || Made { search: search.clone(), ..Made::default() };
    let made = answers().addresses("api.b.example.", Kind::V4, 5, &["192.0.2.1"]);
    assert_eq!(list(made.look(host("api"), Family::Any, &[]).0).0, ["192.0.2.1:80"]);
    let made = answers().failing("api.a.example.", Kind::V4).addresses("api.", Kind::V4, 5, &["192.0.2.1"]);
    assert!(matches!(made.look(host("api"), Family::Any, &[]).0, Look::Failed(_)));
}

#[test]
fn what_is_known_needs_no_question() {
    let (look, made) = Made::default().look(host("2001:db8::7"), Family::Any, &[]);
    assert_eq!(list(look).0, ["[2001:db8::7]:80"]);
    assert_eq!(made.most.load(Ordering::SeqCst), 0);
    let hosts = HashMap::from([("api", vec!["192.0.2.5".parse().unwrap()])]);
    let made = Made { hosts, ..Made::default() }.addresses("api.", Kind::V4, 5, &["192.0.2.1"]);
    let (look, made) = made.look(host("api"), Family::Any, &[]);
    assert_eq!(list(look).0, ["192.0.2.5:80"]);
    assert_eq!(made.most.load(Ordering::SeqCst), 0);
}

#[test]
fn services_have_ports_weights_and_tiers_of_their_own() {
    let made = Made::default()
        .services("_http._tcp.api.", &[(10, 60, 81, "a.example."), (20, 0, 82, "b.example.")])
        .addresses("a.example.", Kind::V4, 300, &["192.0.2.1", "192.0.2.2"])
        .addresses("b.example.", Kind::V6, 7, &["2001:db8::2"]);
    let (look, _) = made.look(Wanted::Service("_http._tcp.api".into()), Family::Any, &[]);
    let Look::List { mut found, fresh_ms, problem } = look else { panic!("{look:?}") };
    found.sort_by_key(|found| found.address);
    assert_eq!((fresh_ms, problem), (Some(7_000), None));
    let shown: Vec<_> =
        found.iter().map(|f| (&*f.name, f.address.to_string(), f.weight, f.priority)).collect();
    assert_eq!(shown[0], ("a.example:81", "192.0.2.1:81".into(), 60, 10));
    assert_eq!(shown[1], ("a.example:81", "192.0.2.2:81".into(), 60, 10));
    assert_eq!(shown[2], ("b.example:82", "[2001:db8::2]:82".into(), 1, 20));
}

#[test]
fn a_service_that_is_decidedly_not_available_has_no_endpoints() {
    let made = Made::default().services("_x._tcp.api.", &[(0, 0, 0, ".")]);
    let (look, _) = made.look(Wanted::Service("_x._tcp.api".into()), Family::Any, &[]);
    assert_eq!(list(look), (Vec::new(), Some(30_000), None));
    let (look, _) = Made::default().look(Wanted::Service("_x._tcp.api".into()), Family::Any, &[]);
    assert!(matches!(look, Look::Nothing(_)));
}

#[test]
fn a_target_that_cannot_be_learned_stays_as_it_was() {
    let made = || {
        Made::default()
            .services("_x._tcp.api.", &[(0, 5, 81, "a.example."), (0, 5, 82, "b.example.")])
            .failing("b.example.", Kind::V4)
            .failing("b.example.", Kind::V6)
    };
    let last = Found {
        name: "b.example:82".into(),
        address: "192.0.2.8:82".parse().unwrap(),
        weight: 1,
        priority: 0,
    };
    let wanted = Wanted::Service("_x._tcp.api".into());
    let with_a = made().addresses("a.example.", Kind::V4, 9, &["192.0.2.1"]);
    let (look, _) = with_a.look(wanted.clone(), Family::Any, std::slice::from_ref(&last));
    let (addresses, _, problem) = list(look);
    assert_eq!(addresses, ["192.0.2.1:81", "192.0.2.8:82"]);
    assert!(problem.is_some());
    // With nothing at all it is a failure.
    assert!(matches!(made().look(wanted, Family::Any, &[]).0, Look::Failed(_)));
}

#[test]
fn questions_at_once_are_bounded() {
    let targets: Vec<String> = (0..300).map(|n| format!("t{n}.example.")).collect();
    let records: Vec<_> = targets.iter().map(|target| (0, 1, 80, target.as_str())).collect();
    let made = Made::default().services("_x._tcp.api.", &records);
    let (look, made) = made.look(Wanted::Service("_x._tcp.api".into()), Family::V4, &[]);
    assert!(matches!(look, Look::Failed(_)));
    assert!(made.most.load(Ordering::SeqCst) <= super::TARGETS_AT_ONCE);
}
