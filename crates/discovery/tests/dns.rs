//! Names asked of a real name server that follows a script.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tollgate_discovery::dns::{Client, DnsSource, Family, Settings, Wanted};
use tollgate_discovery::{Course, Found, Look, OnEmpty, Rules, Source, Step, follow};
use tollgate_runtime::Clock;
use tollgate_testkit::{DnsAnswer, DnsRecord, DnsServer, PATIENCE};

const RULES: Rules = Rules {
    soonest_ms: 10,
    latest_ms: 60_000,
    retry_first_ms: 10,
    retry_latest_ms: 50,
    on_empty: OnEmpty::Keep,
    max: 1_000,
};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn source(server: &DnsServer, wanted: Wanted, timeout_ms: u64) -> DnsSource {
    let settings = Settings { resolvers: vec![server.address()], timeout: Duration::from_millis(timeout_ms) };
    DnsSource::new(Arc::new(Client::new(settings)), wanted, Family::Any, RULES.max)
}

fn host(name: &str) -> Wanted {
    Wanted::Host { host: name.into(), port: 80, weight: 1 }
}

/// The addresses of a look, sorted, and how long they hold.
fn addresses(look: &Look) -> (Vec<String>, Option<u64>) {
    let Look::List { found, fresh_ms, .. } = look else { panic!("{look:?}") };
    (shown(found), *fresh_ms)
}

fn shown(found: &[Found]) -> Vec<String> {
    let mut addresses: Vec<_> = found.iter().map(|f| f.address.to_string()).collect();
    addresses.sort();
    addresses
}

/// A source that is followed in the background.
struct Following {
    steps: mpsc::UnboundedReceiver<Step>,
    course: Arc<Mutex<Course>>,
    task: tokio::task::JoinHandle<()>,
}

impl Following {
    fn start(source: DnsSource, rules: Rules) -> Self {
        let course = Arc::new(Mutex::new(Course::new(rules, 1)));
        let (tell, steps) = mpsc::unbounded_channel();
        let clock = Clock::new();
        let tell = move |step| {
            let _ = tell.send(step);
        };
        let task = tokio::spawn(follow(Arc::new(source), course.clone(), move || clock.now_ms(), tell));
        Self { steps, course, task }
    }

    async fn step(&mut self) -> Step {
        tokio::time::timeout(PATIENCE, self.steps.recv()).await.expect("no look came").unwrap()
    }

    /// The next list.
    async fn list(&mut self) -> Vec<String> {
        loop {
            if let Some(list) = self.step().await.list {
                return shown(&list);
            }
        }
    }

    /// Waits for a failure that says this.
    async fn failure(&mut self, says: &str) {
        loop {
            let step = self.step().await;
            assert_eq!(step.list, None, "a failure changes nothing");
            if step.line.is_some_and(|line| line.contains(says)) {
                return;
            }
        }
    }

