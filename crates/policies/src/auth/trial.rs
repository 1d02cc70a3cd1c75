//! What the tests of methods share: consumers, a time, somebody who waits, a client of servers on loopback.

use std::future::Future;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tollgate_decision::Reason;
use tollgate_outbound::{HttpClient, Security, Settings};
use tollgate_policy::{Asked, Caller, Certificate, Consumer, Consumers, CredentialKind, Gate, Mode, Moment};
use tollgate_testkit::{Authority, PATIENCE};
use tollgate_tls::Roots;

use super::{Finding, Method};
use crate::sample::Sample;

/// Asks methods about requests.
pub(crate) struct Trial {
    pub(crate) consumers: Consumers,
    pub(crate) moment: Moment,
    pub(crate) explains: bool,
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Trial {
    /// Now, with the consumers `alice` and `bob`.
    pub(crate) fn new() -> Self {
        let mut consumers = Consumers::default();
        for name in ["alice", "bob"] {
            consumers.add(Consumer { name: name.into(), ..Consumer::default() });
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let moment = Moment { now_us: 1, wall_us: wall.as_micros() as u64, seed: 0 };
        Self { consumers, moment, explains: false, certificate: None }
    }

    pub(crate) fn give(&mut self, consumer: &str, kind: CredentialKind, value: &[u8], secret: Option<&str>) {
        self.consumers.give(consumer, kind, value, secret.map(Into::into)).unwrap();
    }

    pub(crate) fn now(&self) -> u64 {
        self.moment.wall_s()
    }

    pub(crate) fn later(&mut self, seconds: u64) {
        self.moment.now_us += seconds * 1_000_000;
        self.moment.wall_us += seconds * 1_000_000;
    }

    /// Asks once.
    pub(crate) fn ask(&self, method: &dyn Method, sample: &Sample, gate: &mut Gate) -> Finding {
        method.identify(&self.asked(sample), gate, None)
    }

    fn asked<'a>(&'a self, sample: &'a Sample) -> Asked<'a> {
        let mut asked = sample.asked();
        asked.consumers = &self.consumers;
        asked.moment = self.moment;
        asked.connection.certificate = self.certificate.as_ref().map(|der| Certificate { der });
        if self.explains {
            asked.mode = Mode::Explain(None);
        }
        asked
    }

    /// Asks, and once more after the wait if there is one. Tells whether there was.
    pub(crate) fn finish(&self, method: &dyn Method, sample: &Sample, gate: &mut Gate) -> (Finding, bool) {
        match self.ask(method, sample, gate) {
            Finding::Wait(waits) => {
                let resolution = wait(waits.future);
                let finding = method.identify(&self.asked(sample), gate, Some(resolution));
                assert!(!matches!(finding, Finding::Wait(_)), "one wait is enough");
                (finding, true)
            }
            finding => (finding, false),
        }
    }

    /// Who it is found to be, at once or after a wait.
    pub(crate) fn caller(&self, method: &dyn Method, sample: &Sample) -> (Caller, Gate) {
        let mut gate = Gate::default();
        match self.finish(method, sample, &mut gate).0 {
            Finding::Known(caller) => (caller, gate),
            other => panic!("{other:?}"),
        }
    }

    /// Why it is refused, at once or after a wait.
    pub(crate) fn refusal(&self, method: &dyn Method, sample: &Sample) -> Reason {
        let mut gate = Gate::default();
        let finding = self.finish(method, sample, &mut gate).0;
        assert!(gate.changes_nothing(), "a refused request changes nothing: {gate:?}");
        match finding {
            Finding::Refused(refused) => refused.reason,
            other => panic!("{other:?}"),
        }
    }
}

/// A GET of `/` with these fields.
pub(crate) fn get(fields: &str) -> Sample {
    Sample::new("GET /", fields)
}

/// A GET of `/` with a bearer token.
pub(crate) fn bearer(token: &str) -> Sample {
    get(&format!("Authorization: Bearer {token}\r\n"))
}

/// The lines that a gate adds to the request.
pub(crate) fn lines(gate: &Gate) -> &str {
    std::str::from_utf8(gate.request.lines()).unwrap()
}

/// A runtime on a thread of its own, and a client on it, for as long as this lives.
pub(crate) struct Background {
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    pub(crate) fn start() -> (Self, HttpClient) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || drop(runtime.block_on(stopped)));
        let settings = Settings { connect_timeout: PATIENCE, timeout: PATIENCE, ..Settings::default() };
        let security = Security::with_roots(Roots::from_file(&Authority::new("Test CA").roots()).unwrap());
        let client = HttpClient::new(settings, security, handle.clone()).unwrap();
        (Self { handle, stop: Some(stop), thread: Some(thread) }, client)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Waits on a runtime that comes and goes, as workers have their own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let bounded = async { tokio::time::timeout(PATIENCE, future).await };
    runtime.block_on(bounded).unwrap_or_else(|_| panic!("nothing came of it in {PATIENCE:?}"))
}
