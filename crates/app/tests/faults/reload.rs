//! Many reloads, good and bad, under load: nobody but the one who reloads notices.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tollgate_testkit::{Client, Connection, Launch, Origin, OriginProcess, PATIENCE, Tollgate};

use crate::load::Load;
use crate::{PROGRAM, get, origin_in_a_process, wait_until};

const RELOADS: usize = 200;
/// When the process is warm: memory and descriptors are compared with what they were then.
const WARM: usize = 20;
/// A piece of a download, sent after each reload.
const PIECE: usize = 32 * 1024;
const TUNNELS: usize = 4;

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
const ASK: &str = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/// Counts up; others wait for a count.
#[derive(Debug, Default)]
struct Steps {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Steps {
    fn next(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, count: usize) {
        let behind = |now: &mut usize| *now < count;
        drop(self.changed.wait_timeout_while(self.count.lock().unwrap(), PATIENCE, behind).unwrap());
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// Serves what lasts: tunnels that echo, and downloads of which each step sends a piece.
fn lasting(connection: &mut Connection, steps: &Steps) {
    while let Some(request) = connection.head() {
        match request.target() {
            "/tunnel" => {
                connection.send(SWITCH);
                while let Some(block) = connection.bytes(8) {
                    connection.send(block);
                }
                return;
            }
            "/download/chunked" => download(connection, steps, true),
            "/download/known" => download(connection, steps, false),
            _ => connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        }
    }
}

fn download(connection: &mut Connection, steps: &Steps, chunked: bool) {
    let content = content(RELOADS * PIECE);
    connection.send(match chunked {
        true => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
        false => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len()),
    });
    for (number, piece) in (1..).zip(content.chunks(PIECE)) {
        steps.wait_for(number);
        if chunked {
            connection.send([format!("{PIECE:x}\r\n").as_bytes(), piece, b"\r\n"].concat());
        } else {
            connection.send(piece);
        }
    }
    if chunked {
        connection.send("0\r\n\r\n");
    }
}

/// The documents of the test.
struct Documents {
    origins: Vec<SocketAddr>,
    lasting: SocketAddr,
    /// Addresses of listeners that come and go, and one that is not to be had.
    extra: [SocketAddr; 2],
    taken: SocketAddr,
}

impl Documents {
    /// Whether the document of a step has this extra listener.
    fn has(step: usize, extra: usize) -> bool {
        step / (2 + extra) % 2 == 1
    }

    fn of(&self, step: usize) -> String {
        let mut listeners = vec!["{ name: main, address: \"127.0.0.1:0\" }".to_owned()];
        for (extra, address) in self.extra.iter().enumerate().filter(|(extra, _)| Self::has(step, *extra)) {
            let listener = format!("{{ name: extra-{extra}, address: \"{address}\" }}");
            // Also before the one that stays, so that its index changes.
            listeners.insert(if step.is_multiple_of(2) { 0 } else { listeners.len() }, listener);
        }
        let mut endpoints: Vec<String> = self
            .origins
            .iter()
            .map(|o| format!("{{ address: \"{o}\", weight: {} }}", 1 + step % 3))
            .collect();
        // Two always stay; the third comes and goes.
        endpoints.truncate(2 + step % 2);
        endpoints.rotate_left(step % 2);
        let balance = ["round_robin", "least_requests", "two_choices", "random"][step / 2 % 4];
        let idle = [1, 128, 0, 16][step / 4 % 4];
        let health = if step.is_multiple_of(5) { ", health: { tcp: {}, every: 100ms }" } else { "" };
        let max_connections = if step.is_multiple_of(2) { "" } else { ", fields: 64, body_size: 1MiB" };
        let mut routes: Vec<String> = (0..step % 7)
            .map(|route| format!("  - {{ name: extra-{route}, path: /extra/{route}, to: stay }}\n"))
            .collect();
        routes.push("  - { name: stay, path: { exact: / }, to: stay }\n".to_owned());
        routes.push("  - { name: lasting, path: /tunnel, to: lasting }\n".to_owned());
        routes.push("  - { name: downloads, path: /download, to: lasting }\n".to_owned());
        routes.push(format!(
            "  - {{ name: step, path: {{ exact: /step }}, respond: {{ status: 200, body: \"{step}\" }} }}\n"
        ));
        let count = routes.len();
        routes.rotate_left(step % count);
        format!(
            "version: 1\nlisten: [{}]\nadmin: {{ listen: \"127.0.0.1:0\" }}\naccess_log: none\nworkers: 2\n\
             limits: {{ head_size: {}KiB{max_connections} }}\nupstreams:\n  stay: {{ endpoints: [{}], balance: {balance}, \
             pool: {{ max_idle: {idle} }}{health} }}\n  lasting: [\"{}\"]\nroutes:\n{}",
            listeners.join(", "),
            8 + step % 4,
            endpoints.join(", "),
            self.lasting,
            routes.concat()
        )
    }

