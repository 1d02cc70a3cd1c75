//! Where the order of routes decides, and which of them moved.

use std::collections::HashMap;

use super::routes::label;
use crate::model::{PathMatch, Route};
use crate::source::Located;

/// A set of requests in which routes stand by their place in the document alone: of the same host, path, method,
/// and number of conditions on headers and query parameters.
type Class = (u32, u32, u32, usize, usize);

/// For new routes (by their place) that stand before or behind others than they did, with nothing but the place
/// to decide: where they were and where they are, in words. A route whose match changed has no old place.
pub(super) fn moves(
    old: &[Located<Route>],
    new: &[Located<Route>],
    partners: &[Option<usize>],
) -> HashMap<usize, (String, String)> {
    let same_match = |a: &Route, b: &Route| {
        a.hosts == b.hosts
            && a.paths == b.paths
            && a.methods == b.methods
            && a.grpc == b.grpc
            && a.conditions == b.conditions
    };
    let mut pairs: Vec<(usize, usize)> =
        partners.iter().enumerate().filter_map(|(at, partner)| Some(((*partner)?, at))).collect();
    pairs.retain(|(before, after)| same_match(&old[*before], &new[*after]));
    let mut moves = HashMap::new();
    if pairs.is_sorted_by_key(|(before, _)| before) {
        return moves;
    }
    pairs.sort_unstable();
    for class in classes(&pairs, new) {
        let places: Vec<usize> = class.iter().map(|pair| pairs[*pair].1).collect();
        if places.is_sorted() {
            continue;
        }
        let stays = longest_rise(&places);
        // In the same order before and after.
        let staying: Vec<usize> = (0..).zip(&places).filter(|(at, _)| stays[*at]).map(|(_, p)| *p).collect();
        let among = |following: usize| match staying.get(following) {
            Some(next) => format!("before {}", label(&new[*next])),
            None => format!("after {}", staying.last().map_or_else(String::new, |last| label(&new[*last]))),
        };
        let mut passed = 0;
        for (place, stays) in places.iter().zip(&stays) {
            if *stays {
                passed += 1;
            } else if !moves.contains_key(place) {
                let now = staying.partition_point(|other| other < place);
                moves.insert(*place, (among(passed), among(now)));
            }
        }
    }
    moves
}

/// The pairs by class, those of a class in their old order; classes of one pair are left out.
fn classes(pairs: &[(usize, usize)], new: &[Located<Route>]) -> Vec<Vec<usize>> {
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut number = |text: String| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(text).or_insert(next)
    };
    let mut places: HashMap<Class, usize> = HashMap::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (pair, (_, at)) in pairs.iter().enumerate() {
        let route = &new[*at].value;
        let hosts = or_any(route.hosts.iter().map(|host| number(format!("host {}", host.value))).collect());
        let paths = route.paths.iter().map(|path| number(rank(&path.value)));
        let paths = match paths.collect::<Vec<_>>() {
            _ if route.grpc.is_some() => vec![number(format!("grpc {:?}", route.grpc))],
            none if none.is_empty() => vec![number("prefix ".to_owned())],
            paths => paths,
        };
        let methods =
            or_any(route.methods.iter().map(|method| number(format!("method {}", method.value))).collect());
        let (fields, query) = match &route.conditions {
            Some(conditions) => (conditions.headers.len(), conditions.query.len()),
            None => (0, 0),
        };
        for (host, path) in hosts.iter().flat_map(|host| paths.iter().map(move |path| (*host, *path))) {
            for method in &methods {
                let class = (host, path, *method, fields, query);
                let place = *places.entry(class).or_insert_with(|| {
                    classes.push(Vec::new());
                    classes.len() - 1
                });
                classes[place].push(pair);
            }
        }
    }
    classes.retain(|class| class.len() > 1);
    classes
}

/// What stands in a class for no condition at all.
const ANY: u32 = u32::MAX;

fn or_any(numbers: Vec<u32>) -> Vec<u32> {
    if numbers.is_empty() { vec![ANY] } else { numbers }
}

/// What decides between paths that match the same path: regular expressions stand by their length, and equal
/// texts are equal prefixes whether they end in `/` or not.
fn rank(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => format!("exact {path}"),
        PathMatch::Prefix(path) => format!("prefix {}", path.to_string().trim_end_matches('/')),
        PathMatch::Regex(regex) => format!("regex {}", regex.to_string().len()),
    }
}

/// Marks a longest part of different numbers that rises from left to right.
fn longest_rise(numbers: &[usize]) -> Vec<bool> {
    // For each length, where the rise of that length with the smallest end ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers[*end] < *number);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut marked = vec![false; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(at) = next {
        marked[at] = true;
        next = before[at];
    }
    marked
}

#[cfg(test)]
mod tests {
    use super::longest_rise;

    #[test]
    fn the_longest_rise_is_found() {
        let marked = |numbers: &[usize]| {
            let marks = longest_rise(numbers);
            numbers.iter().zip(marks).filter(|(_, marked)| *marked).map(|(n, _)| *n).collect::<Vec<_>>()
        };
        assert_eq!(marked(&[]), [0; 0]);
        assert_eq!(marked(&[3, 1, 2, 5, 4, 6]), [1, 2, 4, 6]);
        assert_eq!(marked(&[2, 1, 0]), [0]);
        assert_eq!(marked(&[5, 0, 1, 2, 3, 4]), [0, 1, 2, 3, 4]);
    }
}
