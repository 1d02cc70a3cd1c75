//! Hosts: one spelling, which is its own spelling.

use tollgate_routing::host::{MAX_HOST_LEN, parse_host};

/// Parses bytes as a host with or without a port.
pub(crate) fn run(data: &[u8]) {
    let mut buffer = Vec::new();
    let Ok(host) = parse_host(data, &mut buffer) else { return };
    assert!(!host.name.is_empty() && host.name.len() <= MAX_HOST_LEN, "{host:?}");
    assert!(!host.name.iter().any(u8::is_ascii_uppercase), "{host:?}");
    assert!(!host.name.iter().any(|byte| b"@/?#%\\ ".contains(byte) || !byte.is_ascii_graphic()), "{host:?}");
    let mut written = host.name.to_vec();
    written.extend(host.port.map(|port| format!(":{port}")).unwrap_or_default().bytes());
    let mut again = Vec::new();
    assert_eq!(parse_host(&written, &mut again), Ok(host), "written as {written:?}");
}
