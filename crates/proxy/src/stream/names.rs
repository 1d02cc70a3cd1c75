//! Which upstream a connection goes to.

use crate::snapshot::TcpService;

/// The upstream, by index, for a server name; `None` where there is none for it. An exact name goes before a
/// wildcard, and of wildcards the longest. A wildcard stands for one or more labels.
pub fn upstream(service: &TcpService, name: Option<&str>) -> Option<u32> {
    let named = name.and_then(|name| by_name(&service.names, name.strip_suffix('.').unwrap_or(name)));
    named.or(service.otherwise)
}

fn by_name(names: &[(String, u32)], asked: &str) -> Option<u32> {
    let matching = names.iter().filter(|(name, _)| matches(name, asked));
    // An exact name is longer than any wildcard that stands for it: `*` is shorter than the labels in its place, or
    // as long as a single character, and then the exact one must not lose.
    matching.max_by_key(|(name, _)| (!name.starts_with('*'), name.len())).map(|(_, upstream)| *upstream)
}

fn matches(name: &str, asked: &str) -> bool {
    match name.strip_prefix('*') {
        Some(suffix) => {
            let Some(labels) = asked.len().checked_sub(suffix.len()) else { return false };
            labels > 0 && asked.as_bytes()[labels..].eq_ignore_ascii_case(suffix.as_bytes())
        }
        None => name.eq_ignore_ascii_case(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::upstream;
    use crate::snapshot::{TcpService, TcpTimeouts};

    #[test]
    fn exact_names_go_before_wildcards_and_long_ones_before_short_ones() {
        let names = [("*.example", 1), ("*.b.example", 2), ("a.b.example", 3), ("c.test", 4)];
        let mut service = TcpService {
            tls: None,
            names: names.map(|(name, upstream)| (name.to_owned(), upstream)).into(),
            otherwise: None,
            timeouts: TcpTimeouts { prelude_ms: 1, connect_ms: 1, idle_ms: 1 },
            connect_retries: 0,
        };
        for (asked, expected) in [
            ("a.b.example", Some(3)),
            ("A.B.Example.", Some(3)),
            ("x.b.example", Some(2)),
            ("x.y.b.example", Some(2)),
            ("b.example", Some(1)),
            ("example", None),
            (".example", None),
            ("c.test", Some(4)),
            ("x.c.test", None),
            ("", None),
            ("ä.example", Some(1)),
        ] {
            assert_eq!(upstream(&service, Some(asked)), expected, "{asked}");
        }
        assert_eq!(upstream(&service, None), None);
        service.otherwise = Some(9);
        assert_eq!((upstream(&service, None), upstream(&service, Some("d.test"))), (Some(9), Some(9)));
    }
}
