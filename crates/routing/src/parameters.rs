//! Parameters of path elements: `;` and what is behind it (RFC 3986 section 3.3).
//!
//! To this crate they are a part of the element. Servlet containers take them away before they look for what is
//! asked for, so that `/admin;x` is `/admin` to them. Where that would be another route, with other rules, a request
//! has two readings.

use memchr::memchr2;

use crate::regexes::Scratch;
use crate::request::RequestView;
use crate::table::{Found, PathKind, RouteTable};

impl RouteTable {
    /// Whether the request would have another route if its path had no parameters. A route that itself has a
    /// parameter in its path means it.
    #[inline]
    pub fn is_ambiguous(&self, found: Found, request: &RequestView<'_>, scratch: &mut Scratch) -> bool {
        memchr2(b';', b'%', request.path).is_some() && self.is_other_without(found, request, scratch)
    }

    #[cold]
    fn is_other_without(&self, found: Found, request: &RequestView<'_>, scratch: &mut Scratch) -> bool {
        let Some(path) = without_parameters(request.path) else { return false };
        let route = self.routes.get(found.route as usize);
        let means_it = route.is_some_and(|route| {
            route.paths.iter().any(|path| path.kind != PathKind::Regex && path.text.contains(';'))
        });
        let other = self.find(&RequestView { path: &path, ..*request }, scratch);
        !means_it && other.is_some_and(|other| other.route != found.route)
    }
}

/// A normalised path without parameters, plain and encoded; elements that are nothing else are left out. `None` if it
/// has none.
fn without_parameters(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut elements = path.strip_prefix(b"/")?.split(|byte| *byte == b'/').peekable();
    while let Some(element) = elements.next() {
        let bare = &element[..begin(element).unwrap_or(element.len())];
        if !bare.is_empty() || element.is_empty() || elements.peek().is_none() {
            out.push(b'/');
            out.extend_from_slice(bare);
        }
    }
    (out != path).then_some(out)
}

/// Where the parameters of an element begin.
fn begin(element: &[u8]) -> Option<usize> {
    (0..element.len()).find(|at| element[*at..].starts_with(b";") || element[*at..].starts_with(b"%3B"))
}

#[cfg(test)]
mod tests {
    use tollgate_message::{FieldList, Fields};

    use super::*;
    use crate::{PathMatch, RouteSpec};

    #[test]
    fn parameters_are_taken_away_from_each_element() {
        for (path, bare) in [
            ("/admin;x", "/admin"),
            ("/admin;x=1;y/users;z", "/admin/users"),
            ("/;/admin", "/admin"),
            ("/;x/;y/admin", "/admin"),
            ("/admin%3Bx", "/admin"),
            ("/admin/;x", "/admin/"),
            ("/;", "/"),
        ] {
            assert_eq!(without_parameters(path.as_bytes()).as_deref(), Some(bare.as_bytes()), "{path}");
        }
        for path in ["/admin", "/", "/a%2Fb", "//a", "*", ""] {
            assert_eq!(without_parameters(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn only_what_would_be_another_route_has_two_readings() {
        let route = |name: &str, path: &str| RouteSpec {
            name: name.to_owned(),
            paths: vec![PathMatch::Prefix(path.to_owned())],
            ..RouteSpec::default()
        };
        let specs = [
            route("admin", "/admin"),
            route("meant", "/shop;v=2"),
            route("shop", "/shop"),
            route("all", "/"),
        ];
        let table = RouteTable::compile(&specs).unwrap();
        let list = FieldList::default();
        for (path, ambiguous) in [
            ("/admin;x", true),
            ("/;x/admin", true),
            ("/admin%3Bx/users", true),
            ("/admin", false),
            ("/admin/users;x", false),
            ("/report;v=2", false),
            ("/shop;v=2", false),
            ("/shop;v=3", true),
        ] {
            let request = RequestView {
                host: b"a.example",
                path: path.as_bytes(),
                query: b"",
                method: b"GET",
                fields: Fields::new(b"", &list),
            };
            let mut scratch = Scratch::default();
            let found = table.find(&request, &mut scratch).unwrap();
            assert_eq!(table.is_ambiguous(found, &request, &mut scratch), ambiguous, "{path}");
        }
    }
}
