use proptest::prelude::*;

use super::{Origin, OriginSet};

fn set(origins: &[&str]) -> OriginSet {
    let origins: Vec<String> = origins.iter().map(|origin| origin.to_string()).collect();
    OriginSet::new("origins", &origins).unwrap()
}

fn contains(set: &OriginSet, origin: &str) -> bool {
    set.contains(origin.as_bytes())
}

#[test]
fn scheme_host_and_port_must_be_the_same_and_case_does_not_count() {
    let set = set(&["https://App.example", "http://b.example:8080", "https://c.example:443", "app://local"]);
    for origin in [
        "https://app.example",
        "HTTPS://APP.EXAMPLE",
        "https://app.example:443",
        "http://b.example:8080",
        "https://c.example",
        "app://local",
    ] {
        assert!(contains(&set, origin), "{origin}");
    }
    for origin in [
        "http://app.example",
        "https://app.example:8443",
        "https://app.example:80",
        "http://b.example",
        "http://b.example:80",
        "https://b.example:8080",
        "app://local:80",
        "null",
        "",
    ] {
        assert!(!contains(&set, origin), "{origin}");
    }
}

#[test]
fn a_star_stands_for_one_or_more_labels_on_the_left() {
    let set = set(&["https://*.example.com", "http://*.dev.example:3000"]);
    for origin in ["https://a.example.com", "https://a.b.c.example.com", "http://x.dev.example:3000"] {
        assert!(contains(&set, origin), "{origin}");
    }
    for origin in ["https://example.com", "http://a.example.com", "https://a.example.com:8443", "null"] {
        assert!(!contains(&set, origin), "{origin}");
    }
    assert!(!contains(&set, "http://x.dev.example"));
}

#[test]
fn attack_look_alikes_of_a_wildcard_and_of_an_exact_origin_match_nothing() {
    let set = set(&["https://*.example.com", "https://example.com"]);
    for origin in [
        "https://example.com.evil",
        "https://a.example.com.evil",
        "https://evilexample.com",
        "https://a-example.com",
        "https://a.example.com@evil",
        "https://a.example.com:443@evil",
        "https://evil@a.example.com",
        "https://evil#.example.com",
        "https://evil?.example.com",
        "https://evil/.example.com",
        "https://evil\\.example.com",
        "https://evil%2f.example.com",
        "https://evil .example.com",
        "https://evil,https://a.example.com",
        "https://evil:.example.com",
        "https://evil:1.example.com",
        "https://.example.com",
        "https://a..example.com",
        "https://a.example.com.",
        "https://example.com.",
        "https://a.example.com/",
        "https://a.example.com:",
        "https://a.example.com:0443",
        "https://a.example.com:+443",
        "https://a.example.com:99999",
        "https://a.example.com:443:443",
        "https://*.example.com",
        "https://[::1].example.com",
        "https://[a.example.com",
        "https:a.example.com",
        "https:/a.example.com",
        "//a.example.com",
        "a.example.com",
        "https://a.example.com\0",
        "https://\u{130}.example.com",
        " https://a.example.com",
        "https://",
        "://a.example.com",
    ] {
        assert!(!contains(&set, origin), "{origin:?}");
    }
    let overlong = format!("https://{}example.com", "a.".repeat(20_000));
    assert!(!contains(&set, &overlong));
    assert!(!contains(&set, &format!("https://{}example.com", "a.".repeat(122))));
    assert!(contains(&set, &format!("https://{}example.com", "a.".repeat(121))));
}

#[test]
fn null_is_in_a_set_only_where_it_is_listed() {
    assert!(!contains(&set(&["*"]), "null"));
    assert!(!contains(&set(&["https://*"]), "null"));
    assert!(contains(&set(&["null"]), "null"));
    assert!(!contains(&set(&["null"]), "NULL"));
    assert!(contains(&set(&["*"]), "https://anything.example:1"));
    assert!(!contains(&set(&["*"]), "not an origin"));
    let hosts = set(&["https://*", "http://*:8080"]);
    assert!(contains(&hosts, "https://[::1]") && contains(&hosts, "http://a:8080"));
    assert!(!contains(&hosts, "http://a") && !contains(&hosts, "https://a:8080"));
}

#[test]
fn what_is_not_an_origin_is_refused_with_its_place_and_the_mend() {
    for text in [
        "app.example",
        "https://app.example/",
        "https://app.*.example",
        "https://a*.example",
        "https://*a.example",
        "https://*.*.example",
        "*://a.example",
        "https://*.",
        "https://bücher.example",
        "",
    ] {
        let origins = ["https://fine.example".to_owned(), text.to_owned()];
        let wrong = OriginSet::new("origins", &origins).unwrap_err();
        assert_eq!((wrong.setting, wrong.index), ("origins", 1), "{text}");
        assert!(wrong.to_string().contains("write it like `https://app.example`"), "{wrong}");
    }
}

proptest! {
    /// Whatever is accepted by the wildcard is, read in the plainest way, a name below it.
    #[test]
    fn nothing_but_names_below_it_matches_a_wildcard(
        left in "[ -~]{0,12}",
        middle in prop::sample::select(vec!["", ".", "example.com", ".example.com", "@", "/", ":443"]),
        right in "[ -~]{0,4}",
    ) {
        let origin = format!("https://{left}{middle}{right}");
        if contains(&set(&["https://*.example.com"]), &origin) {
            let host = origin["https://".len()..].to_ascii_lowercase();
            let host = host.strip_suffix(":443").unwrap_or(&host);
            let below = host.strip_suffix(".example.com").unwrap();
            prop_assert!(!below.is_empty());
            prop_assert!(below.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{origin}");
        }
    }

    /// Reading never fails otherwise than by saying no.
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Origin::parse(&bytes);
        let _ = Origin::of(b"https", &bytes);
    }
}
