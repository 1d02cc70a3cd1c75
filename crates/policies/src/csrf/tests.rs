use tollgate_decision::Reason;
use tollgate_policy::Verdict;

use super::{Csrf, Settings};
use crate::sample::Sample;

/// The operator's note on a refusal; `None` for a request that goes on.
fn refused(policy: &Csrf, request: &Sample) -> Option<String> {
    match request.ask(policy).0 {
        Verdict::Continue(None) => None,
        Verdict::Refuse(refused) => {
            assert_eq!(refused.reason, Reason::CrossSite);
            Some(refused.note.unwrap().into_owned())
        }
        other => panic!("{other:?}"),
    }
}

fn post(policy: &Csrf, fields: &str) -> Option<String> {
    refused(policy, &Sample::new("POST /transfer", fields))
}

fn strict() -> Csrf {
    Csrf::new(&Settings::default()).unwrap()
}

#[test]
fn sec_fetch_site_tells_where_a_request_comes_from() {
    for fields in ["", "Sec-Fetch-Site: same-origin\r\n", "sec-fetch-site: none\r\n"] {
        assert_eq!(post(&strict(), fields), None, "{fields}");
    }
    let same = "Sec-Fetch-Site: same-site\r\nOrigin: https://b.example\r\n";
    assert_eq!(post(&strict(), same).unwrap(), "Sec-Fetch-Site is same-site");
    let lax = Csrf::new(&Settings { same_site: true, ..Settings::default() }).unwrap();
    assert_eq!(post(&lax, same), None);
    let cross = "Sec-Fetch-Site: cross-site\r\nOrigin: https://b.example\r\n";
    assert_eq!(post(&lax, cross).unwrap(), "Sec-Fetch-Site is cross-site");
}

#[test]
fn trusted_origins_may_send_from_other_sites() {
    let trusted_origins = vec!["https://pay.example".to_owned(), "https://*.b.example".to_owned()];
    let policy = Csrf::new(&Settings { trusted_origins, same_site: false }).unwrap();
    for site in ["Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n", ""] {
        for origin in ["https://pay.example", "https://x.y.b.example"] {
            assert_eq!(post(&policy, &format!("{site}Origin: {origin}\r\n")), None, "{site}{origin}");
        }
        for origin in ["http://pay.example", "https://pay.example.evil", "https://b.example", "null", ""] {
            assert!(post(&policy, &format!("{site}Origin: {origin}\r\n")).is_some(), "{site}{origin}");
        }
    }
    assert!(post(&policy, "Sec-Fetch-Site: cross-site\r\n").is_some());
}

#[test]
fn without_sec_fetch_site_the_origin_must_be_the_requests_own() {
    let ask = |tls: bool, host: &str, origin: &str| {
        let fields = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        let mut request = Sample::new("POST /transfer", &fields);
        request.tls = tls;
        refused(&strict(), &request)
    };
    assert_eq!(ask(true, "a.example", "https://a.example"), None);
    assert_eq!(ask(true, "A.example:443", "https://a.example"), None);
    assert_eq!(ask(true, "a.example:8443", "https://a.example:8443"), None);
    assert_eq!(ask(false, "a.example", "http://a.example"), None);
    assert_eq!(ask(false, "[::1]:8080", "http://[::1]:8080"), None);
    // TLS ended before us.
    assert_eq!(ask(false, "a.example", "https://a.example"), None);
    for (tls, host, origin) in [
        (true, "a.example", "http://a.example"),
        (true, "a.example", "https://b.example"),
        (true, "a.example", "https://a.example:8443"),
        (true, "a.example:8443", "https://a.example"),
        (false, "a.example:443", "http://a.example"),
        (true, "a.example", "https://a.example.evil"),
        (true, "a.example", "https://evil-a.example"),
        (true, "a.example", "https://a.example@evil"),
        (true, "a.example", "null"),
        (true, "null", "null"),
        (true, "a.example", "a.example"),
    ] {
        let note = ask(tls, host, origin);
        assert_eq!(note.as_deref(), Some("Origin is another than the request's"), "{host} {origin}");
    }
}

#[test]
fn requests_that_change_nothing_pass_and_all_others_are_looked_at() {
    let cross = "Sec-Fetch-Site: cross-site\r\n";
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(refused(&strict(), &Sample::new(&format!("{method} /"), cross)), None);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "TRACE", "PURGE", "get"] {
        assert!(refused(&strict(), &Sample::new(&format!("{method} /"), cross)).is_some(), "{method}");
    }
}

#[test]
fn attack_a_foreign_page_opens_a_websocket() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let open = |fields: &str| refused(&strict(), &Sample::new("GET /chat", &format!("{upgrade}{fields}")));
    assert!(open("Origin: https://evil.example\r\n").is_some());
    assert!(open("Sec-Fetch-Site: cross-site\r\nOrigin: https://evil.example\r\n").is_some());
    assert_eq!(open("Origin: https://a.example\r\n"), None);
    assert_eq!(open(""), None);
}

#[test]
fn attack_of_several_values_none_counts() {
    for fields in [
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-origin\r\n",
        "Sec-Fetch-Site: same-origin, cross-site\r\n",
        "Sec-Fetch-Site: Same-Origin\r\n",
        "Sec-Fetch-Site:\r\n",
        "Origin: https://a.example\r\nOrigin: https://evil.example\r\n",
        "Sec-Fetch-Site: same-origin\r\nOrigin: https://a.example\r\nOrigin: https://evil.example\r\n",
        "Origin: https://a.example https://evil.example\r\n",
    ] {
        assert!(post(&strict(), fields).is_some(), "{fields}");
    }
}

#[test]
fn everybody_cannot_be_trusted() {
    for (index, origins) in [["*", "https://a.example"], ["https://a.example", "null"]].iter().enumerate() {
        let trusted_origins = origins.iter().map(|origin| origin.to_string()).collect();
        let wrong = Csrf::new(&Settings { trusted_origins, same_site: false }).unwrap_err();
        assert_eq!((wrong.setting, wrong.index), ("trusted_origins", index));
    }
}
