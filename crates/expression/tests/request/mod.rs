//! A request as expressions see it, for tests.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use tollgate_expression::{Inputs, Key, ListVariable, MapVariable, TextVariable, Visit};

/// Keys and values.
pub type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Plain data for each variable.
#[derive(Clone, Debug)]
pub struct Request {
    pub texts: Vec<(TextVariable, Vec<u8>)>,
    pub maps: Vec<(MapVariable, Entries)>,
    pub lists: Vec<(ListVariable, Vec<Vec<u8>>)>,
    pub address: Option<IpAddr>,
    pub size: i64,
    pub tls: bool,
    pub claims: serde_json::Map<String, serde_json::Value>,
    pub now: i64,
}

/// Strings as bytes.
fn bytes<const N: usize>(items: [&str; N]) -> Vec<Vec<u8>> {
    items.map(|item| item.as_bytes().to_vec()).into()
}

fn pairs<const N: usize>(entries: [(&str, &str); N]) -> Entries {
    entries.map(|(key, value)| (key.into(), value.into())).into()
}

impl Default for Request {
    fn default() -> Self {
        let claims = serde_json::json!({
            "sub": "u1", "plan": "pro", "level": 3, "ratio": 0.5, "admin": false, "none": null,
            "roles": ["admin", "team-red"], "realm": { "roles": ["x"], "n": 1 }, "big": u64::MAX,
        });
        Self {
            texts: vec![
                (TextVariable::Method, b"GET".to_vec()),
                (TextVariable::Path, b"/v1/orders/7".to_vec()),
                (TextVariable::Host, b"shop.example".to_vec()),
                (TextVariable::Scheme, b"https".to_vec()),
                (TextVariable::Consumer, b"alice".to_vec()),
            ],
            maps: vec![
                (MapVariable::Query, pairs([("page", "7"), ("q", "a b")])),
                (
                    MapVariable::Headers,
                    pairs([
                        ("host", "shop.example"),
                        ("accept", "*/*"),
                        ("user-agent", "curl/8"),
                        ("accept-encoding", "gzip, br"),
                        ("x-tenant", "a"),
                        ("content-type", "application/json"),
                    ]),
                ),
                (MapVariable::Cookies, pairs([("session", "abc")])),
                (MapVariable::Labels, pairs([("team", "red"), ("plan", "gold")])),
            ],
            lists: vec![
                (ListVariable::Segments, bytes(["v1", "orders", "7"])),
                (ListVariable::Groups, bytes(["gold", "staff"])),
                (ListVariable::Scopes, bytes(["orders:read", "orders:write"])),
            ],
            address: Some("192.0.2.1".parse().unwrap()),
            size: 120,
            tls: true,
            claims: claims.as_object().cloned().unwrap(),
            // 2026-11-22T12:30:00.25Z, a Sunday.
            now: 1_795_350_600_250_000,
        }
    }
}

impl Request {
    pub fn map(&self, map: MapVariable) -> &[(Vec<u8>, Vec<u8>)] {
        self.maps.iter().find(|(which, _)| *which == map).map_or(&[], |(_, entries)| entries)
    }

    pub fn list(&self, list: ListVariable) -> &[Vec<u8>] {
        self.lists.iter().find(|(which, _)| *which == list).map_or(&[], |(_, items)| items)
    }
}

impl Inputs for Request {
    fn text(&self, variable: TextVariable) -> Cow<'_, [u8]> {
        let found = self.texts.iter().find(|(which, _)| *which == variable);
        Cow::Borrowed(found.map_or(b"", |(_, text)| text))
    }

    fn entry(&self, map: MapVariable, key: Key<'_>) -> Option<Cow<'_, [u8]>> {
        let found = self.map(map).iter().find(|(name, _)| name == key.bytes);
        found.map(|(_, value)| Cow::Borrowed(value.as_slice()))
    }

    fn entries<'a>(
        &'a self,
        map: MapVariable,
        visit: &mut dyn FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>) -> Visit,
    ) -> Visit {
        for (key, value) in self.map(map) {
            visit(Cow::Borrowed(key), Cow::Borrowed(value))?;
        }
        ControlFlow::Continue(())
    }

    fn items<'a>(&'a self, list: ListVariable, visit: &mut dyn FnMut(Cow<'a, [u8]>) -> Visit) -> Visit {
        self.list(list).iter().try_for_each(|item| visit(Cow::Borrowed(item)))
    }

    fn address(&self) -> Option<IpAddr> {
        self.address
    }

    fn size(&self) -> i64 {
        self.size
    }

    fn tls(&self) -> bool {
        self.tls
    }

    fn claims(&self) -> Option<&serde_json::Map<String, serde_json::Value>> {
        Some(&self.claims)
    }

    fn now(&self) -> i64 {
        self.now
    }
}
