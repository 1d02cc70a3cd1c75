//! A running instance: the process, the document in force, those before it, and the way to another one.

mod members;
mod on_trial;
mod preview;
mod refused;

use std::convert::identity;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tollgate_config::{Bundle, Change, Document, OnFailedTests};
use tollgate_policy::Outcome as Decided;
use tollgate_proxy::Snapshot;
use tollgate_proxy::mirroring::comparer::Comparer;
use tollgate_runtime::Clock;
use tollgate_runtime::process::in_background;
use tollgate_telemetry::exposition::{MirrorState, PolicyState};
use tollgate_upstream::HealthEvents;

use crate::acme::Acme;
use crate::beside::Watched;
use crate::compile::acceptors::CertificateSet;
use crate::compile::{Plans, Predecessor};
use crate::config_state::{ConfigState, ReloadOutcome};
use crate::discovery::{Apply, Discovery, SourceState};
use crate::history::{History, Occasion, Version};
use crate::membership::Membership;
use crate::prepare::{Prepared, Ready, Text, aside, prepare};
use crate::probes::Probes;
use crate::process::Process;
use crate::recorders;
use crate::resolve::Resolve;
use crate::trial::Trial;

pub use on_trial::TrialTimes;
pub use preview::Preview;
pub use refused::{Fault, Refused};

/// How many changes a line of the process's log names.
const CHANGES_TOLD: usize = 20;

/// What an instance needs besides its process.
pub struct Surroundings {
    /// Where its document is read from again; `None` where it came from no file.
    pub file: Option<PathBuf>,
    /// Finds the addresses of names.
    pub resolver: Arc<dyn Resolve + Send + Sync>,
    /// Hears of the upstreams' health.
    pub events: HealthEvents,
    /// The certificates by ACME; the first document's are adopted already.
    pub acme: Acme,
    /// Writes a line of the process's own log.
    pub say: fn(&str),
}

/// A running instance. Changes are made one after the other; everything else goes on meanwhile.
pub struct Instance {
    process: Arc<Process>,
    membership: Arc<Membership>,
    surroundings: Surroundings,
    /// What the process was started with: of some settings that is what runs, whatever came later.
    started_with: Arc<Document>,
    turn: Turn<()>,
    state: Mutex<State>,
}

struct State {
    document: Arc<Document>,
    plans: Plans,
    probes: Probes,
    discovery: Discovery,
    history: History,
    last: Option<Outcome>,
    needs_restart: Vec<String>,
    trial: Option<Trial>,
}

/// How the last change went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When it ended, since the Unix epoch.
    pub at: Duration,
    /// What made it.
    pub occasion: Occasion,
    /// What was wrong; `None` where the document was put into force or was in force already.
    pub problem: Option<String>,
}

/// A document that was put into force.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The number of the document in force.
    pub number: u64,
    /// It was in force already, so nothing was done.
    pub unchanged: bool,
    /// What it changed.
    pub changes: Vec<Change>,
    /// Findings that did not keep the document from being used, for people.
    pub warnings: String,
}

/// A document that could be put into force.
struct Draft {
    ready: Ready,
    bundle: Arc<Bundle>,
    fingerprint: String,
    /// What it says otherwise than the document in force.
    changes: Vec<Change>,
    /// It would change nothing.
    unchanged: bool,
    /// Findings that do not keep it from being used, for people.
    warnings: String,
}