    /// A document that must be refused, and a word of why.
    fn bad(&self, step: usize) -> (String, &'static str) {
        let good = self.of(step);
        match step / 3 % 4 {
            0 => (good.replace("routes:", "routes: [{"), "reload refused"),
            1 => (good.replace("balance:", "balence:"), "reload refused"),
            // Once, since asking may take long where nobody answers.
            2 if step == 6 => {
                let nowhere = format!("lasting: [\"{}.invalid:80\"", "long-".repeat(12));
                (good.replace("lasting: [\"", &format!("{nowhere}, \"")), "reload refused")
            }
            2 => (good.replace("to: lasting", "to: nobody"), "reload refused"),
            _ => {
                let taken = format!("listen: [\"{}\", ", self.taken);
                (good.replace("listen: [", &taken), "cannot listen on")
            }
        }
    }
}

/// All counters of the routes and upstreams that stay, by series.
fn counters(tollgate: &Tollgate) -> HashMap<String, f64> {
    let (status, text) = tollgate.admin("/metrics");
    assert_eq!(status, 200);
    let counts = |series: &str| {
        let name = series.split('{').next().unwrap_or_default();
        let stays = ["\"stay\"", "\"lasting\"", "\"step\"", "\"main\"", "reason="].iter();
        (name.ends_with("_total") || name.ends_with("_count") || name.ends_with("_bucket"))
            && stays.into_iter().any(|label| series.contains(label))
            // An endpoint that comes again begins again.
            && !series.contains("endpoint=")
    };
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines
        .filter(|(series, _)| counts(series))
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
        .collect()
}

fn assert_none_fell(before: &HashMap<String, f64>, after: &HashMap<String, f64>) {
    for (series, value) in before {
        let now = after.get(series).unwrap_or_else(|| panic!("{series} is gone"));
        assert!(now >= value, "{series} fell from {value} to {now}");
    }
}

/// What must not be disturbed, beside the load of requests.
struct Bystanders {
    tunnels: Vec<Client>,
    kept: Client,
    said: u64,
}

impl Bystanders {
    fn new(tollgate: &Tollgate) -> Self {
        let tunnels = (0..TUNNELS).map(|_| {
            let mut client = tollgate.connect();
            client.send(ASK);
            assert_eq!(client.any_response().status, 101);
            client
        });
        Self { tunnels: tunnels.collect(), kept: tollgate.connect(), said: 0 }
    }

