use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tollgate_http1::HeadLimits;
use tollgate_routing::RouteTable;
use tollgate_routing::normalise::PathRules;
use tollgate_telemetry::Shard;

use super::{Command, Graces, Worker};
use crate::listen::{ConnectionLimits, ListenSocket};
use crate::snapshot::{ClientTimeouts, ForwardedFields, HttpSettings, Listener, Snapshot};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A worker whose snapshot has no routes, so that each request is answered 404, and its socket.
fn worker() -> (Rc<Worker>, ListenSocket, SocketAddr) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = Listener {
        name: "a".into(),
        address,
        max_connections: None,
        max_connections_per_address: None,
        defer_accept: false,
        trusted: Default::default(),
        proxy_header_from: Default::default(),
        service: crate::snapshot::Service::Http(crate::snapshot::HttpService::plain()),
    };
    let limits = ConnectionLimits::new(&listener);
    let snapshot = Snapshot {
        number: 1,
        listeners: vec![Arc::new(listener)],
        table: RouteTable::compile(&[]).unwrap().into(),
        routes: Vec::new(),
        upstreams: Vec::new(),
        subsets: Vec::new(),
        transports: Vec::new(),
        keys: Vec::new(),
        tracing: None,
        consumers: Arc::default(),
        challenges: None,
        http: HttpSettings {
            request_head: HeadLimits::default(),
            response_head: HeadLimits::default(),
            paths: PathRules::default(),
            forwarded: ForwardedFields { x_forwarded: true, rfc7239: false },
            client: ClientTimeouts { head_ms: 60_000, body_ms: 60_000, idle_ms: 60_000, write_ms: 60_000 },
            requests_per_connection: None,
        },
        logs: Default::default(),
    };
    let worker =
        Rc::new(Worker::new(Arc::new(snapshot), Arc::new(Shard::new(0, 0, 1)), false, Default::default()));
    (worker, ListenSocket { tcp: vec![socket], udp: Vec::new(), listener: 0, limits }, address)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    runtime.unwrap().block_on(future)
}

/// Reads to the end of the connection in a thread, and closes it then.
fn answers(mut client: TcpStream) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        client.set_nonblocking(false).unwrap();
        client.read_to_string(&mut text).unwrap();
        text
    })
}

#[test]
fn a_drain_serves_the_connections_that_the_kernel_had_queued() {
    let (worker, socket, address) = worker();
    let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
    let (commands, receiver) = mpsc::unbounded_channel();
    commands.send(Command::Drain(Graces::default())).unwrap();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            client.write_all(REQUEST).unwrap();
            answers(client)
        })
        .collect();
    run(worker.run(vec![socket], receiver));
    for client in clients {
        let text = client.join().unwrap();
        assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("Connection: close\r\n"), "{text:?}");
    }
}

#[test]
fn a_drain_serves_the_request_that_has_just_come_on_an_idle_connection() {
    let (worker, socket, address) = worker();
    let (commands, receiver) = mpsc::unbounded_channel();
    let text = run(async move {
        let running = tokio::task::spawn_local(worker.run(vec![socket], receiver));
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(REQUEST).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut first = [0; 4096];
        loop {
            match client.read(&mut first) {
                Ok(read) => break assert!(first[..read].starts_with(b"HTTP/1.1 404 ")),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            tokio::task::yield_now().await;
        }
        // In the kernel before the worker hears of the drain, and before it hears of the bytes.
        client.write_all(REQUEST).unwrap();
        commands.send(Command::Drain(Graces::default())).unwrap();
        let client = answers(client);
        running.await.unwrap();
        client.join().unwrap()
    });
    assert!(text.starts_with("HTTP/1.1 404 ") && text.contains("Connection: close\r\n"), "{text:?}");
}

/// Its bytes are always there before the worker asks for them, so nothing makes it wait.
#[test]
fn a_client_that_never_pauses_leaves_others_their_turn() {
    let (worker, socket, address) = worker();
    let over = Arc::new(AtomicBool::new(false));
    let mut flood = TcpStream::connect(address).unwrap();
    let mut answers = flood.try_clone().unwrap();
    let for_sender = over.clone();
    let block = REQUEST.repeat(2000);
    flood.write_all(&block).unwrap();
    let sending = std::thread::spawn(move || {
        while !for_sender.load(Ordering::SeqCst) && flood.write_all(&block).is_ok() {}
        let _ = flood.shutdown(Shutdown::Both);
    });
    let receiving =
        std::thread::spawn(move || while answers.read(&mut [0; 65_536]).is_ok_and(|read| read > 0) {});
    let other = std::thread::spawn(move || {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Not the first thing that the worker does.
        for _ in 0..3 {
            client.write_all(REQUEST).unwrap();
            let mut answer = [0; 4096];
            let answered =
                client.read(&mut answer).is_ok_and(|read| answer[..read].starts_with(b"HTTP/1.1 404 "));
            if !answered {
                return false;
            }
        }
        true
    });
    let answered = {
        let watcher = std::thread::spawn(move || {
            let answered = other.join().unwrap();
            over.store(true, Ordering::SeqCst);
            answered
        });
        let (commands, receiver) = mpsc::unbounded_channel();
        run(async move {
            let running = tokio::task::spawn_local(worker.run(vec![socket], receiver));
            while !watcher.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            commands.send(Command::Drain(Graces::default())).unwrap();
            running.await.unwrap();
            watcher.join().unwrap()
        })
    };
    sending.join().unwrap();
    receiving.join().unwrap();
    assert!(answered);
}