impl Instance {
    /// The instance of a process that was just started with a document. Probes begin now, on the runtime
    /// this is called on.
    pub fn new(
        process: Arc<Process>,
        first: Ready,
        (bundle, occasion): (Bundle, Occasion),
        surroundings: Surroundings,
    ) -> Self {
        let started_with = first.document.clone();
        let membership = Arc::new(Membership::new(process.clone(), surroundings.say));
        let mut state = State {
            document: first.document,
            plans: first.plans,
            probes: Probes::default(),
            discovery: Discovery::new(apply(&membership), surroundings.say),
            history: History::default(),
            last: None,
            needs_restart: Vec::new(),
            trial: None,
        };
        state.probes.adopt(&first.snapshot.upstreams);
        state.discovery.adopt(&state.plans);
        let fingerprint = bundle.fingerprint();
        let bundle = Arc::new(bundle);
        state.history.push(version(&first.snapshot, &started_with, occasion, bundle, fingerprint));
        let hash = state.history.current().map_or_else(String::new, |v| v.fingerprint.clone());
        process.note_reload(|reload| reload.hash = hash);
        Self {
            process,
            membership,
            surroundings,
            started_with,
            turn: Turn::new(()),
            state: Mutex::new(state),
        }
    }

    /// The certificates of the listeners in force, each set once.
    pub(crate) fn certificate_sets(&self) -> Vec<Arc<CertificateSet>> {
        self.state().plans.tls.sets().to_vec()
    }

    /// What the document in force has that is made from files.
    pub fn watched(&self) -> Watched {
        self.state().plans.watched.clone()
    }

    /// What the policies in force have decided, by name and route.
    pub(crate) fn policies(&self) -> Vec<PolicyState> {
        let state = self.state();
        let series = state.plans.carried.all_series();
        let mut policies: Vec<_> = series
            .map(|(policy, route, series)| PolicyState {
                policy: policy.to_owned(),
                route: route.to_owned(),
                counts: Decided::ALL.map(|outcome| (outcome.label(), series.get(outcome))).to_vec(),
            })
            .collect();
        policies.sort_unstable();
        policies
    }

    /// What mirrors of the document in force got, by route and upstream.
    pub fn mirrors(&self) -> Vec<MirrorState> {
        let state = self.state();
        let series = state.plans.carried.mirrors().series();
        let mut mirrors: Vec<_> = series
            .map(|(route, upstream, series)| MirrorState {
                route: route.to_owned(),
                upstream: upstream.to_owned(),
                mirrored: series.mirrored_counts(),
                compared: series.compared_counts(),
            })
            .collect();
        mirrors.sort_unstable();
        mirrors
    }

    /// Who compares the answers of mirrors, and what that came to.
    pub fn comparer(&self) -> Arc<Comparer> {
        self.state().plans.carried.mirrors().comparer().clone()
    }

    /// The sources of endpoints that are followed, and what is known of each.
    pub fn sources(&self) -> Vec<SourceState> {
        self.state().discovery.states(Clock::new().now_ms())
    }

    /// The stores that limits count in, by name, and whether each can be asked.
    pub(crate) fn stores(&self) -> Vec<(String, bool)> {
        let state = self.state();
        let mut stores: Vec<_> =
            state.plans.carried.stores().map(|(name, store)| (name.to_owned(), store.is_up())).collect();
        stores.sort_unstable();
        stores
    }

    /// Gives back to the stores that instances share what this one has taken in advance and not used, at its end. It
    /// may take as long as those stores do.
    pub async fn give_back(&self) {
        let leases = self.state().plans.carried.all_leases();
        for leases in leases {
            leases.give_back().await;
        }
    }

    /// What became of the endpoints' health lately.
    pub fn health_events(&self) -> &HealthEvents {
        &self.surroundings.events
    }

    /// What of TLS the next process needs to go on with this one's sessions: secrets, to go nowhere else.
    pub fn save_tickets(&self) -> Vec<u8> {
        self.state().plans.tls.save_tickets()
    }

    /// What the next process needs to go on with the sessions that the document has no key for: a secret, to go nowhere
    /// else.
    pub fn save_session_key(&self) -> Vec<u8> {
        self.state().plans.carried.session_key.save()
    }

    /// Leaves to the next process what only one can have: the file of quotas, and the keeping of certificates. May
    /// take as long as the disk does.
    pub async fn leave(&self) {
        self.acme().leave();
        let carried = self.state().plans.carried.clone();
        // Where no thread can be started the file is given away when this process ends.
        let _ = aside("leave", move || carried.release_quotas()).await;
    }

