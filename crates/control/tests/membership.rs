//! Sets of endpoints that change while the document stays.

use std::sync::Arc;

use tollgate_control::compile::Predecessor;
use tollgate_control::history::Occasion;
use tollgate_control::instance::Surroundings;
use tollgate_control::membership::{self, NotChanged, OperatorChanges};
use tollgate_control::prepare::{Text, prepare};
use tollgate_control::process::Options;
use tollgate_control::resolve::NoResolver;
use tollgate_control::{Acme, Instance, Process};
use tollgate_decision::RecorderSettings;
use tollgate_testkit::PATIENCE;
use tollgate_upstream::{HealthEvents, Member, NotAdded, Upstream};

const DOCUMENT: &str = "version: 1\nlisten: \"127.0.0.1:0\"\nupstreams: { api: { endpoints: [\"127.0.0.1:1\"], \
                        health: { tcp: {}, every: 1h } } }\nroutes:\n  - { path: /, to: api }\n";

fn start() -> Arc<Instance> {
    let (events, resolver) = (HealthEvents::unheard(), Arc::new(NoResolver));
    let inline = Text::Inline("tollgate.yaml".to_owned(), DOCUMENT.to_owned());
    let prepared = prepare(&inline, &Predecessor::default(), &*resolver, &events);
    let (report, bundle) = (prepared.report(false), prepared.bundle().unwrap());
    let first = prepared.ready.unwrap_or_else(|| panic!("{report}"));
    let recorder = RecorderSettings { bytes: 0, slow_us: u64::MAX, sample: 0.0 };
    let options = Options { workers: 2, metrics: true, recorder, say: |_| {} };
    let process = Arc::new(Process::start(first.snapshot.clone(), &options).unwrap());
    let surroundings = Surroundings { file: None, resolver, events, acme: Acme::new(|_| {}), say: |_| {} };
    Arc::new(Instance::new(process, first, (bundle, Occasion::Start), surroundings))
}

async fn end(instance: &Instance) {
    instance.process().drain(&tollgate_proxy::worker::Graces::default()).await;
    instance.process().finish();
}

fn member(number: u16) -> Member {
    let address: std::net::SocketAddr = ([10, 0, (number >> 8) as u8, number as u8], 80).into();
    Member::new(address.to_string(), address, 1)
}

fn upstream(instance: &Instance) -> Arc<Upstream> {
    instance.process().snapshot().upstreams[0].clone()
}

fn index_of(upstream: &Upstream, member: &Member) -> Result<Vec<u32>, ()> {
    let found = upstream.live_endpoints().find(|(_, endpoint)| endpoint.address() == member.address);
    found.map(|(index, _)| vec![index]).ok_or(())
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_set_that_always_changes_does_not_grow_and_it_is_the_same_document() {
    let instance = start();
    let renewing = tokio::spawn(membership::renew(instance.clone()));
    let first = Arc::downgrade(&instance.process().snapshot());
    let (before, kept) = (upstream(&instance), member(60_000));
    let sets = instance.membership();
    sets.add("api", std::slice::from_ref(&kept), None).unwrap();
    let guard = before.begin(index_of(&before, &kept).unwrap()[0]).unwrap();
    for number in 0..1000 {
        let member = member(number);
        sets.add("api", std::slice::from_ref(&member), None).unwrap();
        sets.remove("api", |upstream| index_of(upstream, &member)).unwrap();
        assert!(upstream(&instance).slots() < 200, "{number}");
        // Lets the other task run, and the workers' answers come.
        while upstream(&instance).is_worn() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    let now = upstream(&instance);
    assert!(!Arc::ptr_eq(&before, &now));
    let (index, endpoint) = now.live_endpoints().find(|(_, e)| e.address() == kept.address).unwrap();
    assert_eq!((endpoint.in_flight(), now.endpoint(index).map(|e| e.id())), (1, Some(endpoint.id())));
    drop((guard, before));
    assert_eq!(now.in_flight(), 0);
    assert_eq!((instance.versions().len(), instance.process().snapshot().number), (1, 1));
    // The last renewal is in force a moment before it is noted.
    until("the history has the snapshot in force", || {
        let (versions, current) = (instance.versions(), instance.process().snapshot());
        versions[0].snapshot.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, &current))
    })
    .await;
    until("what was made anew frees what it was made from", || {
        instance.process().free_retired();
        first.upgrade().is_none()
    })
    .await;
    renewing.abort();
    end(&instance).await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_and_the_rest_is_handed_on() {
    let instance = start();
    let sets = instance.membership();
    assert_eq!(sets.add("nope", &[member(1)], None), Err(NotChanged::NoUpstream));
    assert!(!sets.found("api", "a source", vec![member(1)]) && !sets.found("nope", "a source", vec![]));
    sets.add("api", &[member(1), member(2)], Some(3)).unwrap();
    let refused = sets.add("api", &[member(1)], None).unwrap_err();
    assert!(matches!(refused, NotChanged::Refused(NotAdded::AlreadyThere { .. })));
    assert_eq!(sets.remove("api", |_| Err("none")), Err(NotChanged::Unchosen("none")));
    assert_eq!(sets.remove("api", |_| Ok::<_, ()>(vec![0, 1])).unwrap().removed, [0, 1]);
    let set_at = |instance: &Instance| OperatorChanges::of(&instance.process().snapshot().upstreams);
    let changes = set_at(&instance);
    let another = start();
    changes.restore(&another.process().snapshot().upstreams, 0);
    assert_eq!(set_at(&another), changes);
    let live: Vec<_> = upstream(&another).live_endpoints().map(|(_, e)| e.address()).collect();
    assert_eq!(live, [member(2).address]);
    end(&instance).await;
    end(&another).await;
}
