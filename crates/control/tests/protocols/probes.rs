use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tollgate_proxy::snapshot::Service;
use tollgate_proxy::socket::Socket;
use tollgate_upstream::probes::{ProbeFailure, ProbeTarget};

use crate::Place;

/// Runs the probe of an upstream with these settings against a server that has the certificate for `a.example`.
async fn probed(settings: &str) -> Result<(), ProbeFailure> {
    let place = Place::new();
    place.certificate("cert.pem", "key.pem", "a.example");
    let (snapshot, _) = place.right(&format!(
        "
listen: {{ address: ':1', tls: {{ certificates: {{ cert: cert.pem, key: key.pem }} }} }}
upstreams: {{ a: {{ endpoints: ['10.0.0.1:1'], {settings} }} }}
routes: [{{ to: a }}]
"
    ));
    let Service::Http(service) = &snapshot.listeners[0].service else { panic!("it is HTTP") };
    let acceptor = service.tls.clone().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = tokio::spawn(async move {
        let mut socket = Socket::new(listener.accept().await.unwrap().0);
        socket.secure(acceptor.accept(), Vec::new());
        if std::future::poll_fn(|cx| socket.poll_handshake(cx)).await.is_err() {
            return;
        }
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") && socket.read_buf(&mut request).await.unwrap_or(0) > 0 {}
        let _ = socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let _ = socket.flush().await;
    });
    let plan = snapshot.upstreams[0].settings().probes.clone().unwrap();
    let outcome =
        plan.probe.run(&ProbeTarget { name: "b.example:443".into(), address }, Duration::from_secs(60)).await;
    serve.await.unwrap();
    outcome
}

#[tokio::test]
async fn probes_are_encrypted_and_verified_as_requests_are() {
    let health = "health: { path: / }";
    assert_eq!(probed(&format!("{health}, tls: {{ ca: cert.pem, name: a.example }}")).await, Ok(()));
    // Requests speak HTTP/2, but this probe does not.
    let http2 = format!("{health}, protocol: h2, tls: {{ ca: cert.pem, name: a.example }}");
    assert_eq!(probed(&http2).await, Ok(()));
    // Of another name, and of nobody that is known.
    assert!(matches!(
        probed(&format!("{health}, tls: {{ ca: cert.pem }}")).await,
        Err(ProbeFailure::Unusable(_))
    ));
    let system = format!("{health}, tls: {{ name: a.example }}");
    assert!(matches!(probed(&system).await, Err(ProbeFailure::Unusable(_))));
    let any = format!("{health}, tls: {{ insecure_accept_any_certificate: true }}");
    assert_eq!(probed(&any).await, Ok(()));
}

#[tokio::test]
async fn a_tcp_probe_ends_with_the_handshake_where_it_is_to() {
    let health = "health: { tcp: { tls: true } }";
    assert_eq!(probed(&format!("{health}, tls: {{ ca: cert.pem, name: a.example }}")).await, Ok(()));
    let other_name = probed(&format!("{health}, tls: {{ ca: cert.pem }}")).await;
    assert!(matches!(other_name, Err(ProbeFailure::Unusable(_))), "{other_name:?}");
    let plain = probed("health: { tcp: {} }, tls: { ca: cert.pem }").await;
    assert_eq!(plain, Ok(()), "a connection is enough");
}
