//! Which route of the new document is which of the old one, and what became of it.

use std::collections::HashMap;

use serde_json::json;

use super::change::{Change, ChangeKind, Subject, SubjectKind, What};
use super::{Comparer, order};
use crate::model::{Action, GrpcMatch, NameMatch, PathMatch, Route};
use crate::setting::Setting;
use crate::source::Located;

/// Hosts, paths or methods that a description names.
const NAMED: usize = 3;

impl Comparer {
    pub(super) fn routes(&mut self, old: &[Located<Route>], new: &[Located<Route>]) {
        // Most reloads of many routes change few of them.
        let same = |(a, b): &(&Located<Route>, &Located<Route>)| a == b;
        let before = old.iter().zip(new).take_while(same).count();
        let (old, new) = (&old[before..], &new[before..]);
        let after = old.iter().rev().zip(new.iter().rev()).take_while(same).count();
        let (old, new) = (&old[..old.len() - after], &new[..new.len() - after]);

        let partners = partners(old, new);
        let mut kept = vec![false; old.len()];
        partners.iter().flatten().for_each(|at| kept[*at] = true);
        for (route, _) in old.iter().zip(kept).filter(|(_, kept)| !kept) {
            self.compare(subject(route), Some(route), None, &[], Some(about(route)));
        }
        let mut moves = order::moves(old, new, &partners);
        for (at, route) in new.iter().enumerate() {
            let Some(partner) = partners[at] else {
                self.compare(subject(route), None, Some(route), &[], Some(about(route)));
                continue;
            };
            let told = self.changes.len();
            self.compare(subject(route), Some(&old[partner]), Some(route), &[], None);
            let Some((from, to)) = moves.remove(&at) else { continue };
            let order =
                What { key: "order".to_owned(), old: Some(from.into()), new: Some(to.into()), secret: false };
            match self.changes.get_mut(told) {
                Some(change) => change.what.push(order),
                None => self.changes.push(Change {
                    kind: ChangeKind::Changed,
                    subject: subject(route),
                    about: None,
                    what: vec![order],
                    restart: None,
                }),
            }
        }
    }
}

/// For each new route, the place of the old one that it is: the one of its name; else, as long as both have
/// none, the first with the same match; else the first that is left with the same match, so that a route can
/// get a name or another one.
fn partners(old: &[Located<Route>], new: &[Located<Route>]) -> Vec<Option<usize>> {
    let name = |route: &Located<Route>| route.name.as_ref().map(|name| name.as_str().to_owned());
    let named: HashMap<String, usize> =
        old.iter().enumerate().filter_map(|(at, route)| Some((name(route)?, at))).collect();
    let mut partners: Vec<Option<usize>> =
        new.iter().map(|route| named.get(&name(route)?).copied()).collect();
    let mut left = vec![true; old.len()];
    partners.iter().flatten().for_each(|at| left[*at] = false);
    for names_too in [false, true] {
        let candidate = |route: &Located<Route>| names_too || route.name.is_none();
        let mut waiting: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, route) in old.iter().enumerate().rev().filter(|(at, route)| left[*at] && candidate(route)) {
            waiting.entry(condition(route)).or_default().push(at);
        }
        if waiting.is_empty() {
            continue;
        }
        for (partner, route) in partners.iter_mut().zip(new) {
            if partner.is_none() && candidate(route) {
                *partner = waiting.get_mut(&condition(route)).and_then(Vec::pop);
                partner.iter().for_each(|at| left[*at] = false);
            }
        }
    }
    partners
}

/// What a route matches, as a text that is the same for the same condition.
fn condition(route: &Route) -> String {
    let conditions = route.conditions.as_ref().map(|conditions| conditions.encode());
    let grpc = route.grpc.as_ref().map(|grpc| grpc.encode());
    json!([route.hosts.encode(), route.paths.encode(), route.methods.encode(), grpc, conditions]).to_string()
}

fn subject(route: &Route) -> Subject {
    Subject::new(SubjectKind::Route, label(route))
}

/// What to call a route.
pub(super) fn label(route: &Route) -> String {
    route.name.as_ref().map_or_else(|| describe(route), |name| name.as_str().to_owned())
}

/// What a route matches, in a few words: `GET shop.example.com/products`.
fn describe(route: &Route) -> String {
    let path = |path: &Located<PathMatch>| match &path.value {
        PathMatch::Prefix(path) => path.to_string(),
        PathMatch::Exact(path) => format!("={path}"),
        PathMatch::Regex(regex) => format!("~{regex}"),
    };
    let methods = few(route.methods.iter().map(|method| method.value.to_string()));
    let hosts = few(route.hosts.iter().map(|host| host.value.to_string()));
    let paths = few(route.paths.iter().map(path));
    let paths = match &route.grpc {
        Some(grpc) => format!("{}{}", if hosts.is_empty() { "" } else { " " }, calls(grpc)),
        None if paths.is_empty() => "/".to_owned(),
        None => paths,
    };
    let space = if methods.is_empty() { "" } else { " " };
    let mut text = format!("{methods}{space}{hosts}{paths}");
    if let Some(conditions) = &route.conditions {
        let headers = few(conditions.headers.iter().map(|(name, _)| format!("header {}", name.value)));
        let query = few(conditions.query.iter().map(|(name, _)| format!("query {}", name.value)));
        let all = [headers, query].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
        text = format!("{text} if {}", all.join(","));
    }
    text
}

/// The gRPC calls of a route: `grpc shop.Orders/Create`.
fn calls(grpc: &GrpcMatch) -> String {
    let name = |name: &Option<Located<NameMatch>>| match name.as_ref().map(|name| &name.value) {
        None => "*".to_owned(),
        Some(NameMatch::Exact(name)) => name.to_string(),
        Some(NameMatch::Regex(regex)) => format!("~{regex}"),
    };
    format!("grpc {}/{}", name(&grpc.service), name(&grpc.method))
}

/// What a route that is new or gone is for.
fn about(route: &Route) -> String {
    let action = match &route.action {
        Action::To(to) => format!("to {}", to.upstream.value),
        Action::Split(split) => format!("to {}", few(split.iter().map(|(name, _)| name.value.to_string()))),
        Action::Redirect(_) => "a redirect".to_owned(),
        Action::Respond(respond) => format!("answers {}", respond.status.get()),
    };
    match route.name {
        Some(_) => format!("{}, {action}", describe(route)),
        None => action,
    }
}

fn few(texts: impl ExactSizeIterator<Item = String>) -> String {
    let more = texts.len().saturating_sub(NAMED);
    let mut shown: Vec<String> = texts.take(NAMED).collect();
    if more > 0 {
        shown.push(format!("+{more} more"));
    }
    shown.join(",")
}
