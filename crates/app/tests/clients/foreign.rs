//! Programs that nobody here wrote, as processes that end with the test.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tollgate_testkit::PATIENCE;

/// Set to skip what cannot be run on this machine.
pub const SKIP: &str = "TOLLGATE_SKIP_MISSING_CLIENTS";

/// Where a program is. A missing one fails the test, since skipping would look like passing, unless [`SKIP`] is set.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let found = folders.find_map(|folder| {
        let candidate = PathBuf::from(folder).join(name);
        candidate.is_file().then_some(candidate)
    });
    if found.is_none() {
        missing(&format!("`{name}` is missing: install the Debian package {package}"));
    }
    found
}

/// Fails the test with this message, or says that it is skipped.
pub fn missing(message: &str) {
    assert!(std::env::var_os(SKIP).is_some(), "{message}, or set {SKIP}=1 to skip what needs it");
    eprintln!("skipped: {message}");
}

/// A running program. It and what it started are killed when this is dropped.
#[derive(Debug)]
pub struct Foreign {
    child: Child,
    called: String,
    lines: Receiver<String>,
    said: String,
}

impl Foreign {
    /// Starts it. Standard output and standard error are read as one.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let (sender, lines) = channel();
        collect(child.stdout.take().unwrap(), sender.clone());
        collect(child.stderr.take().unwrap(), sender);
        Self { child, called: format!("{command:?}"), lines, said: String::new() }
    }

    /// Starts a server and waits until it accepts connections there.
    pub fn serve(command: &mut Command, address: SocketAddr) -> Self {
        let mut server = Self::start(command);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let gone = server.child.try_wait().unwrap();
            if gone.is_some() || began.elapsed() > PATIENCE {
                server.read_until(Instant::now() + Duration::from_secs(1), |_| false);
                panic!("{} does not listen at {address} ({gone:?}):\n{}", server.called, server.said);
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        server
    }

    /// Waits for a line that contains `text`.
    pub fn line(&mut self, text: &str) -> String {
        let line = self.read_until(Instant::now() + PATIENCE, |line| line.contains(text));
        line.unwrap_or_else(|| panic!("{} did not say {text:?}, but:\n{}", self.called, self.said))
    }

    /// Waits until it has ended by itself: what it said since the lines that were waited for, and how it ended.
    pub fn end(mut self, limit: Duration) -> (ExitStatus, String) {
        let end = Instant::now() + limit;
        self.said.clear();
        self.read_until(end, |_| false);
        assert!(Instant::now() < end, "{} did not end in {limit:?}; it said:\n{}", self.called, self.said);
        let status = self.child.wait().unwrap();
        (status, std::mem::take(&mut self.said))
    }

    /// The same for a program that must succeed.
    pub fn succeed(self, limit: Duration) -> String {
        let called = self.called.clone();
        let (status, said) = self.end(limit);
        assert!(status.success(), "{called}: {status}:\n{said}");
        said
    }

    /// Reads lines until one is wanted; none when the program closed its output before.
    fn read_until(&mut self, end: Instant, wanted: impl Fn(&str) -> bool) -> Option<String> {
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push_str(&line);
                    if wanted(&line) {
                        return Some(line);
                    }
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // What it started is in its group; when all of it has ended, nobody is there to be killed.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.said.extend(self.lines.try_iter());
            eprintln!("--- {} ---\n{}---", self.called, self.said);
        }
    }
}

/// Runs a program that must succeed, to its end.
pub fn succeed(command: &mut Command) -> String {
    Foreign::start(command).succeed(2 * PATIENCE)
}

fn collect(pipe: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if lines.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// An address for a server that must be told one: nobody listens there, and no connection of a test is made from there.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.78.1:0").unwrap().local_addr().unwrap()
}
