//! What each fuzz target runs: a function from any bytes that panics where a parser breaks its word.
//!
//! The functions are here and not in the targets so that the tests of the workspace run them too, on a
//! stable compiler: see `tests/smoke.rs`.

mod chunked;
mod comparison;
mod credentials;
mod document;
mod expression;
mod heads;
mod host;
mod path;
mod proxy_header;
mod target;
mod trace_context;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name: that of `fuzz/targets/NAME.rs` and of the folder `fuzz/seeds/NAME`.
    pub name: &'static str,
    /// Takes any bytes; panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All fuzz targets.
pub const ENTRIES: &[Entry] = &[
    Entry { name: "request_head", run: heads::request },
    Entry { name: "response_head", run: heads::response },
    Entry { name: "chunked", run: chunked::run },
    Entry { name: "target", run: target::run },
    Entry { name: "host", run: host::run },
    Entry { name: "path", run: path::run },
    Entry { name: "proxy_header", run: proxy_header::run },
    Entry { name: "trace_context", run: trace_context::run },
    Entry { name: "document", run: document::run },
    Entry { name: "expression", run: expression::run },
    Entry { name: "token", run: credentials::token },
    Entry { name: "signature_fields", run: credentials::signature_fields },
    Entry { name: "cookie", run: credentials::cookie },
    Entry { name: "htpasswd", run: credentials::htpasswd },
    Entry { name: "comparison", run: comparison::run },
];

/// Runs the target of this name.
///
/// # Panics
/// Where something does not hold, and if there is no such target.
pub fn run(name: &str, data: &[u8]) {
    let entry = ENTRIES.iter().find(|entry| entry.name == name);
    let Some(entry) = entry else { panic!("there is no fuzz target `{name}`") };
    (entry.run)(data);
}
