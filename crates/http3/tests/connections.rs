//! Connections: handshakes and their limits, migration, drains, changes of certificates, and how they end.

mod client;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use client::{
    Identity, Server, client_endpoint, client_socket, echo, endings, finish, get, head, post, response, run,
    send, serve, server, until,
};
use tollgate_decision::Reason;
use tollgate_http3::{Connection, Endpoint, Secret, ServerStream, Settings, steering};

#[test]
fn a_connection_outlives_changes_of_its_clients_address() {
    const WORKERS: usize = 3;
    run(async {
        let identity = Identity::new();
        let secret = Secret::new(&identity.server()).unwrap();
        let group = steering::bind_group("127.0.0.1:0".parse().unwrap(), WORKERS).unwrap();
        assert!(matches!(group.steering, steering::Steering::ByConnectionId), "{:?}", group.steering);
        let address = group.sockets[0].local_addr().unwrap();
        let mut servers = Vec::new();
        for (index, socket) in group.sockets.into_iter().enumerate() {
            let endpoint = Endpoint::new(
                socket,
                &identity.server(),
                Settings::default(),
                secret.clone(),
                index,
                WORKERS,
            )
            .unwrap();
            let endpoint = Rc::new(endpoint);
            serve(endpoint.clone(), echo);
            servers.push(endpoint);
        }
        let mut clients = Vec::new();
        for _ in 0..12 {
            let endpoint = client_endpoint();
            let quic =
                endpoint.connect_with(identity.client(b"h3"), address, "localhost").unwrap().await.unwrap();
            let requests = client::http(&quic).await;
            clients.push((endpoint, quic, requests));
        }
        for round in 0..4 {
            for (endpoint, quic, requests) in &mut clients {
                endpoint.rebind(client_socket()).unwrap();
                let mut stream = requests.send_request(post(None)).await.unwrap();
                stream.send_data(vec![7; 5000].into()).await.unwrap();
                stream.finish().await.unwrap();
                let (status, body, _) = response(&mut stream).await.unwrap();
                assert_eq!((status, body.len()), (200, 5000), "round {round}: {:?}", quic.close_reason());
            }
        }
        let open: Vec<usize> = servers.iter().map(|server| server.counts().open).collect();
        assert_eq!(open.iter().sum::<usize>(), clients.len(), "{open:?}");
    });
}

#[test]
fn the_address_told_is_where_the_client_is_now() {
    run(async {
        let server = server(Settings::default());
        let endpoint = client_endpoint();
        let accepted = tokio::task::spawn_local({
            let server = server.endpoint.clone();
            async move { server.accept().await.unwrap().finish().await.unwrap() }
        });
        let quic = server.quic_from(&endpoint).await;
        let mut requests = client::http(&quic).await;
        let mut connection = accepted.await.unwrap();
        assert_eq!(connection.remote_address(), endpoint.local_addr().unwrap());
        assert_eq!(connection.facts().server_name.as_deref(), Some("localhost"));
        assert_eq!(connection.facts().alpn, b"h3");
        assert!(connection.facts().client_certificates.is_empty());
        endpoint.rebind(client_socket()).unwrap();
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.finish().await.unwrap();
        echo(connection.accept().await.unwrap()).await;
        response(&mut stream).await.unwrap();
        assert_eq!(connection.remote_address(), endpoint.local_addr().unwrap());
    });
}

#[test]
fn under_load_clients_prove_their_address_and_beyond_are_refused() {
    run(async {
        let server = server(Settings { retry_above: 2, ..Settings::default() });
        let connect = |server: &Server| {
            let (endpoint, config, address) =
                (client_endpoint(), server.identity.client(b"h3"), server.address);
            tokio::task::spawn_local(async move {
                endpoint.connect_with(config, address, "localhost").unwrap().await
            })
        };
        // Handshakes that are admitted and not made stay under way.
        let mut held = Vec::new();
        let mut clients = Vec::new();
        for n in 0..4 {
            clients.push(connect(&server));
            held.push(server.endpoint.accept().await.unwrap());
            assert_eq!(server.endpoint.counts().handshakes, n + 1);
        }
        assert_eq!(server.endpoint.counts().retried, 2);
        let refused = connect(&server);
        let waiting = tokio::task::spawn_local({
            let endpoint = server.endpoint.clone();
            async move { endpoint.accept().await }
        });
        let error = refused.await.unwrap().unwrap_err();
        assert!(matches!(error, quinn::ConnectionError::ConnectionClosed(_)), "{error}");
        assert_eq!(server.endpoint.counts().refused, 1);
        // Those that proved their address are served like the others.
        let mut connections = Vec::new();
        for handshake in held {
            connections.push(handshake.finish().await.unwrap());
        }
        for client in clients {
            client.await.unwrap().unwrap();
        }
        assert_eq!((server.endpoint.counts().handshakes, server.endpoint.counts().open), (0, 4));
        drop(connections);
        assert_eq!(server.endpoint.counts().open, 0);
        waiting.abort();
    });
}

