//! The real program with clients and servers that nobody here wrote, a file a kind.
//!
//! Each test starts the foreign program itself and ends it; a program that is missing fails the test with the package
//! that has it (`.ci/run` installs them), unless `TOLLGATE_SKIP_MISSING_CLIENTS` is set.

mod chromium;
mod curl;
mod dns;
mod foreign;
mod gate;
mod grpc;
mod http3;
mod nghttp;
mod openssl;
mod proxies;
mod python;
mod redis;
mod reloads;
mod testssl;
mod websocket;

use std::fmt::Display;

use tollgate_testkit::{Authority, Issued, Launch, Origin, Request, Tollgate};

/// The binary under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate");

/// What all documents begin with.
const PRELUDE: &str = "version: 1\nworkers: 2\naccess_log: none\nadmin: { listen: \"127.0.0.1:0\" }\n";

/// The name that certificates are for; it means nothing to DNS.
const NAME: &str = "shop.example";

/// A program on a document, behind [`PRELUDE`]; `values` take the places of `{name}`.
fn launch(listeners: usize, document: &str, values: &[(&str, &dyn Display)]) -> Tollgate {
    let launch = Launch::new(PROGRAM, &format!("{PRELUDE}{document}")).listeners(listeners);
    values.iter().fold(launch, |launch, (name, value)| launch.with(name, value)).start()
}

/// An authority with a certificate for [`NAME`] and for loopback.
fn certified() -> (Authority, Issued) {
    let authority = Authority::new("Tests");
    let issued = authority.issue("server", &[NAME, "127.0.0.1", "localhost"]);
    (authority, issued)
}

/// An HTTP/1.1 origin: `/echo` answers the body, `/trailers` the request's trailers and some of its own, everything
/// else the request line.
fn origin() -> Origin {
    Origin::answering(answer)
}

fn answer(request: &Request) -> Vec<u8> {
    let path = request.target().split('?').next().unwrap_or_default();
    let body = match path {
        "/echo" => request.body.clone(),
        "/trailers" => {
            let lines: Vec<_> =
                request.trailers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let text = lines.join("\n");
            return format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n{:x}\r\n{text}\r\n0\r\nX-End: yes\r\n\r\n",
                text.len()
            )
            .into_bytes();
        }
        "/no-length" => return b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
        _ => format!("{} {}", request.method(), request.target()).into_bytes(),
    };
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    if request.method() != "HEAD" {
        response.extend_from_slice(&body);
    }
    response
}

/// Waits until something holds that nobody tells of.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < tollgate_testkit::PATIENCE, "{what}: not in time");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}
