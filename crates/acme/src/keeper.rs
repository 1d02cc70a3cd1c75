//! Does what the schedule says, one thing at a time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use instant_acme::{Account, CertificateIdentifier, Error};
use tokio::sync::Notify;
use tollgate_runtime::Random;
use tollgate_tls::{ClientSettings, Connector};

use crate::account;
use crate::certificate::Issued;
use crate::challenges::{ChallengeCertificates, Challenges};
use crate::events::Event;
use crate::failure::Failure;
use crate::http::Client;
use crate::order::{self, Ordering};
use crate::schedule::{Action, Schedule, Tries};
use crate::settings::{Names, Settings};
use crate::status::{Board, CertificateStatus};
use crate::storage::{Lock, Storage, Unusable};

/// How long to wait for another process that is ordering.
const OTHER_PROCESS: Duration = Duration::from_secs(15);
/// The longest sleep. The machine's clock may be set, and the machine may sleep itself.
const SLEEP_MAX: Duration = Duration::from_secs(600);
/// The longest that one thing may take, with all its requests.
const ACTION_MAX: Duration = Duration::from_secs(600);

/// Takes a certificate for these names.
pub type Install = Box<dyn Fn(&Names, &Issued) + Send + Sync>;

/// What a keeper works with.
pub struct Surroundings {
    /// Where answers to http-01 challenges are put.
    pub challenges: Arc<Challenges>,
    /// Who shows the certificates of tls-alpn-01 challenges.
    pub challenge_certificates: Arc<dyn ChallengeCertificates>,
    /// Called with each certificate that is there: those on disk while the keeper opens, others when they
    /// were obtained.
    pub install: Install,
    /// Called with what operators should know.
    pub tell: Box<dyn Fn(Event) + Send + Sync>,
    /// The time since 1970.
    pub now: Box<dyn Fn() -> Duration + Send + Sync>,
    /// For spreading load; not for keys.
    pub random: Random,
}

/// Looks after the certificates of a process.
pub struct Keeper {
    settings: Settings,
    surroundings: Surroundings,
    storage: Storage,
    schedule: Schedule,
    /// What renewals are called at the directory, for each certificate that is there.
    identifiers: Vec<Option<CertificateIdentifier<'static>>>,
    tls: Arc<Connector>,
    /// Kept as long as there is something to do.
    account: Option<(Account, Client)>,
    board: Arc<Board>,
    bell: Arc<Notify>,
    stop: Stop,
}

impl Keeper {
    /// Opens the storage and installs what is there. No request is made yet.
    ///
    /// # Errors
    /// The storage cannot be made, or the roots cannot be used.
    pub fn open(settings: Settings, surroundings: Surroundings) -> Result<Self, OpenError> {
        let mut settings = settings;
        let mut known = std::collections::HashSet::new();
        settings.certificates.retain(|names| known.insert(names.first().to_owned()));
        if !settings.directory.starts_with("https://") {
            return Err(OpenError(format!("the directory {} is not an https address", settings.directory)));
        }
        let tls = connector(&settings).map_err(|problem| OpenError(problem.to_string()))?;
        let storage = Storage::open(&settings.storage, &settings.directory)
            .map_err(|error| OpenError(format!("{}: {error}", settings.storage.display())))?;
        let count = settings.certificates.len();
        let bell = Arc::<Notify>::default();
        let mut keeper = Self {
            schedule: Schedule::new(count, surroundings.random.clone()),
            settings,
            surroundings,
            storage,
            identifiers: vec![None; count],
            tls: Arc::new(tls),
            account: None,
            board: Arc::default(),
            stop: Stop { is_asked: Arc::default(), bell: bell.clone() },
            bell,
        };
        keeper.load();
        keeper.show(None);
        Ok(keeper)
    }

    /// How the certificates stand, kept up to date while the keeper runs.
    pub fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    /// Rung, it has the keeper look at the clock at once.
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Asks it to stop.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Takes what another keeper put into the storage since this one was opened.
    pub fn catch_up(&mut self) {
        self.load();
        self.show(None);
    }

    /// Obtains what is missing and renews what is old, until it is asked to stop or dropped. It may be dropped at any time: what
    /// was obtained is on disk, and no answer to a challenge stays behind.
    pub async fn run(mut self) {
        while !self.stop.is_asked.load(Relaxed) {
            let now = self.now();
            match self.schedule.next(now) {
                Action::Order(at) => self.act(at, Deed::Order).await,
                Action::AskRenewal(at) => self.act(at, Deed::AskRenewal).await,
                Action::WaitUntil(until) => {
                    self.account = None;
                    let sleep = until.saturating_sub(now).min(SLEEP_MAX);
                    // Whichever is first; waking for nothing costs nothing.
                    let _ = tokio::time::timeout(sleep, self.bell.notified()).await;
                }
                Action::Nothing => self.bell.notified().await,
            }
        }
    }

