//! The program under test, as a process.

mod successor;

use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::client::Client;
use successor::Successor;

/// Names the default admin socket.
const SOCKET_VARIABLE: &str = "TOLLGATE_SOCKET";
/// The admin socket in the program's directory.
const SOCKET: &str = "admin.sock";

/// How to start the program.
#[derive(Debug)]
pub struct Launch {
    program: String,
    document: String,
    arguments: Option<Vec<String>>,
    listeners: usize,
    directory: TempDir,
    environment: Vec<(String, String)>,
}

impl Launch {
    /// `program` is the binary's path; in the document `{directory}` is a new, empty directory.
    pub fn new(program: &str, document: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let document = document.replace("{directory}", directory.path().to_str().unwrap());
        Self {
            program: program.to_owned(),
            document,
            arguments: None,
            listeners: 1,
            directory,
            environment: Vec::new(),
        }
    }

    /// Starts the program with these arguments instead of a document.
    pub fn with_arguments(program: &str, arguments: &[&str]) -> Self {
        let mut launch = Self::new(program, "");
        launch.arguments = Some(arguments.iter().map(|a| (*a).to_owned()).collect());
        launch
    }

    /// Puts a value in the place of `{name}` in the document.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        let placeholder = format!("{{{name}}}");
        assert!(
            self.document.contains(&placeholder),
            "{placeholder} is not in the document:\n{}",
            self.document
        );
        self.document = self.document.replace(&placeholder, &value.to_string());
        self
    }

    /// How many listeners the document has; one unless told.
    #[must_use]
    pub fn listeners(mut self, count: usize) -> Self {
        self.listeners = count;
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the program and waits until it listens.
    pub fn start(self) -> Tollgate {
        let path = self.directory.path().join("tollgate.yaml");
        std::fs::write(&path, &self.document).unwrap();
        let mut command = Command::new(&self.program);
        match &self.arguments {
            Some(arguments) => command.args(arguments),
            None => command.arg("run").arg("-c").arg(&path),
        };
        // Each has its own, so that tests can run side by side.
        command.env(SOCKET_VARIABLE, self.directory.path().join(SOCKET)).envs(self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {}: {e}", self.program));
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        let wants_admin = self.document.lines().any(|l| l.starts_with("admin:") && l.contains("listen:"));
        let mut tollgate = Tollgate {
            child,
            successors: Vec::new(),
            stdout,
            stderr,
            addresses: Vec::new(),
            admin: None,
            directory: self.directory,
        };
        for number in 0..self.listeners {
            let line = tollgate.stderr.wait_for(number, |l| l.contains(" listening on "));
            tollgate.addresses.push(address_after(&line, " listening on "));
        }
        if wants_admin {
            let line = tollgate.stderr.wait_for(0, |l| l.contains(" metrics and health on http://"));
            tollgate.admin = Some(address_after(&line, " metrics and health on http://"));
        }
        tollgate
    }
}

fn address_after(line: &str, before: &str) -> SocketAddr {
    let rest = line.split(before).nth(1).unwrap_or_default();
    let address = rest.split([' ', '/']).next().unwrap_or_default();
    address.parse().unwrap_or_else(|e| panic!("no address in {line:?}: {e}"))
}

/// The running program. Killed when dropped.
#[derive(Debug)]
pub struct Tollgate {
    child: Child,
    /// Those that have taken its place, one after the other.
    successors: Vec<Successor>,
    stdout: Lines,
    stderr: Lines,
    addresses: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    directory: TempDir,
}

impl Tollgate {
    /// Where its first listener listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where its listeners listen.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A new connection to the first listener.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends a request on a new connection and reads the response.
    pub fn request(&self, bytes: impl AsRef<[u8]>) -> crate::Response {
        self.connect().request(bytes)
    }

    /// The body of an admin endpoint, and its status.
    pub fn admin(&self, path: &str) -> (u16, String) {
        let mut client = Client::connect(self.admin.expect("the document has no admin listener"));
        let response =
            client.request(format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"));
        (response.status, response.text())
    }

    /// Where its admin listener listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.expect("the document has no admin listener")
    }

    /// A new connection to the admin listener.
    pub fn connect_admin(&self) -> Client {
        Client::connect(self.admin.expect("the document has no admin listener"))
    }

    /// The path of its unix socket, if the document does not name another one or none.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    /// Asks the admin API on the unix socket: the status and the body.
    pub fn api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        (&stream).write_all(request.as_bytes()).unwrap();
        let mut response = String::new();
        (&stream).read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no response: {response:?}")), body.to_owned())
    }

    /// The value of a metric's series, spelled as in the text; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let (_, text) = self.admin("/metrics");
        let value = text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits until a metric's series has this value.
    pub fn await_metric(&self, series: &str, value: f64) {
        let began = std::time::Instant::now();
        while self.metric(series) != value {
            assert!(began.elapsed() < PATIENCE, "{series} is {}, not {value}", self.metric(series));
        }
    }

    /// The directory of the document.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Waits for the line of standard output with this number among those that contain `text`.
    pub fn stdout_line(&self, number: usize, text: &str) -> String {
        self.stdout.wait_for(number, |line| line.contains(text))
    }

    /// Waits for a line of standard error that contains `text`.
    pub fn stderr_line(&self, text: &str) -> String {
        self.stderr.wait_for(0, |line| line.contains(text))
    }

    /// Puts another text in the place of its document, asks it with a signal to take that, and returns the
    /// line that says what became of it.
    pub fn reload(&self, text: &str) -> String {
        let text = text.replace("{directory}", self.directory().to_str().unwrap());
        std::fs::write(self.directory().join("tollgate.yaml"), text).unwrap();
        let told = |line: &str| line.contains(" reload: ") || line.contains(" reload refused");
        let before = self.stderr.count(told);
        self.signal(Signal::HUP);
        self.stderr.wait_for(before, told)
    }

    /// Everything on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Asks it to end politely.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        match self.successors.last() {
            Some(successor) => successor.signal(signal),
            None => kill_process(self.pid(), signal).unwrap(),
        }
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        // Standard error ends with the process, and can be waited for with a limit.
        self.stderr.wait_for_end();
        let first = self.child.wait().unwrap();
        self.successors.last_mut().map_or(first, Successor::wait)
    }

    /// Everything it wrote to standard output until it ended.
    pub fn stdout_to_the_end(&mut self) -> String {
        self.stdout.wait_for_end();
        self.stdout.so_far()
    }

    /// Memory in use now and at the most, in KiB: VmRSS and VmHWM.
    pub fn memory_kib(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let value = |name: &str| {
            let line = status
                .lines()
                .find_map(|l| l.strip_prefix(name))
                .unwrap_or_else(|| panic!("{name}: {status}"));
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        (value("VmRSS:"), value("VmHWM:"))
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process())).unwrap().count()
    }

    fn pid(&self) -> Pid {
        self.successors.last().map_or_else(|| Pid::from_child(&self.child), Successor::pid)
    }
}

