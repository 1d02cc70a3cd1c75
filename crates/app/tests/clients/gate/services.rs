//! A server of gRPC Core that speaks Envoy's `ext_authz`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tollgate_testkit::{Origin, Response, Tollgate};

use super::{ended, series, telling};
use crate::foreign::{Foreign, free_address};
use crate::python::python;
use crate::{launch, wait_until};

const DOCUMENT: &str = "\
listen: \"127.0.0.1:0\"
consumers: { alice: { groups: [staff], credentials: [{ subject: alice }] } }
auth:
  asked: { ext_authz: { url: \"http://{service}\", timeout: 20s, response_headers: [X-User, X-Told, X-Number] } }
  hasty: { ext_authz: { url: \"http://{service}\", timeout: 200ms } }
  open: { ext_authz: { url: \"http://{service}\", timeout: 20s, if_unreachable: allow, response_headers: [X-User] } }
routes:
  - { path: /hasty, to: \"http://{origin}\", auth: hasty }
  - { path: /open, to: \"http://{origin}\", auth: open }
  - { path: /shadow, to: \"http://{origin}\", auth: { any: [asked], shadow: true } }
  - { path: /, to: \"http://{origin}\", auth: asked }
";

struct Asked {
    service: Option<Foreign>,
    address: SocketAddr,
    origin: Origin,
    tollgate: Tollgate,
}

impl Asked {
    fn begin() -> Option<Self> {
        let (address, origin) = (free_address(), telling());
        let service = serve(address)?;
        let tollgate = launch(1, DOCUMENT, &[("service", &address), ("origin", &origin.address())]);
        Some(Self { service: Some(service), address, origin, tollgate })
    }

    fn get(&self, target: &str, fields: &str) -> Response {
        self.tollgate.request(get(target, fields))
    }
}

fn serve(address: SocketAddr) -> Option<Foreign> {
    Some(Foreign::serve(python("authz_server.py")?.arg(address.to_string()), address))
}

fn get(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n")
}

#[test]
fn a_service_lets_requests_pass_and_changes_them() {
    let Some(asked) = Asked::begin() else { return };
    let sent = "X-Ask: allow\r\nX-User: mallory\r\nX-Internal: 1\r\nX-Many: one\r\n";
    let answer = asked.get("/cart?secret=1&plan=none&x=1", sent);
    assert_eq!((answer.status, answer.get("x-decided")), (200, Some("yes")), "{answer:?}");
    let told = answer.text();
    for line in [
        "/cart?x=1&plan=gold%20%26%20more",
        "host=shop.example",
        "x-ask=allow",
        "x-user=alice",
        "x-told=GET /cart?secret=1&plan=none&x=1 shop.example http HTTP/1.1 127.0.0.1",
        "x-number=1",
        "x-many=one,more",
    ] {
        assert!(told.lines().any(|known| known == line), "{line:?} is not in {told}");
    }
    assert!(!told.contains("x-internal") && !told.contains("mallory"), "{told}");
    assert_eq!(ended(&asked.tollgate, "forwarded", "nobody"), 1.0);
}

#[test]
fn a_service_refuses_in_its_own_words() {
    let Some(asked) = Asked::begin() else { return };
    let answer = asked.get("/cart", "X-Ask: deny\r\n");
    assert_eq!((answer.status, answer.text().as_str()), (429, "not now"), "{answer:?}");
    assert_eq!((answer.get("retry-after"), answer.get("content-type")), (Some("7"), Some("text/x-reason")));
    assert_eq!(answer.get("transfer-encoding"), None);
    let answer = asked.get("/cart", "X-Ask: bare\r\n");
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(asked.origin.requests().is_empty());
    asked.tollgate.await_metric(&series("authorization_denied", "client"), 2.0);
    // In shadow it passes all the same, and nothing of what was said is told.
    let answer = asked.get("/shadow", "X-Ask: deny\r\n");
    assert_eq!((answer.status, answer.get("retry-after")), (200, None), "{answer:?}");
}

#[test]
fn without_a_decision_nothing_passes_unless_the_document_says_so() {
    let Some(mut asked) = Asked::begin() else { return };
    let mut refused = 0.0;
    let mut is_refused = |answer: &Response| {
        assert_eq!(answer.status, 503, "{answer:?}");
        // Where the service is, and what is wrong with it, is nobody's business.
        assert!(!answer.text().contains("127.0.78.1") && !answer.text().contains("broke"), "{answer:?}");
        refused += 1.0;
        asked.tollgate.await_metric(&series("authorization_unavailable", "proxy"), refused);
    };
    is_refused(&asked.get("/cart", "X-Ask: broken\r\n"));
    is_refused(&asked.get("/cart", "X-Ask: garbage\r\n"));
    let began = Instant::now();
    is_refused(&asked.get("/hasty", "X-Ask: slow\r\n"));
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    assert_eq!(asked.get("/cart", "X-Ask: allow\r\n").status, 200);

    drop(asked.service.take());
    is_refused(&asked.get("/cart", "X-Ask: allow\r\n"));
    is_refused(&asked.get("/cart", ""));
    // Where the document says so it passes, as nobody: what the service says otherwise, no client does.
    let open = asked.get("/open", "X-User: mallory\r\n");
    assert!(open.status == 200 && !open.text().contains("x-user"), "{open:?}");

    asked.service = serve(asked.address);
    wait_until("the service is asked again", || asked.get("/cart", "").status == 200);
    let open = asked.get("/open", "");
    assert!(open.text().contains("x-user=alice"), "{open:?}");
}

#[test]
fn a_service_that_is_killed_under_requests_lets_none_of_them_pass() {
    let Some(mut asked) = Asked::begin() else { return };
    let mut waiting: Vec<_> = (0..20)
        .map(|_| {
            let mut client = asked.tollgate.connect();
            client.send(get("/cart", "X-Ask: slow\r\n"));
            client
        })
        .collect();
    // One that is decided after all of them were sent off; they wait beside it.
    assert_eq!(asked.get("/cart", "").status, 200);
    drop(asked.service.take());
    for client in &mut waiting {
        assert_eq!(client.response().status, 503);
    }
    assert_eq!(asked.origin.requests().len(), 1);
}

#[test]
fn many_are_asked_about_at_once() {
    let Some(asked) = Asked::begin() else { return };
    let mut clients: Vec<_> = (0..40).map(|_| asked.tollgate.connect()).collect();
    let mut numbers = Vec::new();
    for _ in 0..5 {
        clients.iter_mut().for_each(|client| client.send(get("/cart", "")));
        for client in &mut clients {
            let answer = client.response();
            assert_eq!(answer.status, 200, "{answer:?}");
            let number = answer.text().lines().find_map(|line| line.strip_prefix("x-number=")?.parse().ok());
            numbers.push(number.unwrap_or(0));
        }
    }
    // Each request was asked about once, and none by another's answer.
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
}
