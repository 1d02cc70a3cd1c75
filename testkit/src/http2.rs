//! HTTP/2 on both sides of the program, for tests that block: a client and an origin over the h2 crate, and raw
//! frames for what h2 would never send.

mod client;
pub mod frames;
mod origin;
mod raw;
mod sides;

use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle};

pub use client::{ClientSettings, Exchange, Http2Client, Reply};
pub use h2::Reason as Code;
pub use origin::{Http2Origin, OriginSettings, Served};
pub use raw::{Farewell, RawHttp2};
pub use sides::{Cut, Receiving, Sending};

use crate::PATIENCE;

/// Drives all connections, on a thread of its own.
static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// Waits for what must happen.
fn wait<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limited = RUNTIME.block_on(async { tokio::time::timeout(PATIENCE, future).await });
    limited.unwrap_or_else(|_| panic!("{what} did not come in {PATIENCE:?}"))
}

/// Fields as pairs.
fn pairs(fields: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.as_bytes().iter().map(|b| char::from(*b)).collect();
    fields.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// Pairs as fields.
fn fields(pairs: &[(&str, &str)]) -> http::HeaderMap {
    let mut out = http::HeaderMap::new();
    for (name, value) in pairs {
        let name: http::HeaderName = name.parse().unwrap();
        out.append(name, value.parse().unwrap());
    }
    out
}
