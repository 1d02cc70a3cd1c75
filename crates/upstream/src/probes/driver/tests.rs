use std::future::pending;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::run_probes;
use crate::balancers::BALANCERS;
use crate::endpoint::Endpoint;
use crate::health::{Cause, Health, HealthEvent, HealthEvents, ProbeHealth, UpstreamEvent};
use crate::members::{Member, OperatorMembers};
use crate::probes::{
    Probe, ProbeAnswer, ProbeFailure, ProbePlan, ProbeRoom, ProbeTarget, TcpProbe, Thresholds,
};
use crate::upstream::{Upstream, UpstreamSettings};

/// Gives the outcomes of a script (`+` passes, `-` fails), then passes for ever; notes when it was asked.
#[derive(Debug)]
struct Scripted {
    script: &'static [u8],
    asked: Mutex<Vec<(Arc<str>, Instant)>>,
}

impl Probe for Scripted {
    fn run<'a>(&'a self, target: &'a ProbeTarget, _: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move {
            let mut asked = self.asked.lock().unwrap();
            let turn = asked.iter().filter(|(name, _)| *name == target.name).count();
            asked.push((Arc::clone(&target.name), Instant::now()));
            if self.script.get(turn) == Some(&b'-') { Err(ProbeFailure::Closed) } else { Ok(()) }
        })
    }
}

fn scripted(script: &'static str) -> Arc<Scripted> {
    Arc::new(Scripted { script: script.as_bytes(), asked: Mutex::default() })
}

fn upstream(endpoints: Vec<Endpoint>, plan: ProbePlan) -> (Arc<Upstream>, Receiver<UpstreamEvent>) {
    let settings = UpstreamSettings { probes: Some(plan), ..UpstreamSettings::default() };
    let (events, receiver) = HealthEvents::bounded(100);
    (Arc::new(Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, events)), receiver)
}

async fn next(receiver: &mut Receiver<UpstreamEvent>) -> HealthEvent {
    match receiver.recv().await.unwrap() {
        UpstreamEvent::Health(event) => event,
        UpstreamEvent::Circuit(event) => panic!("{event}"),
    }
}

fn endpoints(count: usize) -> Vec<Endpoint> {
    (0..count).map(|i| Endpoint::new(format!("e{i}"), "127.0.0.1:80".parse().unwrap(), 1)).collect()
}

fn room() -> ProbeRoom {
    ProbeRoom::new(1000)
}

fn clock() -> impl Fn() -> u64 + Clone + Send + Sync + 'static {
    let start = Instant::now();
    move || start.elapsed().as_millis() as u64
}

