//! Expressions: any text is compiled or refused with a place within it, and what is compiled ends for any request.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;

use tollgate_expression::{Expression, Inputs, Key, ListVariable, MapVariable, TextVariable, Visit, Wanted};

/// The first line is an expression; what follows is a request made of these bytes, or claims if it is JSON.
pub(crate) fn run(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else { return };
    let bytes = rest.get(1..).unwrap_or_default();
    let claims = serde_json::from_slice(bytes).unwrap_or_default();
    let request = Request { bytes, claims };
    for wanted in [Wanted::Bool, Wanted::Int, Wanted::Key] {
        let expression = match Expression::compile(text, wanted) {
            Ok(expression) => expression,
            Err(error) => {
                assert!(!error.message.is_empty());
                // The place behind the last character stands for the end.
                let last = text.chars().count() + 1;
                assert!(error.column.is_none_or(|column| (1..=last).contains(&column)), "{error}");
                continue;
            }
        };
        assert_eq!(expression.text(), text);
        let mut out = b"k".to_vec();
        let key = expression.key(&request, &mut out);
        assert!(out.starts_with(b"k") && (key.is_ok() || out.len() == 1), "{key:?} {out:?}");
        // The same again, whatever came before.
        let (test, integer) = (expression.test(&request), expression.integer(&request));
        assert_eq!(expression.test(&request), test);
        assert_eq!(expression.integer(&request), integer);
        let said = [test.err(), integer.err(), key.err()];
        assert!(said.iter().flatten().all(|error| !error.to_string().is_empty()));
    }
}

/// Every string is all bytes; lists and maps are their lines.
struct Request<'d> {
    bytes: &'d [u8],
    claims: serde_json::Map<String, serde_json::Value>,
}

impl Request<'_> {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|byte| *byte == b'\n')
    }
}

impl Inputs for Request<'_> {
    fn text(&self, _: TextVariable) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.bytes)
    }

    fn entry(&self, _: MapVariable, key: Key<'_>) -> Option<Cow<'_, [u8]>> {
        self.lines().find(|line| *line == key.bytes).map(Cow::Borrowed)
    }

    fn entries<'a>(
        &'a self,
        _: MapVariable,
        visit: &mut dyn FnMut(Cow<'a, [u8]>, Cow<'a, [u8]>) -> Visit,
    ) -> Visit {
        for line in self.lines() {
            visit(Cow::Borrowed(line), Cow::Borrowed(line))?;
        }
        ControlFlow::Continue(())
    }

    fn items<'a>(&'a self, _: ListVariable, visit: &mut dyn FnMut(Cow<'a, [u8]>) -> Visit) -> Visit {
        self.lines().map(Cow::Borrowed).try_for_each(visit)
    }

    fn address(&self) -> Option<IpAddr> {
        let text = std::str::from_utf8(self.bytes).ok()?;
        text.trim().parse().ok()
    }

    fn size(&self) -> i64 {
        i64::try_from(self.bytes.len()).unwrap_or(-1)
    }

    fn tls(&self) -> bool {
        self.bytes.is_empty()
    }

    fn claims(&self) -> Option<&serde_json::Map<String, serde_json::Value>> {
        Some(&self.claims)
    }

    fn now(&self) -> i64 {
        self.bytes.iter().fold(i64::MIN, |time, byte| time.rotate_left(8) ^ i64::from(*byte))
    }
}
