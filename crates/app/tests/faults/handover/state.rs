//! What a process knows that no document says goes with a hand-over.

use serde_json::Value;
use tollgate_testkit::{Authority, Launch, Origin, TlsClient};

use super::hand_over;
use crate::{PROGRAM, get, wait_until};

#[test]
fn what_an_operator_has_set_at_endpoints_stays() {
    let origins = [Origin::saying("one"), Origin::saying("two"), Origin::saying("three")];
    let document = "version: 1\nlisten: \"127.0.0.1:0\"\naccess_log: none\nupstreams: { u: { endpoints: [\"{a}\", \"{b}\", \"{c}\"] } }\n\
                    routes: [{ path: /, to: u }]\n";
    let launch = Launch::new(PROGRAM, document).with("a", origins[0].address());
    let mut tollgate = launch.with("b", origins[1].address()).with("c", origins[2].address()).start();
    let at =
        |origin: &Origin, what: &str| format!("/api/v1/upstreams/u/endpoints/{}/{what}", origin.address());
    assert_eq!(tollgate.api("POST", &at(&origins[0], "drain"), "").0, 200);
    assert_eq!(tollgate.api("POST", &at(&origins[1], "weight"), "{\"weight\":0}").0, 200);
    for _ in 0..3 {
        hand_over(&mut tollgate);
        for _ in 0..6 {
            assert_eq!(tollgate.request(get("/")).text(), "three");
        }
    }
    let (_, body) = tollgate.api("GET", "/api/v1/endpoints", "");
    let endpoints: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(endpoints["endpoints"][0]["drained"], true, "{body}");
    // And can be taken back.
    assert_eq!(tollgate.api("POST", &at(&origins[0], "undrain"), "").0, 200);
    hand_over(&mut tollgate);
    let answers: Vec<_> = (0..8).map(|_| tollgate.request(get("/")).text()).collect();
    assert!(answers.contains(&"one".to_owned()) && !answers.contains(&"two".to_owned()), "{answers:?}");
}

#[test]
fn tls_sessions_are_resumed_at_the_new_process() {
    let authority = Authority::new("CA");
    let issued = authority.issue("shop", &["shop.example"]);
    let document = format!(
        "version: 1\nworkers: 2\naccess_log: none\n\
         listen: {{ address: \"127.0.0.1:0\", tls: {{ certificates: {} }} }}\n\
         routes: [{{ path: /, respond: {{ status: 200, body: hello }} }}]\n",
        issued.yaml()
    );
    let mut tollgate = Launch::new(PROGRAM, &document).start();
    let client = TlsClient::new(&authority, "shop.example");
    let visit = |tollgate: &tollgate_testkit::Tollgate| {
        let mut connection = client.connect(tollgate.address());
        let request = get("/").replace("a.example", "shop.example");
        assert_eq!(connection.request(request).text(), "hello");
        connection.handshake().resumed
    };
    assert!(!visit(&tollgate));
    assert!(visit(&tollgate));
    for _ in 0..3 {
        hand_over(&mut tollgate);
        assert!(visit(&tollgate), "not resumed after a hand-over");
    }
}

#[test]
fn quotas_are_counted_on() {
    let document = "version: 1\naccess_log: none\nlisten: \"127.0.0.1:0\"\ndata_dir: \"{directory}/data\"\n\
                    routes: [{ path: /, quota: { limit: 10, per: month, by: address }, respond: { status: 200 } }]\n";
    let mut tollgate = Launch::new(PROGRAM, document).start();
    for hand_overs in 1..=2 {
        for _ in 0..4 {
            assert_eq!(tollgate.request(get("/")).status, 200);
        }
        hand_over(&mut tollgate);
        // The new process has what the old one has counted once it has the file.
        let written = || tollgate.stderr().matches("quotas are written again").count();
        wait_until("the file is taken over", || written() == hand_overs);
    }
    let left: Vec<_> = (0..4).map(|_| tollgate.request(get("/")).status).collect();
    assert_eq!(left, [200, 200, 429, 429]);
}
