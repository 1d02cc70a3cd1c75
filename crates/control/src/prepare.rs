//! From the text of a document to a snapshot that can be put into force, off the workers.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::oneshot;
use tollgate_config::{Bundle, Diagnostics, DiskFiles, Document, Loaded, OnFailedTests, Severity, Sources};
use tollgate_proxy::Snapshot;
use tollgate_runtime::Clock;
use tollgate_runtime::process::in_background;
use tollgate_upstream::HealthEvents;

use crate::compile::{Compiled, Plans, Predecessor, compile_after};
use crate::expectations::{self, Tried};
use crate::resolve::Resolve;

/// Where the text of a document comes from.
#[derive(Clone, Debug)]
pub enum Text {
    /// A file, with what it includes.
    File(PathBuf),
    /// A text from elsewhere: its name, and itself.
    Inline(String, String),
    /// Texts that were read before.
    Bundle(Arc<Bundle>),
}

impl Text {
    /// The file that it is in.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(..) | Self::Bundle(_) => None,
        }
    }

    /// Reads and parses it.
    pub fn load(&self) -> Loaded {
        match self {
            Self::File(path) => tollgate_config::load(path, &DiskFiles, &environment),
            Self::Inline(name, text) => tollgate_config::parse_str(name, text, &DiskFiles, &environment),
            Self::Bundle(bundle) => bundle.load(&environment),
        }
    }
}

/// A document that can be put into force.
#[derive(Debug)]
pub struct Ready {
    /// The document.
    pub document: Arc<Document>,
    /// Its snapshot.
    pub snapshot: Arc<Snapshot>,
    /// What the snapshot's upstreams were made from.
    pub plans: Plans,
}

/// What became of a text.
#[derive(Debug)]
pub struct Prepared {
    /// The document and its snapshot, if nothing is wrong.
    pub ready: Option<Ready>,
    /// Everything found.
    pub diagnostics: Diagnostics,
    /// The texts that the findings point into.
    pub sources: Sources,
}

impl Prepared {
    /// Everything found, for people, with the lines it is about.
    pub fn report(&self, colour: bool) -> String {
        tollgate_config::render(&self.diagnostics, &self.sources, colour)
    }

    /// Tries the document's tests. Failures are findings: errors, which leave nothing that could be put into force,
    /// or warnings. `failed` has the last word on that; without it, the document has.
    #[must_use]
    pub fn try_tests(mut self, failed: Option<OnFailedTests>) -> (Self, Tried) {
        let Some(Ready { document, snapshot, .. }) = &self.ready else { return (self, Tried::default()) };
        let clock = Clock::new();
        let tried = expectations::try_all(document, snapshot, clock.wall(), clock.now_ms());
        let severity = match failed.unwrap_or(document.gate.on_failed_tests) {
            OnFailedTests::Refuse => Severity::Error,
            OnFailedTests::Warn => Severity::Warning,
        };
        tried.failures.iter().for_each(|failure| self.diagnostics.push(failure.finding(severity)));
        self.diagnostics.sort();
        if severity == Severity::Error && !tried.failures.is_empty() {
            self.ready = None;
        }
        (self, tried)
    }

    /// The texts.
    pub fn bundle(&self) -> Option<Bundle> {
        Bundle::of(&self.sources)
    }
}

/// Parses, checks and compiles, on this thread.
pub fn prepare(text: &Text, before: &Predecessor, resolver: &dyn Resolve, events: &HealthEvents) -> Prepared {
    let Loaded { document, mut diagnostics, mut sources } = text.load();
    let ready = document.and_then(|document| {
        let Compiled { snapshot, plans, diagnostics: found, excerpts } =
            compile_after(before, &document, resolver, events);
        let found = match snapshot.is_some() {
            // The sources become the bundle.
            true => found,
            false => excerpts.join(&mut sources, &found),
        };
        found.iter().for_each(|d| diagnostics.push(d.clone()));
        Some(Ready { document: Arc::new(document), snapshot: snapshot?, plans })
    });
    diagnostics.sort();
    Prepared { ready, diagnostics, sources }
}

/// Does work on a thread that steps back behind the workers.
///
/// # Errors
///
/// Where no thread can be started, or the work panicked.
pub async fn aside<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (done, outcome) = oneshot::channel();
    in_background(name, move || {
        // Who asked may have gone.
        let _ = done.send(work());
    })?;
    outcome.await.map_err(|_| io::Error::other("the work panicked"))
}

/// The folder that a document's names are relative to.
pub fn folder(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
