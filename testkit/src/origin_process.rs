//! An origin that is a process of its own, so that a test can kill it or stop it.
//!
//! The process is the test program itself, started anew to run one entry that is no test: see
//! [`OriginProcess::serve`]. So there is no other binary to build first, and none that can be old.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use socket2::{Domain, Socket, Type};

use crate::message::Request;
use crate::origin::{Connection, Origin};

const ADDRESS: &str = "TOLLGATE_ORIGIN_ADDRESS";
const EXECUTED: &str = "TOLLGATE_ORIGIN_EXECUTED";
const LISTENS: &str = "the origin listens";

/// A server in a process of its own, on one port for all its lives. Killed when dropped.
///
/// It answers each request on `/…?id=ID&size=SIZE` with `ID` again and again, `SIZE` bytes in all, in
/// chunks if the query says `chunked`. If it says `half`, half of the answer is all that ever comes. Before that it writes what it executed to a file: a line
/// `METHOD ID`, in one piece, so that it is there or not, whatever happens to the process.
#[derive(Debug)]
pub struct OriginProcess {
    address: SocketAddr,
    entry: &'static str,
    executed: PathBuf,
    life: Option<Life>,
    /// Bound, but not listening: keeps the port while the process is dead.
    _port: Socket,
}

#[derive(Debug)]
struct Life {
    child: Child,
    /// The process ends when this does.
    _stdin: ChildStdin,
}

impl OriginProcess {
    /// Starts a process by the test called `entry`, which is marked `#[ignore]` and calls
    /// [`OriginProcess::serve`], and waits until it listens.
    pub fn start(entry: &'static str, executed: &Path) -> Self {
        let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        port.set_reuse_address(true).unwrap();
        port.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = port.local_addr().unwrap().as_socket().unwrap();
        let mut process = Self { address, entry, executed: executed.to_owned(), life: None, _port: port };
        process.restart();
        process
    }

    /// Where it listens when it lives.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it, and waits until it is dead.
    pub fn kill(&mut self) {
        if let Some(mut life) = self.life.take() {
            life.child.kill().unwrap();
            life.child.wait().unwrap();
        }
    }

    /// Starts it again at the same address, and waits until it listens.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", self.entry, "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ADDRESS, self.address.to_string()).env(EXECUTED, &self.executed);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Owned from here on, so that it ends whatever comes.
        self.life = Some(Life { child, _stdin: stdin });
        let listens = lines.any(|line| line.is_ok_and(|line| line.contains(LISTENS)));
        assert!(listens, "the origin at {} ended before it listened", self.address);
    }

    /// Stops it in its tracks (SIGSTOP), and waits until it stands. The kernel goes on accepting
    /// connections and bytes for it.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        let (_, status) = waitpid(Some(self.pid()), WaitOptions::UNTRACED).unwrap().unwrap();
        assert!(status.stopped(), "the origin at {}: {status:?}", self.address);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.life.as_ref().expect("the origin is dead").child)
    }

    /// What the process runs. Does nothing in a process that was not started as an origin, so that
    /// running all ignored tests is harmless.
    pub fn serve() {
        let (Some(address), Some(executed)) = (std::env::var(ADDRESS).ok(), std::env::var_os(EXECUTED))
        else {
            return;
        };
        let executed = OpenOptions::new().create(true).append(true).open(executed).unwrap();
        let _origin =
            Origin::start_at(address.parse().unwrap(), move |connection| run(connection, &executed));
        // A line of its own, behind whatever the test program has printed.
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(format!("\n{LISTENS}\n").as_bytes()).unwrap();
        stdout.flush().unwrap();
        // Ends when whoever started this ends, however that comes.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    }
}

impl Drop for OriginProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn run(connection: &mut Connection, executed: &File) {
    while let Some(request) = connection.request() {
        let line = format!("{} {}\n", request.method(), parameter(&request, "id"));
        let mut executed = executed;
        executed.write_all(line.as_bytes()).unwrap();
        if request.method() == "POST" {
            // Takes its time, so that death often comes between the deed and its answer.
            std::thread::sleep(Duration::from_millis(5));
        }
        let answer = answer(&request);
        if request.target().contains("&half") {
            connection.send(&answer[..answer.len() / 2]);
            connection.rest();
            return;
        }
        connection.send(answer);
    }
}

fn answer(request: &Request) -> Vec<u8> {
    let size = parameter(request, "size").parse().unwrap_or(0);
    let body: Vec<u8> = parameter(request, "id").bytes().cycle().take(size).collect();
    if !request.target().contains("&chunked") {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        return [head.as_bytes(), &body].concat();
    }
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(1000) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// A parameter of the query; empty if it is not there.
fn parameter<'r>(request: &'r Request, name: &str) -> &'r str {
    let query = request.target().split_once('?').map_or("", |(_, query)| query);
    let find = |pair: &'r str| pair.strip_prefix(name)?.strip_prefix('=');
    query.split('&').find_map(find).unwrap_or("")
}
