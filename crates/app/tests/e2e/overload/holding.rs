//! Requests that are held since there is no endpoint for them.

use tollgate_testkit::{Launch, Origin, refusing};

use super::{ADMIN, begin, cause, started};
use crate::verbs::verb;
use crate::{PRELUDE, PROGRAM, get};

const HELD: &str = "tollgate_upstream_held{upstream=\"u\"}";

#[test]
fn only_so_many_are_held_and_who_leaves_is_held_no_more() {
    let origin = Origin::saying("back");
    let tollgate = started(
        2,
        "upstreams: { u: [\"{origin}\"] }\nroutes: [{ path: /, to: u, hold: { for: 1m, requests: 2 } }]\n",
        &[("origin", &origin.address())],
    );
    let endpoint = origin.address().to_string();
    assert_eq!(verb(&tollgate, &["endpoint", "drain", "u", &endpoint]).code, Some(0));
    let (mut stays, leaves) = (begin(&tollgate, "/"), begin(&tollgate, "/"));
    tollgate.await_metric(HELD, 2.0);
    let response = tollgate.request(get("/"));
    assert_eq!((response.status, response.reason().as_deref()), (503, Some("no_endpoint")));
    let why = cause(&tollgate, &response);
    assert!(why.contains("As many requests are held for its upstream as may be"), "{why}");
    drop(leaves);
    tollgate.await_metric(HELD, 1.0);
    let mut comes = begin(&tollgate, "/");
    tollgate.await_metric(HELD, 2.0);
    assert_eq!(verb(&tollgate, &["endpoint", "undrain", "u", &endpoint]).code, Some(0));
    assert_eq!((stays.response().text(), comes.response().text()), ("back".into(), "back".into()));
    assert_eq!(origin.requests().len(), 2);
    tollgate.await_metric(HELD, 0.0);
}

/// One after the other: a document without endpoints to use, one that says other things, one that brings an endpoint.
#[test]
fn who_is_held_is_served_by_the_endpoint_that_a_later_document_brings() {
    let (gone, _guard) = refusing();
    let origin = Origin::saying("new");
    let document = |endpoints: &str, more: &str| {
        format!(
            "{PRELUDE}{ADMIN}upstreams: {{ u: {{ endpoints: [{endpoints}]{more} }} }}\n\
             routes: [{{ name: held, path: /, to: u, hold: 1m }}]\n"
        )
    };
    // Where nobody can be picked, and where who can be does not take connections.
    for more in [", panic_threshold: 0%, health: { path: /, every: 50ms, start: down }", ", ejection: none"] {
        let tollgate = Launch::new(PROGRAM, &document(&format!("\"{gone}\""), more)).start();
        let mut clients = [begin(&tollgate, "/"), begin(&tollgate, "/")];
        tollgate.await_metric(HELD, 2.0);
        let other = format!("{more}, balance: random");
        assert!(
            tollgate.reload(&document(&format!("\"{gone}\""), &other)).contains("document 2 is in force")
        );
        assert_eq!(tollgate.metric(HELD), 2.0);
        let text = document(&format!("\"{gone}\", \"{}\"", origin.address()), more);
        assert!(tollgate.reload(&text).contains("document 3 is in force"));
        for client in &mut clients {
            let response = client.response();
            assert_eq!((response.status, response.text().as_str()), (200, "new"), "{more}");
            let id = response.get("x-request-id").unwrap().to_owned();
            let told = verb(&tollgate, &["why", &id]).stdout;
            assert!(told.contains(&origin.address().to_string()) && !told.contains("doubt"), "{told}");
        }
        tollgate.await_metric(HELD, 0.0);
    }
}
