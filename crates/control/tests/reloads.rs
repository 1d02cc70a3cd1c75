//! Random documents one after the other in one process: after each, what it says is what happens, and what stayed
//! is the same as before.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use tollgate_config::Bundle;
use tollgate_control::compile::Predecessor;
use tollgate_control::history::Occasion;
use tollgate_control::instance::Surroundings;
use tollgate_control::prepare::{Text, prepare};
use tollgate_control::process::{Current, Options};
use tollgate_control::resolve::NoResolver;
use tollgate_control::{Acme, Instance, Process};
use tollgate_decision::RecorderSettings;
use tollgate_runtime::Random;
use tollgate_testkit::{Client, Gate, Origin, PATIENCE};
use tollgate_upstream::{Failure, Health, HealthEvents, Upstream};

const ORIGINS: usize = 4;
const BALANCERS: [&str; 7] = [
    "round_robin",
    "least_requests",
    "two_choices",
    "random",
    "peak_ewma",
    "{ ring_hash: { by: path, bounded_load: 150% } }",
    "maglev",
];

/// An upstream as the test knows it.
#[derive(Clone, Debug, PartialEq)]
struct UpstreamModel {
    /// Origins with weights.
    endpoints: Vec<(usize, u32)>,
    balance: &'static str,
    max_idle: u32,
}

#[derive(Clone, Debug, PartialEq)]
enum Target {
    Upstream(String),
    Says(u64),
}

/// A document as the test knows it.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    /// Indexes of addresses; at least one.
    listeners: Vec<usize>,
    upstreams: BTreeMap<String, UpstreamModel>,
    /// Each has the path of its name.
    routes: Vec<(String, Target)>,
}

/// What all documents are about.
struct World {
    origins: Vec<Origin>,
    addresses: Vec<SocketAddr>,
}

impl World {
    fn new() -> Self {
        let origins = (0..ORIGINS).map(|number| Origin::saying(&format!("origin {number}"))).collect();
        // Of an address of their own, so that no connection of another test takes one of the ports.
        let free: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.78.1:0").unwrap()).collect();
        Self { origins, addresses: free.iter().map(|listener| listener.local_addr().unwrap()).collect() }
    }

    fn text(&self, model: &Model) -> String {
        let mut text = String::from("version: 1\nworkers: 2\naccess_log: none\nlisten:\n");
        for listener in &model.listeners {
            text += &format!("  - \"{}\"\n", self.addresses[*listener]);
        }
        text += if model.upstreams.is_empty() { "upstreams: {}\n" } else { "upstreams:\n" };
        for (name, upstream) in &model.upstreams {
            let UpstreamModel { balance, max_idle, .. } = upstream;
            text += &format!(
                "  {name}:\n    balance: {balance}\n    pool: {{ max_idle: {max_idle} }}\n    endpoints:\n"
            );
            for (origin, weight) in &upstream.endpoints {
                let address = self.origins[*origin].address();
                text += &format!("      - {{ address: \"{address}\", weight: {weight} }}\n");
            }
        }
        text += "routes:\n";
        for (name, target) in &model.routes {
            let action = match target {
                Target::Upstream(upstream) => format!("to: {upstream}"),
                Target::Says(number) => format!("respond: {{ status: 200, body: \"says {number}\" }}"),
            };
            text += &format!("  - {{ name: {name}, path: {{ exact: /{name} }}, {action} }}\n");
        }
        text
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    (random.next_u64() % bound as u64) as usize
}

impl Model {
    fn first() -> Self {
        let upstream = UpstreamModel { endpoints: vec![(0, 1)], balance: "round_robin", max_idle: 8 };
        Self {
            listeners: vec![0],
            upstreams: [("u0".to_owned(), upstream)].into(),
            routes: vec![("r0".to_owned(), Target::Upstream("u0".to_owned()))],
        }
    }

    /// Another document: a few things are other than before.
    fn changed(&self, random: &mut Random) -> Self {
        let mut model = self.clone();
        for _ in 0..=below(random, 3) {
            match below(random, 4) {
                0 => model.change_listeners(random),
                1 | 2 => model.change_upstreams(random),
                _ => model.change_routes(random),
            }
        }
        let known = model.upstreams.clone();
        model.routes.retain(|(_, target)| match target {
            Target::Upstream(upstream) => known.contains_key(upstream),
            Target::Says(_) => true,
        });
        if model.routes.is_empty() {
            model.routes.push(("always".to_owned(), Target::Says(0)));
        }
        model
    }

