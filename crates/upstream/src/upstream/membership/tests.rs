use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{NotAdded, Upstream};
use crate::balancers::{BALANCERS, Pick, PickKey};
use crate::endpoint::{Endpoint, EndpointId, InFlight, Labels, Traits};
use crate::health::{Failure, HealthEvents, OutlierSettings, ProbeHealth};
use crate::members::{Member, Origin, Source};
use crate::random::Random;
use crate::slow_start::SlowStart;
use crate::upstream::UpstreamSettings;
use crate::view::{Exclusion, IfNone, Subset, Vacancy, View};

fn address(number: u64) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], number as u16))
}

/// Of one name an address, as most are.
fn member(number: u64, weight: u32) -> Member {
    let address = address(number);
    Member::new(address.to_string(), address, weight)
}

fn source(key: &str) -> Source {
    Source { key: key.into(), kind: "dns".into(), plan: 1 }
}

fn upstream(document: &[Member], sources: &[&str]) -> Upstream {
    let endpoints = document.iter().map(|m| Endpoint::new(m.name.clone(), m.address, m.weight)).collect();
    successor(endpoints, sources)
}

fn successor(endpoints: Vec<Endpoint>, sources: &[&str]) -> Upstream {
    let outliers = OutlierSettings { consecutive_5xx: 1, ..OutlierSettings::default() };
    let sources = sources.iter().map(|key| source(key)).collect();
    let settings = UpstreamSettings { outliers, sources, ..UpstreamSettings::default() };
    Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard())
}

/// Another document for an upstream: what stays is the same endpoint, as control does it.
fn reloaded(before: &Upstream, document: &[Member], sources: &[&str]) -> Upstream {
    let endpoint = |m: &Member| match before.live_endpoints().find(|(_, e)| *e.name() == m.name) {
        Some((_, endpoint)) => endpoint.successor(m.weight),
        None => Endpoint::new(m.name.clone(), m.address, m.weight),
    };
    let after = successor(document.iter().map(endpoint).collect(), sources);
    after.catch_up(before, 0);
    after
}

fn live(upstream: &Upstream) -> Vec<u16> {
    upstream.live_endpoints().map(|(_, endpoint)| endpoint.address().port()).collect()
}

fn members(upstream: &Upstream) -> Vec<u32> {
    let mut view = View::default();
    view.refresh(upstream, 0);
    view.members().to_vec()
}

#[test]
fn what_is_found_is_used_at_once_and_what_is_found_no_more_is_not() {
    let upstream = upstream(&[], &["a", "b"]);
    let mut view = View::default();
    view.refresh(&upstream, 0);
    assert_eq!(upstream.pick(&view, &PickKey::default()), Pick::None(Vacancy::NoEndpoints));
    let change = upstream.set_found("a", vec![member(1, 1), member(2, 1)], 0).unwrap();
    assert_eq!((&change.added[..], &change.removed[..]), (&[0, 1][..], &[][..]));
    assert!(view.refresh(&upstream, 0));
    assert_eq!(view.members(), [0, 1]);
    let guard = upstream.begin(0).unwrap();
    upstream.set_found("b", vec![member(2, 7), member(3, 1)], 0).unwrap();
    let change = upstream.set_found("a", vec![], 0).unwrap();
    assert_eq!((&change.removed[..], &change.reweighted[..]), (&[0][..], &[1][..]));
    assert!(view.refresh(&upstream, 0));
    assert_eq!((view.members(), view.exclusion(0)), (&[1, 2][..], Some(Exclusion::Removed)));
    let first = upstream.endpoint(0).unwrap();
    assert!(first.is_removed() && first.is_retired() && first.in_flight() == 1);
    drop(guard);
    assert_eq!(upstream.in_flight(), 0);
    assert!(upstream.set_found("c", vec![member(9, 1)], 0).is_none());
    for key in ["a", "b"] {
        upstream.set_found(key, vec![], 0).unwrap();
    }
    view.refresh(&upstream, 0);
    assert_eq!(upstream.pick(&view, &PickKey::default()), Pick::None(Vacancy::NoEndpoints));
}

