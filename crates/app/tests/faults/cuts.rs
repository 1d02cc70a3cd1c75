//! Responses that break off under load: who had begun to receive one sees that it is cut, always; who had not is served
//! by others; nobody else notices.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use tollgate_testkit::http2::Http2Client;
use tollgate_testkit::{Client, Connection, Origin, PATIENCE, Tollgate};

use crate::load::{Load, Version};
use crate::{get, launch, origin_in_a_process};

/// Of so many requests at the bad endpoint each way of breaking off gets one.
const TURNS: usize = 6;
const CLIENTS: usize = 8;
const REQUESTS: usize = 150;
const SIZE: usize = 4000;

/// What the bad endpoint did, and which heads have come to their clients.
#[derive(Debug, Default)]
struct Breaks {
    asked: AtomicUsize,
    before_the_head: AtomicUsize,
    /// Those of them that were the first of their connection. The others could be taken for idle connections that had
    /// ended before, so sending those again is no retry.
    at_once: AtomicUsize,
    behind_the_head: AtomicUsize,
    within_the_body: AtomicUsize,
    seen: Mutex<HashSet<String>>,
    changed: Condvar,
}

impl Breaks {
    fn see(&self, id: &str) {
        self.seen.lock().unwrap().insert(id.to_owned());
        self.changed.notify_all();
    }

    /// A reset overtakes what was sent before it, so that must have arrived.
    fn wait_until_seen(&self, id: &str) {
        let unseen = |seen: &mut HashSet<String>| !seen.contains(id);
        let (seen, _) = self.changed.wait_timeout_while(self.seen.lock().unwrap(), PATIENCE, unseen).unwrap();
        assert!(seen.contains(id), "nobody saw the head of {id}");
    }

    fn cuts(&self) -> usize {
        self.behind_the_head.load(Ordering::Relaxed) + self.within_the_body.load(Ordering::Relaxed)
    }

    /// Serves one connection until it breaks off.
    fn serve(&self, connection: &mut Connection) {
        for number in 0.. {
            let Some(request) = connection.request() else { return };
            let id = request.target().trim_start_matches('/').to_owned();
            let (head, body) = response(&id);
            let turn = self.asked.fetch_add(1, Ordering::Relaxed) % TURNS;
            match turn {
                1 => {
                    self.before_the_head.fetch_add(1, Ordering::Relaxed);
                    self.at_once.fetch_add(usize::from(number == 0), Ordering::Relaxed);
                    return connection.reset();
                }
                3 => {
                    self.behind_the_head.fetch_add(1, Ordering::Relaxed);
                    connection.send(head);
                    self.wait_until_seen(&id);
                    return connection.reset();
                }
                5 => {
                    self.within_the_body.fetch_add(1, Ordering::Relaxed);
                    connection.send([head.as_bytes(), &body.as_bytes()[..SIZE / 2]].concat());
                    // What comes of the body is at least seen, and a close overtakes nothing.
                    return self.wait_until_seen(&id);
                }
                _ => connection.send(head + &body),
            }
        }
    }
}

