//! What the process knows and no file says goes on in the one that takes its place.

use tollgate_testkit::{Launch, Origin, Tollgate, refusing};

use crate::verbs::verb;
use crate::{PRELUDE, PROGRAM, get};

fn hand_over(tollgate: &mut Tollgate) {
    let (status, body) = tollgate.hand_over("{}");
    assert_eq!(status, 200, "{body}");
}

fn done(tollgate: &Tollgate, words: &[&str]) {
    let output = verb(tollgate, words);
    assert_eq!(output.code, Some(0), "{output:?}");
}

fn answers(tollgate: &Tollgate) -> Vec<String> {
    let mut answers: Vec<_> = (0..12).map(|_| tollgate.request(get("/")).text()).collect();
    answers.sort();
    answers.dedup();
    answers
}

#[test]
fn endpoints_that_an_operator_has_added_or_removed_stay_so() {
    let [one, two, late] = ["one", "two", "late"].map(Origin::saying);
    let [first, second, added] = [&one, &two, &late].map(|origin| origin.address().to_string());
    let text = format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\nupstreams: {{ u: [\"{first}\", \"{second}\"] }}\n\
         routes: [{{ path: /, to: u }}]\n"
    );
    let mut tollgate = Launch::new(PROGRAM, &text).start();
    done(&tollgate, &["endpoint", "add", "u", &added, "--weight", "2"]);
    done(&tollgate, &["endpoint", "remove", "u", &second]);
    for _ in 0..2 {
        hand_over(&mut tollgate);
        assert_eq!(answers(&tollgate), ["late", "one"]);
    }
    assert!(tollgate.stderr().contains(&format!("u: {added} stays added by the operator")));
    done(&tollgate, &["endpoint", "add", "u", &second]);
    done(&tollgate, &["endpoint", "remove", "u", &added]);
    hand_over(&mut tollgate);
    assert_eq!(answers(&tollgate), ["one", "two"]);
}

/// A probe that has found an endpoint down would first have to fail as often in the new process, and requests with it.
#[test]
fn an_endpoint_that_is_down_gets_no_request_from_the_new_process() {
    let (dead, _held) = refusing();
    let alive = Origin::saying("alive");
    let text = format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\nupstreams:\n  u:\n    endpoints: [\"{dead}\", \"{}\"]\n    \
         health: {{ tcp: {{}}, every: 1h, fast: 20ms, fall: 3 }}\n    ejection: none\n    retry: none\n\
         routes: [{{ path: /, to: u }}]\n",
        alive.address()
    );
    let mut tollgate = Launch::new(PROGRAM, &text).start();
    let down = format!("tollgate_endpoint_healthy{{upstream=\"u\",endpoint=\"{dead}\"}}");
    tollgate.await_metric(&down, 0.0);
    for _ in 0..3 {
        hand_over(&mut tollgate);
        for _ in 0..8 {
            assert_eq!(tollgate.request(get("/")).text(), "alive");
        }
    }
}

#[test]
fn an_endpoint_that_was_ejected_stays_so_for_the_rest_of_its_time() {
    let sick = Origin::answering(|_| b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec());
    let well = Origin::saying("well");
    let text = format!(
        "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\nupstreams:\n  u:\n    endpoints: [\"{}\", \"{}\"]\n    \
         ejection: {{ consecutive_5xx: 1, base: 1h, max: 1h }}\nroutes: [{{ path: /, to: u }}]\n",
        sick.address(),
        well.address()
    );
    let mut tollgate = Launch::new(PROGRAM, &text).start();
    while tollgate.request(get("/")).status != 500 {}
    hand_over(&mut tollgate);
    for _ in 0..8 {
        assert_eq!(tollgate.request(get("/")).text(), "well");
    }
    let told = verb(&tollgate, &["endpoint", "list"]).stdout;
    assert!(told.contains("ejected"), "{told}");
}

#[test]
fn a_document_that_was_applied_goes_on_until_the_file_is_read_again() {
    let document = |answer: &str| {
        format!(
            "{PRELUDE}admin: {{ listen: \"127.0.0.1:0\" }}\nroutes: [{{ path: /, respond: {{ body: {answer} }} }}]\n"
        )
    };
    let mut tollgate = Launch::new(PROGRAM, &document("filed")).start();
    let other = tollgate.directory().join("other.yaml");
    std::fs::write(&other, document("applied")).unwrap();
    done(&tollgate, &["apply", other.to_str().unwrap()]);
    for _ in 0..2 {
        hand_over(&mut tollgate);
        assert_eq!(answers(&tollgate), ["applied"]);
    }
    assert!(tollgate.stderr().contains("not the one of the file"), "{}", tollgate.stderr());
    let history = verb(&tollgate, &["history"]).stdout;
    assert!(history.contains("hand-over"), "{history}");
    done(&tollgate, &["reload"]);
    assert_eq!(answers(&tollgate), ["filed"]);
    // What the file says now is what another process reads there.
    hand_over(&mut tollgate);
    assert_eq!(answers(&tollgate), ["filed"]);
    assert!(!verb(&tollgate, &["history"]).stdout.contains("hand-over"));
}
