//! TCP listeners: connections are carried as they are.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use serde_json::Value;
use tollgate_testkit::{Ending, Gate, Launch, Origin, PATIENCE, Tollgate, refusing};

use crate::PROGRAM;
use crate::verbs::{json_of, verb};

const PRELUDE: &str = "version: 1\nworkers: 1\naccess_log: none\nrecorder: { sample: 100% }\n";
const CARRY: &str =
    "listen: { tcp: \"127.0.0.1:0\", to: origin }\nupstreams: { origin: { endpoints: [\"{origin}\"] } }\n";

fn launch(document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let launch = Launch::new(PROGRAM, &format!("{PRELUDE}{document}"));
    values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start()
}

/// Sends back what it gets, and ends when that ends.
fn echo() -> Origin {
    Origin::start(
        |connection| while connection.bytes(1).is_some_and(|byte| connection.try_send(byte).is_ok()) {},
    )
}

/// What `why` tells of the last exchange of this reason, once it is recorded.
fn why(tollgate: &Tollgate, reason: &str) -> (String, Value) {
    let began = std::time::Instant::now();
    loop {
        let asked = ["why", "--last", "--reason", reason];
        let text = verb(tollgate, &asked);
        if text.code == Some(0) {
            let json = json_of(&verb(tollgate, &[&asked[..], &["--json"]].concat()));
            return (text.stdout, json["exchanges"][0].clone());
        }
        assert!(began.elapsed() < PATIENCE, "{reason}: {text:?}");
    }
}

#[test]
fn megabytes_go_both_ways_at_once_and_are_counted() {
    const UP: usize = 5 << 20;
    const DOWN: usize = 3 << 20;
    let origin = TcpListener::bind("127.0.0.1:0").unwrap();
    let document = format!("admin: {{ listen: \"127.0.0.1:0\" }}\n{CARRY}");
    let tollgate = launch(&document, &[("origin", &origin.local_addr().unwrap())]);
    let byte = |at: usize| (at * 31 + at / 251) as u8;
    let send = |stream: &TcpStream, length: usize| {
        let mut stream = stream.try_clone().unwrap();
        std::thread::spawn(move || {
            stream.write_all(&(0..length).map(byte).collect::<Vec<_>>()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        })
    };
    let check = move |mut stream: TcpStream, length: usize| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), length);
        assert!(bytes.iter().enumerate().all(|(at, found)| *found == byte(at)));
    };
    let client = TcpStream::connect(tollgate.address()).unwrap();
    let accepted = origin.accept().unwrap().0;
    let senders = [send(&client, UP), send(&accepted, DOWN)];
    let receiver = std::thread::spawn(move || check(accepted, UP));
    check(client, DOWN);
    receiver.join().unwrap();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    tollgate.await_metric("tollgate_exchanges_total{reason=\"connection_ended\",side=\"nobody\"}", 1.0);
    for (family, label, bytes) in [
        ("tollgate_connections_received_bytes_total", "listener", UP),
        ("tollgate_connections_sent_bytes_total", "listener", DOWN),
        ("tollgate_upstream_connections_sent_bytes_total", "upstream=\"origin\"", UP),
        ("tollgate_upstream_connections_received_bytes_total", "upstream=\"origin\"", DOWN),
    ] {
        let (_, metrics) = tollgate.admin("/metrics");
        let line = metrics.lines().find(|line| line.starts_with(family) && line.contains(label));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" {bytes}"))), "{family}: {line:?}");
    }
}

