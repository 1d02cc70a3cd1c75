//! Finding, loading and compiling a document for a verb.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};
use tollgate_config::{Diagnostics, DiskFiles, Document, Loaded, Sources};
use tollgate_control::compile::compile;
use tollgate_control::resolve::Resolve;
use tollgate_proxy::Snapshot;
use tollgate_upstream::HealthEvents;

/// Where a document is looked for when none is named.
const PLACES: [&str; 2] = ["tollgate.yaml", "/etc/tollgate/tollgate.yaml"];

/// The document's path: the one named, or the first of the usual places that exists.
pub fn find(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    for place in PLACES {
        if Path::new(place).exists() {
            return Ok(place.into());
        }
    }
    bail!(
        "no document: neither {} nor {} is there. Name one with -c FILE, or try `tollgate demo` \
         or `tollgate proxy --listen :8080 --to HOST:PORT`, which need none",
        PLACES[0],
        PLACES[1]
    )
}

/// A document that was loaded and compiled, with all that was found on the way.
pub struct Compiled {
    /// The document and its snapshot, if nothing is wrong.
    pub ready: Option<(Document, Arc<Snapshot>)>,
    /// Everything found.
    pub diagnostics: Diagnostics,
    sources: Sources,
}

impl Compiled {
    /// Loads the document at `path` and compiles it.
    pub fn load(path: &Path, resolver: &dyn Resolve, events: &HealthEvents) -> Self {
        Self::from(tollgate_config::load(path, &DiskFiles, &environment), resolver, events)
    }

    /// Compiles a document from its text.
    pub fn parse(name: &str, text: &str, resolver: &dyn Resolve, events: &HealthEvents) -> Self {
        Self::from(tollgate_config::parse_str(name, text, &DiskFiles, &environment), resolver, events)
    }

    fn from(loaded: Loaded, resolver: &dyn Resolve, events: &HealthEvents) -> Self {
        let Loaded { document, mut diagnostics, sources } = loaded;
        let ready = document.and_then(|document| {
            let compiled = compile(&document, resolver, events);
            compiled.diagnostics.iter().for_each(|d| diagnostics.push(d.clone()));
            Some((document, compiled.snapshot?))
        });
        diagnostics.sort();
        Self { ready, diagnostics, sources }
    }

    /// Prints everything found to standard error, with the lines it is about.
    pub fn report(&self) {
        report(&self.diagnostics, &self.sources);
    }
}

/// Loads the document at `path` without compiling it. Reports what is wrong with it, in which case there is none.
pub fn load(path: &Path) -> Loaded {
    let loaded = tollgate_config::load(path, &DiskFiles, &environment);
    report(&loaded.diagnostics, &loaded.sources);
    loaded
}

/// Prints findings to standard error, with the lines they are about.
fn report(diagnostics: &Diagnostics, sources: &Sources) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    eprint!("{}", tollgate_config::render(diagnostics, sources, colour));
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
