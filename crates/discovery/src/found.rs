//! What sources find.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// An endpoint that a source found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name, for people and for its identity: `api.internal:8080`. Several addresses may have the same.
    pub name: Arc<str>,
    /// Its address.
    pub address: SocketAddr,
    /// Its share of the traffic relative to the others.
    pub weight: u32,
    /// Its tier: those with the lowest number come first.
    pub priority: u32,
}

/// A list as it can be used and compared.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// By tier, address and name: a list that was only rotated is the same. Each endpoint is there once.
    pub(crate) list: Vec<Found>,
    /// What of it cannot be used, in words.
    pub(crate) problem: Option<String>,
}

/// Sorts a list, takes out what nobody can connect to, and leaves out what is too much.
pub(crate) fn sorted(mut list: Vec<Found>, max: usize) -> Sorted {
    let refused = list.iter().find(|found| !is_usable(found.address)).map(|found| found.address);
    list.retain(|found| is_usable(found.address));
    list.sort_unstable_by(|a, b| {
        let key = |found: &Found| (found.priority, found.address);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)).then(b.weight.cmp(&a.weight))
    });
    let mut seen = HashSet::with_capacity(list.len());
    list.retain(|found| seen.insert((found.name.clone(), found.address)));
    let too_many = list.len().saturating_sub(max);
    list.truncate(max);
    let problem = match (refused, too_many) {
        (Some(address), _) => Some(format!("{address} is no address of an endpoint and is left out")),
        (None, 0) => None,
        (None, more) => Some(format!("it has {more} endpoints more than the {max} that are used")),
    };
    Sorted { list, problem }
}

/// Whether something can listen there: an answer may hold anything.
fn is_usable(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// What changed from one list to another, for people.
pub(crate) fn changes(before: &[Found], after: &[Found]) -> String {
    const NAMED: usize = 5;
    let missing = |from: &[Found], of: &[Found]| -> Vec<String> {
        let known: HashSet<_> = of.iter().map(|found| (&found.name, found.address)).collect();
        from.iter()
            .filter(|found| !known.contains(&(&found.name, found.address)))
            .map(|found| found.address.to_string())
            .collect()
    };
    let told = |sign: char, addresses: Vec<String>| {
        let more = addresses.len().saturating_sub(NAMED);
        let mut parts: Vec<_> =
            addresses.iter().take(NAMED).map(|address| format!("{sign}{address}")).collect();
        if more > 0 {
            parts.push(format!("{sign}{more} more"));
        }
        parts
    };
    let mut parts = told('+', missing(after, before));
    parts.extend(told('-', missing(before, after)));
    if parts.is_empty() { "other weights or tiers".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::{Found, changes, sorted};

    fn found(name: &str, address: &str, weight: u32, priority: u32) -> Found {
        Found { name: name.into(), address: address.parse().unwrap(), weight, priority }
    }

    #[test]
    fn a_list_is_sorted_and_has_each_endpoint_once() {
        let (a, b) = (found("x:1", "192.0.2.1:1", 1, 0), found("x:1", "192.0.2.2:1", 1, 0));
        let spare = found("y:1", "192.0.2.0:1", 1, 7);
        let one = sorted(vec![spare.clone(), b.clone(), a.clone(), b.clone()], 10);
        assert_eq!((one.list, one.problem), (vec![a.clone(), b.clone(), spare.clone()], None));
        let cut = sorted(vec![b, spare, a.clone()], 1);
        assert_eq!(cut.list, [a]);
        assert!(cut.problem.unwrap().contains("2 endpoints more"));
    }

    #[test]
    fn addresses_that_nobody_listens_on_are_left_out() {
        for address in [
            "0.0.0.0:80",
            "[::]:80",
            "224.0.0.1:80",
            "[ff02::1]:80",
            "255.255.255.255:80",
            "192.0.2.1:0",
            "[::ffff:0.0.0.0]:80",
        ] {
            let left = sorted(vec![found("x", address, 1, 0), found("x", "127.0.0.1:80", 1, 0)], 9);
            assert_eq!(left.list.len(), 1, "{address}");
            assert!(left.problem.unwrap().contains(address), "{address}");
        }
    }

    #[test]
    fn changes_are_told_in_a_line() {
        let list: Vec<_> = (0..9).map(|n| found("x", &format!("192.0.2.{n}:1"), 1, 0)).collect();
        assert_eq!(changes(&list[..2], &list[1..3]), "+192.0.2.2:1 -192.0.2.0:1");
        assert!(changes(&[], &list).ends_with("+192.0.2.4:1 +4 more"));
        let heavier = found("x", "192.0.2.0:1", 2, 0);
        assert_eq!(changes(&list[..1], &[heavier]), "other weights or tiers");
    }
}