    fn now(&self) -> Duration {
        (self.surroundings.now)()
    }

    fn tell(&self, event: Event) {
        (self.surroundings.tell)(event);
    }

    fn name(&self, at: usize) -> &str {
        self.settings.certificates[at].first()
    }

    /// Takes what is on disk.
    fn load(&mut self) {
        let now = self.now();
        for at in 0..self.settings.certificates.len() {
            let name = self.name(at).to_owned();
            if let Some(issued) = self.usable(self.storage.certificate(&name)) {
                self.hold(at, &issued, now);
            }
            if let Some(tries) = self.usable(self.storage.tries(Some(&name))) {
                self.schedule.restore(at, tries, now);
            }
        }
        if let Some(tries) = self.usable(self.storage.tries(None)) {
            self.schedule.restore_everything(tries, now);
        }
    }

    /// What a file held. One that cannot be used is told and counts as missing.
    fn usable<T>(&self, found: Result<Option<T>, Unusable>) -> Option<T> {
        found.unwrap_or_else(|error| {
            self.tell(match error {
                Unusable::Io(error) => Event::Storage { message: error.to_string() },
                Unusable::SetAside(path, message) => Event::SetAside { path, message },
            });
            None
        })
    }

    /// Hands on a certificate and plans its renewal.
    fn hold(&mut self, at: usize, issued: &Issued, now: Duration) {
        let names = &self.settings.certificates[at];
        if issued.covers(names.all()) {
            self.schedule.obtained(at, issued.validity, now);
        } else {
            self.schedule.insufficient(at, issued.validity);
        }
        self.identifiers[at] = issued.identifier.clone();
        (self.surroundings.install)(names, issued);
    }

