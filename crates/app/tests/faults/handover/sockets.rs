//! Which sockets go with a hand-over, and whose they are then.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use tollgate_testkit::{Client, Launch, Origin, PATIENCE, Tollgate};

use super::hand_over;
use crate::{PROGRAM, get, wait_until};

const ANSWER: &str = "routes: [{ path: /, respond: { status: 200, body: \"{body}\" } }]\n";

/// A document of these listeners, as the test writes it between two processes.
fn document(workers: usize, listeners: &[(&str, &str)], body: &str) -> String {
    let listener =
        |(name, address): &(&str, &str)| format!("  - {{ name: {name}, address: \"{address}\" }}\n");
    let listeners: String = listeners.iter().map(listener).collect();
    format!(
        "version: 1\nworkers: {workers}\naccess_log: none\nadmin: {{ listen: \"127.0.0.1:0\" }}\nlisten:\n{listeners}{}",
        ANSWER.replace("{body}", body)
    )
}

fn write(tollgate: &Tollgate, text: &str) {
    std::fs::write(tollgate.directory().join("tollgate.yaml"), text).unwrap();
}

fn said(address: SocketAddr) -> String {
    Client::connect(address).request(get("/")).text()
}

#[test]
fn a_signal_is_enough_and_the_document_is_read_anew() {
    let mut tollgate = Launch::new(PROGRAM, &document(1, &[("web", "127.0.0.1:0")], "first")).start();
    let (socket, before) = (tollgate.socket(), tollgate.process());
    assert_eq!(said(tollgate.address()), "first");
    write(&tollgate, &document(1, &[("web", "127.0.0.1:0")], "second"));
    tollgate.hand_over_by_signal();
    assert_ne!(tollgate.process(), before);
    wait_until("the new process serves", || said(tollgate.address()) == "second");
    assert_eq!(tollgate.wait_for_predecessor().code(), Some(0));
    // Both ways to the admin API lead to the new process, and its file stays until that one ends.
    assert_eq!(tollgate.admin("/readyz").0, 200);
    assert_eq!(tollgate.api("GET", "/api/v1/status", "").0, 200);
    assert!(socket.exists());
    tollgate.terminate();
    assert_eq!(tollgate.wait().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn connections_that_wait_in_the_kernel_are_served_whatever_the_number_of_workers() {
    let listeners = [("web", "127.0.0.1:0")];
    let mut tollgate = Launch::new(PROGRAM, &document(3, &listeners, "3")).start();
    let address = tollgate.address();
    for (workers, before) in [(1, 3), (4, 1), (2, 4), (5, 2)] {
        assert_eq!(said(address), before.to_string());
        write(&tollgate, &document(workers, &listeners, &workers.to_string()));
        hand_over(&mut tollgate);
        // Nobody accepts: these stay in the queues of all sockets.
        tollgate.signal(Signal::STOP);
        let mut waiting: Vec<Client> = (0..32).map(|_| Client::connect(address)).collect();
        waiting.iter_mut().for_each(|client| client.send(get("/")));
        tollgate.signal(Signal::CONT);
        for client in &mut waiting {
            // Some may have been taken by the process before, which takes what came before it closed.
            assert!([workers, before].contains(&client.response().text().parse().unwrap()));
        }
        assert_eq!(tollgate.wait_for_predecessor().code(), Some(0));
        for _ in 0..16 {
            assert_eq!(said(address), workers.to_string());
        }
    }
}

#[test]
fn listeners_come_and_go_with_a_hand_over() {
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (old, new) = (free(), free());
    let (old_text, new_text) = (old.to_string(), new.to_string());
    let before = [("web", "127.0.0.1:0"), ("old", old_text.as_str())];
    let mut tollgate = Launch::new(PROGRAM, &document(2, &before, "before")).listeners(2).start();
    let web = tollgate.addresses()[0];
    assert_eq!(said(old), "before");
    // Another order, so that nothing can go by that.
    let after = [("new", new_text.as_str()), ("web", "127.0.0.1:0")];
    write(&tollgate, &document(2, &after, "after"));
    hand_over(&mut tollgate);
    assert_eq!(tollgate.wait_for_predecessor().code(), Some(0));
    assert_eq!((said(web).as_str(), said(new).as_str()), ("after", "after"));
    assert!(TcpStream::connect(old).is_err(), "the listener that is gone still listens");
    assert!(
        tollgate.stderr().contains("was passed to this process, but no listener of the document wants it")
    );
}

#[test]
fn flows_of_datagrams_find_the_new_process() {
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = echo.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..length], from);
        }
    });
    let document = "version: 1\nworkers: 2\naccess_log: none\nshutdown: { grace: 1s, tunnel_grace: 1s }\n\
                    listen: { udp: \"127.0.0.1:0\", to: echo }\nupstreams: { echo: { endpoints: [\"{echo}\"] } }\n";
    let mut tollgate = Launch::new(PROGRAM, document).with("echo", to).start();
    let clients: Vec<UdpSocket> = (0..8)
        .map(|_| {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(tollgate.address()).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client
        })
        .collect();
    let mut number = 0_u32;
    let mut say_all = || {
        for client in &clients {
            number += 1;
            client.send(&number.to_be_bytes()).unwrap();
            let mut buffer = [0; 16];
            let length = client.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], &number.to_be_bytes());
        }
    };
    for _ in 0..3 {
        say_all();
        hand_over(&mut tollgate);
        say_all();
    }
    tollgate.wait_for_predecessor();
    say_all();
}

