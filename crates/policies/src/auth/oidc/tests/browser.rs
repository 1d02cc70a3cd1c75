//! A browser that keeps its cookies, and what it logs in at.

use std::time::SystemTime;

use http::header::LOCATION;
use tollgate_credentials::jwt::{Algorithms, Keys};
use tollgate_outbound::jwks::{self, Place};
use tollgate_outbound::oidc::{self, Issuer};
use tollgate_outbound::source::Freshness;
use tollgate_outbound::{HttpClient, Request};
use tollgate_policy::{Consumer, Consumers, CredentialKind, Moment};
use tollgate_testkit::{OidcProvider, PATIENCE};

use super::*;
use crate::auth::HandedOn;
use crate::auth::background::{Background, ask, wait};
use crate::sample::Sample;

/// The client's secret at the provider.
pub(super) const LOGIN: &str = "s3cret & more";

/// A provider and a method that logs in there.
pub(super) struct Set {
    pub(super) oidc: Oidc,
    pub(super) provider: OidcProvider,
    pub(super) client: HttpClient,
    /// Seconds that the gate's clock is ahead.
    pub(super) ahead: u64,
    consumers: Consumers,
    _background: Background,
}

pub(super) fn set() -> Set {
    Set::with(|_| {}, None)
}

impl Set {
    /// With other settings, or a provider that is looked for elsewhere.
    pub(super) fn with(change: impl Fn(&mut Settings), issuer: Option<&str>) -> Self {
        let provider = OidcProvider::start();
        provider.register("gate", LOGIN, &["https://a.example/oauth2/callback", "https://a.example/"]);
        provider.add_user("al", "pass", json!({ "plan": "pro" }));
        provider.consent(Some("al"));
        let background = Background::start();
        let client = background.client();
        let issuer = issuer.unwrap_or(provider.issuer()).to_owned();
        let mut settings = Settings::new("web", &issuer, "gate", vec![vec![1; 32]]);
        settings.client_secret = Some(LOGIN.to_owned());
        settings.scopes.push("profile".to_owned());
        settings.timeout = PATIENCE;
        settings.claims_to_headers = HandedOn::new(vec![("X-Plan".to_owned(), "plan".to_owned())]);
        change(&mut settings);
        let oidc = Self::method(&client, settings);
        let mut consumers = Consumers::default();
        consumers.add(Consumer { name: "alice".into(), ..Consumer::default() });
        consumers.give("alice", CredentialKind::Subject, b"al", None).unwrap();
        Self { oidc, provider, client, ahead: 0, consumers, _background: background }
    }

    pub(super) fn method(client: &HttpClient, settings: Settings) -> Oidc {
        let issuer: Issuer = settings.issuer.parse().unwrap();
        let freshness = || Freshness { wait: PATIENCE, ..Freshness::default() };
        let provider = oidc::fetch(client, issuer.clone(), freshness(), Arc::new(|_| {}));
        let parse = |bytes: &[u8]| match Keys::from_jwks(bytes, Algorithms::asymmetric(), false) {
            Ok((keys, _)) => Ok(keys),
            Err(why) => Err(why.to_string()),
        };
        let keys = jwks::fetch(client, Place::Issuer(issuer), freshness(), parse, Arc::new(|_| {}));
        wait(async { (provider.ready().await, keys.ready().await) });
        let random = Arc::new(|bytes: &mut [u8]| aws_lc_rs::rand::fill(bytes).unwrap());
        let outside = Outside { client: client.clone(), provider, keys, refreshes: Arc::default(), random };
        let mut method = Oidc::new(settings, outside).unwrap();
        method.ask_again = Duration::ZERO;
        method
    }

    /// Agrees at the provider; tells the path that the browser comes back to.
    pub(super) fn agree(&self, url: &str) -> String {
        let answer = wait(self.client.call(Request::get(url.parse().unwrap()))).unwrap();
        let location = answer.header(&LOCATION).unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        location.strip_prefix("https://a.example").unwrap().to_owned()
    }
}

/// A browser: its cookies, in the order of their making.
#[derive(Clone, Default)]
pub(super) struct Browser {
    pub(super) cookies: Vec<(String, String)>,
    /// All that it was told to keep.
    pub(super) set_cookies: Vec<String>,
}

impl Browser {
    /// Goes to a page.
    pub(super) fn page(&mut self, set: &Set, path: &str) -> Finding {
        self.ask(set, &format!("GET {path}"), "Accept: text/html\r\n").0
    }

    /// Sends a request, and keeps what cookies come back.
    pub(super) fn ask(&mut self, set: &Set, line: &str, fields: &str) -> (Finding, Gate) {
        self.ask_of(set, &set.oidc, line, fields)
    }

    pub(super) fn ask_of(&mut self, set: &Set, oidc: &Oidc, line: &str, fields: &str) -> (Finding, Gate) {
        let sample = self.sample(line, fields);
        let mut gate = Gate::default();
        oidc.remove_forged(&mut gate.request);
        let asked = asked(set, &sample);
        let finding = ask(oidc, &asked, &mut gate);
        self.keep(gate.response.lines());
        if let Finding::Answer(answer) | Finding::Login(answer) = &finding {
            self.keep(answer.fields.lines());
        }
        (finding, gate)
    }

    pub(super) fn sample(&self, line: &str, fields: &str) -> Sample {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = match cookies.as_slice() {
            [] => String::new(),
            cookies => format!("Cookie: {}\r\n", cookies.join("; ")),
        };
        Sample::new(line, &format!("{fields}{cookies}"))
    }

    fn keep(&mut self, lines: &[u8]) {
        let lines = String::from_utf8(lines.to_vec()).unwrap();
        for line in lines.lines().filter_map(|line| line.strip_prefix("Set-Cookie: ")) {
            assert!(line.len() <= 4096, "a browser would not take {} bytes", line.len());
            self.set_cookies.push(line.to_owned());
            let (name, rest) = line.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            if attributes.contains("Max-Age=0;") {
                self.cookies.retain(|(known, _)| known != name);
            } else if let Some((_, known)) = self.cookies.iter_mut().find(|(known, _)| known == name) {
                value.clone_into(known);
            } else {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.cookies.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Begins a login; tells the path that the browser comes back to.
    pub(super) fn begin(&mut self, set: &Set) -> String {
        let begun = login_of(self.page(set, "/page"));
        set.agree(&location(&begun))
    }

    /// The whole of it.
    pub(super) fn log_in(&mut self, set: &Set) {
        let back = self.begin(set);
        answer_of(self.page(set, &back));
    }
}

/// A request at the set's time.
pub(super) fn asked<'a>(set: &'a Set, sample: &'a Sample) -> Asked<'a> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let moment = Moment {
        wall_us: (now.as_secs() + set.ahead) * 1_000_000,
        now_us: set.ahead * 1_000_000,
        ..Moment::default()
    };
    Asked { consumers: &set.consumers, moment, ..sample.asked() }
}
