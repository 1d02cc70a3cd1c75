//! A request as it may be shown: its secrets hidden, whatever shape its head is in.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Value as Json, json};
use tollgate_telemetry::access::{around_user, is_secret_header};

use super::Show;

/// What stands for a secret.
pub(crate) const HIDDEN: &str = "[hidden]";
/// A line longer than this is cut.
const LINE_MAX: usize = 2000;

/// A request's head with secrets hidden. Bytes that are not printable are escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTold {
    /// The request line.
    pub line: String,
    /// The field lines: name and value; a line that is no field has no name.
    pub fields: Vec<(String, String)>,
}

impl RequestTold {
    /// Reads the lines of a head, or of what came instead of one, up to the first empty line.
    pub(super) fn new(head: &[u8], show: Show) -> Self {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.by_ref().find(|line| !line.is_empty()).unwrap_or_default();
        let line = printable(&target_shown(first, show));
        let mut fields = Vec::new();
        let mut secret = false;
        for line in lines.take_while(|line| !line.is_empty()) {
            let folded = line.starts_with(b" ") || line.starts_with(b"\t");
            let colon = line.iter().position(|byte| *byte == b':').filter(|_| !folded);
            let (name, value) = colon.map_or((&[][..], line), |at| (&line[..at], &line[at + 1..]));
            // A line that continues a secret is one.
            secret = if folded { secret } else { is_secret(name) };
            let value = match secret {
                true => HIDDEN.to_owned(),
                false if name.trim_ascii().eq_ignore_ascii_case(b"referer") => {
                    printable(&target_shown(value.trim_ascii(), show))
                }
                false if name.trim_ascii().eq_ignore_ascii_case(b"host") => {
                    printable(&without_user(value.trim_ascii()))
                }
                false => printable(value.trim_ascii()),
            };
            fields.push((printable(name), value));
        }
        Self { line, fields }
    }

    /// Method and target of a head, without the query: for a line of a list. Empty where there are none.
    pub fn method_and_path(head: &[u8]) -> (String, String) {
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let first = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let mut words = first.split(|byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
        (printable(method), printable(&without_user(&target[..end])))
    }

    pub(super) fn to_json(&self) -> Json {
        let fields = self.fields.iter().map(|(name, value)| json!({ "name": name, "value": value }));
        json!({ "line": self.line, "fields": fields.collect::<Vec<_>>() })
    }
}

/// Names of fields that hold secrets, and ends of such names.
pub(crate) fn is_secret(name: &[u8]) -> bool {
    const WHOLE: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
    const ENDS: [&str; 6] = ["-token", "-key", "-secret", "-password", "apikey", "-authorization"];
    let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase().replace('_', "-");
    is_secret_header(&name)
        || WHOLE.contains(&name.as_str())
        || ENDS.iter().any(|end| name.ends_with(end) || name == end.trim_start_matches('-'))
}

/// A text with a target in it: the values of its query hidden, unless they shall be shown.
fn target_shown(text: &[u8], show: Show) -> Vec<u8> {
    let text = &*without_user(text);
    let Some(query) = text.iter().position(|byte| *byte == b'?').filter(|_| !show.query) else {
        return text.to_vec();
    };
    let (before, rest) = text.split_at(query + 1);
    let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
    let (query, after) = rest.split_at(end);
    [before, &hide_values(query), after].concat()
}

/// A text with a target in it: what stands before the host in its authority is hidden, since that is a password.
fn without_user(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(start) = memchr::memmem::find(text, b"://").map(|at| at + 3) else {
        return without_scheme_and_user(text);
    };
    let authority = text[start..].split(|byte| b"/?# ".contains(byte)).next().unwrap_or_default();
    match authority.iter().rposition(|byte| *byte == b'@') {
        Some(at) => [&text[..start], HIDDEN.as_bytes(), &text[start + at..]].concat().into(),
        None => text.into(),
    }
}

/// The same where there is no scheme, as in `Host` and in the target of a CONNECT.
fn without_scheme_and_user(text: &[u8]) -> Cow<'_, [u8]> {
    let words = text.split(|byte| *byte == b' ').map(|word| match around_user(word) {
        Some((before, after)) => [before, HIDDEN.as_bytes(), after].concat().into(),
        None => Cow::Borrowed(word),
    });
    match text.contains(&b'@') {
        true => words.collect::<Vec<_>>().join(&b' ').into(),
        false => text.into(),
    }
}

/// A query: its values hidden, unless they shall be shown.
pub(super) fn query_shown(query: &str, show: Show) -> String {
    match show.query {
        true => query.to_owned(),
        false => printable(&hide_values(query.as_bytes())),
    }
}