    /// Writes a line of the process's own log.
    pub(crate) fn say(&self, text: &str) {
        (self.surroundings.say)(text);
    }

    /// The process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// The certificates by ACME.
    pub fn acme(&self) -> &Acme {
        &self.surroundings.acme
    }

    /// The document in force.
    pub fn document(&self) -> Arc<Document> {
        self.state().document.clone()
    }

    /// Where the document is read from again; `None` where it came from no file.
    pub fn file(&self) -> Option<&PathBuf> {
        self.surroundings.file.as_ref()
    }

    /// The documents that were in force, oldest first, the one that is last.
    pub fn versions(&self) -> Vec<Version> {
        self.state().history.iter().cloned().collect()
    }

    /// How the last change went; `None` where there was none.
    pub fn last_change(&self) -> Option<Outcome> {
        self.state().last.clone()
    }

    /// What is known of the document in force.
    pub fn config_state(&self) -> ConfigState {
        let state = self.state();
        let current = state.history.current();
        ConfigState {
            number: current.map_or(0, |version| version.number),
            source: current.map_or_else(String::new, |version| version.bundle.root.clone()),
            since: current.map_or(Duration::ZERO, |version| version.at),
            since_ms: current.map_or(0, |version| version.at_ms),
            last_reload: state.last.as_ref().map(|last| ReloadOutcome {
                at: last.at,
                occasion: last.occasion.clone(),
                problem: last.problem.clone(),
            }),
            needs_restart: state.needs_restart.clone(),
            stuck_files: state.plans.watched.problems(),
        }
    }

    /// The snapshot of this number, if it is in force or still kept.
    pub fn snapshot(&self, number: u64) -> Option<Arc<Snapshot>> {
        let current = self.process.snapshot();
        if current.number == number {
            return Some(current);
        }
        self.state().history.find(Some(number)).and_then(|version| version.snapshot.clone())
    }

    /// The document in force, where it is not the one that the file had when it was last read: it was applied, gone
    /// back to, or handed over as such.
    pub fn beside_its_file(&self) -> Option<Bundle> {
        let state = self.state();
        let version = state.history.current().filter(|version| !version.occasion.reads_file())?;
        Some((*version.bundle).clone())
    }

    /// Reads the document's file again and puts it into force.
    ///
    /// # Errors
    ///
    /// Where it is not fit for use. Then everything is as it was.
    pub async fn reload(&self) -> Result<Applied, Refused> {
        let Some(file) = &self.surroundings.file else {
            return Err(Refused::conflict("the document came from no file that could be read again"));
        };
        self.change(Text::File(file.clone()), Occasion::Reload).await
    }

    /// Puts a document into force that was sent. The instance's file stays as it is.
    ///
    /// # Errors
    ///
    /// As for [`Self::reload`].
    pub async fn apply(&self, bundle: Bundle) -> Result<Applied, Refused> {
        self.change(Text::Bundle(Arc::new(bundle)), Occasion::Apply).await
    }

    /// Puts a document into force again: the one of this number, or the one before the one in force.
    ///
    /// # Errors
    ///
    /// Where it is not kept any more, and as for [`Self::reload`]: a listener's address may be taken by now.
    pub async fn rollback(&self, number: Option<u64>) -> Result<Applied, Refused> {
        // Which one is the one before is known only when it is this change's turn.
        let _turn = self.turn.lock().await;
        let (number, bundle) = self.earlier(number)?;
        self.change_in_turn(Text::Bundle(bundle), Occasion::Rollback(number)).await
    }

    pub(crate) fn earlier(&self, number: Option<u64>) -> Result<(u64, Arc<Bundle>), Refused> {
        let state = self.state();
        if let Some(version) = state.history.find(number) {
            return Ok((version.number, version.bundle.clone()));
        }
        let kept: Vec<_> = state.history.iter().map(|v| v.number.to_string()).collect();
        let kept = kept.join(", ");
        Err(Refused::not_kept(match number {
            Some(number) => format!("document {number} is not kept; there are {kept}"),
            None => format!("there is no earlier document to go back to; there are {kept}, to be named"),
        }))
    }