#[test]
fn there_are_no_more_connections_than_allowed() {
    run(async {
        let server = server(Settings { max_connections: 1, ..Settings::default() });
        let ended = serve(server.endpoint.clone(), echo);
        let first = server.quic().await;
        let endpoint = client_endpoint();
        let second =
            endpoint.connect_with(server.identity.client(b"h3"), server.address, "localhost").unwrap();
        assert!(matches!(second.await, Err(quinn::ConnectionError::ConnectionClosed(_))));
        first.close(0x100_u32.into(), b"");
        assert_eq!(endings(&ended, 1).await[0].reason, Reason::ConnectionEnded);
        server.quic().await;
    });
}

#[test]
fn failed_handshakes_have_their_reasons() {
    run(async {
        let server =
            server(Settings { handshake_timeout: Duration::from_millis(200), ..Settings::default() });
        let ended = serve(server.endpoint.clone(), echo);
        let endpoint = client_endpoint();
        let other =
            endpoint.connect_with(server.identity.client(b"hq"), server.address, "localhost").unwrap();
        assert!(other.await.is_err());
        assert_eq!(endings(&ended, 1).await[0].reason, Reason::AlpnMismatch);
        // A client that does not trust the certificate.
        let wary = endpoint.connect_with(Identity::new().client(b"h3"), server.address, "localhost").unwrap();
        assert!(wary.await.is_err());
        assert_eq!(endings(&ended, 2).await[1].reason, Reason::TlsHandshakeFailed);
        // A client that sends its first packet and falls silent: here, one whose socket hears nothing.
        let relay = client_socket();
        let silent = endpoint
            .connect_with(server.identity.client(b"h3"), relay.local_addr().unwrap(), "localhost")
            .unwrap();
        let first = tokio::task::spawn_blocking(move || {
            let mut buf = vec![0; 2000];
            let length = relay.recv(&mut buf).unwrap();
            buf.truncate(length);
            (relay, buf)
        });
        let (relay, first) = first.await.unwrap();
        relay.send_to(&first, server.address).unwrap();
        assert_eq!(endings(&ended, 3).await[2].reason, Reason::TlsHandshakeTimeout);
        drop(silent);
        // No certificate for the name.
        #[derive(Debug)]
        struct Nothing;
        impl rustls::server::ResolvesServerCert for Nothing {
            fn resolve(
                &self,
                _: rustls::server::ClientHello<'_>,
            ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
                None
            }
        }
        let none = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_cert_resolver(std::sync::Arc::new(Nothing));
        server.endpoint.set_config(&none.into(), Settings::default()).unwrap();
        let nobody =
            endpoint.connect_with(server.identity.client(b"h3"), server.address, "localhost").unwrap();
        assert!(nobody.await.is_err());
        assert_eq!(endings(&ended, 4).await[3].reason, Reason::NoCertificate, "{:?}", ended.borrow());
        assert_eq!(server.endpoint.counts().open, 0);
    });
}

#[test]
fn client_certificates_are_asked_for_and_handed_on() {
    run(async {
        let server = server(Settings::default());
        let client = Identity::new();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(client.certificate.clone()).unwrap();
        let verifier = rustls::server::WebPkiClientVerifier::builder(roots.into()).build().unwrap();
        let config = rustls::ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.identity.certificate.clone()], server.identity.key())
            .unwrap();
        server.endpoint.set_config(&config.into(), Settings::default()).unwrap();
        let shows = |identity: Option<&Identity>| {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(server.identity.certificate.clone()).unwrap();
            let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
            let mut config = match identity {
                Some(identity) => {
                    builder.with_client_auth_cert(vec![identity.certificate.clone()], identity.key()).unwrap()
                }
                None => builder.with_no_client_auth(),
            };
            config.alpn_protocols = vec![b"h3".to_vec()];
            let config = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
            quinn::ClientConfig::new(std::sync::Arc::new(config))
        };
        let endpoint = client_endpoint();
        let cases = [
            (None, Err(Reason::ClientCertificateMissing)),
            (Some(Identity::new()), Err(Reason::ClientCertificateRefused)),
            (Some(client), Ok(1)),
        ];
        for (identity, wanted) in cases {
            let connecting =
                endpoint.connect_with(shows(identity.as_ref()), server.address, "localhost").unwrap();
            let client = tokio::task::spawn_local(connecting);
            let outcome = server.endpoint.accept().await.unwrap().finish().await;
            let got = outcome.as_ref().map(|connection| connection.facts().client_certificates.len());
            assert_eq!(got.map_err(|ended| ended.reason), wanted, "{:?}", outcome.err());
            drop(client.await);
        }
    });
}