    fn change_listeners(&mut self, random: &mut Random) {
        let listener = below(random, 3);
        match self.listeners.iter().position(|found| *found == listener) {
            Some(at) if self.listeners.len() > 1 => drop(self.listeners.remove(at)),
            Some(_) => {}
            None => self.listeners.insert(below(random, self.listeners.len() + 1), listener),
        }
    }

    fn change_upstreams(&mut self, random: &mut Random) {
        let name = format!("u{}", below(random, 4));
        if below(random, 5) == 0 {
            self.upstreams.remove(&name);
            return;
        }
        let fresh = || UpstreamModel { endpoints: Vec::new(), balance: "round_robin", max_idle: 8 };
        let upstream = self.upstreams.entry(name).or_insert_with(fresh);
        match below(random, 3) {
            0 => upstream.balance = BALANCERS[below(random, 4)],
            1 => upstream.max_idle = below(random, 3) as u32,
            _ => upstream.endpoints.reverse(),
        }
        let origin = below(random, ORIGINS);
        match upstream.endpoints.iter().position(|(found, _)| *found == origin) {
            Some(at) if below(random, 2) == 0 => upstream.endpoints[at].1 = 1 + below(random, 3) as u32,
            Some(at) if upstream.endpoints.len() > 1 => drop(upstream.endpoints.remove(at)),
            Some(_) => {}
            None => upstream.endpoints.push((origin, 1)),
        }
    }

    fn change_routes(&mut self, random: &mut Random) {
        let name = format!("r{}", below(random, 6));
        let target = match below(random, 3) {
            0 => Target::Says(random.next_u64() % 1000),
            _ => Target::Upstream(format!("u{}", below(random, 4))),
        };
        self.routes.retain(|(found, _)| *found != name);
        if below(random, 4) > 0 {
            self.routes.insert(below(random, self.routes.len() + 1), (name, target));
        }
    }
}

fn bundle(text: &str) -> Bundle {
    Bundle { root: "tollgate.yaml".to_owned(), files: [("tollgate.yaml".to_owned(), text.to_owned())].into() }
}

/// A process that runs a document. Ended by [`end`].
fn start(text: &str) -> Instance {
    let (events, resolver) = (HealthEvents::bounded(16).0, Arc::new(NoResolver));
    let inline = Text::Inline("tollgate.yaml".to_owned(), text.to_owned());
    let prepared = prepare(&inline, &Predecessor::default(), &*resolver, &events);
    let (report, bundle) = (prepared.report(false), prepared.bundle().unwrap());
    let first = prepared.ready.unwrap_or_else(|| panic!("{report}"));
    let options = Options {
        workers: 2,
        metrics: true,
        recorder: RecorderSettings { bytes: 0, slow_us: u64::MAX, sample: 0.0 },
        say: |_| {},
    };
    let process = Arc::new(Process::start(first.snapshot.clone(), &options).unwrap());
    Instance::new(
        process,
        first,
        (bundle, Occasion::Start),
        Surroundings { file: None, resolver, events, acme: Acme::new(|_| {}), say: |_| {} },
    )
}

async fn end(instance: &Instance) {
    instance.process().drain(&tollgate_proxy::worker::Graces::default()).await;
    instance.process().finish();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Everything answers as the document says.
fn assert_serves(world: &World, model: &Model) {
    let mut clients: Vec<_> =
        model.listeners.iter().map(|listener| Client::connect(world.addresses[*listener])).collect();
    for (number, address) in world.addresses.iter().enumerate() {
        assert_eq!(TcpStream::connect(address).is_ok(), model.listeners.contains(&number), "{address}");
    }
    for (number, name) in (0..6).map(|number| format!("r{number}")).chain(["always".to_owned()]).enumerate() {
        let client = number % clients.len();
        let request = format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n");
        let response = clients[client].request(request);
        match model.routes.iter().find(|(found, _)| *found == name) {
            None => assert_eq!(response.status, 404, "/{name}"),
            Some((_, Target::Says(number))) => assert_eq!(response.text(), format!("says {number}")),
            Some((_, Target::Upstream(upstream))) => {
                let endpoints = &model.upstreams[upstream].endpoints;
                let said: BTreeSet<_> =
                    endpoints.iter().map(|(origin, _)| format!("origin {origin}")).collect();
                assert!(said.contains(&response.text()), "/{name}: {}", response.text());
            }
        }
    }
}

fn find<'c>(current: &'c Current, name: &str) -> Option<&'c Arc<Upstream>> {
    current.snapshot.upstreams.iter().find(|upstream| &**upstream.name() == name)
}

