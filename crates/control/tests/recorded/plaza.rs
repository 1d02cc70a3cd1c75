//! A process of this test's own, with its clients' addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tollgate_config::{Document, MemoryFiles, parse_str, render};
use tollgate_control::process::Options;
use tollgate_control::recorders::{self, Recorders};
use tollgate_control::resolve::NoResolver;
use tollgate_control::{Process, compile};
use tollgate_proxy::Snapshot;
use tollgate_testkit::Client;
use tollgate_upstream::HealthEvents;

/// A running process.
pub struct Plaza {
    process: Arc<Process>,
    probes: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Plaza {
    /// Runs a document with so many workers.
    pub fn start(document: &str, workers: usize) -> Self {
        let (document, snapshot) = compiled(document);
        let recorder = recorders::settings(&document);
        let options = Options { workers, metrics: false, recorder, say: |_| {} };
        // Where spans would be sent; nobody drives it.
        let runtime = runtime();
        let _entered = runtime.enter();
        let process = Arc::new(Process::start(snapshot, &options).unwrap());
        let ((stop, stopped), probed) = (oneshot::channel(), process.clone());
        let probes = std::thread::spawn(move || {
            self::runtime().block_on(async move {
                let mut probes = tollgate_control::probes::Probes::default();
                probes.adopt(&probed.snapshot().upstreams);
                let _ = stopped.await;
            });
        });
        Self { process, probes, stop }
    }

    pub fn address(&self) -> SocketAddr {
        self.process.current().listeners[0].address
    }

    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub fn recorders(&self) -> Recorders {
        self.process.recorder()
    }

    /// Ends the process politely, so that nothing is under way any more. What is left of it.
    pub fn end(self) -> (Recorders, Arc<Snapshot>) {
        runtime().block_on(self.process.drain(&tollgate_proxy::worker::Graces::default()));
        drop(self.stop);
        self.probes.join().unwrap();
        self.process.finish();
        (self.process.recorder(), self.process.snapshot().clone())
    }
}

/// A document, and the snapshot that it means.
pub fn compiled(document: &str) -> (Document, Arc<Snapshot>) {
    let loaded = parse_str("test.yaml", document, &MemoryFiles::default(), &|_| None);
    let findings = render(&loaded.diagnostics, &loaded.sources, false);
    let document = loaded.document.unwrap_or_else(|| panic!("{findings}"));
    let compiled = compile(&document, &NoResolver, &HealthEvents::unheard());
    let findings = render(&compiled.diagnostics, &loaded.sources, false);
    let snapshot = compiled.snapshot.unwrap_or_else(|| panic!("{findings}"));
    (document, snapshot)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
