//! Headers that logs want: which ones, and what was kept of an exchange's heads.

use std::rc::Rc;

use super::query::{HIDDEN, QueryRule};

/// Headers whose values are never logged, in lower case. Names that end in one of [`SECRET_ENDINGS`]
/// are not either.
const SECRETS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-auth",
    "x-csrf-token",
    "x-xsrf-token",
    "x-forwarded-client-cert",
    "x-amz-security-token",
    "x-goog-iap-jwt-assertion",
    "cf-access-jwt-assertion",
    "www-authenticate",
    "proxy-authenticate",
    "authentication-info",
];
const SECRET_ENDINGS: &[&str] = &[
    "-token",
    "-secret",
    "-password",
    "-api-key",
    "-access-key",
    "-secret-key",
    "-auth-key",
    "-subscription-key",
    "-authorization",
    "-signature",
    "-jwt",
];
/// Headers whose values are URLs: the rule for queries is theirs too.
const URLS: &[&str] = &["referer", "location", "content-location"];

/// The headers that the logs of a plan want.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderSet {
    request: Vec<Box<str>>,
    response: Vec<Box<str>>,
    query: bool,
}

impl HeaderSet {
    /// Wants the query as well.
    pub(super) fn want_query(&mut self) {
        self.query = true;
    }

    /// Wants a header, and says where it will be kept.
    pub(super) fn want(&mut self, header: &mut HeaderRef) {
        let names = match header.side {
            HeadSide::Request => &mut self.request,
            HeadSide::Response => &mut self.response,
        };
        header.at = names.iter().position(|name| *name == header.name).unwrap_or_else(|| {
            names.push(header.name.clone());
            names.len() - 1
        });
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        !self.query && self.request.is_empty() && self.response.is_empty()
    }

    /// Whether headers of responses are wanted.
    pub fn wants_response(&self) -> bool {
        !self.response.is_empty()
    }

    fn names(&self, side: HeadSide) -> &[Box<str>] {
        match side {
            HeadSide::Request => &self.request,
            HeadSide::Response => &self.response,
        }
    }
}

/// Which head a header stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadSide {
    Request,
    Response,
}

/// A header that a log writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeaderRef {
    side: HeadSide,
    /// In lower case.
    name: Box<str>,
    /// Where it is in the set of its plan.
    at: usize,
    url: bool,
    /// `,"http.request.header.NAME":"`.
    json_key: Box<str>,
}

impl HeaderRef {
    /// A header by its name, in any case.
    pub(super) fn new(side: HeadSide, name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let head = if side == HeadSide::Request { "request" } else { "response" };
        let mut json_key = format!(",\"http.{head}.header.").into_bytes();
        super::text::json(&mut json_key, name.as_bytes());
        json_key.extend_from_slice(b"\":\"");
        Self {
            side,
            url: URLS.contains(&&*name),
            name: name.into(),
            at: 0,
            json_key: String::from_utf8_lossy(&json_key).into(),
        }
    }

    /// Its name, in lower case.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its JSON key with what stands before the value.
    pub(super) fn json_key(&self) -> &str {
        &self.json_key
    }

    /// Gives the shown parts of its value; nothing where it was not there. Whether it was there.
    pub(super) fn show(&self, captured: &Captured, rule: QueryRule, mut give: impl FnMut(&[u8])) -> bool {
        let Some(value) = captured.value(self) else { return false };
        if self.url {
            rule.show_url(value, give);
        } else {
            give(value);
        }
        true
    }
}