    /// Does one thing while it holds the lock, and writes down what came of it.
    async fn act(&mut self, at: usize, deed: Deed) {
        let _lock = match self.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                self.schedule.pause_until(self.now() + OTHER_PROCESS);
                self.show(None);
                return;
            }
            Err(failure) => return self.failed(at, &failure),
        };
        let doing = async {
            match deed {
                Deed::Order => self.order(at).await,
                Deed::AskRenewal => self.ask_renewal(at).await,
            }
        };
        let done = tokio::time::timeout(ACTION_MAX, doing).await;
        match done.unwrap_or_else(|_| Err(Failure::of_certificate("it took too long"))) {
            Ok(()) => self.show(None),
            Err(failure) => self.failed(at, &failure),
        }
    }

    fn lock(&self) -> Result<Option<Lock>, Failure> {
        self.storage
            .lock()
            .map_err(|error| Failure::of_everything(format!("the lock of the storage: {error}")))
    }

    async fn order(&mut self, at: usize) -> Result<(), Failure> {
        let name = self.name(at).to_owned();
        if self.take_others_work(at) {
            return Ok(());
        }
        self.note_beginning(at)?;
        self.tell(Event::Ordering { name: name.clone() });
        self.show(Some(at));
        let (account, client) = self.account().await?;
        client.take_notes();
        let is_first_try = self.schedule.tries(at).failures == 0;
        let ordering = Ordering {
            account: &account,
            client: &client,
            names: &self.settings.certificates[at],
            // A directory may refuse what it says it knows; then it goes without.
            replaces: self.identifiers[at].clone().filter(|_| is_first_try),
            kind: self.settings.challenge,
            challenges: &self.surroundings.challenges,
            certificates: &self.surroundings.challenge_certificates,
            now: self.now(),
        };
        let issued = ordering.run().await?;
        // Even a certificate that cannot be kept is good to use.
        let kept = self.storage.keep_certificate(&name, &issued.pem);
        self.hold(at, &issued, self.now());
        self.keep_tries(at);
        if let Err(error) = kept {
            self.tell(Event::Storage { message: error.to_string() });
        }
        self.tell(Event::Obtained { name, until: issued.validity.until });
        Ok(())
    }

    /// Takes a certificate that another process put into the storage meanwhile.
    fn take_others_work(&mut self, at: usize) -> bool {
        let now = self.now();
        let name = self.name(at).to_owned();
        let Some(issued) = self.usable(self.storage.certificate(&name)) else { return false };
        let is_known = self.schedule.planned(at).validity == Some(issued.validity);
        let covers = issued.covers(self.settings.certificates[at].all());
        if is_known || !covers || Schedule::is_worn(issued.validity, now) {
            return false;
        }
        self.hold(at, &issued, now);
        self.tell(Event::Obtained { name, until: issued.validity.until });
        true
    }

    /// Counts the order as failed on disk until it has not: who is killed at it again and again must not
    /// use up what a directory allows. It also shows whether the storage can be written, before that matters.
    fn note_beginning(&self, at: usize) -> Result<(), Failure> {
        let tries = self.schedule.if_interrupted(at, self.now());
        let noted = self.storage.keep_tries(Some(self.name(at)), &tries);
        noted.map_err(|error| Failure::of_everything(format!("the storage: {error}")))
    }

    /// Asks when to renew (RFC 9773 section 4).
    async fn ask_renewal(&mut self, at: usize) -> Result<(), Failure> {
        let Some(identifier) = self.identifiers[at].clone() else {
            self.schedule.not_suggested(at, self.now());
            return Ok(());
        };
        let (account, client) = self.account().await?;
        client.take_notes();
        let now = self.now();
        match account.renewal_info(&identifier).await {
            Ok((info, again)) => {
                let time = |seconds: i64| Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                let window = info.suggested_window;
                let window = (time(window.start.unix_timestamp()), time(window.end.unix_timestamp()));
                if self.schedule.suggested(at, now, window, again) {
                    let next = self.schedule.planned(at).next_order;
                    self.tell(Event::Rescheduled { name: self.name(at).to_owned(), next });
                }
                Ok(())
            }
            Err(Error::Unsupported(_)) => {
                self.schedule.not_suggested(at, now);
                Ok(())
            }
            Err(error) => {
                self.schedule.not_suggested(at, now);
                let failure = order::judge(&client, error, now);
                // Without an answer there is the plan from before; only a directory that cannot be reached is
                // left alone.
                let concerns_all = failure.scope == crate::schedule::Scope::Everything;
                if concerns_all { Err(failure) } else { Ok(()) }
            }
        }
    }

    async fn account(&mut self) -> Result<(Account, Client), Failure> {
        if let Some(open) = &self.account {
            return Ok(open.clone());
        }
        let client = Client::new(self.tls.clone(), self.settings.timeout);
        let kept = match self.storage.account() {
            // A new account beside one that is only hard to read would be one too many.
            Err(Unusable::Io(error)) => return Err(Failure::of_everything(error.to_string())),
            other => self.usable(other),
        };
        let account = account::open(&self.settings, &self.storage, kept, &client, self.now()).await?;
        Ok(self.account.insert((account, client)).clone())
    }

    fn failed(&mut self, at: usize, failure: &Failure) {
        self.account = None;
        if failure.is_account_gone {
            match self.storage.set_account_aside() {
                Ok(path) => self.tell(Event::SetAside { path, message: failure.message.clone() }),
                Err(error) => self.tell(Event::Storage { message: error.to_string() }),
            }
        }
        self.schedule.failed(at, self.now(), failure);
        self.keep_tries(at);
        self.show(None);
        self.tell(Event::Failed {
            name: self.name(at).to_owned(),
            message: failure.message.clone(),
            next: self.schedule.planned(at).next_order,
        });
    }

    fn keep_tries(&self, at: usize) {
        let kept: [(Option<&str>, &Tries); 2] =
            [(Some(self.name(at)), self.schedule.tries(at)), (None, self.schedule.everything())];
        for (name, tries) in kept {
            if let Err(error) = self.storage.keep_tries(name, tries) {
                self.tell(Event::Storage { message: error.to_string() });
            }
        }
    }

    /// Writes on the board how things stand.
    fn show(&self, ordering: Option<usize>) {
        let statuses = self.settings.certificates.iter().enumerate().map(|(at, names)| {
            let planned = self.schedule.planned(at);
            CertificateStatus {
                names: names.all().to_vec(),
                valid_until: planned.validity.map(|validity| validity.until),
                next_order: planned.next_order,
                is_ordering: ordering == Some(at),
                failures: planned.failures,
                last_error: planned.last_error,
            }
        });
        self.board.write(statuses.collect());
    }
}

/// What connections to the directory are made with. Few are made, so none are resumed.
fn connector(settings: &Settings) -> Result<Connector, tollgate_tls::Problem> {
    Connector::new(ClientSettings {
        roots: settings.roots.clone(),
        name: None,
        alpn: Some(b"http/1.1".to_vec()),
        must_agree: false,
        certificate: None,
        insecure_accept_any_certificate: false,
        resumed_names: 0,
    })
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("settings", &self.settings).field("schedule", &self.schedule).finish()
    }
}

/// Asks a keeper to stop. What it is doing for a certificate it does to the end: an order that is broken off counts as
/// failed, and is tried again only after a while.
#[derive(Clone, Debug)]
pub struct Stop {
    is_asked: Arc<AtomicBool>,
    bell: Arc<Notify>,
}

impl Stop {
    /// Asks.
    pub fn ask(&self) {
        self.is_asked.store(true, Relaxed);
        self.bell.notify_one();
    }
}

/// What is done for a certificate.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Order,
    AskRenewal,
}

/// Why a keeper cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError(String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ACME: {}", self.0)
    }
}

impl std::error::Error for OpenError {}
