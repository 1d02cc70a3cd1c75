//! Calls of gRPC against services that do what they should, and against others.

mod parts;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parts::{Background, url, wait};
use prost::Message;
use tollgate_outbound::ext_authz::messages::{
    AttributeContext, AttributeRequest, DeniedHttpResponse, HttpRequest, HttpResponse, HttpStatus, Status,
    Verdict,
};
use tollgate_outbound::ext_authz::{CheckRequest, CheckResponse, check};
use tollgate_outbound::grpc::{CallError, GrpcClient, Settings};
use tollgate_outbound::{Error, Security};
use tollgate_testkit::http2::{Http2Origin, OriginSettings, Served};
use tollgate_testkit::{Authority, Gate, Origin, PATIENCE, TlsOrigin, refusing};
use tollgate_tls::Roots;

const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc+proto")];

fn patient() -> Settings {
    Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..Settings::default() }
}

fn client(background: &Background, at: impl std::fmt::Display, settings: Settings) -> GrpcClient {
    let at = url(format!("http://{at}"));
    GrpcClient::new(at, settings, Security::system(), background.handle.clone()).unwrap()
}

fn request(path: &str) -> CheckRequest {
    let http = HttpRequest { method: "GET".into(), path: path.into(), ..HttpRequest::default() };
    let request = Some(AttributeRequest { time: None, http: Some(http) });
    CheckRequest { attributes: Some(AttributeContext { request, ..AttributeContext::default() }) }
}

fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

/// Denies with 418 whatever is asked.
fn denying() -> Vec<u8> {
    let denied =
        DeniedHttpResponse { status: Some(HttpStatus { code: 418 }), ..DeniedHttpResponse::default() };
    let status = Some(Status { code: 7, message: String::new() });
    framed(&CheckResponse { status, http_response: Some(HttpResponse::Denied(denied)) })
}

fn deny(mut served: Served) {
    if served.body().is_ok() {
        served.answer(200, GRPC, denying(), &[("grpc-status", "0")]);
    }
}

fn is_denied(answer: Result<CheckResponse, CallError>) -> bool {
    matches!(answer.unwrap().verdict(), Verdict::Deny { status: 418, .. })
}

#[test]
fn a_check_goes_out_as_envoys_do() {
    let background = Background::start();
    let asked = Arc::new(std::sync::Mutex::new(None));
    let seen = asked.clone();
    let service = Http2Origin::start(move |mut served| {
        served.body().unwrap();
        *seen.lock().unwrap() = Some(CheckRequest::decode(&served.request.body[5..]).unwrap());
        served.answer(200, GRPC, denying(), &[("grpc-status", "0")]);
    });
    let client = client(&background, service.address(), patient());
    assert!(is_denied(wait(check(&client, &request("/a?b")))));
    assert_eq!(asked.lock().unwrap().take(), Some(request("/a?b")));
    let head = service.requests().remove(0);
    assert!(head.line().starts_with("POST /envoy.service.auth.v3.Authorization/Check"), "{}", head.line());
    assert_eq!((head.get("te"), head.get("content-type")), (Some("trailers"), Some("application/grpc")));
    assert_eq!(head.get("grpc-timeout"), Some(&*format!("{}m", PATIENCE.as_millis())));
}

#[test]
fn many_calls_share_one_connection() {
    let background = Background::start();
    let service = Http2Origin::with(OriginSettings { max_streams: 10, ..OriginSettings::default() }, deny);
    let client = client(&background, service.address(), patient());
    let calls: Vec<_> = (0..100).map(|_| background.handle.spawn(check(&client, &request("/")))).collect();
    calls.into_iter().for_each(|call| assert!(is_denied(wait(call).unwrap())));
    assert_eq!((service.connections(), service.requests().len()), (1, 100));
    assert!(service.most_streams()[0] <= 10, "{:?}", service.most_streams());
}

#[test]
fn calls_beyond_the_bound_fail_at_once() {
    let (background, gate) = (Background::start(), Gate::new());
    let opened = gate.clone();
    let service = Http2Origin::start(move |served| {
        opened.wait();
        deny(served);
    });
    let client = client(&background, service.address(), Settings { calls_max: 1, ..patient() });
    let first = background.handle.spawn(check(&client, &request("/")));
    service.wait_for_requests(1);
    assert_eq!(wait(check(&client, &request("/"))), Err(CallError::Transport(Error::Busy)));
    gate.open();
    assert!(is_denied(wait(first).unwrap()));
}

#[test]
fn broken_connections_are_made_up_for() {
    let background = Background::start();
    let count = AtomicUsize::new(0);
    let service = Http2Origin::start(move |mut served| match count.fetch_add(1, Ordering::SeqCst) {
        // The connection breaks under the second call, which is repeated.
        1 => {
            served.abort();
            served.wait_for_reset();
        }
        3 => served.reset(h2::Reason::REFUSED_STREAM),
        _ => deny(served),
    });
    let client = client(&background, service.address(), patient());
    for _ in 0..3 {
        assert!(is_denied(wait(check(&client, &request("/")))));
    }
    assert_eq!(service.requests().len(), 5);
    assert!(service.connections() >= 2);
}

#[test]
fn a_connection_that_goes_away_is_replaced() {
    let background = Background::start();
    let service = Http2Origin::start(|served| {
        served.go_away();
        deny(served);
    });
    let client = client(&background, service.address(), patient());
    for _ in 0..5 {
        assert!(is_denied(wait(check(&client, &request("/")))));
    }
}