#[test]
fn each_side_may_finish_first() {
    let origin = Origin::start(|connection| {
        assert_eq!(connection.rest(), b"question");
        connection.send("answer");
    });
    let tollgate = launch(CARRY, &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    client.send("question");
    client.finish_sending();
    assert_eq!(client.ending(), Ending::Closed(b"answer".to_vec()));

    let origin = Origin::start(|connection| {
        connection.send("greeting");
        connection.finish_sending();
        assert_eq!(connection.rest(), b"thanks");
    });
    let tollgate = launch(CARRY, &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    assert_eq!(client.ending(), Ending::Closed(b"greeting".to_vec()));
    client.send("thanks");
    client.finish_sending();
    origin.wait_for_ended(1);
}

#[test]
fn what_is_idle_ends_and_why_names_the_setting() {
    let origin = echo();
    let document = CARRY.replace("to: origin }", "name: db, to: origin, idle_timeout: 300ms }");
    let tollgate = launch(&document, &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    client.send("ping");
    assert_eq!(client.ending(), Ending::Closed(b"ping".to_vec()));
    let (text, json) = why(&tollgate, "connection_idle");
    for part in
        ["idle_timeout of the listener db is 300ms", "4 bytes from the client and 4 to it", "of origin"]
    {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!((&json["doubt"], &json["upstream"]), (&Value::Null, &Value::from("origin")));
    assert_eq!(json["answer"]["bytes_sent"], 4);
}

#[test]
fn an_endpoint_that_is_dead_or_dies_costs_no_new_connection() {
    let (dead, _guard) = refusing();
    let origin = echo();
    let dying = TcpListener::bind("127.0.0.1:0").unwrap();
    let document = CARRY.replace("[\"{origin}\"]", "[\"{dead}\", \"{dying}\", \"{origin}\"]");
    let dying_address = dying.local_addr().unwrap();
    let tollgate =
        launch(&document, &[("dead", &dead), ("dying", &dying_address), ("origin", &origin.address())]);
    drop(dying);
    for _ in 0..12 {
        let mut client = tollgate.connect();
        client.send("hello");
        assert_eq!(client.read_exact(5), b"hello");
    }
    let (text, _) = why(&tollgate, "connection_ended");
    assert!(text.contains("was carried to its end"), "{text}");
}

#[test]
fn nobody_to_carry_to_is_a_reset_with_a_cause() {
    let (dead, _guard) = refusing();
    let tollgate = launch(CARRY, &[("origin", &dead)]);
    let mut client = tollgate.connect();
    assert_eq!(client.ending(), Ending::Reset(Vec::new()));
    let (text, json) = why(&tollgate, "connect_failed");
    for part in ["refused the connection", &dead.to_string(), "it had come", "can be picked"] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    assert_eq!(json["doubt"], Value::Null);
}

#[test]
fn connections_beyond_the_limit_are_closed_without_a_word() {
    let origin = echo();
    let document = CARRY.replace("to: origin }", "to: origin, max_connections: 1 }");
    let tollgate = launch(&document, &[("origin", &origin.address())]);
    let mut first = tollgate.connect();
    first.send("a");
    assert_eq!(first.read_exact(1), b"a");
    assert_eq!(tollgate.connect().ending().bytes(), b"");
    let (text, _) = why(&tollgate, "listener_full");
    assert!(text.contains("the connection was refused"), "{text}");
    first.send("b");
    assert_eq!(first.read_exact(1), b"b");
}

#[test]
fn proxy_headers_come_in_and_go_out() {
    for (version, listed) in [("v1", true), ("v2", true), ("v1", false)] {
        let origin = Origin::start(|connection| drop(connection.rest()));
        let from = if listed { "127.0.0.0/8" } else { "10.0.0.0/8" };
        let document = CARRY
            .replace("to: origin }", &format!("to: origin, proxy_protocol: [\"{from}\"] }}"))
            .replace("\"] } }", &format!("\"], proxy_protocol: {version} }} }}"));
        let tollgate = launch(&document, &[("origin", &origin.address())]);
        let mut client = tollgate.connect();
        let local: SocketAddr = client.local_address();
        let header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 5432\r\n";
        client.send(format!("{header}data"));
        client.finish_sending();
        client.assert_ended();
        origin.wait_for_ended(1);
        let received = origin.received().remove(0);
        match (version, listed) {
            ("v1", true) => assert_eq!(received, format!("{header}data").as_bytes()),
            ("v1", false) => {
                let own = format!(
                    "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
                    local.port(),
                    tollgate.address().port()
                );
                assert_eq!(received, format!("{own}{header}data").as_bytes());
            }
            _ => {
                assert!(received.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11"), "{}", received.escape_ascii());
                assert_eq!(received[16..24], [192, 0, 2, 7, 192, 0, 2, 8]);
                assert!(received.ends_with(b"data"));
            }
        }
        if listed {
            let (_, json) = why(&tollgate, "connection_ended");
            assert_eq!(json["client"]["address"], "192.0.2.7");
            assert_eq!(json["client"]["peer"], "127.0.0.1");
        }
    }
}

/// `openssl s_server` with a certificate of its own for `name`. Ends with this.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(directory: &std::path::Path, name: &str) -> Self {
        let (key, cert) = (directory.join(format!("{name}.key")), directory.join(format!("{name}.crt")));
        let subject = format!("/CN={name}");
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", &subject, "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        // It tells the port that it was given.
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-rev", "-key"])
            .arg(&key)
            .arg("-cert")
            .arg(&cert)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (told, port) = mpsc::channel();
        let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(stdout).map_while(Result::ok) {
                if let Some(port) =
                    line.strip_prefix("ACCEPT 127.0.0.1:").and_then(|port| port.trim().parse().ok())
                {
                    let _ = told.send(port);
                }
            }
        });
        let port = port.recv_timeout(PATIENCE).expect("openssl tells its port");
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `openssl s_client` says of the server's certificate, and what the server answers to a line.
fn shake_hands(address: SocketAddr, name: &str) -> String {
    let mut client = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", name, "-quiet", "-no_ign_eof"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    input.write_all(b"through\n").unwrap();
    let mut stdout = client.stdout.take().unwrap();
    let mut answer = [0; 8];
    let read = stdout.read_exact(&mut answer);
    drop(input);
    let output = client.wait_with_output().unwrap();
    assert!(read.is_ok(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(&answer, b"hguorht\n");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn tls_passes_through_to_the_server_that_its_name_says() {
    let directory = tempfile::tempdir().unwrap();
    let servers = ["a.example", "b.example"].map(|name| Server::start(directory.path(), name));
    let document = "listen: { tcp: \"127.0.0.1:0\", sni: { a.example: \"127.0.0.1:{a}\", \"*.b.example\": \"127.0.0.1:{b}\" } }\n";
    let tollgate = launch(document, &[("a", &servers[0].port), ("b", &servers[1].port)]);
    for (name, common_name) in [("a.example", "CN=a.example"), ("x.b.example", "CN=b.example")] {
        let told = shake_hands(tollgate.address(), name).replace(' ', "");
        assert!(told.contains(common_name), "{name}: {told}");
    }
    let mut client = tollgate.connect();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.ending().bytes(), b"");
    why(&tollgate, "not_tls");
}

#[test]
fn open_connections_outlive_reloads_and_a_drain_until_its_grace_ends() {
    let origin = echo();
    let settings = "shutdown: { grace: 1m }\n";
    let mut tollgate = launch(&format!("{settings}{CARRY}"), &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    let mut echoed = |text: &str| {
        client.send(text);
        assert_eq!(client.read_exact(text.len()), text.as_bytes());
    };
    echoed("before");
    let other = echo();
    let document = format!("{PRELUDE}{settings}{CARRY}").replace("{origin}", &other.address().to_string());
    for _ in 0..3 {
        tollgate.reload(&document);
        echoed("after a reload");
    }
    // The new document has another endpoint.
    let mut fresh = tollgate.connect();
    fresh.send("x");
    assert_eq!(fresh.read_exact(1), b"x");
    assert_eq!((origin.connections(), other.connections()), (1, 1));
    drop(fresh);
    tollgate.terminate();
    let began = std::time::Instant::now();
    while TcpStream::connect(tollgate.address()).is_ok() {
        assert!(began.elapsed() < PATIENCE);
    }
    echoed("during the drain");
    drop(client);
    assert_eq!(tollgate.wait().code(), Some(0), "{}", tollgate.stderr());

    let mut tollgate =
        launch(&format!("shutdown: {{ grace: 300ms }}\n{CARRY}"), &[("origin", &origin.address())]);
    let mut client = tollgate.connect();
    client.send("x");
    assert_eq!(client.read_exact(1), b"x");
    tollgate.terminate();
    client.assert_ended();
    tollgate.wait();
}

#[test]
fn a_connection_is_a_line_in_the_access_log() {
    let gate = Gate::new();
    let open = gate.clone();
    let origin = Origin::start(move |connection| {
        connection.bytes(5);
        connection.send("good day");
        open.open();
    });
    let document = format!("{PRELUDE}{CARRY}")
        .replace("access_log: none\n", "access_log: { stdout: {}, format: json }\n");
    let tollgate = Launch::new(PROGRAM, &document).with("origin", origin.address()).start();
    let mut client = tollgate.connect();
    client.send("hello");
    gate.wait();
    client.finish_sending();
    assert_eq!(client.ending().bytes(), b"good day");
    let line: Value = serde_json::from_str(&tollgate.stdout_line(0, "network.transport")).unwrap();
    assert_eq!(
        (&line["network.transport"], &line["reason"]),
        (&Value::from("tcp"), &Value::from("connection_ended"))
    );
    assert_eq!((&line["bytes_received"], &line["bytes_sent"]), (&Value::from(5), &Value::from(8)));
    assert_eq!((&line["upstream"], &line["end"]), (&Value::from("origin"), &Value::from("nobody")));
    assert_eq!(line["endpoint"], origin.address().to_string());
}