    fn assert_undisturbed(&mut self, step: usize) {
        assert_eq!(self.kept.request(get("/step")).text(), step.to_string());
        for tunnel in &mut self.tunnels {
            self.said += 1;
            tunnel.send(self.said.to_be_bytes());
            assert_eq!(tunnel.read_exact(8), self.said.to_be_bytes());
        }
    }
}

/// One reload after the other.
fn reload_all(tollgate: &Tollgate, documents: &Documents, steps: &Steps) {
    let mut bystanders = Bystanders::new(tollgate);
    let (mut in_force, mut before) = (0, counters(tollgate));
    let mut warm = (0, 0);
    for step in 1..=RELOADS {
        if step % 3 == 0 {
            let (text, why) = documents.bad(step);
            let said = tollgate.reload(&text);
            assert!(said.contains("reload refused") && said.contains(why), "step {step}: {said}");
        } else {
            let said = tollgate.reload(&documents.of(step));
            assert!(said.contains("is in force"), "step {step}: {said}\n{}", tollgate.stderr());
            in_force = step;
        }
        steps.next();
        bystanders.assert_undisturbed(in_force);
        for (extra, address) in documents.extra.iter().enumerate() {
            match Documents::has(in_force, extra) {
                true => {
                    let answer = Client::connect(*address).request(get("/step")).text();
                    assert_eq!(answer, in_force.to_string(), "listener {extra}");
                }
                false => {
                    assert!(TcpStream::connect(address).is_err(), "step {step}: listener {extra} listens")
                }
            }
        }
        if step % 10 == 0 {
            let after = counters(tollgate);
            assert_none_fell(&before, &after);
            before = after;
        }
        if step == WARM {
            warm = (tollgate.memory_kib().0, tollgate.descriptors());
        }
    }
    let end = (tollgate.memory_kib().0, tollgate.descriptors());
    // A descriptor or a snapshot lost at each reload would be 180 of them.
    assert!(end.0 <= warm.0 + 8 * 1024, "KiB and descriptors {warm:?}, at the end {end:?}");
    assert!(end.1 <= warm.1 + 60, "KiB and descriptors {warm:?}, at the end {end:?}");
}

/// A download from its first byte to its last.
fn download_whole(address: SocketAddr, path: &str) {
    let mut client = Client::connect(address);
    client.send(get(path));
    let response = client.response();
    assert_eq!(response.status, 200, "{path}");
    assert!(response.body == content(RELOADS * PIECE), "{path} is damaged");
}

#[test]
fn two_hundred_reloads_disturb_nobody() {
    let scratch = tempfile::tempdir().unwrap();
    let executed: Vec<_> = (0..3).map(|origin| scratch.path().join(origin.to_string())).collect();
    let origins: Vec<OriginProcess> = executed.iter().map(|path| origin_in_a_process(path)).collect();
    let steps = Arc::new(Steps::default());
    let for_origin = steps.clone();
    let lasting = Origin::start(move |connection| self::lasting(connection, &for_origin));
    let taken = TcpListener::bind("127.0.77.1:0").unwrap();
    let documents = Documents {
        origins: origins.iter().map(OriginProcess::address).collect(),
        lasting: lasting.address(),
        extra: [(); 2].map(|()| free_address()),
        taken: taken.local_addr().unwrap(),
    };
    let tollgate = Launch::new(PROGRAM, &documents.of(0)).start();
    let address = tollgate.address();
    let (stop, new_connections) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = Load { clients: 4, post_every: 3, size: |number| number * 37 % 3000 };
    let outcomes = std::thread::scope(|scope| {
        let downloads = ["/download/known", "/download/chunked"]
            .map(|path| scope.spawn(move || download_whole(address, path)));
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut client = Client::connect(address);
                let response =
                    client.request("GET /?id=new;&size=8 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                assert_eq!((response.status, response.text().as_str()), (200, "new;new;"));
                new_connections.fetch_add(1, Ordering::Relaxed);
            }
        });
        let outcomes = load.run(address, |outcomes| {
            let _stop = crate::load::StopOnDrop(&stop);
            outcomes.wait_for_more(20);
            reload_all(&tollgate, &documents, &steps);
            outcomes.wait_for_more(20);
        });
        downloads.into_iter().for_each(|download| download.join().unwrap());
        outcomes
    });
    outcomes.assert_no_failures();
    let posts: usize = executed
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap().lines().filter(|l| l.starts_with("POST")).count())
        .sum();
    // Each was executed, none twice.
    assert_eq!(posts, outcomes.executed.lock().unwrap().len());
    let counted = "tollgate_route_duration_seconds_count{http_route=\"stay\"}";
    let expected = (outcomes.answered() + new_connections.load(Ordering::Relaxed)) as f64;
    wait_until("all requests are counted", || tollgate.metric(counted) == expected);
}

/// An address that nobody listens on, and that no connection of another test is made from.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.77.1:0").unwrap().local_addr().unwrap()
}