/// Whether a header's value is a secret, which nobody is told. The name is in lower case.
pub fn is_secret_header(name: &str) -> bool {
    SECRETS.contains(&name) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// What was kept of an exchange's heads: the query and the headers that some log wants. Secrets are not
/// kept, only that they were there.
#[derive(Debug, Default)]
pub struct Captured {
    set: Option<Rc<HeaderSet>>,
    text: Vec<u8>,
    /// Where each value stands in the text: request headers, then response headers, in the set's order.
    values: Vec<Option<(u32, u32)>>,
    query: Option<(u32, u32)>,
}

impl Captured {
    /// Keeps what the set wants of a request. `header` gives a header's value by its lower-case name.
    pub fn request<'h>(
        &mut self,
        set: &Rc<HeaderSet>,
        query: Option<&[u8]>,
        header: impl Fn(&str) -> Option<&'h [u8]>,
    ) {
        self.clear();
        self.values.resize(set.request.len() + set.response.len(), None);
        for (at, name) in set.request.iter().enumerate() {
            self.keep(at, name, header(name));
        }
        if let Some(query) = query.filter(|_| set.query) {
            self.query = Some(self.append(query));
        }
        self.set = Some(set.clone());
    }

    /// Whether headers of the response are wanted.
    pub fn wants_response(&self) -> bool {
        self.set.as_ref().is_some_and(|set| set.wants_response())
    }

    /// Keeps what is wanted of a response, in the place of an earlier one.
    pub fn response<'h>(&mut self, header: impl Fn(&str) -> Option<&'h [u8]>) {
        let Some(set) = self.set.clone() else { return };
        for (at, name) in set.response.iter().enumerate() {
            self.keep(set.request.len() + at, name, header(name));
        }
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.set = None;
        self.text.clear();
        self.values.clear();
        self.query = None;
    }

    /// Gives memory back beyond so many bytes.
    pub fn shrink_to(&mut self, capacity: usize) {
        self.text.shrink_to(capacity);
    }

    /// The query, if it was wanted and there.
    pub(super) fn query(&self) -> Option<&[u8]> {
        self.query.map(|span| self.at(span))
    }

    fn keep(&mut self, at: usize, name: &str, value: Option<&[u8]>) {
        let value = value.map(|value| if is_secret_header(name) { HIDDEN } else { value });
        let span = value.map(|value| self.append(value));
        if let Some(slot) = self.values.get_mut(at) {
            *slot = span;
        }
    }

    fn append(&mut self, value: &[u8]) -> (u32, u32) {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(value);
        (start, self.text.len() as u32)
    }

    fn at(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.text[start as usize..end as usize]
    }

    /// A header's value. It was kept for the plan that was in force when the exchange began, which may
    /// not be the one that it is logged by: then it is found by its name.
    fn value(&self, header: &HeaderRef) -> Option<&[u8]> {
        let set = self.set.as_ref()?;
        let names = set.names(header.side);
        let at = match names.get(header.at) {
            Some(name) if *name == header.name => header.at,
            _ => names.iter().position(|name| *name == header.name)?,
        };
        let offset = if header.side == HeadSide::Request { 0 } else { set.request.len() };
        self.values.get(offset + at).copied().flatten().map(|span| self.at(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &HeaderRef, captured: &Captured) -> Option<String> {
        let mut out = Vec::new();
        let there = header.show(captured, QueryRule::Hide, |part| out.extend_from_slice(part));
        there.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn wanted_headers_are_kept_and_secrets_are_not() {
        let mut set = HeaderSet::default();
        let names = ["User-Agent", "Referer", "Authorization", "X-Shop-Token", "X-Absent"];
        let mut wanted: Vec<_> = names.iter().map(|name| HeaderRef::new(HeadSide::Request, name)).collect();
        let mut server = HeaderRef::new(HeadSide::Response, "Server");
        wanted.iter_mut().chain([&mut server]).for_each(|header| set.want(header));
        let mut captured = Captured::default();
        captured.request(&Rc::new(set), Some(b"a=1"), |name| match name {
            "user-agent" => Some(b"curl"),
            "referer" => Some(b"http://a/?token=1"),
            "authorization" | "x-shop-token" => Some(b"s3cret"),
            _ => None,
        });
        let values: Vec<_> = wanted.iter().map(|header| shown(header, &captured)).collect();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(values, [some("curl"), some("http://a/"), some("***"), some("***"), None]);
        assert!(!String::from_utf8_lossy(&captured.text).contains("s3cret"));
        assert_eq!(captured.query(), None, "the query is kept only where it is wanted");
        assert_eq!(shown(&server, &captured), None);
        captured.response(|_| Some(b"first"));
        captured.response(|_| Some(b"second"));
        assert_eq!(shown(&server, &captured), some("second"));
        // A header of another plan, in whatever place it has there.
        let mut other = HeaderRef::new(HeadSide::Request, "user-agent");
        other.at = 3;
        assert_eq!(shown(&other, &captured), some("curl"));
    }
}
