//! Finding, loading and compiling a document for a verb.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tollgate_config::Loaded;
use tollgate_control::compile::Predecessor;
use tollgate_control::prepare::{Prepared, Text};
use tollgate_control::resolve::{NoResolver, Resolve};
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

/// Loads and compiles the document that a process begins with, `before` which there may have been another process.
pub fn prepare(text: &Text, before: &Predecessor, resolver: &dyn Resolve, events: &HealthEvents) -> Prepared {
    tollgate_control::prepare::prepare(text, before, resolver, events)
}

/// Loads and compiles the document at `path` to look at it: nothing is asked and nobody hears of it.
pub fn look_at(path: &Path) -> Prepared {
    let text = Text::File(path.to_owned());
    tollgate_control::prepare::prepare(&text, &Predecessor::default(), &NoResolver, &HealthEvents::unheard())
}

/// Reads the document at `path` for its texts alone; nothing that is found is told.
pub fn texts(path: &Path) -> Loaded {
    Text::File(path.to_owned()).load()
}

/// Loads the document at `path` without compiling it. Prints what is found.
pub fn load(path: &Path) -> Loaded {
    let loaded = Text::File(path.to_owned()).load();
    eprint!("{}", tollgate_config::render(&loaded.diagnostics, &loaded.sources, colour()));
    loaded
}

/// Prints everything found to standard error, with the lines it is about.
pub fn report(prepared: &Prepared) {
    eprint!("{}", prepared.report(colour()));
}

/// Whether findings are shown in colours.
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}