#[tokio::test(start_paused = true)]
async fn outcomes_become_verdicts_and_events() {
    for seed in 0..50 {
        let (upstream, mut receiver) = upstream(endpoints(1), ProbePlan::new(scripted("+--+---+-++")));
        let driver = tokio::spawn(run_probes(upstream, room(), clock(), seed, pending()));
        let down = next(&mut receiver).await;
        let up = next(&mut receiver).await;
        assert_eq!((down.from.label(), down.to.label()), ("usable", "down"), "seed {seed}");
        assert_eq!(down.cause, Cause::ProbeFailed(ProbeFailure::Closed), "seed {seed}");
        assert_eq!((up.to.label(), &up.cause), ("usable", &Cause::ProbePassed), "seed {seed}");
        // The 7th and the 11th probe, 5 s apart give or take a tenth.
        assert!((27_000..=34_000).contains(&down.at_ms), "seed {seed}: {}", down.at_ms);
        assert!((18_000..=22_000).contains(&(up.at_ms - down.at_ms)), "seed {seed}: {}", up.at_ms);
        driver.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_down_before_a_reload_must_rise_as_any_other() {
    let probe = scripted("");
    let endpoints = endpoints(1);
    endpoints[0].set_probe_health(ProbeHealth::Down);
    let (upstream, mut receiver) = upstream(endpoints, ProbePlan::new(probe.clone()));
    let driver = tokio::spawn(run_probes(upstream, room(), clock(), 0, pending()));
    assert_eq!(next(&mut receiver).await.cause, Cause::ProbePassed);
    assert_eq!(probe.asked.lock().unwrap().len(), 2);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn probes_are_spread_in_time_and_keep_their_interval() {
    let probe = scripted("");
    let (upstream, _receiver) = upstream(endpoints(200), ProbePlan::new(probe.clone()));
    let start = Instant::now();
    run_probes(upstream, room(), clock(), 3, tokio::time::sleep(Duration::from_secs(60))).await;
    let asked = probe.asked.lock().unwrap();
    let times =
        |name: &str| asked.iter().filter(|(n, _)| &**n == name).map(|(_, at)| *at).collect::<Vec<_>>();
    let mut firsts: Vec<_> = (0..200).map(|i| times(&format!("e{i}"))[0] - start).collect();
    assert!(firsts.iter().all(|first| *first <= Duration::from_millis(1001)));
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 100, "they all start together");
    for i in 0..200 {
        let times = times(&format!("e{i}"));
        assert!((11..=14).contains(&times.len()), "{}", times.len());
        let apart = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.into_iter().all(|d| (4499..=5502).contains(&d.as_millis())));
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_all_probing() {
    let probe = scripted("");
    let (upstream, _receiver) = upstream(endpoints(5), ProbePlan::new(probe.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let driver = tokio::spawn(run_probes(upstream, room(), clock(), 1, async { drop(stopped.await) }));
    tokio::time::sleep(Duration::from_secs(30)).await;
    stop.send(()).unwrap();
    driver.await.unwrap();
    let asked = probe.asked.lock().unwrap().len();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(probe.asked.lock().unwrap().len(), asked);
    assert_eq!(Arc::strong_count(&probe), 1, "the tasks are gone");
}

#[tokio::test]
async fn an_upstream_without_probes_needs_no_driver() {
    let plain = Upstream::new(
        "api",
        endpoints(2),
        BALANCERS[0].standard(),
        UpstreamSettings::default(),
        HealthEvents::unheard(),
    );
    run_probes(Arc::new(plain), room(), || 0, 0, pending()).await;
}

#[tokio::test(start_paused = true)]
async fn probes_follow_the_set() {
    let probe = scripted("");
    let (upstream, mut receiver) = upstream(Vec::new(), ProbePlan::new(probe.clone()));
    let driver = tokio::spawn(run_probes(Arc::clone(&upstream), room(), clock(), 7, pending()));
    let asked = |name: &str| probe.asked.lock().unwrap().iter().filter(|(n, _)| **n == *name).count();
    let member = |name: &str| Member::new(name, ([127, 0, 0, 1], 80).into(), 1);
    upstream.set_operator_members(&OperatorMembers { added: vec![member("a")], removed: vec![] }, 0);
    while asked("a") < 3 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    upstream.set_operator_members(&OperatorMembers { added: vec![member("b")], removed: vec![] }, 0);
    while asked("b") < 1 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    let before = asked("a");
    while asked("b") < 5 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(asked("a"), before, "it was removed");
    upstream.set_operator_members(&OperatorMembers { added: vec![member("a")], removed: vec![] }, 0);
    while asked("a") == before {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert!(receiver.try_recv().is_err(), "none was anything but usable");
    driver.abort();
}

#[tokio::test]
async fn a_real_endpoint_goes_down_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut plan = ProbePlan::new(Arc::new(TcpProbe::default()));
    plan.interval = Duration::from_millis(2);
    (plan.fast, plan.slow) = (plan.interval, plan.interval);
    plan.timeout = Duration::from_secs(60);
    let (upstream, mut receiver) = upstream(vec![Endpoint::new("a", address, 1)], plan);
    let ticks = Arc::new(AtomicU64::new(0));
    let clock = move || ticks.fetch_add(1, Ordering::Relaxed);
    let driver = tokio::spawn(run_probes(Arc::clone(&upstream), room(), clock, 0, pending()));
    listener.accept().await.unwrap();
    drop(listener);
    // Bound, so that nobody else gets the port; refusing, since it does not listen yet.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let down = next(&mut receiver).await;
    assert_eq!(down.cause, Cause::ProbeFailed(ProbeFailure::Refused));
    let _listener = socket.listen(16).unwrap();
    assert_eq!(next(&mut receiver).await.cause, Cause::ProbePassed);
    driver.abort();
}

/// Times between the probes of the only endpoint, in milliseconds, given the script, while jitter is off.
async fn times(script: &'static str, probes: usize, change: impl FnOnce(&mut ProbePlan)) -> Vec<u128> {
    let probe = scripted(script);
    let mut plan = ProbePlan::new(probe.clone());
    plan.jitter_percent = 0;
    (plan.fast, plan.slow) = (Duration::from_millis(500), Duration::from_secs(30));
    change(&mut plan);
    let (upstream, _receiver) = upstream(endpoints(1), plan);
    run_probes(upstream, room(), clock(), 0, tokio::time::sleep(Duration::from_secs(600))).await;
    let asked = probe.asked.lock().unwrap();
    asked.windows(2).take(probes).map(|pair| (pair[1].1 - pair[0].1).as_millis()).collect()
}

#[tokio::test(start_paused = true)]
async fn probes_come_fast_while_the_verdict_may_change_and_slowly_while_it_is_down() {
    // Up; two contrary ones; up again; three to be down; still down; two to be up.
    let waits = times("+--+-----++++", 12, |_| {}).await;
    let (usual, fast, slow) = (5000, 500, 30_000);
    let expected = [usual, fast, fast, usual, fast, fast, slow, slow, slow, fast, usual, usual];
    // Timers are exact to a millisecond.
    assert!(waits.iter().zip(expected).all(|(wait, expected)| wait.abs_diff(expected) <= 1), "{waits:?}");
    assert_eq!(waits.len(), expected.len());
}

#[tokio::test(start_paused = true)]
async fn one_that_starts_down_is_used_after_its_first_passed_probe() {
    let mut plan = ProbePlan::new(scripted("---+"));
    plan.start_down = true;
    plan.thresholds = Thresholds { rise: 5, fall: 2 };
    let (upstream, mut receiver) = upstream(endpoints(1), plan.clone());
    assert_eq!(upstream.endpoint(0).unwrap().health(0), Health::Down);
    // A document that is put into force before changes nothing of that.
    let settings = UpstreamSettings { probes: Some(plan), ..UpstreamSettings::default() };
    let after = |settings| {
        let endpoints = vec![upstream.endpoint(0).unwrap().successor(1)];
        let after =
            Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
        after.catch_up(&upstream, 0);
        after.endpoint(0).unwrap().probe_health()
    };
    assert_eq!(after(settings.clone()), ProbeHealth::Awaited);
    assert_eq!(
        after(UpstreamSettings::default()),
        ProbeHealth::Unknown,
        "without probes nobody would bring it up"
    );
    let driver = tokio::spawn(run_probes(Arc::clone(&upstream), room(), clock(), 0, pending()));
    let up = next(&mut receiver).await;
    assert_eq!((up.from.label(), up.to.label(), &up.cause), ("down", "usable", &Cause::ProbePassed));
    assert_eq!(upstream.endpoint(0).unwrap().probes_failed(), 3);
    assert_eq!(after(settings), ProbeHealth::Up);
    driver.abort();
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_has_served_is_not_awaited_when_probes_are_added() {
    let (before, _receiver) = upstream(endpoints(1), ProbePlan::new(scripted("")));
    let mut plan = ProbePlan::new(scripted(""));
    plan.start_down = true;
    let settings = UpstreamSettings { probes: Some(plan), ..UpstreamSettings::default() };
    let endpoints = vec![
        before.endpoint(0).unwrap().successor(1),
        Endpoint::new("new", "127.0.0.1:81".parse().unwrap(), 1),
    ];
    let after = Upstream::new("api", endpoints, BALANCERS[0].standard(), settings, HealthEvents::unheard());
    after.catch_up(&before, 0);
    let health: Vec<_> = after.endpoints().map(|(_, e)| e.probe_health()).collect();
    assert_eq!(health, [ProbeHealth::Unknown, ProbeHealth::Awaited]);
}

/// Takes a second for each probe, and notes how many there were at once.
#[derive(Debug, Default)]
struct Slow {
    now: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
}

impl Probe for Slow {
    fn run<'a>(&'a self, _: &'a ProbeTarget, _: Duration) -> ProbeAnswer<'a> {
        Box::pin(async move {
            self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.all.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.now.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        })
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_endpoints_are_probed_in_turn_and_never_more_at_once_than_there_is_room_for() {
    let slow = Arc::new(Slow::default());
    let (upstream, _receiver) = upstream(endpoints(10_000), ProbePlan::new(slow.clone()));
    let room = ProbeRoom::new(100);
    run_probes(upstream, room.clone(), clock(), 7, tokio::time::sleep(Duration::from_secs(103))).await;
    assert_eq!(slow.most.load(Ordering::Relaxed), 100);
    // A hundred a second: each once, or nearly so, as those that ask again stand behind those that have not.
    assert!(
        (10_000..=10_300).contains(&slow.all.load(Ordering::Relaxed)),
        "{}",
        slow.all.load(Ordering::Relaxed)
    );
    // Ended tasks are dropped when the runtime comes to them.
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(room.0.available_permits(), 100, "probes that were ended gave theirs back");
}