#[test]
fn one_that_returns_is_the_same_endpoint_in_its_slot() {
    let upstream = upstream(&[], &["a"]);
    upstream.set_found("a", vec![member(1, 1), member(2, 1)], 0);
    let id = upstream.endpoint(1).unwrap().id();
    upstream.probed(1, Err(crate::probes::ProbeFailure::Refused), Some(ProbeHealth::Down), 0);
    upstream.set_found("a", vec![member(1, 1)], 0);
    upstream.probed(1, Ok(()), Some(ProbeHealth::Up), 0);
    let change = upstream.set_found("a", vec![member(1, 1), member(2, 5)], 0).unwrap();
    assert_eq!((change.added, change.reweighted), (vec![1], vec![]));
    let endpoint = upstream.endpoint(1).unwrap();
    assert_eq!((endpoint.id(), endpoint.weight(), endpoint.is_retired()), (id, 5, false));
    assert_eq!(endpoint.probe_health(), ProbeHealth::Down, "nobody has seen it well since");
}

#[test]
fn an_ejected_one_that_goes_makes_room_under_the_cap() {
    let upstream = upstream(&[member(1, 1), member(2, 1), member(3, 1)], &[]);
    assert!(upstream.report_failure(0, Failure::Connect, 0, 0));
    assert!(!upstream.report_failure(1, Failure::Connect, 0, 0), "one of three is the most");
    upstream.operator_remove(&[0], 1).unwrap();
    assert!(!upstream.report_failure(0, Failure::Connect, 1, 0), "it takes no part");
    assert!(upstream.report_failure(1, Failure::Connect, 1, 0));
}

#[test]
fn the_operator_adds_removes_and_takes_back() {
    let upstream = upstream(&[member(1, 1), member(2, 2)], &[]);
    assert_eq!(upstream.operator_add(&[member(3, 4)], Some(4), 0).unwrap().added, [2]);
    assert_eq!(upstream.endpoint(2).unwrap().weight_override(), None);
    for (number, origin) in [(1, Origin::Document), (3, Origin::Operator)] {
        let refused = upstream.operator_add(&[member(number, 1)], None, 0).unwrap_err();
        let name = address(number).to_string().into();
        assert_eq!(refused, NotAdded::AlreadyThere { name, origin: Some(origin) });
    }
    upstream.set_drained(1, true);
    upstream.operator_remove(&[1, 2, 9], 0).unwrap();
    assert_eq!(live(&upstream), [1]);
    let standings = upstream.standings();
    assert!(standings[1].is_removed_by_operator && standings[1].origin == Some(Origin::Document));
    assert!(!standings[2].is_removed_by_operator && standings[2].origin.is_none());
    assert_eq!(upstream.operator_members().removed.len(), 1, "what only the operator listed is just gone");
    assert_eq!(upstream.operator_add(&[member(2, 1)], Some(9), 0).unwrap().added, [1]);
    let back = upstream.endpoint(1).unwrap();
    assert_eq!((back.weight(), back.document_weight(), back.is_drained()), (9, 2, false));
    assert!(upstream.operator_members().is_empty());
    upstream.operator_remove(&[0, 1], 0).unwrap();
    assert_eq!(members(&upstream), [0; 0]);
}

