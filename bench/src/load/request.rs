//! The request: a browser's nine fields and those of the settings, made once; only the digits of the route and the
//! credential change.

use super::Settings;
use crate::identity;
use std::sync::Arc;

const PLACEHOLDER: &str = "{route}";
const DIGITS: usize = 6;
const CREDENTIAL: &str = "{credential}";

/// A browser's fields besides `Host` and `Connection`.
pub(crate) const FIELDS: &[(&str, &str)] = &[
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "https://shop.example.com/catalogue/page-7.html"),
    ("Cookie", "session=4f1c9b2ad07e4a55b1f3; theme=dark; consent=yes"),
    ("Upgrade-Insecure-Requests", "1"),
];

/// The bytes to send next.
pub(crate) struct Requests {
    bytes: Vec<u8>,
    /// Where the route's digits stand, if the path has any.
    digits: Option<usize>,
    routes: u32,
    random: u64,
    shown: Option<Shown>,
}

/// Credentials that stand in the request in turn.
struct Shown {
    credentials: Arc<[String]>,
    next: usize,
    /// Where the present one stands.
    start: usize,
    end: usize,
    /// Only so many are shown, each once.
    at_most: Option<usize>,
}

impl Requests {
    /// Prepares the request. The order of routes is the same in each run.
    pub(crate) fn new(settings: &Settings) -> Self {
        let path = settings.path.replacen(PLACEHOLDER, &"0".repeat(DIGITS), 1);
        let connection = if settings.connection_per_request { "close" } else { "keep-alive" };
        let host = match &settings.tls {
            Some(_) => format!("{}:{}", identity::NAME, settings.target.port()),
            None => settings.target.to_string(),
        };
        let mut text = format!(
            "GET {path} HTTP/1.1\r\n\
             Host: {host}\r\n\
             Connection: {connection}\r\n"
        );
        for (name, value) in FIELDS {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        for field in &settings.identity.fields {
            text.push_str(&format!("{field}\r\n"));
        }
        text.push_str("\r\n");
        let shown =
            text.find(CREDENTIAL).filter(|_| !settings.identity.credentials.is_empty()).map(|start| Shown {
                credentials: settings.identity.credentials.clone(),
                next: 0,
                start,
                end: start + CREDENTIAL.len(),
                // Each connection may take another one before it is asked again whether some are left.
                at_most: settings
                    .identity
                    .once
                    .then(|| settings.identity.credentials.len().saturating_sub(settings.connections)),
            });
        let digits = settings.path.find(PLACEHOLDER).map(|at| "GET ".len() + at);
        Self {
            bytes: text.into_bytes(),
            digits,
            routes: settings.routes.max(1),
            random: 0x9e37_79b9_7f4a_7c15,
            shown,
        }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> &[u8] {
        if let Some(start) = self.digits {
            let mut route = self.draw();
            for digit in self.bytes[start..start + DIGITS].iter_mut().rev() {
                *digit = b'0' + (route % 10) as u8;
                route /= 10;
            }
        }
        if let Some(shown) = &mut self.shown {
            shown.put_next(&mut self.bytes);
        }
        &self.bytes
    }

    /// Whether all credentials have been shown that may be shown once only.
    pub(crate) fn are_used_up(&self) -> bool {
        let used = |shown: &Shown| shown.at_most.is_some_and(|at_most| shown.next >= at_most);
        self.shown.as_ref().is_some_and(used)
    }

    /// A route number by xorshift64*: even enough here, and costs nothing.
    fn draw(&mut self) -> u32 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let word = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        ((word * u64::from(self.routes)) >> 32) as u32
    }
}

impl Shown {
    fn put_next(&mut self, request: &mut Vec<u8>) {
        let credential = &self.credentials[self.next % self.credentials.len()];
        self.next += 1;
        if credential.len() == self.end - self.start {
            request[self.start..self.end].copy_from_slice(credential.as_bytes());
        } else {
            request.splice(self.start..self.end, credential.bytes());
            self.end = self.start + credential.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;
    use crate::load::{Identification, OverTime, Settings};
    use std::collections::BTreeSet;
    use std::time::Duration;

    fn settings(path: &str, routes: u32) -> Settings {
        Settings {
            target: ([127, 0, 0, 1], 80).into(),
            tls: None,
            path: path.to_owned(),
            routes,
            body: 0,
            connections: 1,
            connection_per_request: false,
            warm_up: Duration::ZERO,
            window: Duration::ZERO,
            enough: None,
            patience: Duration::ZERO,
            account: None,
            identity: Identification::default(),
            over_time: OverTime::default(),
        }
    }

    fn path_of(request: &[u8]) -> String {
        let text = String::from_utf8(request.to_vec()).expect("ASCII");
        text.split(' ').nth(1).expect("a path").to_owned()
    }

    #[test]
    fn a_request_has_nine_fields_and_parses() {
        let mut requests = Requests::new(&settings("/128", 1));
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut fields);
        assert!(parsed.parse(requests.next()).expect("valid").is_complete());
        assert_eq!((parsed.path, parsed.headers.len()), (Some("/128"), 9));
    }

    #[test]
    fn credentials_come_in_turn_and_once_if_so_asked() {
        let keys = ["a", "longer", "b", "c"].map(str::to_owned);
        let settings = Settings {
            identity: Identification {
                fields: vec!["Origin: https://x.example".to_owned(), "X-Key: {credential}".to_owned()],
                credentials: keys.clone().into(),
                once: true,
            },
            ..settings("/r{route}/128", 10)
        };
        let mut requests = Requests::new(&settings);
        for (index, key) in keys.iter().chain(&keys).enumerate() {
            // One connection may still take one.
            assert_eq!(requests.are_used_up(), index >= 3, "{index}");
            let text = String::from_utf8(requests.next().to_vec()).expect("ASCII");
            assert!(text.ends_with(&format!("Origin: https://x.example\r\nX-Key: {key}\r\n\r\n")), "{text}");
        }
    }

    #[test]
    fn all_routes_come_and_none_beyond() {
        let mut requests = Requests::new(&settings("/r{route}/128", 10));
        let seen: BTreeSet<String> = (0..1000).map(|_| path_of(requests.next())).collect();
        let wanted: BTreeSet<String> = (0..10).map(|route| format!("/r{route:06}/128")).collect();
        assert_eq!(seen, wanted);
    }
}