#[test]
fn a_service_that_fails_is_told_from_one_that_answers() {
    let background = Background::start();
    let ask = |answer: fn(&mut Served)| {
        let service = Http2Origin::start(move |mut served| {
            let _ = served.body();
            answer(&mut served);
        });
        let settings = Settings { message_max: 1000, ..patient() };
        wait(check(&client(&background, service.address(), settings), &request("/"))).unwrap_err()
    };
    let status = |code, message: &str| CallError::Status { code, message: message.into() };
    // A status in the head, without message.
    let failed = ask(|served| {
        let head =
            [("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-message", "down%0a!")];
        served.answer(200, &head, "", &[]);
    });
    assert_eq!(failed, status(14, "down !"));
    let failed = ask(|served| served.answer(200, GRPC, denying(), &[("grpc-status", "13")]));
    assert_eq!(failed, status(13, ""));
    assert_eq!(ask(|served| served.answer(503, &[], "x", &[])), status(14, "HTTP status 503"));
    for broken in [
        |served: &mut Served| served.answer(200, &[("content-type", "text/html")], "<html>", &[]),
        |served: &mut Served| served.answer(200, GRPC, denying(), &[]),
        |served: &mut Served| served.answer(200, GRPC, "", &[("grpc-status", "0")]),
        |served: &mut Served| served.answer(200, GRPC, &denying()[..7], &[("grpc-status", "0")]),
        |served: &mut Served| {
            served.answer(200, GRPC, [denying(), denying()].concat(), &[("grpc-status", "0")])
        },
        |served: &mut Served| served.answer(200, GRPC, b"\0\0\0\0\x01\xff", &[("grpc-status", "0")]),
        |served: &mut Served| served.reset(h2::Reason::INTERNAL_ERROR),
    ] {
        let failed = ask(broken);
        assert!(matches!(failed, CallError::Transport(Error::Protocol(_))), "{failed}");
    }
    let failed = ask(|served| served.answer(200, GRPC, vec![0; 1006], &[("grpc-status", "0")]));
    assert_eq!(failed, CallError::Transport(Error::TooLarge { what: "message", limit: 1000 }));
}

#[test]
fn a_connection_on_which_nothing_is_answered_is_given_up() {
    let background = Background::start();
    let count = AtomicUsize::new(0);
    let service = Http2Origin::start(move |mut served| {
        if count.fetch_add(1, Ordering::SeqCst) < 3 {
            served.wait_for_reset();
        } else {
            deny(served);
        }
    });
    let hasty = Settings { timeout: Duration::from_millis(100), ..patient() };
    let client = client(&background, service.address(), hasty);
    // On a slow machine some may fail before they have begun.
    while service.requests().len() < 3 {
        let failed = wait(check(&client, &request("/"))).unwrap_err();
        assert!(matches!(failed, CallError::Transport(Error::Timeout { .. })), "{failed}");
    }
    while wait(check(&client, &request("/"))).is_err() {}
    assert!(service.connections() >= 2);
}

#[test]
fn who_speaks_something_else_is_no_service() {
    let background = Background::start();
    let (address, _guard) = refusing();
    let failed = wait(check(&client(&background, address, patient()), &request("/"))).unwrap_err();
    assert!(matches!(failed, CallError::Transport(Error::Connect { .. })), "{failed}");
    let plain = Origin::start(|connection| {
        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        connection.rest();
    });
    let failed = wait(check(&client(&background, plain.address(), patient()), &request("/"))).unwrap_err();
    assert!(matches!(failed, CallError::Transport(Error::Protocol(_))), "{failed}");
}

/// A service by TLS that denies.
async fn serve_tls(listener: std::net::TcpListener, config: rustls::ServerConfig) {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        let Ok(mut connection) = h2::server::handshake(stream).await else { continue };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let response =
                http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
            let mut sending = respond.send_response(response, false).unwrap();
            sending.send_data(Bytes::from(denying()), false).unwrap();
            sending
                .send_trailers([("grpc-status".parse().unwrap(), "0".parse().unwrap())].into_iter().collect())
                .unwrap();
        }
    }
}

#[test]
fn tls_is_spoken_where_it_is_asked_for() {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    let (background, authority) = (Background::start(), Authority::new("Test CA"));
    let issued = authority.issue("server", &["127.0.0.1"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_no_client_auth().with_single_cert(vec![issued.der()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    background.handle.spawn(serve_tls(listener, config));
    let client = |address, security| {
        GrpcClient::new(url(format!("https://{address}")), patient(), security, background.handle.clone())
            .unwrap()
    };
    let trusting = || Security::with_roots(Roots::from_file(&authority.roots()).unwrap());
    for _ in 0..3 {
        assert!(is_denied(wait(check(&client(address, trusting()), &request("/")))));
    }
    let failed = wait(check(&client(address, Security::system()), &request("/"))).unwrap_err();
    assert!(matches!(failed, CallError::Transport(Error::Tls { .. })), "{failed}");
    // A server that does not speak HTTP/2.
    let other = Origin::start_secured(&TlsOrigin::new(&issued).alpn(&["http/1.1"]), |_| {});
    let failed = wait(check(&client(other.address(), trusting()), &request("/"))).unwrap_err();
    assert!(matches!(failed, CallError::Transport(Error::Tls { .. })), "{failed}");
}