#[test]
fn a_reload_keeps_what_is_not_the_documents() {
    let before = upstream(&[member(1, 1), member(2, 1)], &["a", "b"]);
    before.set_found("a", vec![member(5, 1)], 0);
    before.set_found("b", vec![member(6, 1)], 0);
    before.operator_add(&[member(3, 1), member(4, 1)], None, 0).unwrap();
    before.operator_remove(&[0, 1, 2], 0).unwrap();
    assert_eq!(live(&before), [6, 3, 4]);
    let guard = before.begin(5).unwrap();
    // The document lists 1 as before, 2 anew, and takes 3 over; the source `a` is another place.
    let after = reloaded(&before, &[member(1, 1), member(2, 9), member(3, 8)], &["z", "b", "a"]);
    assert_eq!(live(&after), [2, 3, 6, 4]);
    let standings = after.standings();
    let of = |port: u16| after.endpoints().find(|(_, e)| e.address().port() == port).unwrap();
    assert_eq!(standings[of(3).0 as usize].origin, Some(Origin::Document));
    assert_eq!(standings[of(4).0 as usize].origin, Some(Origin::Operator));
    assert_eq!(of(4).1.id(), before.endpoint(5).unwrap().id());
    assert_eq!(of(4).1.in_flight(), 1);
    drop(guard);
    assert!(after.set_found("a", vec![member(5, 1)], 0).unwrap().is_empty(), "it stays removed");
    // What comes about before it is put into force is not lost.
    before.set_found("b", vec![member(7, 1)], 0);
    after.catch_up(&before, 0);
    assert_eq!(live(&after), [2, 3, 4, 7]);
    assert!(after.live_endpoints().all(|(_, endpoint)| !endpoint.is_retired()));
    assert!(
        after.renewed().live_endpoints().map(|(_, e)| e.id()).eq(after.live_endpoints().map(|(_, e)| e.id()))
    );
}

#[test]
fn one_that_wears_out_is_made_anew_without_what_was_removed() {
    let upstream = upstream(&[member(1, 1)], &["a"]);
    for number in 2..66 {
        upstream.set_found("a", vec![member(number, 1)], 0);
        assert!(!upstream.is_worn(), "{number}");
    }
    upstream.set_found("a", vec![member(66, 1)], 0);
    upstream.set_found("a", vec![member(67, 1)], 0);
    assert!(upstream.is_worn());
    let renewed = upstream.renewed();
    renewed.catch_up(&upstream, 0);
    assert_eq!((live(&renewed), renewed.slots()), (vec![1, 67], 2));
    assert_ne!(renewed.version() >> 32, upstream.version() >> 32);
    assert_eq!(renewed.set_found("a", vec![member(1, 1)], 0).unwrap().removed, [1]);
}

/// What the set should be, by the rules as they are told.
#[derive(Default)]
struct Model {
    document: Vec<Member>,
    found: [Vec<Member>; 2],
    added: BTreeMap<u16, u32>,
    removed: Vec<u16>,
}

impl Model {
    fn set(&self) -> BTreeMap<u16, u32> {
        let mut set = BTreeMap::new();
        for list in [&self.found[1], &self.found[0], &self.document] {
            for member in list.iter().rev() {
                set.insert(member.address.port(), member.weight);
            }
        }
        set.retain(|port, _| !self.removed.contains(port));
        set.extend(&self.added);
        set
    }

    fn list(random: &mut Random) -> Vec<Member> {
        (0..random.below(6)).map(|_| member(1 + random.below(8), 1 + random.below(3) as u32)).collect()
    }

    /// Changes the model and the upstream in the same way.
    fn step(&mut self, upstream: &Upstream, random: &mut Random) {
        let port = 1 + random.below(8);
        match random.below(4) {
            0 => {
                let weight = 1 + random.below(3) as u32;
                let is_new = !self.set().contains_key(&(port as u16));
                assert_eq!(upstream.operator_add(&[member(port, weight)], None, 0).is_ok(), is_new);
                if is_new {
                    self.removed.retain(|removed| u64::from(*removed) != port);
                    if !self.set().contains_key(&(port as u16)) {
                        self.added.insert(port as u16, weight);
                    }
                }
            }
            1 => {
                let Some((index, _)) = upstream.live_endpoints().find(|(_, e)| e.address() == address(port))
                else {
                    return;
                };
                upstream.operator_remove(&[index], 0).unwrap();
                self.added.remove(&(port as u16));
                if self.set().contains_key(&(port as u16)) {
                    self.removed.push(port as u16);
                }
            }
            source => {
                let (source, list) = (source as usize - 2, Self::list(random));
                upstream.set_found(["a", "b"][source], list.clone(), 0).unwrap();
                self.found[source] = list;
            }
        }
    }
}

