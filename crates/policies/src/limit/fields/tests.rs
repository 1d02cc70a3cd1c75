use proptest::prelude::*;
use tollgate_http1::edits::Edits;

use super::{Standing, Style, write};

const MINUTE: Standing<'_> =
    Standing { name: "per-consumer", quota: 100, window_s: 60, remaining: 42, reset_s: 17 };
const DAY: Standing<'_> =
    Standing { name: "plan", quota: 10_000, window_s: 86_400, remaining: 100, reset_s: 3600 };
const AT_ONCE: Standing<'_> = Standing { name: "calm", quota: 10, window_s: 0, remaining: 9, reset_s: 0 };

fn told(style: Style, standings: &[Standing<'_>]) -> String {
    let mut response = Edits::default();
    write(style, standings, &mut response);
    String::from_utf8(response.lines().to_vec()).unwrap()
}

#[test]
fn the_fields_of_the_draft_list_each_limit() {
    assert_eq!(
        told(Style::Draft, &[MINUTE]),
        "RateLimit-Policy: \"per-consumer\";q=100;w=60\r\nRateLimit: \"per-consumer\";r=42;t=17\r\n"
    );
    assert_eq!(
        told(Style::Draft, &[MINUTE, DAY, AT_ONCE]),
        "RateLimit-Policy: \"per-consumer\";q=100;w=60, \"plan\";q=10000;w=86400, \"calm\";q=10\r\n\
         RateLimit: \"per-consumer\";r=42;t=17, \"plan\";r=100;t=3600, \"calm\";r=9\r\n"
    );
    assert_eq!(told(Style::Draft, &[]) + &told(Style::Trio, &[]) + &told(Style::Silent, &[DAY]), "");
}

#[test]
fn the_trio_tells_of_the_tightest_limit_and_replaces_the_origins() {
    let expected = "X-RateLimit-Limit: 10000\r\nX-RateLimit-Remaining: 100\r\nX-RateLimit-Reset: 3600\r\n";
    assert_eq!(told(Style::Trio, &[MINUTE, DAY, AT_ONCE]), expected);
    let used_up = Standing { remaining: 0, ..MINUTE };
    let also = Standing { remaining: 0, ..DAY };
    assert!(told(Style::Trio, &[used_up, also]).contains("Reset: 3600"));
    let mut response = Edits::default();
    write(Style::Trio, &[MINUTE], &mut response);
    assert!(response.replaces("x-ratelimit-limit") && response.replaces("x-ratelimit-reset"));
}

#[test]
fn attack_names_cannot_end_the_string_or_the_line() {
    let name = "a\"b\\c\r\nSet-Cookie: x=1\u{e9}\u{7f}";
    let told = told(Style::Draft, &[Standing { name, ..MINUTE }]);
    assert!(told.starts_with("RateLimit-Policy: \"a\\\"b\\\\c??Set-Cookie: x=1??\";q=100"), "{told}");
    assert_eq!(told.matches("\r\n").count(), 2);
}

proptest! {
    /// Whatever the name and the numbers are, the item is one that structured fields can be read as.
    #[test]
    fn every_name_and_number_makes_a_valid_item(name in any::<String>(), quota in any::<u64>()) {
        let told = told(Style::Draft, &[Standing { name: &name, quota, ..MINUTE }]);
        let line = told.lines().next().unwrap();
        let item = line.strip_prefix("RateLimit-Policy: \"").unwrap();
        prop_assert!(item.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        let mut escaped = false;
        let end = item.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        let number = item[end.unwrap() + 1..].strip_prefix(";q=").unwrap().strip_suffix(";w=60").unwrap();
        prop_assert!(number.len() <= 15 && number.bytes().all(|byte| byte.is_ascii_digit()));
    }
}