/// What stayed is the same, and what changed is not.
fn assert_succeeds(before: (&Model, &Current), after: (&Model, &Current)) {
    for (name, model) in &after.0.upstreams {
        let (Some(then), Some(now)) = (find(before.1, name), find(after.1, name)) else { continue };
        assert_eq!(before.0.upstreams.get(name) == Some(model), Arc::ptr_eq(then, now), "{name}");
        for (_, endpoint) in now.endpoints() {
            let same = |(_, e): &(u32, &tollgate_upstream::Endpoint)| {
                (e.name(), e.address()) == (endpoint.name(), endpoint.address())
            };
            match then.endpoints().find(same) {
                Some((_, then)) => assert_eq!(then.id(), endpoint.id(), "{name}: {}", endpoint.name()),
                None => assert!(then.endpoints().all(|(_, then)| then.id() != endpoint.id())),
            }
        }
    }
    for (then, now) in before.1.shards.iter().zip(&after.1.shards) {
        let names = |current: &Current| -> Vec<String> {
            current.snapshot.routes.iter().map(|route| route.name.clone()).collect()
        };
        assert_same_by_name(&names(before.1), &then.routes, &names(after.1), &now.routes);
        let names = |current: &Current| -> Vec<String> {
            current.snapshot.upstreams.iter().map(|upstream| upstream.name().to_string()).collect()
        };
        assert_same_by_name(&names(before.1), &then.upstreams, &names(after.1), &now.upstreams);
        let names =
            |current: &Current| -> Vec<String> { current.addresses().map(|a| a.to_string()).collect() };
        assert_same_by_name(&names(before.1), &then.listeners, &names(after.1), &now.listeners);
    }
}

/// The series of a name is the same as before if the name was there before, and new otherwise.
fn assert_same_by_name<T>(then: &[String], before: &[Arc<T>], now: &[String], after: &[Arc<T>]) {
    for (name, series) in now.iter().zip(after) {
        let same = then.iter().zip(before).find(|(_, found)| Arc::ptr_eq(found, series));
        let expected = then.iter().find(|found| *found == name);
        assert_eq!(same.map(|(name, _)| name), expected, "{name}");
    }
}

async fn run(world: &World, seed: u64) {
    let mut random = Random::from_seed(seed);
    let mut versions = vec![Model::first()];
    let instance = start(&world.text(&versions[0]));
    for _ in 0..25 {
        let (model, before) = (versions.last().unwrap().clone(), instance.process().current());
        let choice = below(&mut random, 8);
        let next = match choice {
            0 => {
                let text = world.text(&model.changed(&mut random)).replace("version: 1", "version: one");
                assert!(instance.apply(bundle(&text)).await.is_err());
                assert!(Arc::ptr_eq(&before, &instance.process().current()));
                continue;
            }
            1 if versions.len() > 1 => {
                let kept = instance.versions();
                instance.rollback(Some(kept[kept.len() - 2].number)).await.unwrap();
                versions[versions.len() - 2].clone()
            }
            _ => {
                let next = model.changed(&mut random);
                let applied = instance.apply(bundle(&world.text(&next))).await;
                let applied = applied.unwrap_or_else(|refused| panic!("{refused}"));
                assert_eq!(applied.unchanged, next == model);
                next
            }
        };
        let after = instance.process().current();
        assert_serves(world, &next);
        assert_succeeds((&model, &before), (&next, &after));
        if next != model {
            versions.push(next);
        }
    }
    end(&instance).await;
}

#[test]
fn random_documents_one_after_the_other() {
    struct Tell(u64);
    impl Drop for Tell {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {}", self.0);
            }
        }
    }
    let world = World::new();
    for seed in 0..24 {
        let _tell = Tell(seed);
        runtime().block_on(run(&world, seed));
    }
}

