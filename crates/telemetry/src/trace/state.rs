//! The `tracestate` field (W3C Trace Context level 1, section 3.3): what tracing systems on the way have
//! to say to each other. Tollgate adds nothing of its own; it passes on what is well formed.

/// Members of a list; one with more is malformed (section 3.3.1.1).
const MEMBERS_MAX: usize = 32;
/// Bytes that are passed on, the least that the specification asks for (section 3.3.1.5).
pub const LENGTH_MAX: usize = 512;
/// Members longer than this are the first to go when a list is too long (section 3.3.1.5).
const LARGE: usize = 128;
/// Bytes that are looked at. More are not worth the work.
const READ_MAX: usize = 8 * 1024;

/// Puts the values of all fields, in their order, into `out` as one list, which is cleared before. A list
/// that is malformed counts as absent. One that is too long loses members: the large ones, then the last.
pub fn join<'a>(values: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.clear();
    let mut members: [&[u8]; MEMBERS_MAX] = [&[]; MEMBERS_MAX];
    let (mut count, mut read) = (0, 0);
    for value in values {
        read += value.len();
        if read > READ_MAX {
            return;
        }
        for member in value.split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            // Empty members are allowed and mean nothing.
            if member.is_empty() {
                continue;
            }
            let Some(key) = key_of(member) else { return };
            let twice = members[..count].iter().any(|other| key_of(other) == Some(key));
            if twice || count == MEMBERS_MAX {
                return;
            }
            members[count] = member;
            count += 1;
        }
    }
    let members = &members[..count];
    let length = |members: &mut dyn Iterator<Item = &&[u8]>| members.map(|m| m.len() + 1).sum::<usize>();
    let too_long = length(&mut members.iter()) > LENGTH_MAX + 1;
    for member in members.iter().filter(|m| !too_long || m.len() <= LARGE) {
        if out.len() + 1 + member.len() > LENGTH_MAX {
            return;
        }
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(member);
    }
}

/// The key of a well-formed member.
fn key_of(member: &[u8]) -> Option<&[u8]> {
    let at = member.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&member[..at], &member[at + 1..]);
    (is_key(key) && is_value(value)).then_some(key)
}

/// A simple key, or `tenant@system` (section 3.3.1.3.1).
fn is_key(key: &[u8]) -> bool {
    let body = |text: &[u8], max: usize| {
        text.len() <= max
            && text.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(b))
    };
    let Some(at) = key.iter().position(|byte| *byte == b'@') else {
        return key.first().is_some_and(u8::is_ascii_lowercase) && body(key, 256);
    };
    let (tenant, system) = (&key[..at], &key[at + 1..]);
    let begins = tenant.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    begins && body(tenant, 241) && system.first().is_some_and(u8::is_ascii_lowercase) && body(system, 14)
}

/// Printable characters but `,` and `=`, and no space at the end (section 3.3.1.3.2).
fn is_value(value: &[u8]) -> bool {
    let printable = |b: &u8| (0x20..=0x7e).contains(b) && !b",=".contains(b);
    !value.is_empty() && value.len() <= 256 && value.iter().all(printable) && value.last() != Some(&b' ')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LENGTH_MAX, join, key_of};

    fn joined(values: &[&str]) -> String {
        let mut out = b"left over".to_vec();
        join(values.iter().map(|v| v.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_become_one_list_in_their_order() {
        assert_eq!(joined(&[]), "");
        assert_eq!(joined(&["a=1"]), "a=1");
        assert_eq!(
            joined(&["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"]),
            "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
        );
        assert_eq!(joined(&["a=1 ,\tb=2", "", " , c@d=3"]), "a=1,b=2,c@d=3");
        assert_eq!(joined(&["0t_-*/@sys=x y", "z=!"]), "0t_-*/@sys=x y,z=!");
    }

    #[test]
    fn a_malformed_list_counts_as_absent() {
        for value in [
            "a", "=1", "a=", "A=1", "0a=1", "a=1,b", "a=b=c", "a=\u{e9}", "a@=1", "@a=1", "a@b@c=1", "a@0=1",
            "a b=1", "a=1,a=2", "a=\u{7f}",
        ] {
            assert_eq!(joined(&[value]), "", "{value}");
        }
        let long_key = format!("{}=1", "k".repeat(257));
        let long_value = format!("k={}", "v".repeat(257));
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        for value in [long_key, long_value, many.join(",")] {
            assert_eq!(joined(&[&value]), "", "{value}");
        }
        assert_eq!(joined(&[&many[..32].join(",")]), many[..32].join(","));
    }

    #[test]
    fn a_list_that_is_too_long_loses_large_members_then_the_last() {
        let large = format!("large={}", "v".repeat(200));
        let small: Vec<String> = (0..20).map(|n| format!("k{n:02}={}", "v".repeat(26))).collect();
        let list = format!("{},{large},{}", small[0], small[1..].join(","));
        let kept = joined(&[&list]);
        assert!(kept.len() <= LENGTH_MAX && !kept.contains("large"), "{kept}");
        assert_eq!(kept, small[..16].join(","));
        // As long as there is room large ones stay.
        assert_eq!(joined(&[&large, "a=1"]), format!("{large},a=1"));
    }

    proptest! {
        #[test]
        fn what_is_passed_on_is_well_formed_short_and_stays_as_it_is(
            values in prop::collection::vec("([a-c@ ,=]{0,8}|[a-z]{1,3}=[ -~]{0,140},?){0,12}", 0..4)
        ) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let once = joined(&values);
            prop_assert!(once.len() <= LENGTH_MAX);
            prop_assert!(once.is_empty() || once.split(',').all(|m| key_of(m.as_bytes()).is_some()), "{once}");
            prop_assert_eq!(joined(&[&once]), once);
        }
    }
}
