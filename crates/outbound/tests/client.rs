//! The client against origins that do what they should, and against others.

mod parts;

use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, HeaderValue};
use parts::{Background, url, wait};
use tollgate_outbound::{Error, HttpClient, Request, Response, Security, Settings};
use tollgate_testkit::{Authority, Gate, Origin, Silent, TlsOrigin, Wanted, refusing};

struct Set {
    background: Background,
    authority: Authority,
    client: HttpClient,
}

fn set(settings: Settings) -> Set {
    let (background, authority) = (Background::start(), Authority::new("Test CA"));
    let client = background.client(settings, &authority);
    Set { background, authority, client }
}

fn patient() -> Settings {
    let long = tollgate_testkit::PATIENCE;
    Settings { connect_timeout: long, timeout: long, ..Settings::default() }
}

fn hasty() -> Settings {
    Settings { timeout: Duration::from_millis(50), ..patient() }
}

fn at(origin: &Origin, target: &str) -> Request {
    Request::get(url(format!("http://{}{target}", origin.address())))
}

fn call(client: &HttpClient, request: Request) -> Result<Response, Error> {
    wait(client.call(request))
}

fn body(response: Result<Response, Error>) -> String {
    String::from_utf8(response.unwrap().body.to_vec()).unwrap()
}

#[test]
fn requests_say_what_they_should() {
    let set = set(patient());
    let origin = Origin::echo();
    let request = Request::form(url(format!("http://{}/x?y=z", origin.address())), &[("a", "b c")]);
    let request = request.header(HOST, HeaderValue::from_static("else")).accept_json();
    assert_eq!(body(call(&set.client, request)), "a=b+c");
    let seen = origin.only_request();
    assert_eq!(seen.line(), "POST /x?y=z HTTP/1.1");
    assert_eq!(seen.all("host"), [origin.address().to_string()]);
    assert_eq!((seen.get("accept"), seen.get("content-length")), (Some("application/json"), Some("5")));
    assert!(seen.get("user-agent").unwrap().starts_with("tollgate/"));
}

#[test]
fn a_connection_serves_calls_of_several_runtimes() {
    let set = set(patient());
    let origin = Origin::saying("hello");
    for _ in 0..20 {
        // Each call has a runtime of its own, which is gone afterwards.
        assert_eq!(body(call(&set.client, at(&origin, "/"))), "hello");
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 20));
}

#[test]
fn a_connection_that_the_server_says_to_close_is_not_used_again() {
    let set = set(patient());
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    });
    for round in 1..4 {
        assert_eq!(body(call(&set.client, at(&origin, "/"))), "ok");
        assert_eq!(origin.connections(), round);
    }
}

/// The first connection answers once and closes without an answer when the next request has come.
fn forgetful() -> Origin {
    Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        if connection.index() == 0 {
            connection.request();
        } else {
            while connection.request().is_some() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    })
}

