//! Certificates by ACME while documents come and go: one keeper looks after them, and all listeners that want them
//! have them.

mod gallery;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tollgate_acme::{Board, Keeper, Names, Settings, Stop, Surroundings};
use tollgate_config::Challenge;
use tollgate_runtime::{Clock, Random};

pub use tollgate_acme::{CertificateStatus, OpenError};

use crate::compile::Plans;
use crate::compile::acme::AcmePlan;

use self::gallery::Gallery;

/// How long the directory may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long an order may go on when another document wants something else. It is broken off then, which counts as a
/// failure.
const HANDOVER_MAX: Duration = Duration::from_secs(60);

/// The certificates of a process that come from ACME.
pub struct Acme {
    gallery: Arc<Gallery>,
    running: Mutex<Option<Running>>,
    say: fn(&str),
}

struct Running {
    plan: AcmePlan,
    board: Arc<Board>,
    stop: Stop,
    task: JoinHandle<()>,
}

/// What a document wants, opened: its listeners have what is on disk. Nothing is ordered before it is adopted.
#[must_use]
pub struct Prepared(Wanted);

enum Wanted {
    /// What runs already.
    Same,
    /// Something else.
    Other(Box<(AcmePlan, Keeper)>),
    /// Nothing.
    Nothing,
}

impl Acme {
    /// None yet. `say` writes a line of the process's own log.
    pub fn new(say: fn(&str)) -> Self {
        Self { gallery: Arc::default(), running: Mutex::default(), say }
    }

    /// Gives the listeners of a document the certificates that are there, and opens the storage if the document wants
    /// others, or wants them otherwise, than the one in force. That one is not disturbed.
    ///
    /// # Errors
    ///
    /// Where the storage cannot be opened.
    pub fn prepare(&self, plans: &Plans) -> Result<Prepared, OpenError> {
        self.gallery.offer(plans.tls.sets());
        let Some(plan) = &plans.acme else { return Ok(Prepared(Wanted::Nothing)) };
        if self.running().as_ref().is_some_and(|running| running.plan == *plan) {
            return Ok(Prepared(Wanted::Same));
        }
        let keeper = Keeper::open(settings(plan), self.surroundings(plan))?;
        Ok(Prepared(Wanted::Other(Box::new((plan.clone(), keeper)))))
    }

    /// Looks after these certificates from now on, on the runtime this is called on, and no more after those before
    /// them. An order that is under way is brought to its end first.
    pub fn adopt(&self, prepared: Prepared) {
        let mut running = self.running();
        let next = match prepared.0 {
            Wanted::Same => return,
            Wanted::Nothing => None,
            Wanted::Other(next) => Some(*next),
        };
        let before = running.take();
        before.iter().for_each(|before| before.stop.ask());
        let Some((plan, mut keeper)) = next else { return };
        self.gallery.keep_only(&plan.names);
        let (board, stop) = (keeper.board(), keeper.stop());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.ended().await;
                keeper.catch_up();
            }
            keeper.run().await;
        });
        *running = Some(Running { plan, board, stop, task });
    }

    /// Orders nothing any more, since another process does. An order that is under way is brought to its end.
    pub fn leave(&self) {
        self.running().iter().for_each(|running| running.stop.ask());
    }

    /// How the certificates stand, in the order of the document.
    pub fn status(&self) -> Vec<CertificateStatus> {
        self.running().as_ref().map_or_else(Vec::new, |running| running.board.read())
    }

    fn surroundings(&self, plan: &AcmePlan) -> Surroundings {
        let (gallery, say) = (self.gallery.clone(), self.say);
        Surroundings {
            challenges: plan.challenges.clone(),
            challenge_certificates: self.gallery.clone(),
            install: Box::new(move |names, issued| {
                if let Err(problem) = gallery.install(names.first(), issued.pem.as_bytes()) {
                    say(&format!("ACME: the certificate for {} cannot be used: {problem}", names.first()));
                }
            }),
            tell: Box::new(move |event| say(&event.to_string())),
            now: Box::new(|| Clock::new().wall()),
            random: Random::from_machine(),
        }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Waits until what is under way has ended, or ends it.
    async fn ended(mut self) {
        if tokio::time::timeout(HANDOVER_MAX, &mut self.task).await.is_err() {
            self.task.abort();
            let _ = self.task.await;
        }
    }
}

fn settings(plan: &AcmePlan) -> Settings {
    Settings {
        email: plan.email.clone(),
        directory: plan.directory.clone(),
        roots: plan.roots.clone(),
        storage: plan.storage.clone(),
        challenge: match plan.challenge {
            Challenge::Http01 => tollgate_acme::ChallengeKind::Http01,
            Challenge::TlsAlpn01 => tollgate_acme::ChallengeKind::TlsAlpn01,
        },
        // The document was checked: there is no name for which none can be ordered.
        certificates: plan.names.iter().filter_map(|name| Names::new([name]).ok()).collect(),
        timeout: TIMEOUT,
    }
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("status", &self.status()).finish_non_exhaustive()
    }
}