    fn now(&self) -> Vec<String> {
        shown(self.course.lock().unwrap().list().unwrap())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn addresses_of_both_families_come_with_their_time_to_live() {
    let server = DnsServer::start();
    server.addresses("api.internal", 7, &ips(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]));
    let look = source(&server, host("api.internal"), 5_000).look(None).await;
    let expected = ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"].map(str::to_owned).to_vec();
    assert_eq!(addresses(&look), (expected, Some(7_000)));
    assert_eq!(server.by_tcp(), 0);
}

#[tokio::test]
async fn aliases_are_followed_and_loops_end() {
    let server = DnsServer::start();
    server.set("api.internal", DnsAnswer::Records(9, vec![DnsRecord::Alias("b.internal".into())]));
    server.addresses("b.internal", 30, &ips(&["192.0.2.1"]));
    let look = source(&server, host("api.internal"), 5_000).look(None).await;
    assert_eq!(addresses(&look), (vec!["192.0.2.1:80".to_owned()], Some(9_000)));
    for (name, alias) in [("x.internal", "y.internal"), ("y.internal", "x.internal")] {
        server.set(name, DnsAnswer::Records(9, vec![DnsRecord::Alias(alias.into())]));
    }
    let look = source(&server, host("x.internal"), 5_000).look(None).await;
    assert!(matches!(look, Look::Nothing(_) | Look::Failed(_)), "{look:?}");
}

#[tokio::test]
async fn what_is_too_long_for_a_datagram_comes_by_tcp() {
    let server = DnsServer::start();
    let many: Vec<IpAddr> = (0..2_000u32).map(|n| IpAddr::V4((0x0a00_0001 + n).into())).collect();
    server.addresses("many.internal", 60, &many);
    let look = source(&server, host("many.internal"), 5_000).look(None).await;
    assert_eq!(addresses(&look).0.len(), 2_000);
    assert!(server.by_tcp() > 0);
    // No more of them are used than allowed.
    let mut course = Course::new(RULES, 1);
    let step = course.take(look, 0);
    assert_eq!(step.list.unwrap().len(), 1_000);
    assert!(step.line.unwrap().contains("1000 endpoints more than the 1000"));
}

#[tokio::test]
async fn each_failure_has_its_reason() {
    let server = DnsServer::start();
    server.set("servfail.internal", DnsAnswer::Code(2));
    server.set("refused.internal", DnsAnswer::Code(5));
    server.set("silent.internal", DnsAnswer::Silence);
    server.set("garbage.internal", DnsAnswer::Garbage);
    server.set("nothing.internal", DnsAnswer::Records(9, Vec::new()));
    for (name, says) in [
        ("servfail.internal", "the name server answers Server Failure"),
        ("refused.internal", "the name server answers Query Refused"),
        ("silent.internal", "the name servers do not answer in time"),
        ("garbage.internal", ""),
    ] {
        let look = source(&server, host(name), 300).look(None).await;
        assert!(matches!(&look, Look::Failed(why) if why.contains(says) && why.contains(name)), "{look:?}");
    }
    for name in ["nothing.internal", "nobody.internal"] {
        let look = source(&server, host(name), 5_000).look(None).await;
        assert!(matches!(&look, Look::Nothing(why) if why.contains(name)), "{look:?}");
    }
}

#[tokio::test]
async fn services_come_with_ports_weights_and_tiers() {
    let server = DnsServer::start();
    let records = vec![
        DnsRecord::Service(0, 5, 81, "a.internal".into()),
        DnsRecord::Service(0, 0, 82, "a.internal".into()),
        DnsRecord::Service(9, 5, 83, "b.internal".into()),
    ];
    server.set("_http._tcp.api.internal", DnsAnswer::Records(20, records));
    server.addresses("a.internal", 60, &ips(&["192.0.2.1"]));
    server.addresses("b.internal", 60, &ips(&["192.0.2.2"]));
    let wanted = Wanted::Service("_http._tcp.api.internal".into());
    let look = source(&server, wanted.clone(), 5_000).look(None).await;
    let Look::List { mut found, fresh_ms, problem } = look else { panic!("{look:?}") };
    found.sort_by_key(|found| found.address);
    let told: Vec<_> = found.iter().map(|f| (&*f.name, f.weight, f.priority)).collect();
    assert_eq!(told, [("a.internal:81", 5, 0), ("a.internal:82", 1, 0), ("b.internal:83", 5, 9)]);
    assert_eq!((fresh_ms, problem), (Some(20_000), None));
    server.set(
        "_http._tcp.api.internal",
        DnsAnswer::Records(5, vec![DnsRecord::Service(0, 0, 0, String::new())]),
    );
    assert_eq!(addresses(&source(&server, wanted, 5_000).look(None).await), (Vec::new(), Some(5_000)));
}

#[tokio::test]
async fn endpoints_come_and_go_with_their_records() {
    let server = DnsServer::start();
    server.addresses("api.internal", 0, &ips(&["192.0.2.1", "192.0.2.2"]));
    let mut following = Following::start(source(&server, host("api.internal"), 5_000), RULES);
    assert_eq!(following.list().await, ["192.0.2.1:80", "192.0.2.2:80"]);
    // Each answer comes in another order, which is no change.
    for _ in 0..5 {
        assert_eq!(following.step().await, Step { list: None, line: None });
    }
    server.addresses("api.internal", 0, &ips(&["192.0.2.2", "192.0.2.3"]));
    assert_eq!(following.list().await, ["192.0.2.2:80", "192.0.2.3:80"]);
    // A name that is gone keeps what it had, and so do failures.
    server.forget("api.internal");
    following.failure("no addresses").await;
    server.set("api.internal", DnsAnswer::Code(2));
    following.failure("Server Failure").await;
    assert_eq!(following.now(), ["192.0.2.2:80", "192.0.2.3:80"]);
    server.addresses("api.internal", 0, &ips(&["192.0.2.9"]));
    assert_eq!(following.list().await, ["192.0.2.9:80"]);
}

#[tokio::test]
async fn a_name_that_is_gone_is_removed_where_that_is_wanted() {
    let server = DnsServer::start();
    server.addresses("api.internal", 0, &ips(&["192.0.2.1"]));
    let rules = Rules { on_empty: OnEmpty::Remove, ..RULES };
    let mut following = Following::start(source(&server, host("api.internal"), 5_000), rules);
    assert_eq!(following.list().await, ["192.0.2.1:80"]);
    server.forget("api.internal");
    assert_eq!(following.list().await, [""; 0]);
    server.addresses("api.internal", 0, &ips(&["192.0.2.2"]));
    assert_eq!(following.list().await, ["192.0.2.2:80"]);
}

#[tokio::test]
async fn the_last_good_list_outlives_the_name_server() {
    let mut server = DnsServer::start();
    server.addresses("api.internal", 0, &ips(&["192.0.2.1"]));
    let mut following = Following::start(source(&server, host("api.internal"), 300), RULES);
    assert_eq!(following.list().await, ["192.0.2.1:80"]);
    server.stop();
    following.failure("api.internal").await;
    assert_eq!(following.now(), ["192.0.2.1:80"]);
    let server = server.restart();
    server.addresses("api.internal", 0, &ips(&["192.0.2.1", "192.0.2.2"]));
    assert_eq!(following.list().await, ["192.0.2.1:80", "192.0.2.2:80"]);
}
