//! Consistent hashing while endpoints die and come back: the keys of the living stay where they are.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tollgate_testkit::{Client, OriginProcess, Tollgate};

use crate::load::StopOnDrop;
use crate::{launch, origin_in_a_process, wait_until};

const ENDPOINTS: usize = 4;
const KEYS: usize = 120;
const CLIENTS: usize = 6;

/// Origins that each write down what they were asked for.
struct Origins {
    processes: Vec<OriginProcess>,
    files: Vec<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Origins {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..ENDPOINTS).map(|n| directory.path().join(format!("executed-{n}"))).collect();
        let processes = files.iter().map(|file| origin_in_a_process(file)).collect();
        Self { processes, files, _directory: directory }
    }

    /// How often each key has been at an endpoint.
    fn keys_at(&self, endpoint: usize) -> HashMap<usize, usize> {
        let text = std::fs::read_to_string(&self.files[endpoint]).unwrap();
        let mut counts = HashMap::new();
        for key in text.lines().filter_map(|line| line.strip_prefix("GET ")?.parse().ok()) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    /// Where each key has been.
    fn places(&self) -> Vec<HashSet<usize>> {
        let mut places = vec![HashSet::new(); KEYS];
        for endpoint in 0..ENDPOINTS {
            for key in self.keys_at(endpoint).into_keys() {
                places[key].insert(endpoint);
            }
        }
        places
    }
}

fn ask(client: &mut Client, key: usize) {
    let request =
        format!("GET /?id={key}&size=10 HTTP/1.1\r\nHost: a.example\r\nX-Session: session {key}\r\n\r\n");
    let response = client.request(request);
    assert_eq!(response.status, 200, "key {key}: {:?}", response.reason());
}

/// Asks for all keys, again and again.
fn ask_on(number: usize, tollgate: &Tollgate, passes: &AtomicUsize, stop: &AtomicBool) {
    let mut client = tollgate.connect();
    while !stop.load(Ordering::Relaxed) {
        (number..KEYS).step_by(CLIENTS).for_each(|key| ask(&mut client, key));
        passes.fetch_add(1, Ordering::Relaxed);
    }
}

fn keys_of_the_living_stay(balance: &str) {
    let mut origins = Origins::start();
    let addresses: Vec<_> = origins.processes.iter().map(OriginProcess::address).collect();
    let tollgate = launch(
        "upstreams:\n  u:\n    endpoints: [\"{a}\", \"{b}\", \"{c}\", \"{d}\"]\n    \
         balance: { {balance}: { by: { header: X-Session } } }\n    ejection: { base: 200ms, max: 200ms }\n\
         routes: [{ path: /, to: u }]\n",
        &[
            ("balance", &balance),
            ("a", &addresses[0]),
            ("b", &addresses[1]),
            ("c", &addresses[2]),
            ("d", &addresses[3]),
        ],
    );
    let mut client = tollgate.connect();
    (0..KEYS).for_each(|key| ask(&mut client, key));
    let homes: Vec<usize> = origins.places().iter().map(|at| *at.iter().next().unwrap()).collect();
    let of = |endpoint: usize| (0..KEYS).filter(|key| homes[*key] == endpoint).collect::<Vec<_>>();
    let (passes, stop) = ([(); CLIENTS].map(|()| AtomicUsize::new(0)), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let _stop = StopOnDrop(&stop);
        for number in 0..CLIENTS {
            let (tollgate, passes, stop) = (&tollgate, &passes[number], &stop);
            scope.spawn(move || ask_on(number, tollgate, passes, stop));
        }
        // For each key once after this was called at least.
        let all_ask_again = || {
            let now = || -> Vec<_> { passes.iter().map(|passes| passes.load(Ordering::Relaxed)).collect() };
            let before = now();
            let both = || before.iter().zip(now());
            wait_until("all ask", || both().all(|(before, now)| now >= before + 2));
        };
        for killed in 0..ENDPOINTS {
            assert!(!of(killed).is_empty(), "endpoint {killed} has no key");
            all_ask_again();
            let before = origins.places();
            origins.processes[killed].kill();
            all_ask_again();
            for (key, at) in origins.places().iter().enumerate() {
                // Those that had lost their home before may have been elsewhere then.
                match homes[key] == killed {
                    true => assert!(at.len() > 1, "key {key} was not served elsewhere"),
                    false => assert_eq!(*at, before[key], "key {key} has moved"),
                }
            }
            origins.processes[killed].restart();
            let counts = origins.keys_at(killed);
            let is_home = |now: &HashMap<usize, usize>| of(killed).iter().all(|key| now[key] > counts[key]);
            wait_until("the keys are back", || is_home(&origins.keys_at(killed)));
            // From here on they are nowhere else.
            all_ask_again();
            let elsewhere = || -> usize {
                let others = (0..ENDPOINTS).filter(|endpoint| *endpoint != killed);
                let keys = of(killed);
                others
                    .map(|at| {
                        origins
                            .keys_at(at)
                            .iter()
                            .filter(|(k, _)| keys.contains(k))
                            .map(|(_, n)| n)
                            .sum::<usize>()
                    })
                    .sum()
            };
            let before = elsewhere();
            all_ask_again();
            assert_eq!(elsewhere(), before, "keys of {killed} are still elsewhere");
        }
    });
}

#[test]
fn keys_of_the_living_stay_in_a_maglev_table() {
    keys_of_the_living_stay("maglev");
}

#[test]
fn keys_of_the_living_stay_on_a_ring() {
    keys_of_the_living_stay("ring_hash");
}