    /// Changes the document, when it is this change's turn.
    pub(crate) async fn change(&self, text: Text, occasion: Occasion) -> Result<Applied, Refused> {
        let _turn = self.turn.lock().await;
        self.change_in_turn(text, occasion).await
    }

    /// Changes the document. Whoever calls this has the turn.
    async fn change_in_turn(&self, text: Text, occasion: Occasion) -> Result<Applied, Refused> {
        self.yields_to(&occasion)?;
        let result = self.try_change(text, &occasion).await;
        if matches!((&occasion, &result), (Occasion::Rollback(_), Ok(applied)) if !applied.unchanged) {
            self.end_trial();
        }
        self.conclude(&occasion, &result);
        result
    }

    /// Notes and tells how a change went.
    fn conclude(&self, occasion: &Occasion, result: &Result<Applied, Refused>) {
        {
            let (mut state, at) = (self.state(), Clock::new().wall());
            let (number, hash) =
                state.history.current().map_or((0, ""), |v| (v.number, v.fingerprint.as_str()));
            self.process.note_reload(|reload| {
                reload.number = number;
                reload.hash = hash.to_owned();
                reload.last_result = result.is_ok();
                match result {
                    Ok(applied) => {
                        reload.last_success_at = at;
                        reload.reloads_ok += u64::from(!applied.unchanged);
                    }
                    Err(_) => reload.reloads_failed += 1,
                }
            });
            let problem = result.as_ref().err().map(|refused| refused.problem.clone());
            state.last = Some(Outcome { at, occasion: occasion.clone(), problem });
        }
        self.tell(occasion, result);
    }

    fn tell(&self, occasion: &Occasion, result: &Result<Applied, Refused>) {
        let text = match result {
            Ok(Applied { unchanged: true, number, .. }) => {
                format!("{occasion}: nothing changed, document {number} stays in force")
            }
            Ok(Applied { number, changes, warnings, .. }) => {
                let shown = changes.iter().take(CHANGES_TOLD).map(|change| format!("\n  {change}"));
                let more = changes.len().saturating_sub(CHANGES_TOLD);
                let more = if more == 0 { String::new() } else { format!("\n  and {more} more") };
                let warnings = if warnings.is_empty() { "" } else { &format!("\n{}", warnings.trim_end()) };
                let shown: String = shown.collect();
                format!("{occasion}: document {number} is in force{shown}{more}{warnings}")
            }
            Err(refused) => format!("{occasion} refused, what runs goes on as it was: {refused}"),
        };
        (self.surroundings.say)(&text);
    }

    async fn try_change(&self, text: Text, occasion: &Occasion) -> Result<Applied, Refused> {
        let Draft { ready, bundle, fingerprint, changes, unchanged, warnings } =
            self.draft(text, on_failed_tests(occasion), identity).await?;
        if unchanged {
            let number = self.process.snapshot().number;
            return Ok(Applied { number, unchanged, changes, warnings });
        }
        let acme = self.acme().prepare(&ready.plans);
        let acme = acme.map_err(|error| Refused::conflict(error.to_string()))?;
        let published = self.process.publish(ready.snapshot.clone());
        let published = published.map_err(|error| Refused::conflict(error.to_string()))?;
        self.process.recorder().configure(recorders::settings(&ready.document));
        published.await;
        self.acme().adopt(acme);
        let number = ready.snapshot.number;
        let outdated = {
            let mut state = self.state();
            state.probes.adopt(&ready.snapshot.upstreams);
            state.discovery.adopt(&ready.plans);
            let version = version(&ready.snapshot, &ready.document, occasion.clone(), bundle, fingerprint);
            let evicted = state.history.push(version);
            state.needs_restart = needs_restart(&self.started_with, &ready.document);
            let document = std::mem::replace(&mut state.document, ready.document);
            (evicted, document, std::mem::replace(&mut state.plans, ready.plans))
        };
        self.free(outdated);
        Ok(Applied { number, unchanged, changes, warnings })
    }

