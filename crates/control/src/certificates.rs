//! The certificates that listeners serve with: their files are looked at, and what they are is told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate_proxy::Snapshot;
use tollgate_proxy::snapshot::Service;
use tollgate_runtime::{Clock, date};
use tollgate_telemetry::exposition::{CertificateState, Replacements};
use tollgate_tls::{Acceptor, Certificate, CertificateFiles, Certificates, Description, Problem};

use crate::instance::Instance;
use crate::process::Process;
use crate::watch::Signature;

/// How often the files are looked at. A look costs a `stat` for each.
const EVERY: Duration = Duration::from_millis(500);

/// The certificates of one or more listeners.
#[derive(Debug)]
struct Served {
    listeners: Vec<String>,
    certificates: Arc<Certificates>,
}

/// What came of looking at the files.
#[derive(Debug, Default)]
pub(crate) struct Looks(Mutex<Looked>);

#[derive(Debug, Default)]
struct Looked {
    /// What is wrong with files that have changed.
    problems: Vec<Problem>,
    replacements: Replacements,
}

impl Looks {
    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn replacements(&self) -> Replacements {
        self.looked().replacements
    }
}

/// A certificate as it is told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The listeners that serve with it.
    pub listeners: Vec<String>,
    /// What it is.
    pub description: Description,
    /// Where it is kept, if it was read from files.
    pub files: Option<CertificateFiles>,
    /// What someone should know of it.
    pub warnings: Vec<String>,
    /// Its files hold something else by now that cannot be used.
    pub is_stuck: bool,
}

/// The certificates that are served with now, in the order of the listeners.
pub fn told(process: &Process) -> Vec<Told> {
    let now = Clock::new().wall();
    let problems = process.certificates.looked().problems.clone();
    let of = |served: Served| {
        let tell = |certificate: &Arc<Certificate>| tell(&served.listeners, certificate, &problems, now);
        served.certificates.all().iter().map(tell).collect::<Vec<_>>()
    };
    served(&process.snapshot()).into_iter().flat_map(of).collect()
}

fn tell(listeners: &[String], certificate: &Certificate, problems: &[Problem], now: Duration) -> Told {
    let files = certificate.files().cloned();
    let mut warnings = certificate.warnings(now);
    let is_of = |problem: &&Problem| files.as_ref().is_some_and(|files| is_about(problem, files));
    let stuck: Vec<String> = problems.iter().filter(is_of).map(unusable).collect();
    let is_stuck = !stuck.is_empty();
    warnings.extend(stuck);
    Told { listeners: listeners.to_vec(), description: certificate.describe(), files, warnings, is_stuck }
}

fn is_about(problem: &Problem, files: &CertificateFiles) -> bool {
    let path = problem.path();
    path == Some(&files.cert) || path == Some(&files.key) || (path.is_some() && path == files.ocsp.as_deref())
}

fn unusable(problem: &Problem) -> String {
    format!("{problem}; the certificate that was there before serves on")
}

/// What the metrics show of them.
pub(crate) fn states(process: &Process) -> Vec<CertificateState> {
    let state = |told: Told| CertificateState {
        listeners: told.listeners,
        id: told.description.id,
        names: told.description.names,
        not_after: told.description.not_after,
        is_stuck: told.is_stuck,
    };
    told(process).into_iter().map(state).collect()
}

/// The certificates of a snapshot's listeners, each set once.
fn served(snapshot: &Snapshot) -> Vec<Served> {
    let mut all: Vec<Served> = Vec::new();
    for listener in &snapshot.listeners {
        let Some(acceptor) = acceptor(&listener.service) else { continue };
        let certificates = acceptor.certificates();
        match all.iter_mut().find(|served| Arc::ptr_eq(&served.certificates, certificates)) {
            Some(served) => served.listeners.push(listener.name.clone()),
            None => all
                .push(Served { listeners: vec![listener.name.clone()], certificates: certificates.clone() }),
        }
    }
    all
}

fn acceptor(service: &Service) -> Option<&Arc<Acceptor>> {
    match service {
        Service::Http(http) => http.tls.as_ref(),
        Service::Tcp(tcp) => tcp.tls.as_ref(),
        Service::Udp(_) => None,
    }
}

/// Takes certificates whose files have changed and have settled, without another document and without touching
/// a connection. Files that cannot be used leave the certificate that was there before.
pub async fn watch(instance: Arc<Instance>) {
    let process = instance.process().clone();
    let mut interval = tokio::time::interval(EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What was taken last, and what was seen last.
    let (mut taken, mut seen) = (None, Signature::default());
    loop {
        interval.tick().await;
        let served = served(&process.snapshot());
        let files = files(&served);
        let Ok(now) = tokio::task::spawn_blocking(move || Signature::of(&files)).await else { continue };
        if taken.as_ref() == Some(&now) {
            continue;
        }
        // Whoever is still writing, the key after the certificate perhaps, gets time until the next look.
        if seen != now {
            seen = now;
            continue;
        }
        let refreshing = tokio::task::spawn_blocking(move || refresh(&served));
        let Ok((changed, problems)) = refreshing.await else { continue };
        taken = Some(now);
        note(&instance, &changed, problems);
    }
}

fn files(served: &[Served]) -> BTreeSet<PathBuf> {
    let all = served.iter().flat_map(|served| served.certificates.all());
    let files = all.filter_map(|certificate| certificate.files().cloned());
    files.flat_map(|files| [Some(files.cert), Some(files.key), files.ocsp]).flatten().collect()
}

/// Reads what has changed: the certificates that were taken, and what is wrong with others.
fn refresh(served: &[Served]) -> (Vec<Description>, Vec<Problem>) {
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    for Served { certificates, .. } in served {
        let refreshed = certificates.refresh();
        let fresh = certificates.describe().into_iter().filter(|d| refreshed.changed.contains(&d.id));
        changed.extend(fresh);
        problems.extend(refreshed.problems);
    }
    problems.dedup();
    (changed, problems)
}

fn note(instance: &Instance, changed: &[Description], problems: Vec<Problem>) {
    for Description { id, names, not_after, .. } in changed {
        let until = date::rfc3339(Duration::from_secs(u64::try_from(*not_after).unwrap_or_default()));
        instance.say(&format!("certificate {id} was replaced: for {}, until {until}", names.join(", ")));
    }
    let mut looked = instance.process().certificates.looked();
    let fresh = problems.iter().filter(|problem| !looked.problems.contains(problem));
    let said: Vec<String> = fresh.map(unusable).collect();
    looked.replacements.ok += changed.len() as u64;
    looked.replacements.failed += said.len() as u64;
    looked.problems = problems;
    drop(looked);
    said.iter().for_each(|text| instance.say(text));
}