/// Who goes back while another document is on its way in gets rid of that one, not of the one before it too.
#[test]
fn going_back_goes_one_back_from_what_is_in_force_when_it_is_its_turn() {
    let world = World::new();
    let text = |number| {
        let routes = vec![("r0".to_owned(), Target::Says(number))];
        world.text(&Model { routes, ..Model::first() })
    };
    runtime().block_on(async {
        let instance = start(&text(1));
        instance.apply(bundle(&text(2))).await.unwrap();
        let (applied, back) = tokio::join!(instance.apply(bundle(&text(3))), instance.rollback(None));
        assert_eq!((applied.unwrap().number, back.unwrap().number), (3, 4));
        let fingerprints: Vec<_> = instance.versions().into_iter().map(|v| v.fingerprint).collect();
        assert_eq!(fingerprints[3], fingerprints[1]);
        end(&instance).await;
    });
}

#[test]
fn a_snapshot_in_use_is_kept_and_freed_when_it_is_not() {
    let gate = Gate::new();
    let for_origin = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        for_origin.wait();
        connection.send("other");
    });
    let text = |number: usize| {
        let address = origin.address();
        format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\nroutes:\n  - {{ path: /, to: \"http://{address}\" }}\n  \
             - {{ path: /{number}, respond: 204 }}\n"
        )
    };
    runtime().block_on(async {
        let instance = start(&text(0));
        let process = instance.process();
        let mut client = Client::connect(process.current().addresses().next().unwrap());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.head().status, 200);
        assert_eq!(client.read_exact(5), b"first");
        let first = Arc::downgrade(&process.snapshot());
        for number in 1..=50 {
            instance.apply(bundle(&text(number))).await.unwrap();
        }
        // Ten documents are kept to go back to, and the one of the exchange.
        wait_until(|| {
            process.free_retired();
            process.snapshots_in_use() <= 11
        });
        assert!(first.upgrade().is_some());
        gate.open();
        assert_eq!(client.read_exact(5), b"other");
        wait_until(|| {
            process.free_retired();
            first.upgrade().is_none()
        });
        assert!(process.snapshots_in_use() <= 10);
        end(&instance).await;
    });
}

/// Compiling a large document takes a while, and the endpoints do not wait for it.
#[test]
fn health_that_changes_while_a_document_is_compiled_is_not_forgotten() {
    let text = |balance: &str| {
        format!(
            "version: 1\nlisten: \"127.0.0.1:0\"\nupstreams: {{ u: {{ endpoints: [\"127.0.0.1:1\", \"127.0.0.1:2\", \
             \"127.0.0.1:3\"], balance: {balance}, ejection: {{ consecutive_5xx: 1, max_percent: 90% }} }} }}\n\
             routes: [{{ path: /, to: u }}]\n"
        )
    };
    runtime().block_on(async {
        let instance = start(&text("random"));
        let process = instance.process();
        let current = process.current();
        let running = &current.snapshot.upstreams[0];
        let now_ms = tollgate_runtime::Clock::new().now_ms();
        assert!(running.report_failure(1, Failure::Connect, now_ms, 0));
        let again = prepare_after(&instance, &text("two_choices"));
        assert!(running.report_failure(2, Failure::Connect, now_ms, 0));
        process.publish(again).unwrap().await;
        let current = process.current();
        let health = |(_, e): (u32, &tollgate_upstream::Endpoint)| e.health(now_ms) == Health::Usable;
        let usable: Vec<bool> = current.snapshot.upstreams[0].endpoints().map(health).collect();
        assert_eq!(usable, [true, false, false]);
        end(&instance).await;
    });
}

/// The snapshot of a document that follows the one in force.
fn prepare_after(instance: &Instance, text: &str) -> Arc<tollgate_proxy::Snapshot> {
    let inline = |text: &str| Text::Inline("tollgate.yaml".to_owned(), text.to_owned());
    let bundle = instance.versions().last().unwrap().bundle.clone();
    let (events, snapshot) = (HealthEvents::bounded(16).0, instance.process().snapshot());
    let running = bundle.files.values().next().unwrap();
    let plans = prepare(&inline(running), &Predecessor::default(), &NoResolver, &events).ready.unwrap().plans;
    let prepared = prepare(&inline(text), &Predecessor::of(&snapshot, &plans), &NoResolver, &events);
    let report = prepared.report(false);
    prepared.ready.unwrap_or_else(|| panic!("{report}")).snapshot
}

/// Waits until something holds that nobody tells of.
fn wait_until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time");
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    }
}
