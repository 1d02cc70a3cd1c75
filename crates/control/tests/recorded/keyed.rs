//! Balancers that go by a key or by latency: what they pick, and what is told of it.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use tollgate_control::explain::{MadeUpRequest, Origin as From, explain, explain_recorded};
use tollgate_control::why::{Show, why};
use tollgate_control::{Filter, Recorded};
use tollgate_testkit::{Client, Origin, PATIENCE, refusing};

use crate::plaza::Plaza;

fn document(balance: &str, origins: &[Origin]) -> String {
    let endpoints: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    format!(
        "version: 1\nlisten: \"127.0.0.1:0\"\nrecorder: {{ sample: 100% }}\nupstreams:\n  \
         u: {{ endpoints: [{}], balance: {balance} }}\nroutes: [{{ name: all, path: /, to: u }}]\n",
        endpoints.join(", ")
    )
}

fn entries(plaza: &Plaza, count: usize) -> Vec<Recorded> {
    let began = Instant::now();
    loop {
        let recorded = plaza.recorders().last(usize::MAX, &Filter::default());
        if recorded.len() >= count {
            return recorded;
        }
        assert!(began.elapsed() < PATIENCE, "{} of {count}", recorded.len());
        std::thread::yield_now();
    }
}

fn ask(client: &mut Client, user: &str) {
    client.send(format!("GET /some/path HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n"));
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_key_keeps_its_endpoint_and_its_value_to_itself() {
    for balance in ["maglev: { by: { header: X-User } }", "ring_hash: { by: [{ header: X-User }, path] }"] {
        let origins: Vec<Origin> = (0..5).map(|_| Origin::saying("ok")).collect();
        let plaza = Plaza::start(&document(&format!("{{ {balance} }}"), &origins), 2);
        // Connections meet either worker; a key does not mind.
        for _ in 0..4 {
            let mut client = plaza.connect();
            (0..20).for_each(|user| ask(&mut client, &format!("planted-{user}")));
        }
        let recorded = entries(&plaza, 80);
        let mut by_user: HashMap<String, HashSet<(String, String)>> = HashMap::new();
        for recorded in &recorded {
            let snapshot = recorded.entry.snapshot.upgrade().unwrap();
            let head = String::from_utf8_lossy(recorded.entry.head.as_deref().unwrap()).into_owned();
            let user = head.lines().find_map(|line| line.strip_prefix("X-User: ")).unwrap().to_owned();
            let then = explain_recorded(&snapshot, &recorded.entry).picks.remove(0);
            let fields = vec![("Host".into(), "a".into()), ("X-User".into(), user.clone())];
            let made_up = MadeUpRequest {
                method: "GET".into(),
                target: "/some/./path".into(),
                fields,
                seed: 7,
                from: From { address: "127.0.0.1".parse().unwrap(), ..From::default() },
            };
            let now = explain(&snapshot, &made_up, 1_000_000);
            assert_eq!((&now.picks[0].by, &now.picks[0].endpoint), (&then.by, &then.endpoint), "{user}");
            let by = then.by.unwrap();
            assert!(by.starts_with("the key (header X-User") && !by.contains("planted"), "{by}");
            let text = why(recorded, Some(&snapshot), Show::default()).to_string();
            assert!(text.contains(&format!("picked by {by}")), "{text}");
            by_user.entry(user).or_default().insert((by, then.endpoint.unwrap()));
        }
        assert!(by_user.values().all(|seen| seen.len() == 1), "{balance}: {by_user:?}");
        let used: HashSet<_> = by_user.values().flatten().map(|(_, endpoint)| endpoint).collect();
        assert!(used.len() > 2, "{balance}: {used:?}");
        plaza.end();
    }
}

#[test]
fn latencies_are_told_of_the_balancer_that_goes_by_them() {
    let (refused, _guard) = refusing();
    let origins = [Origin::saying("ok"), Origin::saying("ok")];
    let text = document("peak_ewma", &origins)
        .replace("], balance", &format!(", \"{refused}\"], ejection: none, balance"));
    let plaza = Plaza::start(&text, 1);
    let mut client = plaza.connect();
    (0..60).for_each(|_| ask(&mut client, "x"));
    let recorded = entries(&plaza, 60);
    let refused = refused.to_string();
    let names = || recorded.iter().flat_map(|recorded| &recorded.entry.names.endpoints);
    // Its refusal comes sooner than any answer, and counts as slow all the same.
    let tries = names().filter(|name| ***name == *refused).count();
    assert!(tries < 10, "{tries} of {}", names().count());
    let told =
        why(&recorded[0], recorded[0].entry.snapshot.upgrade().as_deref(), Show::default()).to_string();
    assert!(told.contains("requests then, latency "), "{told}");
    plaza.end();
}