#[test]
fn a_stale_connection_is_made_up_for() {
    let (set, origin) = (set(patient()), forgetful());
    assert_eq!(body(call(&set.client, at(&origin, "/1"))), "ok");
    assert_eq!(body(call(&set.client, at(&origin, "/2"))), "ok");
    let lines: Vec<_> = origin.requests().iter().map(|request| request.line().to_owned()).collect();
    assert_eq!(lines, ["GET /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /2 HTTP/1.1"]);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn what_may_have_been_done_is_not_done_twice_unless_that_is_allowed() {
    let post = |origin: &Origin| Request::form(url(format!("http://{}/", origin.address())), &[("a", "b")]);
    let (set, origin) = (set(patient()), forgetful());
    assert_eq!(body(call(&set.client, at(&origin, "/"))), "ok");
    let failed = call(&set.client, post(&origin));
    assert!(matches!(failed, Err(Error::Protocol(_))), "{failed:?}");
    assert_eq!(origin.requests().len(), 2);

    let origin = forgetful();
    assert_eq!(body(call(&set.client, at(&origin, "/"))), "ok");
    assert_eq!(body(call(&set.client, post(&origin).repeatable())), "ok");
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_fresh_connection_that_breaks_is_no_stale_one() {
    let set = set(patient());
    let origin = Origin::start(|connection| drop(connection.request()));
    let failed = call(&set.client, at(&origin, "/"));
    assert!(matches!(failed, Err(Error::Protocol(_))), "{failed:?}");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_that_ended_while_it_was_idle_is_replaced() {
    let set = set(patient());
    let origin = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    for round in 1..5 {
        // Also a POST: it was not sent on the connection that has ended.
        let post = Request::form(url(format!("http://{}/", origin.address())), &[]);
        assert_eq!(body(call(&set.client, post)), "ok");
        origin.wait_for_ended(round);
        // The runtime in the background hears of the end before it hears of what is spawned now.
        wait(async { set.background.handle.spawn(tokio::task::yield_now()).await.unwrap() });
        wait(async { set.background.handle.spawn(tokio::task::yield_now()).await.unwrap() });
    }
}

#[test]
fn idle_connections_are_closed_in_time() {
    let set = set(Settings { idle_timeout: Duration::from_millis(20), ..patient() });
    let origin = Origin::saying("x");
    assert_eq!(body(call(&set.client, at(&origin, "/"))), "x");
    origin.wait_for_ended(1);
}

#[test]
fn no_more_idle_connections_are_kept_than_is_set() {
    let set = set(Settings { idle: (1, 1), ..patient() });
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            opened.wait();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let calls: Vec<_> =
        (0..3).map(|_| set.background.handle.spawn(set.client.call(at(&origin, "/")))).collect();
    origin.wait_for_requests(3);
    gate.open();
    calls.into_iter().for_each(|call| assert!(wait(call).unwrap().is_ok()));
    origin.wait_for_ended(2);
    assert!(call(&set.client, at(&origin, "/")).is_ok());
    assert_eq!(origin.connections(), 3);
}

#[test]
fn calls_beyond_the_bound_fail_at_once() {
    let set = set(Settings { calls_max: 1, ..patient() });
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::start(move |connection| {
        while connection.request().is_some() {
            opened.wait();
            connection.send("HTTP/1.1 204 No Content\r\n\r\n");
        }
    });
    let first = set.background.handle.spawn(set.client.call(at(&origin, "/")));
    origin.wait_for_requests(1);
    assert_eq!(call(&set.client, at(&origin, "/")).unwrap_err(), Error::Busy);
    gate.open();
    assert_eq!(wait(first).unwrap().unwrap().status, 204);
    assert!(call(&set.client, at(&origin, "/")).is_ok());
}

#[test]
fn a_call_that_nobody_waits_for_ends() {
    let set = set(Settings { calls_max: 1, ..patient() });
    let origin = Origin::start(|connection| while connection.request().is_some() {});
    let mut waiting = Box::pin(set.client.call(at(&origin, "/")));
    // Begun, then dropped.
    wait(std::future::poll_fn(|cx| {
        assert!(waiting.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    }));
    origin.wait_for_requests(1);
    drop(waiting);
    origin.wait_for_ended(1);
    // And its place is free.
    let other = Origin::saying("x");
    assert_eq!(body(call(&set.client, at(&other, "/"))), "x");
}

#[test]
fn what_takes_too_long_is_given_up() {
    let set = set(hasty());
    let silent = Silent::new();
    let hasty = Settings { connect_timeout: Duration::from_millis(50), ..patient() };
    let client = set.background.client(hasty.clone(), &set.authority);
    let failed = call(&client, Request::get(url(format!("http://{}/", silent.address())))).unwrap_err();
    // Of one address, and of the whole time for connecting, either may be over first.
    assert!(matches!(failed, Error::Timeout { .. } | Error::Connect { .. }), "{failed}");

    let mute = Origin::start(|connection| while connection.request().is_some() {});
    let failed = call(&set.client, at(&mute, "/")).unwrap_err();
    assert!(matches!(failed, Error::Timeout { what: "complete answer", .. }), "{failed}");

    let half = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc");
        connection.rest();
    });
    let failed = call(&set.client, at(&half, "/")).unwrap_err();
    assert!(matches!(failed, Error::Timeout { what: "complete answer", .. }), "{failed}");

    let tls = Origin::start(|connection| drop(connection.rest()));
    let failed = call(&client, Request::get(url(format!("https://{}/", tls.address())))).unwrap_err();
    assert!(matches!(failed, Error::Timeout { what: "TLS handshake" | "connection", .. }), "{failed}");
}

#[test]
fn addresses_that_are_none_are_told_apart() {
    let set = set(patient());
    let (address, _guard) = refusing();
    let failed = call(&set.client, Request::get(url(format!("http://{address}/")))).unwrap_err();
    assert!(matches!(&failed, Error::Connect { to, .. } if **to == *address.to_string()), "{failed}");
    // A label of 64 characters is in no DNS, so that none is asked.
    let name = "x".repeat(64);
    let failed = call(&set.client, Request::get(url(format!("http://{name}/")))).unwrap_err();
    assert!(matches!(&failed, Error::Resolve { host, .. } if **host == name), "{failed}");
}

#[test]
fn answers_that_are_too_large_are_not_read() {
    let settings = Settings { body_max: 1000, head_max: 8192, ..patient() };
    let set = set(settings);
    let sized = |size: usize| {
        Origin::answering(move |_| {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size)).into_bytes()
        })
    };
    assert_eq!(body(call(&set.client, at(&sized(1000), "/"))).len(), 1000);
    let failed = call(&set.client, at(&sized(1001), "/")).unwrap_err();
    assert_eq!(failed, Error::TooLarge { what: "body", limit: 1000 });
    assert_eq!(body(call(&set.client, at(&sized(5000), "/").body_max(5000))).len(), 5000);

    let endless = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.try_send("5\r\nabcde\r\n").is_ok() {}
    });
    let failed = call(&set.client, at(&endless, "/")).unwrap_err();
    assert_eq!(failed, Error::TooLarge { what: "body", limit: 1000 });
    endless.wait_for_ended(1);

    let heady = Origin::start(|connection| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n");
        while connection.try_send("X-Y: abcdefghijklmnopqrstuvwxyz\r\n").is_ok() {}
    });
    let failed = call(&set.client, at(&heady, "/")).unwrap_err();
    assert!(matches!(failed, Error::TooLarge { what: "head", .. }), "{failed}");
    heady.wait_for_ended(1);
}