#[test]
fn any_changes_lead_to_the_set_of_the_rules_and_disturb_nothing_else() {
    for seed in 0..3000 {
        let mut random = Random::new(seed);
        let mut document = Model::list(&mut random);
        document.sort_by_key(|member| member.address);
        document.dedup_by_key(|member| member.address);
        let upstream = upstream(&document, &["a", "b"]);
        let mut model = Model { document, ..Model::default() };
        let mut held: Vec<(u32, EndpointId, InFlight)> = Vec::new();
        for step in 0..30 {
            let told = format!("seed {seed} step {step}");
            let (before, version) = (model.set(), upstream.version());
            model.step(&upstream, &mut random);
            let after = model.set();
            let now: Vec<(u16, u32)> =
                upstream.live_endpoints().map(|(_, e)| (e.address().port(), e.weight())).collect();
            assert_eq!(now.len(), after.len(), "{told}");
            assert_eq!(now.into_iter().collect::<BTreeMap<_, _>>(), after, "{told}");
            assert_eq!(upstream.version() - version, u64::from(before != after), "{told}");
            for (index, id, _) in &held {
                assert_eq!(upstream.endpoint(*index).map(Endpoint::id), Some(*id), "{told}");
            }
            assert_eq!(upstream.in_flight(), held.len() as u64, "{told}");
            assert!(upstream.slots() <= 8, "{told}: each gets its slot back");
            for (index, endpoint) in upstream.endpoints() {
                assert_eq!(endpoint.is_removed(), endpoint.is_retired(), "{told}");
                if random.below(4) == 0 {
                    held.push((index, endpoint.id(), endpoint.begin()));
                }
            }
        }
    }
}

#[test]
fn workers_that_pick_while_the_set_changes_pick_only_what_their_view_has() {
    for seed in 0..10 {
        let upstream = Arc::new(upstream(&[member(1, 1)], &["a", "b"]));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let workers = [1, 2].map(|worker| {
                let (upstream, done) = (&upstream, &done);
                scope.spawn(move || {
                    let mut view = View::default();
                    let (mut turn, mut random) = (0, Random::new(seed * 10 + worker));
                    while !done.load(Ordering::Relaxed) {
                        view.refresh(upstream, 0);
                        turn += 1;
                        let key = PickKey { turn, seed: random.next(), ..PickKey::default() };
                        match upstream.pick(&view, &key) {
                            Pick::Endpoint(endpoint) => drop(upstream.begin(endpoint).unwrap()),
                            Pick::None(vacancy) => panic!("seed {seed}: {vacancy}"),
                        }
                    }
                })
            });
            let mut random = Random::new(seed);
            for _ in 0..500 {
                let key = ["a", "b"][random.below(2) as usize];
                let list = (0..random.below(20)).map(|_| member(2 + random.below(200), 1)).collect();
                upstream.set_found(key, list, 0).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            workers.into_iter().for_each(|worker| worker.join().unwrap());
        });
        let mut view = View::default();
        view.refresh(&upstream, 0);
        assert!(view.members().iter().copied().eq(upstream.live_endpoints().map(|(index, _)| index)));
        assert_eq!(upstream.in_flight(), 0);
    }
}

fn with(number: u64, priority: u32, version: &str) -> Member {
    let traits = Traits { priority, zone: None, labels: Labels::new([("version", version)]) };
    Member { traits: Arc::new(traits), ..member(number, 1) }
}

fn view_of(upstream: &Upstream, version: &str) -> View {
    let subset = Subset { labels: Labels::new([("version", version)]), if_none: IfNone::Fail };
    let mut view = View::of(Arc::new(subset));
    view.refresh(upstream, 0);
    view
}

