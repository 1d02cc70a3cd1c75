//! The tests that stand in a document: what would become of each of their requests, held against what is expected.
//! They depend on the document and the time alone: limits are not asked and no endpoint is picked, so that neither
//! traffic nor health keeps a document from being used.

mod differences;
mod reasons;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tollgate_config::{
    ClaimValue, Diagnostic, Document, Located, Origin as Place, Severity, Sources, Test, TestCaller,
};
use tollgate_policy::{Caller, Claims};
use tollgate_proxy::Snapshot;

use crate::explain::{MadeUpRequest, Origin, by_document};

/// How many failures are told with what decided; of further ones only the differences are told. What decided is
/// found by looking at each route again.
const DECISIVE_TOLD: usize = 100;

/// What came of a document's tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// How many there are.
    pub run: usize,
    /// Those that failed, in the document's order.
    pub failures: Vec<Failure>,
}

/// A test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is called.
    pub name: String,
    /// Where it stands in the document.
    pub origin: Place,
    /// What came out otherwise than expected; at least one thing.
    pub differences: Vec<Difference>,
    /// What decided, in a line each.
    pub because: Vec<String>,
}

/// Something that came out otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What: `route`, `status`, `reason`, `upstream`, `header x-user`, `caller`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came out.
    pub got: String,
    /// Where it is expected.
    pub origin: Place,
}

/// Tries all tests of a document on its snapshot, at a time since 1970 (UTC) and of the process's clock.
pub fn try_all(document: &Document, snapshot: &Snapshot, wall: Duration, now_ms: u64) -> Tried {
    let tests = &document.gate.tests;
    let mut failures: Vec<Failure> = Vec::new();
    for test in tests {
        let decisive = failures.len() < DECISIVE_TOLD;
        failures.extend(failure(test, snapshot, (wall, now_ms), decisive));
    }
    Tried { run: tests.len(), failures }
}

/// How a test fails; `None` where it passes.
fn failure(
    test: &Located<Test>,
    snapshot: &Snapshot,
    (wall, now_ms): (Duration, u64),
    decisive: bool,
) -> Option<Failure> {
    let fails = |differences, because| {
        Some(Failure { name: test.name.value.clone(), origin: test.name.origin, differences, because })
    };
    let caller = match test.caller.as_deref().map(|caller| self::caller(caller, snapshot)) {
        Some(Err(unknown)) => return fails(vec![unknown], Vec::new()),
        Some(Ok(caller)) => Some(caller),
        None => None,
    };
    let request = made_up(test, caller, wall);
    let told = by_document(snapshot, &request, now_ms, false);
    let differences = differences::find(&test.expect, &told, snapshot);
    if differences.is_empty() {
        return None;
    }
    let because = match decisive {
        true => reasons::tell(&test.expect, &by_document(snapshot, &request, now_ms, true)),
        false => Vec::new(),
    };
    fails(differences, because)
}

/// The request of a test, as a client would send it.
fn made_up(test: &Test, caller: Option<Caller>, wall: Duration) -> MadeUpRequest {
    let request = &test.request;
    let url = &request.url.value;
    let given = request.headers.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let mut fields: Vec<(String, String)> = given.collect();
    if !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        fields.insert(0, ("Host".to_owned(), url.authority()));
    }
    MadeUpRequest {
        method: request.method.as_str().to_owned(),
        target: url.target(),
        fields,
        seed: 0,
        from: Origin { address: request.address.get(), tls: url.is_https(), caller, wall },
    }
}

/// Who sends the request of a test.
fn caller(said: &TestCaller, snapshot: &Snapshot) -> Result<Caller, Difference> {
    let consumer = match &said.consumer {
        None => None,
        Some(name) => match snapshot.consumers.get().by_name(name.as_str()) {
            Some(consumer) => Some(consumer.clone()),
            None => {
                return Err(Difference {
                    what: "caller".to_owned(),
                    expected: format!("the consumer `{}`", name.as_str()),
                    got: "no consumer of this name".to_owned(),
                    origin: name.origin,
                });
            }
        },
    };
    let claims = claims(said);
    let subject = claims.get("sub").and_then(Json::as_str).map(Into::into);
    let claims = (!claims.is_empty()).then(|| Arc::new(claims));
    Ok(Caller { consumer, subject, auth: "assumed".into(), claims, anonymous: false })
}

/// The claims of a test's caller, with its scopes among them.
fn claims(said: &TestCaller) -> Claims {
    let mut claims = Claims::new();
    for (path, values) in said.claims.iter() {
        let value = match &values[..] {
            [one] => claim(one),
            several => several.iter().map(claim).collect(),
        };
        let names: Vec<&str> = path.value.names().collect();
        let Some((last, outer)) = names.split_last() else { continue };
        let innermost = outer.iter().try_fold(&mut claims, |map, name| {
            map.entry(*name).or_insert_with(|| Json::Object(Claims::new())).as_object_mut()
        });
        // Where a name on the way is a value, there is nothing below it.
        if let Some(map) = innermost {
            map.insert((*last).to_owned(), value);
        }
    }
    if !said.scopes.is_empty() {
        let own = claims.get("scope").and_then(Json::as_str).into_iter();
        let all: Vec<&str> = own.chain(said.scopes.iter().map(|scope| scope.as_str())).collect();
        let all = all.join(" ");
        claims.insert("scope".to_owned(), all.into());
    }
    claims
}

fn claim(value: &ClaimValue) -> Json {
    match value {
        ClaimValue::Text(text) => Json::from(&**text),
        ClaimValue::Number(number) => Json::from(*number),
        ClaimValue::Flag(flag) => Json::from(*flag),
    }
}

impl Tried {
    /// In a line: `12 tests passed`, `2 of 12 tests failed`; empty where there are none.
    pub fn summary(&self) -> String {
        match (self.run, self.failures.len()) {
            (0, _) => String::new(),
            (1, 0) => "1 test passed".to_owned(),
            (1, _) => "the only test failed".to_owned(),
            (run, 0) => format!("{run} tests passed"),
            (run, failed) => format!("{failed} of {run} tests failed"),
        }
    }

    /// For programs.
    pub fn to_json(&self, sources: &Sources) -> Json {
        let failures: Vec<Json> = self.failures.iter().map(|failure| failure.to_json(sources)).collect();
        json!({ "run": self.run, "failed": failures.len(), "failures": failures })
    }
}

impl Failure {
    /// As a finding about the document.
    pub fn finding(&self, severity: Severity) -> Diagnostic {
        let mut told = self.differences.iter().map(Difference::to_string);
        let first = told.next().unwrap_or_default();
        let message = format!("the test `{}` fails: {first}", self.name);
        let origin = self.differences.first().map_or(self.origin, |difference| difference.origin);
        let finding = match severity {
            Severity::Error => Diagnostic::error(origin, message),
            Severity::Warning => Diagnostic::warning(origin, message),
        };
        let because = self.because.iter().cloned();
        told.map(|other| format!("and {other}"))
            .chain(because)
            .fold(finding, |finding, note| finding.note(Place::NOWHERE, note))
    }

    fn to_json(&self, sources: &Sources) -> Json {
        let place = self.origin;
        let differences = self.differences.iter().map(|difference| {
            let Difference { what, expected, got, .. } = difference;
            json!({ "what": what, "expected": expected, "got": got })
        });
        json!({
            "name": self.name,
            "place": { "file": sources.name(place.file), "line": place.line, "column": place.column },
            "differences": differences.collect::<Vec<_>>(),
            "because": self.because,
        })
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, expected, got, .. } = self;
        write!(f, "{what}: expected {expected}, got {got}")
    }
}