#[test]
fn sockets_of_a_service_manager_are_taken_where_the_document_wants_them() {
    let origin = Origin::saying("hello");
    let scratch = tempfile::tempdir().unwrap();
    let (wanted, unwanted) = (passable(), passable());
    let address = wanted.local_addr().unwrap();
    // Queued before there is any process.
    let mut early = Client::connect(address);
    early.send(get("/"));
    let document = scratch.path().join("tollgate.yaml");
    let text = format!(
        "version: 1\nworkers: 2\naccess_log: none\nlisten: \"{address}\"\nroutes: [{{ path: /, to: \"http://{}\" }}]\n",
        origin.address()
    );
    std::fs::write(&document, text).unwrap();
    // A shell makes descriptors 3 and 4 of them, and is the process that they are said to be for.
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ LISTEN_FDS=2 exec \"$0\" run -c \"$1\"";
    let notified = std::os::unix::net::UnixDatagram::bind(scratch.path().join("notify")).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = scratch.path().join("stderr");
    let [first, second] = [&unwanted, &wanted].map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(PROGRAM).arg(document).stdin(first).stdout(second);
    command.stderr(std::fs::File::create(&said).unwrap());
    command.env("NOTIFY_SOCKET", scratch.path().join("notify"));
    let mut serving =
        Killed(command.env("TOLLGATE_SOCKET", scratch.path().join("admin.sock")).spawn().unwrap());
    assert_eq!(early.response().text(), "hello");
    let mut told = [0; 256];
    let length = notified.recv(&mut told).unwrap();
    let told = String::from_utf8_lossy(&told[..length]).into_owned();
    assert!(told.starts_with("READY=1\nMAINPID="), "{told}");
    assert_eq!(told.trim().rsplit('=').next(), Some(serving.0.id().to_string().as_str()));
    kill_process(Pid::from_child(&serving.0), Signal::TERM).unwrap();
    let length = notified.recv(&mut [0; 64]).unwrap();
    assert_eq!(length, "STOPPING=1\n".len());
    let began = std::time::Instant::now();
    let status = loop {
        if let Some(status) = serving.0.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "the process did not end");
        std::thread::park_timeout(std::time::Duration::from_millis(1));
    };
    assert_eq!(status.code(), Some(0));
    let said = std::fs::read_to_string(said).unwrap();
    let complaint = format!("{} was passed to this process, but no listener", unwanted.local_addr().unwrap());
    assert!(said.contains(&complaint), "{said}");
}

/// A process that does not outlive the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A socket as a service manager opens it.
fn passable() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}