fn hide_values(query: &[u8]) -> Vec<u8> {
    let hide = |parameter: &[u8]| match parameter.iter().position(|byte| *byte == b'=') {
        Some(at) => [&parameter[..=at], HIDDEN.as_bytes()].concat(),
        // A parameter without a name may be the secret itself.
        None if parameter.is_empty() => Vec::new(),
        None => HIDDEN.as_bytes().to_vec(),
    };
    query.split(|byte| *byte == b'&').map(hide).collect::<Vec<_>>().join(&b'&')
}

fn printable(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(LINE_MAX)];
    let mut text = String::with_capacity(cut.len());
    for byte in cut {
        match byte {
            0x20..=0x7e => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    if cut.len() < bytes.len() {
        text += &format!("... ({} bytes)", bytes.len());
    }
    text
}

impl fmt::Display for RequestTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "            {}", self.line)?;
        for (name, value) in &self.fields {
            match name.is_empty() {
                true => writeln!(f, "            {value}")?,
                false => writeln!(f, "            {name}: {value}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestTold, Show};

    fn told(head: &str, query: bool) -> String {
        RequestTold::new(head.as_bytes(), Show { query }).to_string()
    }

    #[test]
    fn secrets_are_hidden_in_any_spelling() {
        for field in [
            "Authorization: Bearer s3cret",
            "authorization : s3cret",
            "AUTHORIZATION:s3cret",
            "Proxy-Authorization: s3cret",
            "Cookie: a=1; s=s3cret",
            "Set-Cookie: s3cret",
            "X-Api-Key: s3cret",
            "x_api_key: s3cret",
            "X-Auth-Token: s3cret",
            "token: s3cret",
            "X-Client-Secret: s3cret",
            "ApiKey: s3cret",
            "Cookie: a\r\n folded=s3cret",
            "Referer: http://a/?s3cret=1&k=s3cret&s3cret",
            "Referer: http://joe:s3cret@a/b@c",
            "Referer: //joe:s3cret@a/b@c",
            "Host: joe:s3cret@a",
            "X-Goog-IAP-JWT-Assertion: s3cret",
            "X-Forwarded-Client-Cert: s3cret",
            "X_Auth: s3cret",
            "X-Hub-Signature: s3cret",
            "X-My-JWT: s3cret",
        ] {
            let told = told(&format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\nX-B: b\r\n\r\n"), false);
            let values = told.replace("s3cret=[hidden]", "");
            assert!(!values.contains("s3cret"), "{field}: {told}");
            assert!(
                told.contains("[hidden]") && told.contains("Host: a") && told.contains("X-B: b"),
                "{told}"
            );
        }
    }

    #[test]
    fn query_values_are_shown_only_where_they_shall_be() {
        let head = "GET /a?user=joe&bare&=x&token=abc HTTP/1.1\r\n\r\n";
        assert_eq!(
            told(head, false).trim(),
            "GET /a?user=[hidden]&[hidden]&=[hidden]&token=[hidden] HTTP/1.1"
        );
        assert_eq!(told(head, true).trim(), "GET /a?user=joe&bare&=x&token=abc HTTP/1.1");
    }

    #[test]
    fn a_password_without_a_scheme_is_hidden_too() {
        let head = "CONNECT joe:s3cret@a:80 HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(told(head, true).lines().next().unwrap().trim(), "CONNECT [hidden]@a:80 HTTP/1.1");
        assert_eq!(RequestTold::method_and_path(head.as_bytes()).1, "[hidden]@a:80");
        assert_eq!(told("GET /a@b?c@d HTTP/1.1\r\n\r\n", true).trim(), "GET /a@b?c@d HTTP/1.1");
    }

    #[test]
    fn a_line_of_a_list_has_no_query() {
        let told = |head: &str| RequestTold::method_and_path(head.as_bytes());
        assert_eq!(told("\r\nGET /a?token=b HTTP/1.1\r\n"), ("GET".into(), "/a".into()));
        assert_eq!(told("GET http://u:p@h/a@b?b c?d"), ("GET".into(), "http://[hidden]@h/a@b".into()));
        assert_eq!(told("GE\u{7}"), ("GE\\x07".into(), String::new()));
        assert_eq!(told(""), Default::default());
    }

    #[test]
    fn what_is_no_head_is_shown_without_harm() {
        assert_eq!(told("", false).trim(), "");
        assert_eq!(told("\r\n\r\nGE\u{1}T\u{7}", false).trim(), "GE\\x01T\\x07");
        assert_eq!(told("GET / HTTP/1.1\r\nno field\r\n\r\nbody", false).lines().count(), 2);
        assert!(told(&"x".repeat(9000), false).contains("(9000 bytes)"));
        assert!(!told("GET / HTTP/1.1\nA: b\n\npassword", false).contains("password"));
    }
}
