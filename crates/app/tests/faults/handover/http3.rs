//! HTTP/3 through hand-overs: connections of the old process go on although their packets come to the new one.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use h3::client::SendRequest;
use h3_quinn::OpenStreams;
use quinn::crypto::rustls::QuicClientConfig;
use tollgate_testkit::{Authority, Gate, Launch, Origin, PATIENCE};

use super::hand_over;
use crate::PROGRAM;

const DOCUMENT: &str = "version: 1\nworkers: 2\naccess_log: none\nshutdown: { grace: 20s }\n\
    listen: { address: \"127.0.0.1:0\", tls: { certificates: {certificates} }, protocols: [h1, h2, h3] }\n\
    routes:\n  - { path: /slow, to: \"http://{slow}\", retry: none }\n\
    \x20 - { path: /, respond: { status: 200, body: here } }\n";
const HAND_OVERS: usize = 4;
const NEW_CONNECTIONS: usize = 8;

type Requests = SendRequest<OpenStreams, Bytes>;

fn config(authority: &Authority) -> quinn::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h3".to_vec()];
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()))
}

async fn connect(endpoint: &quinn::Endpoint, address: SocketAddr) -> Requests {
    let quic = endpoint.connect(address, "shop.example").unwrap().await.unwrap();
    let (mut driver, requests) = h3::client::new(h3_quinn::Connection::new(quic)).await.unwrap();
    tokio::spawn(async move { drop(poll_fn(|cx| driver.poll_close(cx)).await) });
    requests
}

/// The whole response to a GET.
async fn get(requests: &mut Requests, path: &str) -> Vec<u8> {
    let request = http::Request::get(format!("https://shop.example{path}")).body(()).unwrap();
    let mut stream = requests.send_request(request).await.unwrap();
    stream.finish().await.unwrap();
    assert_eq!(stream.recv_response().await.unwrap().status(), 200);
    let mut body = Vec::new();
    while let Some(mut part) = stream.recv_data().await.unwrap() {
        body.extend_from_slice(&part.copy_to_bytes(part.remaining()));
    }
    body
}

#[test]
fn requests_under_way_are_finished_and_new_connections_are_served() {
    let (authority, gates) = (Authority::new("CA"), [(); HAND_OVERS].map(|()| Gate::new()));
    let body: Vec<u8> = (0..200_000_usize).map(|at| (at * 7 + at / 251) as u8).collect();
    let (for_origin, content) = (gates.clone(), body.clone());
    let mut slow = Origin::start(move |connection| {
        while let Some(request) = connection.request() {
            let step: usize = request.target().rsplit('/').next().unwrap().parse().unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", content.len());
            connection.send([head.as_bytes(), &content[..1000]].concat());
            for_origin[step].wait();
            connection.send(&content[1000..]);
        }
    });
    let issued = authority.issue("shop", &["shop.example"]);
    let launch = Launch::new(PROGRAM, DOCUMENT).with("certificates", issued.yaml());
    let mut tollgate = launch.with("slow", slow.address()).start();
    let address = tollgate.address();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let whole = async move {
        let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        endpoint.set_default_client_config(config(&authority));
        let mut under_way = Vec::new();
        for step in 0..HAND_OVERS {
            let mut requests = connect(&endpoint, address).await;
            assert_eq!(get(&mut requests, "/").await, b"here");
            let path = format!("/slow/{step}");
            under_way.push(tokio::spawn(async move { get(&mut requests, &path).await }));
            // In a thread of its own: waiting for it must not keep the clients here from answering.
            let handing_over = tokio::task::spawn_blocking(move || {
                slow.wait_for_requests(step + 1);
                hand_over(&mut tollgate);
                (slow, tollgate)
            });
            (slow, tollgate) = handing_over.await.unwrap();
            for _ in 0..NEW_CONNECTIONS {
                let mut requests = connect(&endpoint, address).await;
                assert_eq!(get(&mut requests, "/").await, b"here");
            }
        }
        // Also those whose packets pass through all processes.
        for (gate, asking) in gates.iter().zip(under_way) {
            gate.open();
            assert!(asking.await.unwrap() == body, "a body is damaged");
        }
    };
    runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, whole).await.expect("not in time") });
}