#[test]
fn garbage_is_no_answer() {
    let set = set(patient());
    for garbage in [
        "",
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
    ] {
        let origin = Origin::start(move |connection| {
            connection.request();
            connection.send(garbage);
        });
        let failed = call(&set.client, at(&origin, "/"));
        assert!(matches!(failed, Err(Error::Protocol(_))), "{garbage:?}: {failed:?}");
        assert_eq!(origin.connections(), 1, "{garbage:?}");
    }
}

#[test]
fn certificates_are_checked() {
    let set = set(patient());
    let good = set.authority.issue("good", &["localhost", "127.0.0.1"]);
    let origin = Origin::start_secured(&TlsOrigin::new(&good), |connection| {
        while connection.request().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let port = origin.address().port();
    for host in ["127.0.0.1", "localhost"] {
        for _ in 0..3 {
            assert_eq!(body(call(&set.client, Request::get(url(format!("https://{host}:{port}/"))))), "ok");
        }
    }
    assert_eq!(origin.connections(), 2);

    let other = Authority::new("Other CA");
    let bad = [
        other.issue("unknown", &["127.0.0.1"]),
        set.authority.issue("name", &["127.0.0.2", "localhost"]),
        set.authority.make("old", &Wanted::new(&["127.0.0.1"]).days(-10, -1)),
    ];
    for issued in bad {
        let origin = Origin::start_secured(&TlsOrigin::new(&issued), |_| {});
        let failed =
            call(&set.client, Request::get(url(format!("https://{}/", origin.address())))).unwrap_err();
        assert!(matches!(failed, Error::Tls { .. }), "{failed}");
    }
    let system = HttpClient::new(patient(), Security::system(), set.background.handle.clone()).unwrap();
    let failed = call(&system, Request::get(url(format!("https://127.0.0.1:{port}/")))).unwrap_err();
    assert!(matches!(failed, Error::Tls { .. }), "{failed}");
    // Who speaks no TLS, and who speaks nothing else.
    let plain = Origin::start(|connection| connection.send("HTTP/1.1 400 Bad Request\r\n\r\n"));
    let failed = call(&set.client, Request::get(url(format!("https://{}/", plain.address())))).unwrap_err();
    assert!(matches!(failed, Error::Tls { .. }), "{failed}");
}

#[test]
fn a_certificate_is_shown_to_those_who_ask() {
    let set = set(patient());
    let own = set.authority.make("own", &Wanted::client("tollgate"));
    let certificate =
        tollgate_tls::Certificate::from_pem("own", own.cert_pem.as_bytes(), own.key_pem.as_bytes());
    let roots = tollgate_tls::Roots::from_file(&set.authority.roots()).unwrap();
    let security = Security { roots, certificate: Some(certificate.unwrap()) };
    let client = HttpClient::new(patient(), security, set.background.handle.clone()).unwrap();
    let server = set.authority.issue("server", &["127.0.0.1"]);
    let tls = TlsOrigin::made(&server, tollgate_testkit::Versions::Both, Some(&set.authority));
    let origin = Origin::start_secured(&tls, |connection| {
        let shown = connection.peer_certificate().is_some();
        connection.request();
        connection
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{shown}", 4 + usize::from(!shown)));
    });
    assert_eq!(body(call(&client, Request::get(url(format!("https://{}/", origin.address()))))), "true");
}

#[test]
fn redirections_are_followed_where_asked_and_no_further() {
    let set = set(patient());
    let last = Origin::echo();
    let there = format!("http://{}/there", last.address());
    let origin = Origin::answering(move |request| {
        let to = match request.line().split(' ').nth(1) {
            Some("/1") => "2?x",
            Some("/2?x") => &there,
            _ => "/loop",
        };
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    });
    assert_eq!(call(&set.client, at(&origin, "/1")).unwrap().status, 302);
    assert_eq!(call(&set.client, at(&origin, "/1").redirects(1)).unwrap().status, 302);
    let secret =
        || at(&origin, "/1").header(AUTHORIZATION, HeaderValue::from_static("Bearer x")).redirects(2);
    assert_eq!(call(&set.client, secret()).unwrap().status, 200);
    assert_eq!(last.only_request().get("authorization"), None);
    assert_eq!(origin.requests().last().unwrap().get("authorization"), Some("Bearer x"));
    let before = origin.requests().len();
    assert_eq!(call(&set.client, at(&origin, "/loop").redirects(5)).unwrap().status, 302);
    assert_eq!(origin.requests().len(), before + 6);
    // What changes something stays where it was sent.
    let post = Request::form(url(format!("http://{}/1", origin.address())), &[]).redirects(5);
    assert_eq!(call(&set.client, post).unwrap().status, 302);

    let issued = set.authority.issue("server", &["127.0.0.1"]);
    let clear = format!("http://{}/there", last.address());
    let secured = Origin::start_secured(&TlsOrigin::new(&issued), move |connection| {
        connection.request();
        connection.send(format!("HTTP/1.1 302 Found\r\nLocation: {clear}\r\nContent-Length: 0\r\n\r\n"));
    });
    let down = Request::get(url(format!("https://{}/", secured.address()))).redirects(1);
    assert!(matches!(call(&set.client, down), Err(Error::Protocol(_))));
}

#[test]
fn without_its_runtime_a_client_says_so() {
    let set = set(patient());
    let origin = Origin::saying("x");
    let client = set.client.clone();
    drop(set.background);
    assert_eq!(call(&client, at(&origin, "/")).unwrap_err(), Error::Stopped);
}
