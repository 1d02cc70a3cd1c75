//! The gate over HTTP/3.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf;
use quinn::crypto::rustls::QuicClientConfig;
use tollgate_decision::Reason;
use tollgate_testkit::{Authority, Origin, PATIENCE, Tollgate};

use crate::verbs::{json_of, verb};

/// What came back: the status, the request's id, and the body.
type Answer = (u16, String, String);

/// Sends a GET with these fields over a connection of its own.
fn ask(authority: &Authority, address: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
    let mut request = http::Request::get(format!("https://shop.example{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asking = async {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let quic = endpoint.connect_with(config, address, "shop.example").unwrap().await.unwrap();
        let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(quic)).await.unwrap();
        let driving = tokio::spawn(async move { drop(poll_fn(|cx| driver.poll_close(cx)).await) });
        let mut stream = requests.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        let head = stream.recv_response().await.unwrap();
        let mut body = Vec::new();
        while let Some(mut part) = stream.recv_data().await.unwrap() {
            body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
        }
        driving.abort();
        let id = head.headers()["x-request-id"].to_str().unwrap().to_owned();
        (head.status().as_u16(), id, String::from_utf8(body).unwrap())
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, asking).await.expect("no answer over HTTP/3") })
}

/// The reason that the operator is told, once it is there.
fn reason(tollgate: &Tollgate, id: &str) -> String {
    let began = std::time::Instant::now();
    loop {
        let why = verb(tollgate, &["why", id, "--json"]);
        if why.code == Some(0) {
            return json_of(&why)["exchanges"][0]["reason"].as_str().unwrap().to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "{why:?}");
    }
}

#[test]
fn keys_and_limits_hold_over_http3_and_are_shared_with_the_other_versions() {
    let authority = Authority::new("Tests");
    let issued = authority.issue("server", &["shop.example"]);
    let origin = Origin::saying("secret");
    let document = super::guarded_document(
        "listen: { address: \"127.0.0.1:0\", tls: { certificates: {cert} }, protocols: [h1, h2, h3] }\n\
         auth: { keys: { api_key: { header: X-API-Key } } }\n\
         routes: [{ path: /, to: \"http://{origin}\", auth: keys, rate_limit: 2/h }]\n",
    );
    let document = format!("{}{document}", crate::PRELUDE.replace("listen: \"127.0.0.1:0\"\n", ""));
    let launch = tollgate_testkit::Launch::new(crate::PROGRAM, &document);
    let tollgate = launch.with("cert", issued.yaml()).with("origin", origin.address()).start();
    let address = tollgate.address();
    let (status, _, body) = ask(&authority, address, "/", &[("x-api-key", "alice-key")]);
    assert_eq!((status, body.as_str()), (200, "secret"));
    for (fields, expected) in [
        (&[][..], Reason::Unauthenticated),
        (&[("x-api-key", "eve-key")], Reason::CredentialUnknown),
        (&[("x-api-key", "alice-key"), ("x-api-key", "bob-key")], Reason::CredentialMalformed),
    ] {
        let (status, id, body) = ask(&authority, address, "/", fields);
        assert_eq!(status, 401);
        assert!(body.contains("\"reason\":\"unauthenticated\""), "{body}");
        assert_eq!(reason(&tollgate, &id), expected.code());
    }
    // What was used up over one version is used up over the others.
    let mut over_1 = tollgate_testkit::TlsClient::new(&authority, "shop.example").connect(address);
    let asked = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-API-Key: alice-key\r\n\r\n";
    assert_eq!(over_1.request(asked).status, 200);
    let (status, id, _) = ask(&authority, address, "/", &[("x-api-key", "alice-key")]);
    assert_eq!((status, reason(&tollgate, &id).as_str()), (429, "rate_limited"));
}