#[test]
fn certificates_change_under_connections_that_live_on() {
    run(async {
        let mut server = server(Settings::default());
        serve(server.endpoint.clone(), echo);
        let (mut old, old_quic) = server.http().await;
        let before = server.identity.client(b"h3");
        for _ in 0..20 {
            server.identity = Identity::new();
            server.endpoint.set_config(&server.identity.server(), Settings::default()).unwrap();
            let (mut new, _quic) = server.http().await;
            for requests in [&mut old, &mut new] {
                let mut stream = requests.send_request(get()).await.unwrap();
                stream.finish().await.unwrap();
                assert_eq!(response(&mut stream).await.unwrap().0, 200);
            }
        }
        assert_eq!(old_quic.close_reason(), None);
        let endpoint = client_endpoint();
        assert!(endpoint.connect_with(before, server.address, "localhost").unwrap().await.is_err());
        // What cannot be is refused, and changes nothing.
        let settings = Settings { idle_timeout: Duration::MAX, ..Settings::default() };
        assert!(server.endpoint.set_config(&server.identity.server(), settings).is_err());
        server.http().await;
    });
}

#[test]
fn a_drain_serves_what_is_open_and_then_ends_in_peace() {
    thread_local! {
        static GATE: Rc<RefCell<bool>> = Rc::default();
    }
    async fn answer_late(mut stream: ServerStream) {
        head(&mut stream).await.unwrap();
        until(|| GATE.with(|gate| *gate.borrow())).await;
        send(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        send(&mut stream, &[7; 300_000]).await.unwrap();
        finish(&mut stream, b"").await.unwrap();
    }
    async fn drained(
        mut connection: Connection,
        mut begin: tokio::sync::oneshot::Receiver<()>,
    ) -> tollgate_http3::Ended {
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Ok(stream) => drop(tokio::task::spawn_local(answer_late(stream))),
                    Err(ended) => return ended,
                },
                _ = &mut begin, if !connection.is_draining() => connection.start_drain(),
            }
        }
    }
    run(async {
        let server = server(Settings::default());
        let (begin, begun) = tokio::sync::oneshot::channel();
        let serving = tokio::task::spawn_local({
            let endpoint = server.endpoint.clone();
            async move { drained(endpoint.accept().await.unwrap().finish().await.unwrap(), begun).await }
        });
        let (mut requests, quic) = server.http().await;
        let mut open = requests.send_request(get()).await.unwrap();
        open.finish().await.unwrap();
        begin.send(()).unwrap();
        // Beside h3, which heeds GOAWAY, streams by hand as those that are on their way. At first they are taken.
        let rejected = Rc::new(RefCell::new(None));
        while rejected.borrow().is_none() {
            let (mut late, mut answer) = quic.open_bi().await.unwrap();
            late.write_all(&client::frame(1, &client::section(false, None))).await.unwrap();
            let told = rejected.clone();
            tokio::task::spawn_local(async move {
                if let Err(error) = answer.read_to_end(1_000_000).await {
                    *told.borrow_mut() = Some(error);
                }
            });
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        const H3_REQUEST_REJECTED: u32 = 0x10b;
        let wanted = quinn::ReadToEndError::Read(quinn::ReadError::Reset(H3_REQUEST_REJECTED.into()));
        assert_eq!(rejected.borrow().as_ref(), Some(&wanted));
        let refused = requests.send_request(get()).await;
        assert!(refused.is_err(), "the client was not told to open no more");
        GATE.with(|gate| *gate.borrow_mut() = true);
        let (status, body, _) = response(&mut open).await.unwrap();
        assert_eq!((status, body.len()), (200, 300_000));
        assert_eq!(serving.await.unwrap().reason, Reason::ConnectionEnded);
        const H3_NO_ERROR: u32 = 0x100;
        match quic.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code, H3_NO_ERROR.into())
            }
            error => panic!("{error}"),
        }
    });
}

#[test]
fn a_connection_without_requests_drains_at_once() {
    run(async {
        let server = server(Settings::default());
        let accepted = tokio::task::spawn_local({
            let endpoint = server.endpoint.clone();
            async move {
                let mut connection = endpoint.accept().await.unwrap().finish().await.unwrap();
                connection.start_drain();
                connection.start_drain();
                connection.accept().await.err().unwrap()
            }
        });
        let quic = server.quic().await;
        assert_eq!(accepted.await.unwrap().reason, Reason::ConnectionEnded);
        assert!(matches!(quic.closed().await, quinn::ConnectionError::ApplicationClosed(_)));
    });
}

#[test]
fn an_endpoint_that_accepts_no_more_keeps_what_is_open() {
    run(async {
        let server = server(Settings { idle_timeout: Duration::from_millis(300), ..Settings::default() });
        let ended = serve(server.endpoint.clone(), echo);
        let (mut requests, _quic) = server.http().await;
        server.endpoint.stop_accepting();
        let endpoint = client_endpoint();
        let late = endpoint.connect_with(server.identity.client(b"h3"), server.address, "localhost").unwrap();
        let late = tokio::task::spawn_local(late);
        let mut stream = requests.send_request(get()).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(response(&mut stream).await.unwrap().0, 200);
        assert_eq!(endings(&ended, 1).await[0].reason, Reason::ConnectionIdle);
        assert!(!late.is_finished(), "a connection was made or refused");
        late.abort();
        server.endpoint.wait_idle().await;
    });
}
