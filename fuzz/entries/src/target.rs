//! Request targets: the parts make up the whole again, and mean the same under each method that allows them.

use tollgate_http1::target::{PathAndQuery, Target};
use tollgate_message::Method;

/// Parses bytes as a target under several methods.
pub(crate) fn run(data: &[u8]) {
    for method in [Method::Get, Method::Post, Method::Options, Method::Connect, Method::Other] {
        let Ok(target) = Target::parse(method, data) else { continue };
        match target {
            Target::Origin(rest) => assert_eq!(joined(&rest), data),
            Target::Absolute { https, authority, rest } => {
                let scheme = if https { "https://" } else { "http://" };
                assert!(data[..scheme.len()].eq_ignore_ascii_case(scheme.as_bytes()));
                assert!(!authority.is_empty() && !authority.iter().any(|byte| b"/?@".contains(byte)));
                let behind = &data[scheme.len() + authority.len()..];
                // A missing path reads as `/`.
                assert!(joined(&rest) == behind || joined(&rest) == [b"/", behind].concat());
            }
            Target::Authority(authority) => assert_eq!((method, authority), (Method::Connect, data)),
            Target::Asterisk => assert_eq!((method, data), (Method::Options, &b"*"[..])),
        }
    }
}

fn joined(rest: &PathAndQuery<'_>) -> Vec<u8> {
    assert!(rest.path.starts_with(b"/") && !rest.path.contains(&b'?'));
    match rest.query {
        Some(query) => [rest.path, b"?", query].concat(),
        None => rest.path.to_vec(),
    }
}