impl Drop for Tollgate {
    fn drop(&mut self) {
        // The first one first, so that the others come to this process to be waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.successors.drain(..).for_each(drop);
        if std::thread::panicking() {
            eprintln!("--- standard error of the program ---\n{}---", self.stderr.so_far());
        }
    }
}

/// What a run to the end gave.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a program to its end, which must come by itself. Unless the command says otherwise, there is no admin socket
/// to be had or reached.
pub fn run(command: &mut Command) -> Output {
    if !command.get_envs().any(|(name, _)| name == SOCKET_VARIABLE) {
        command.env(SOCKET_VARIABLE, "/dev/null/admin.sock");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    let stdout = Lines::collect(child.stdout.take().unwrap());
    let stderr = Lines::collect(child.stderr.take().unwrap());
    if !(stdout.ends() && stderr.ends()) {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end in {PATIENCE:?}");
    }
    Output { code: child.wait().unwrap().code(), stdout: stdout.so_far(), stderr: stderr.so_far() }
}

/// The lines of a pipe, read by a thread.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Debug, Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let collected = lines.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).into_owned();
                collected.lock().lines.push(text);
                collected.0.1.notify_all();
                line.clear();
            }
            collected.lock().ended = true;
            collected.0.1.notify_all();
        });
        lines
    }

    fn wait_for(&self, number: usize, wanted: impl Fn(&str) -> bool) -> String {
        let find = |c: &Collected| c.lines.iter().filter(|l| wanted(l)).nth(number).cloned();
        let collected = self.lock();
        let waiting = |c: &mut Collected| find(c).is_none() && !c.ended;
        let (collected, _) = self.0.1.wait_timeout_while(collected, PATIENCE, waiting).unwrap();
        let found = find(&collected);
        let lines = collected.lines.concat();
        drop(collected);
        found.unwrap_or_else(|| panic!("the line did not come; these did:\n{lines}"))
    }

    fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        self.lock().lines.iter().filter(|l| wanted(l)).count()
    }

    /// A test that has failed may still want to know what was said.
    fn lock(&self) -> MutexGuard<'_, Collected> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self) -> bool {
        let collected = self.lock();
        self.0.1.wait_timeout_while(collected, PATIENCE, |c| !c.ended).unwrap().0.ended
    }

    fn wait_for_end(&self) {
        assert!(self.ends(), "the program did not end in {PATIENCE:?}; it said:\n{}", self.so_far());
    }

    fn so_far(&self) -> String {
        self.lock().lines.concat()
    }
}
