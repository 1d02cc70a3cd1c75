//! A keeper on a thread, with everything around it in the hands of the test.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tollgate_acme::{
    Board, CertificateStatus, ChallengeKind, Challenges, Event, Keeper, Names, Settings, Stop, Surroundings,
};
use tollgate_runtime::Random;
use tollgate_testkit::{AcmeServer, Origin, PATIENCE};
use tollgate_tls::{Certificates, Roots};

use super::tls_listener;

pub(super) const SHOP: &str = "shop.example.com";
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// What outlives a keeper: server, listeners, storage and time.
pub(super) struct Bench {
    pub(super) server: AcmeServer,
    pub(super) challenges: Arc<Challenges>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) http: SocketAddr,
    pub(super) tls: SocketAddr,
    _http_listener: Origin,
    storage: tempfile::TempDir,
    /// Seconds since 1970.
    clock: Arc<AtomicU64>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let challenges = Arc::new(Challenges::default());
        let asked = challenges.clone();
        let http = Origin::answering(move |request| {
            let (status, body) = match asked.http01_path(request.target().as_bytes()) {
                Some(answer) => ("200 OK", answer),
                None => ("404 Not Found", "".into()),
            };
            format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
        });
        let certificates = Arc::new(Certificates::new(Vec::new()));
        let bench = Self {
            server: AcmeServer::start(),
            challenges,
            http: http.address(),
            tls: tls_listener::start(certificates.clone()),
            certificates,
            _http_listener: http,
            storage: tempfile::tempdir().unwrap(),
            clock: Arc::new(AtomicU64::new(0)),
        };
        bench.set_now(Duration::from_secs(1_800_000_000));
        bench.server.resolve(SHOP, Some(bench.http), Some(bench.tls));
        bench
    }

    pub(super) fn settings(&self, names: &[&str]) -> Settings {
        Settings {
            email: Some("ops@example.com".into()),
            directory: self.server.directory(),
            roots: Roots::from_pem(self.server.root_pem().as_bytes()).unwrap(),
            storage: self.storage.path().join("acme"),
            challenge: ChallengeKind::Http01,
            certificates: names.iter().map(|name| Names::new([name]).unwrap()).collect(),
            timeout: PATIENCE,
        }
    }

    pub(super) fn now(&self) -> Duration {
        Duration::from_secs(self.clock.load(Ordering::SeqCst))
    }

    pub(super) fn set_now(&self, now: Duration) {
        // The clock of the test has no parts of seconds: what is planned for this time is due then.
        let seconds = now.as_secs() + u64::from(now.subsec_nanos() > 0);
        self.clock.store(seconds, Ordering::SeqCst);
        self.server.set_now(Duration::from_secs(seconds));
    }

    /// The folder of the directory in the storage.
    pub(super) fn folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.storage.path().join("acme")).unwrap();
        folders.next().unwrap().unwrap().path()
    }

    pub(super) fn certificate_file(&self, name: &str) -> PathBuf {
        self.folder().join("certificates").join(format!("{name}.pem"))
    }

    /// Starts a keeper that listens for the bell only, as far as the time is concerned.
    pub(super) fn start(&self, settings: Settings) -> Running {
        let (tell, events) = channel();
        let (install, installed) = channel();
        let (clock, installed_at) = (self.clock.clone(), Mutex::new(install));
        let tell = Mutex::new(tell);
        let surroundings = Surroundings {
            challenges: self.challenges.clone(),
            challenge_certificates: self.certificates.clone(),
            install: Box::new(move |names, issued| {
                let certificate = Installed {
                    name: names.first().to_owned(),
                    pem: issued.pem.clone(),
                    until: issued.validity.until,
                };
                let _ = installed_at.lock().unwrap().send(certificate);
            }),
            tell: Box::new(move |event| drop(tell.lock().unwrap().send(event))),
            now: Box::new(move || Duration::from_secs(clock.load(Ordering::SeqCst))),
            random: Random::from_seed(1),
        };
        let keeper = Keeper::open(settings, surroundings).unwrap();
        let (board, bell, polite) = (keeper.board(), keeper.bell(), keeper.stop());
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = keeper.run() => {}
                    _ = stopped => {}
                }
            });
        });
        Running { board, bell, polite, events, installed, stop: Some(stop), thread: Some(thread) }
    }
}

/// A certificate that was handed on.
#[derive(Debug, PartialEq)]
pub(super) struct Installed {
    pub(super) name: String,
    pub(super) pem: String,
    pub(super) until: Duration,
}

/// A keeper that runs until this is dropped.
pub(super) struct Running {
    pub(super) board: Arc<Board>,
    bell: Arc<Notify>,
    polite: Stop,
    events: Receiver<Event>,
    installed: Receiver<Installed>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    /// Asks it to stop, and waits until it has. What it told meanwhile.
    pub(super) fn stop(&mut self) -> Vec<Event> {
        self.polite.ask();
        self.thread.take().unwrap().join().unwrap();
        self.told()
    }

    /// The next certificate that is handed on.
    pub(super) fn installed(&self) -> Installed {
        let installed = self.installed.recv_timeout(PATIENCE);
        installed.unwrap_or_else(|error| panic!("no certificate: {error}; {:?}", self.told()))
    }

    pub(super) fn nothing_installed(&self) -> bool {
        self.installed.try_recv().is_err()
    }

    /// The next event of a kind; others before it are passed over.
    pub(super) fn event(&self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let mut passed = Vec::new();
        loop {
            match self.events.recv_timeout(PATIENCE) {
                Ok(event) if fits(&event) => return event,
                Ok(event) => passed.push(event),
                Err(error) => panic!("no event that {what}: {error}; there were {passed:?}"),
            }
        }
    }

    pub(super) fn failure(&self) -> (String, Duration) {
        match self.event("something failed", |event| matches!(event, Event::Failed { .. })) {
            Event::Failed { message, next, .. } => (message, next),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn obtained(&self) -> String {
        match self.event("a certificate is there", |event| matches!(event, Event::Obtained { .. })) {
            Event::Obtained { name, .. } => name,
            other => panic!("{other:?}"),
        }
    }

    /// All that was told and not looked at.
    pub(super) fn told(&self) -> Vec<Event> {
        self.events.try_iter().collect()
    }

    pub(super) fn status(&self, name: &str) -> CertificateStatus {
        self.board.read().into_iter().find(|status| status.names[0] == name).unwrap()
    }

    /// Waits until the status is as it should be.
    pub(super) fn wait(&self, name: &str, until: impl Fn(&CertificateStatus) -> bool) -> CertificateStatus {
        let begin = std::time::Instant::now();
        loop {
            let status = self.status(name);
            if until(&status) {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "{status:?}");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the keeper panicked");
        }
    }
}

/// All files below a folder, by their names.
pub(super) fn files(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            names.extend(files(&entry.path()));
        } else {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names.sort();
    names
}