fn response(id: &str) -> (String, String) {
    let body: String = id.chars().cycle().take(SIZE).collect();
    (format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"), body)
}

/// Sends requests one after the other; returns how many responses were cut. All others must be whole.
fn client(number: usize, version: Version, tollgate: &Tollgate, breaks: &Breaks) -> usize {
    let connect = || (Client::connect(tollgate.address()), Http2Client::connect(tollgate.address()));
    let (mut one, mut two) = connect();
    let mut cuts = 0;
    for request in 0..REQUESTS {
        let id = format!("{number}.{request};");
        let path = format!("/{id}");
        // Of a whole response its body, of a cut one what there is of it.
        let ended = match version {
            Version::One => {
                one.send(get(&path));
                let head = one.head();
                assert_eq!(head.status, 200, "{id}: {:?}", head.reason());
                breaks.see(&id);
                let ended = one.try_body(head);
                ended.map(|whole| whole.body).map_err(|cut| (cut.reset, cut.partial.unwrap().body))
            }
            Version::Two => {
                let mut exchange = two.ask("GET", &path, &[]);
                let head = exchange.head().unwrap();
                assert_eq!(head.status, 200, "{id}: {:?}", head.reason());
                breaks.see(&id);
                let ended = exchange.try_body(head);
                ended.map(|whole| whole.body).map_err(|cut| (cut.code.is_some(), cut.partial.unwrap().body))
            }
        };
        let expected = response(&id).1.into_bytes();
        match ended {
            Ok(body) => assert!(body == expected, "{id}: another's body"),
            Err((reset, body)) => {
                assert!(reset && body.len() < SIZE && expected.starts_with(&body), "{id}: {body:?}");
                cuts += 1;
                if version == Version::One {
                    (one, two) = connect();
                }
            }
        }
    }
    cuts
}

#[test]
fn cuts_reach_those_who_were_being_answered_and_nobody_else() {
    for version in [Version::One, Version::Two] {
        let breaks = Arc::new(Breaks::default());
        let for_origin = breaks.clone();
        let bad = Origin::start(move |connection| for_origin.serve(connection));
        let good: [_; 2] = std::array::from_fn(|_| {
            Origin::answering(|request| {
                let (head, body) = response(request.target().trim_start_matches('/'));
                (head + &body).into_bytes()
            })
        });
        let tollgate = launch(
            "upstreams: { u: { endpoints: [\"{bad}\", \"{a}\", \"{b}\"], ejection: none } }\n\
             routes: [{ path: /, to: u }]\n",
            &[("bad", &bad.address()), ("a", &good[0].address()), ("b", &good[1].address())],
        );
        let seen: usize = std::thread::scope(|scope| {
            let run = |number| client(number, version, &tollgate, &breaks);
            let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || run(number))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).sum()
        });
        let before = breaks.before_the_head.load(Ordering::Relaxed);
        assert!(seen >= 2 * 50 && before >= 50, "{version:?}: {seen} cut, {before} tried again");
        assert_eq!(seen, breaks.cuts(), "{version:?}");
        let retries = tollgate.metric("tollgate_upstream_retries_total{upstream=\"u\"}");
        assert_eq!(retries, breaks.at_once.load(Ordering::Relaxed) as f64, "{version:?}");
        let told = "tollgate_exchanges_total{reason=\"response_incomplete\",side=\"upstream\"}";
        tollgate.await_metric(told, seen as f64);
        let whole = "tollgate_exchanges_total{reason=\"forwarded\",side=\"nobody\"}";
        tollgate.await_metric(whole, (CLIENTS * REQUESTS - seen) as f64);
    }
}

#[test]
fn an_endpoint_that_dies_with_half_a_body_sent_cuts_that_body_and_no_other_request() {
    const HALVES: usize = 8;
    const DEATHS: usize = 5;
    let directory = tempfile::tempdir().unwrap();
    let executed = directory.path().join("executed");
    let mut origins: Vec<_> = (0..3).map(|_| origin_in_a_process(&executed)).collect();
    let [a, b, c] = [0, 1, 2].map(|n: usize| origins[n].address());
    let tollgate = launch(
        "upstreams:\n  all: { endpoints: [\"{a}\", \"{b}\", \"{c}\"], ejection: { base: 100ms, max: 100ms } }\n  \
         dying: { endpoints: [\"{b}\"] }\nroutes:\n  - { path: /, to: all }\n  - { path: /half, to: dying }\n",
        &[("a", &a), ("b", &b), ("c", &c)],
    );
    let load = Load { clients: 16, post_every: 7, size: |number| number * 97 % 12_000 };
    let outcomes = load.run(tollgate.address(), |outcomes| {
        for death in 0..DEATHS {
            outcomes.wait_for_more(200);
            let mut ones: Vec<_> = (0..HALVES).map(|_| tollgate.connect()).collect();
            let two = Http2Client::connect(tollgate.address());
            let path = format!("/half?id={death};&size={SIZE}&half");
            ones.iter_mut().for_each(|client| client.send(get(&path)));
            let mut streams: Vec<_> = (0..HALVES).map(|_| two.ask("GET", &path, &[])).collect();
            let of_ones: Vec<_> = ones.iter_mut().map(Client::head).collect();
            let of_streams: Vec<_> = streams.iter_mut().map(|stream| stream.head().unwrap()).collect();
            origins[1].kill();
            for (client, head) in ones.iter_mut().zip(of_ones) {
                let cut = client.try_body(head).expect_err("whole");
                assert!(cut.reset && cut.partial.unwrap().body.len() <= SIZE / 2);
            }
            for (stream, head) in streams.iter_mut().zip(of_streams) {
                let cut = stream.try_body(head).expect_err("whole");
                assert!(cut.code.is_some() && cut.partial.unwrap().body.len() <= SIZE / 2);
            }
            outcomes.wait_for_more(200);
            origins[1].restart();
        }
        outcomes.wait_for_more(200);
    });
    outcomes.assert_no_failures();
    outcomes.assert_posts_executed_once(&executed);
    let told = "tollgate_exchanges_total{reason=\"response_incomplete\",side=\"upstream\"}";
    tollgate.await_metric(told, (DEATHS * 2 * HALVES) as f64);
    // Nothing that had begun to be answered was asked for again.
    let text = std::fs::read_to_string(&executed).unwrap();
    let halves = text.lines().filter(|line| !line.contains('.')).count();
    assert_eq!(halves, DEATHS * 2 * HALVES);
}