    /// Loads and compiles a document as the successor of the one in force, tries its tests, and compares the two, all
    /// aside. `as_seen` says how the one in force is seen: by a document that may follow it, or by one that is only looked
    /// at.
    async fn draft(
        &self,
        text: Text,
        failed: Option<OnFailedTests>,
        as_seen: impl FnOnce(Predecessor) -> Predecessor,
    ) -> Result<Draft, Refused> {
        let (before, document, plans, fingerprint) = {
            let state = self.state();
            let before = Predecessor::of(&self.process.snapshot(), &state.plans);
            let before = as_seen(before.with_found(state.discovery.found()));
            let fingerprint = state.history.current().map(|version| version.fingerprint.clone());
            (before, state.document.clone(), state.plans.clone(), fingerprint)
        };
        let (resolver, events) = (self.surroundings.resolver.clone(), self.surroundings.events.clone());
        let work = move || {
            let (prepared, _) = prepare(&text, &before, &*resolver, &events).try_tests(failed);
            let (warnings, bundle) = (prepared.report(false), prepared.bundle());
            let (ready, bundle) = match (prepared, bundle) {
                (Prepared { ready: Some(ready), .. }, Some(bundle)) => (ready, bundle),
                (prepared, _) => return Err(Refused::document(&prepared, warnings)),
            };
            let new = bundle.fingerprint();
            // The same texts, which mean the same, at the same addresses.
            let unchanged =
                fingerprint.as_ref() == Some(&new) && *document == *ready.document && plans == ready.plans;
            let changes = match unchanged {
                true => Vec::new(),
                false => tollgate_config::difference(&document, &ready.document),
            };
            Ok(Draft { ready, bundle: Arc::new(bundle), fingerprint: new, changes, unchanged, warnings })
        };
        let failed = |error| Refused::failed(format!("cannot compile the document: {error}"));
        aside("compile", work).await.map_err(failed)?
    }

    /// Frees what a long exchange had kept from being freed. To be called now and then.
    pub fn free_outdated(&self) {
        if self.process.snapshots_in_use() > 1 {
            self.free(());
        }
    }

    /// Frees snapshots that no exchange uses any more, and what else is of no use, in the background.
    fn free(&self, outdated: impl Send + 'static) {
        let process = self.process.clone();
        // Where no thread can be started it is done here and at the next change.
        let _ = in_background("free", move || {
            drop(outdated);
            process.free_retired();
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way back is always open: a document that was in force before is not refused for its tests. Of others it is
/// the document that says.
fn on_failed_tests(occasion: &Occasion) -> Option<OnFailedTests> {
    match occasion {
        Occasion::Rollback(_) | Occasion::TakenBack(_) => Some(OnFailedTests::Warn),
        Occasion::Start | Occasion::HandOver | Occasion::Reload | Occasion::Apply => None,
    }
}

/// Changes sets of endpoints as sources say.
fn apply(membership: &Arc<Membership>) -> Apply {
    let membership = membership.clone();
    // After a reload there may be no such source any more.
    Arc::new(move |upstream, source, found| {
        membership.found(upstream, source, found);
    })
}

fn needs_restart(running: &Document, wanted: &Document) -> Vec<String> {
    tollgate_config::difference_of_settings(running, wanted)
        .iter()
        .filter(|change| change.needs_restart())
        .map(Change::to_string)
        .collect()
}

fn version(
    snapshot: &Arc<Snapshot>,
    document: &Document,
    occasion: Occasion,
    bundle: Arc<Bundle>,
    fingerprint: String,
) -> Version {
    let clock = Clock::new();
    Version {
        number: snapshot.number,
        at: clock.wall(),
        at_ms: clock.now_ms(),
        occasion,
        fingerprint,
        routes: snapshot.routes.len(),
        sample: recorders::settings(document).sample,
        bundle,
        snapshot: Some(snapshot.clone()),
    }
}
