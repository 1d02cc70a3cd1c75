//! Why each route did or did not get a request.

use std::fmt;
use std::ops::ControlFlow;

use crate::regexes::Scratch;
use crate::request::RequestView;
use crate::table::RouteTable;

/// What became of one route for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Considered<'t> {
    /// The route's place in the list.
    pub route: u32,
    /// Its name.
    pub name: &'t str,
    /// What became of it.
    pub outcome: Outcome<'t>,
}

/// Whether a route takes a request, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'t> {
    /// It takes the request.
    Matched,
    /// It would, but this route, which takes it too, has precedence.
    Lost {
        /// The winner's place in the list.
        winner: u32,
        /// The winner's name.
        name: &'t str,
    },
    /// This condition is the first that the request does not fulfil.
    Failed(Condition<'t>),
}

/// A condition of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition<'t> {
    /// None of its hosts.
    Host,
    /// None of its paths, on the hosts that match.
    Path,
    /// None of its methods.
    Method,
    /// The predicate on this field, named in lower case.
    Header(&'t str),
    /// The predicate on this query parameter.
    Query(&'t str),
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Matched => f.write_str("matched"),
            Self::Lost { name, .. } => write!(f, "another route won: {name}"),
            Self::Failed(condition) => condition.fmt(f),
        }
    }
}

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Path => f.write_str("path"),
            Self::Method => f.write_str("method"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query {name}"),
        }
    }
}

impl RouteTable {
    /// Every route once, with what became of it: first those whose host and path match, in order of precedence, then
    /// those that fail by path, then those that fail by host. Made on demand; the time grows with the table.
    ///
    /// Walks the same candidates with the same conditions as [`RouteTable::find`], only to the end.
    pub fn explain(&self, request: &RequestView<'_>) -> Vec<Considered<'_>> {
        let mut considered = Vec::with_capacity(self.routes.len());
        let mut seen = vec![false; self.routes.len()];
        let mut winner = None;
        let _ = self.walk(request, &mut Scratch::new(), |candidate, _, values| -> ControlFlow<()> {
            let route = candidate.route;
            if std::mem::replace(&mut seen[route as usize], true) {
                // Its conditions are the same at each of its places; the first place is the one that counts.
                return ControlFlow::Continue(());
            }
            let outcome = match (self.first_failed(candidate, request, values), winner) {
                (Some(condition), _) => Outcome::Failed(condition),
                (None, Some(winner)) => Outcome::Lost { winner, name: self.name(winner) },
                (None, None) => {
                    winner = Some(route);
                    Outcome::Matched
                }
            };
            considered.push(Considered { route, name: self.name(route), outcome });
            ControlFlow::Continue(())
        });
        self.explain_rest(request, &seen, &mut considered);
        considered
    }

    fn explain_rest<'t>(
        &'t self,
        request: &RequestView<'_>,
        seen: &[bool],
        considered: &mut Vec<Considered<'t>>,
    ) {
        let mut host_matches = vec![false; self.hosts.len()];
        let _ = self.host_index.walk(request.host, |host| -> ControlFlow<()> {
            host_matches[host as usize] = true;
            ControlFlow::Continue(())
        });
        let rest_from = considered.len();
        for (number, (route, seen)) in (0..).zip(self.routes.iter().zip(seen)) {
            if *seen {
                continue;
            }
            let under_host = route.hosts.iter().any(|host| host_matches[*host as usize]);
            let condition = if under_host { Condition::Path } else { Condition::Host };
            considered.push(Considered {
                route: number,
                name: &route.name,
                outcome: Outcome::Failed(condition),
            });
        }
        considered[rest_from..].sort_by_key(|entry| entry.outcome == Outcome::Failed(Condition::Host));
    }
}
