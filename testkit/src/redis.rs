//! Redis as Debian has it, in processes of the test's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::PATIENCE;

/// Whether there is no `redis-server` and its tests are to be skipped, which is then said.
///
/// A missing one fails the test, since skipping would look like passing, unless `TOLLGATE_SKIP_MISSING_CLIENTS` is set.
pub fn redis_is_missing() -> bool {
    const SKIP: &str = "TOLLGATE_SKIP_MISSING_CLIENTS";
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status();
    if found.is_ok() {
        return false;
    }
    let message = "`redis-server` is missing: install the Debian package redis-server";
    assert!(std::env::var_os(SKIP).is_some(), "{message}, or set {SKIP}=1 to skip what needs it");
    eprintln!("skipped: {message}");
    true
}

/// A `redis-server` on one port of the loopback interface for all its lives, without anything kept between them. Killed when
/// dropped.
#[derive(Debug)]
pub struct RedisServer {
    address: SocketAddr,
    arguments: Vec<String>,
    password: Option<String>,
    is_tls: bool,
    child: Option<Child>,
    folder: TempDir,
    /// Bound, but not listening: keeps the port while the server is dead.
    _port: Socket,
    /// The port of a cluster's own talk. The usual one (10,000 higher) may not exist.
    bus: Option<(Socket, u16)>,
}

impl RedisServer {
    /// Starts a server, and waits until it answers.
    pub fn start() -> Self {
        Self::start_with(&[], None)
    }

    /// The same, with a password.
    pub fn start_with_password(password: &str) -> Self {
        Self::start_with(&["--requirepass", password], Some(password))
    }

    /// The same, with a certificate: everything is TLS. Waits only until it listens.
    pub fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let tls =
            ["--tls-cert-file", &path(certificate), "--tls-key-file", &path(key), "--tls-auth-clients", "no"];
        Self::launch(&tls, None, true, &[])
    }

    /// The same, with arguments of its own, and the password that they set.
    pub fn start_with(arguments: &[&str], password: Option<&str>) -> Self {
        Self::launch(arguments, password, false, &[])
    }

    /// A sentinel that watches `master`, called `name`.
    pub fn start_sentinel(name: &str, master: SocketAddr) -> Self {
        let config = [
            format!("sentinel monitor {name} {} {} 1", master.ip(), master.port()),
            format!("sentinel down-after-milliseconds {name} 300"),
            format!("sentinel failover-timeout {name} 2000"),
        ];
        Self::launch(&[], None, false, &config)
    }

    fn launch(arguments: &[&str], password: Option<&str>, is_tls: bool, sentinel: &[String]) -> Self {
        let (port, address) = reserve();
        let folder = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        if !sentinel.is_empty() {
            // A sentinel writes to its configuration.
            let path = folder.path().join("sentinel.conf");
            std::fs::write(&path, sentinel.join("\n")).unwrap();
            arguments.splice(0..0, [path.to_str().unwrap().to_owned(), "--sentinel".to_owned()]);
        }
        let bus = arguments.iter().any(|argument| argument == "--cluster-enabled").then(|| {
            let (socket, address) = reserve();
            arguments.extend(["--cluster-port".to_owned(), address.port().to_string()]);
            (socket, address.port())
        });
        let password = password.map(str::to_owned);
        let mut server = Self { address, arguments, password, is_tls, child: None, folder, _port: port, bus };
        server.restart();
        server
    }

    /// Where it listens when it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it, and waits until it is dead.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again at the same address, empty, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let port = self.address.port().to_string();
        let (plain, tls) = if self.is_tls { ("0", port.as_str()) } else { (port.as_str(), "0") };
        let is_sentinel = self.arguments.iter().any(|argument| argument == "--sentinel");
        let mut command = Command::new("redis-server");
        command.args(&self.arguments).args(["--port", plain, "--bind", "127.0.0.1"]);
        command.args(["--dir", self.folder.path().to_str().unwrap()]);
        if !is_sentinel {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        if self.is_tls {
            command.args(["--tls-port", tls]);
        }
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let started = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn();
        self.child =
            Some(started.unwrap_or_else(|error| panic!("redis-server (Debian: redis-server): {error}")));
        self.wait_until(|server| match TcpStream::connect(server.address) {
            Err(_) => false,
            Ok(_) if server.is_tls => true,
            Ok(_) => server.command(&["PING"]).starts_with("+PONG"),
        });
    }

    /// Stops it in its tracks (SIGSTOP), and waits until it stands. The kernel goes on accepting connections and bytes for it.
    pub fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "redis-server at {}: {status:?}", self.address);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    /// Sends a command on a connection of its own, and returns the answer as it is on the wire, as far as it came in
    /// one piece. Empty if there is no answer.
    pub fn command(&self, parts: &[&str]) -> String {
        let Ok(mut stream) = TcpStream::connect(self.address) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if let Some(password) = &self.password {
            assert!(exchange(&mut stream, &["AUTH", password]).starts_with("+OK"));
        }
        exchange(&mut stream, parts)
    }

    /// Waits until something holds of the server.
    pub fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "redis-server at {}:\n{}", self.address, log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("redis-server is dead"))
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody else gets. Redis allows reuse too, so that both can have it while only one listens.
fn reserve() -> (Socket, SocketAddr) {
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.set_reuse_address(true).unwrap();
    port.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    (port, address)
}

fn exchange(stream: &mut TcpStream, parts: &[&str]) -> String {
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    let mut answer = [0; 65_536];
    let sent = stream.write_all(command.as_bytes());
    let read = sent.and_then(|()| stream.read(&mut answer)).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

/// Starts a cluster of so many masters without replicas, and waits until it is whole.
pub fn redis_cluster(servers: u16) -> Vec<RedisServer> {
    const SLOTS: u16 = 16_384;
    let start =
        || RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"], None);
    let nodes: Vec<RedisServer> = (0..servers).map(|_| start()).collect();
    for (number, node) in (0u16..).zip(&nodes) {
        let first = (u32::from(number) * u32::from(SLOTS) / u32::from(servers)).to_string();
        let last = ((u32::from(number) + 1) * u32::from(SLOTS) / u32::from(servers) - 1).to_string();
        let epoch = (number + 1).to_string();
        assert!(node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).starts_with("+OK"));
        assert!(node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last]).starts_with("+OK"));
        let port = nodes[0].address().port().to_string();
        let bus = nodes[0].bus.as_ref().map_or(0, |(_, port)| *port).to_string();
        if number > 0 {
            assert!(node.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).starts_with("+OK"));
        }
    }
    for node in &nodes {
        node.wait_until(|node| {
            let info = node.command(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains(&format!("cluster_known_nodes:{servers}"))
        });
    }
    nodes
}
