use tollgate_decision::Reason;
use tollgate_policy::Verdict;

use super::{RequestLimits, Settings};
use crate::sample::{Sample, response};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

/// The reason, and the fields of the answer; `None` for a request that goes on.
fn refused(settings: &Settings, line: &str, fields: &str) -> Option<(Reason, String)> {
    let (verdict, gate) = Sample::new(line, fields).ask(&RequestLimits::new(settings.clone()).unwrap());
    match verdict {
        Verdict::Continue(None) => {
            assert!(gate.response.is_empty());
            None
        }
        Verdict::Refuse(refused) => {
            assert!(refused.note.is_some());
            Some((refused.reason, response(&gate)))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_methods_are_told_which_there_are() {
    let settings = Settings { methods: words(&["GET", "PURGE"]), ..Settings::default() };
    for method in ["GET", "HEAD", "PURGE"] {
        assert_eq!(refused(&settings, &format!("{method} /"), ""), None, "{method}");
    }
    let allow = "Allow: GET, PURGE, HEAD\r\n".to_owned();
    for method in ["POST", "OPTIONS", "get", "purge", "PURGER", "Get"] {
        let expected = Some((Reason::MethodNotAllowed, allow.clone()));
        assert_eq!(refused(&settings, &format!("{method} /"), ""), expected, "{method}");
    }
    let settings = Settings { methods: words(&["POST"]), ..Settings::default() };
    assert!(refused(&settings, "HEAD /", "").is_some());
    assert_eq!(refused(&Settings::default(), "ANY /", ""), None);
}

#[test]
fn a_body_must_have_one_of_the_types_and_exactly_one_type() {
    let content_types = words(&["application/json", "image/*"]);
    let settings = Settings { content_types, ..Settings::default() };
    for fields in [
        "",
        "Content-Type: text/html\r\n",
        "Content-Length: 0\r\nContent-Type: text/html\r\n",
        "Content-Length: 2\r\nContent-Type: application/json; charset=utf-8\r\n",
        "Transfer-Encoding: chunked\r\nContent-Type: image/png\r\n",
    ] {
        assert_eq!(refused(&settings, "POST /", fields), None, "{fields}");
    }
    let expected = (Reason::ContentTypeNotAllowed, "Accept: application/json, image/*\r\n".to_owned());
    for fields in [
        "Content-Length: 2\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Type:\r\n",
        "Content-Length: 2\r\nContent-Type: text/html\r\n",
        "Content-Length: 2\r\nContent-Type: text/html; a=application/json\r\n",
        "Content-Length: 2\r\nContent-Type: application/json, text/html\r\n",
        "Content-Length: 2\r\nContent-Type: application/json\r\nContent-Type: text/html\r\n",
        "Transfer-Encoding: chunked\r\nContent-Type: application/x-www-form-urlencoded\r\n",
    ] {
        assert_eq!(refused(&settings, "POST /", fields).as_ref(), Some(&expected), "{fields}");
    }
}

#[test]
fn sizes_are_allowed_up_to_their_limit() {
    let reason = |settings: &Settings, line: &str, fields: &str| refused(settings, line, fields).map(|r| r.0);
    let body = Settings { body_size: Some(10), ..Settings::default() };
    assert_eq!(reason(&body, "POST /", "Content-Length: 10\r\n"), None);
    assert_eq!(reason(&body, "POST /", "Content-Length: 11\r\n"), Some(Reason::BodyTooLarge));
    let huge = "Content-Length: 18446744073709551615\r\n";
    assert_eq!(reason(&body, "POST /", huge), Some(Reason::BodyTooLarge));
    assert_eq!(reason(&body, "POST /", "Transfer-Encoding: chunked\r\n"), None);
    assert_eq!(RequestLimits::new(body).unwrap().body_size(), Some(10));
    let none = Settings { body_size: Some(0), ..Settings::default() };
    assert_eq!(reason(&none, "POST /", "Content-Length: 1\r\n"), Some(Reason::BodyTooLarge));

    let fields = Settings { fields: Some(3), ..Settings::default() };
    assert_eq!(reason(&fields, "GET /", "A: 1\r\nB: 2\r\n"), None);
    assert_eq!(reason(&fields, "GET /", "A: 1\r\nB: 2\r\nB: 3\r\n"), Some(Reason::TooManyFields));

    let path = Settings { path_size: Some(4), ..Settings::default() };
    assert_eq!(reason(&path, "GET /abc?defgh", ""), None);
    assert_eq!(reason(&path, "GET /abcd", ""), Some(Reason::TargetTooLong));

    let query = Settings { query_size: Some(5), query_parameters: Some(2), ..Settings::default() };
    for target in ["/", "/?", "/?a=1", "/?a&b", "/?a=1&b"] {
        assert_eq!(reason(&query, &format!("GET {target}"), ""), None, "{target}");
    }
    for target in ["/?a=1&bc", "/?a&b&c", "/?&&"] {
        assert_eq!(reason(&query, &format!("GET {target}"), ""), Some(Reason::TargetTooLong), "{target}");
    }
}

#[test]
fn settings_that_cannot_be_met_are_refused() {
    let settings = Settings { methods: words(&["GET", "PO ST"]), ..Settings::default() };
    let wrong = RequestLimits::new(settings).unwrap_err();
    assert_eq!((wrong.setting, wrong.index), ("methods", 1));
    let settings = Settings { content_types: words(&["json"]), ..Settings::default() };
    assert_eq!(RequestLimits::new(settings).unwrap_err().setting, "content_types");
}