#[test]
fn tiers_and_labels_of_what_is_found_count_as_those_of_the_document() {
    let upstream = upstream(&[], &["a"]);
    upstream.set_found("a", vec![with(1, 0, "v1"), with(2, 7, "v1"), with(3, 0, "v2")], 0);
    assert_eq!(members(&upstream), [0, 2]);
    let mut subset = view_of(&upstream, "v1");
    assert_eq!((subset.members(), subset.exclusion(2)), (&[0][..], Some(Exclusion::OtherLabels)));
    // The first tier goes, and the next takes its place; in the subset's view as well.
    let change = upstream.set_found("a", vec![with(2, 7, "v1"), with(3, 7, "v2")], 0).unwrap();
    assert_eq!((change.removed, change.reweighted), (vec![0], vec![2]));
    assert!(subset.refresh(&upstream, 0));
    assert_eq!((members(&upstream), subset.members()), (vec![1, 2], &[1][..]));
    assert_eq!(
        [0, 1, 2].map(|e| subset.exclusion(e)),
        [Some(Exclusion::Removed), None, Some(Exclusion::OtherLabels)]
    );
    assert!(!subset.may_keep(0) && subset.may_keep(1) && !subset.may_keep(2));
    upstream.set_found("a", vec![with(3, 7, "v2")], 0);
    subset.refresh(&upstream, 0);
    assert_eq!((subset.vacancy(), subset.members().len()), (Vacancy::NoLabels, 0));
    upstream.set_found("a", Vec::new(), 0);
    subset.refresh(&upstream, 0);
    assert_eq!(subset.vacancy(), Vacancy::NoEndpoints);
}

#[test]
fn who_comes_later_begins_slowly_and_who_begins_together_does_not() {
    let slow_start = SlowStart { window_ms: 1000, aggression: 1.0, min_percent: 10 };
    let make = |sources: &[&str]| {
        let sources = sources.iter().map(|key| source(key)).collect();
        let settings = UpstreamSettings { slow_start: Some(slow_start), sources, ..Default::default() };
        let document = vec![Endpoint::new("a:1", address(1), 1)];
        Upstream::new("api", document, BALANCERS[0].standard(), settings, HealthEvents::unheard())
    };
    let warm = |upstream: &Upstream, now_ms| -> Vec<Option<f64>> {
        let mut view = View::default();
        view.refresh(upstream, now_ms);
        upstream.live_endpoints().map(|(index, _)| view.warmth(index)).collect()
    };
    let first = make(&["a"]);
    first.begin_with(vec![("a".into(), vec![member(2, 1)])], None, 0);
    assert_eq!(warm(&first, 0), [None, None]);
    first.set_found("a", vec![member(2, 1), member(3, 1)], 0);
    assert_eq!(warm(&first, 0), [None, None, Some(0.1)]);
    assert_eq!(warm(&first, 500), [None, None, Some(0.5)]);
    // Over a reload that has another source it is as warm as it was, and only who is new to the upstream is slow.
    let second = make(&["a", "b"]);
    let found = vec![("b".into(), vec![member(2, 1), member(4, 1)])];
    second.begin_with(found, Some(&first), 500);
    second.catch_up(&first, 500);
    let known = |upstream: &Upstream, port: u16| {
        upstream.live_endpoints().find(|(_, e)| e.address().port() == port).unwrap().1.id()
    };
    assert_eq!([2, 3].map(|port| known(&second, port)), [2, 3].map(|port| known(&first, port)));
    assert_eq!(live(&second), [1, 2, 3, 4]);
    assert_eq!(warm(&second, 500), [None, None, Some(0.5), Some(0.1)]);
    // One that comes back is as new.
    second.set_found("a", vec![member(2, 1)], 2000);
    assert_eq!(warm(&second, 2000), [None, None, None]);
    second.set_found("a", vec![member(2, 1), member(3, 1)], 2000);
    assert_eq!(warm(&second, 2000), [None, None, Some(0.1), None]);
}
