//! Reading query parameters where they stand.

use memchr::memchr;
use tollgate_message::form::decode;

/// The value, still encoded, of the first parameter whose decoded name is `name`.
pub(crate) fn first_value<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (raw_name, value) = match memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        means(raw_name, name).then_some(value)
    })
}

/// Whether `encoded`, decoded, is `plain`.
pub(crate) fn means(encoded: &[u8], plain: &[u8]) -> bool {
    // Decoding never makes more bytes of fewer.
    encoded.len() >= plain.len() && decode(encoded).eq(plain.iter().copied())
}

/// Whether decoding would change anything.
pub(crate) fn is_encoded(value: &[u8]) -> bool {
    memchr::memchr2(b'%', b'+', value).is_some()
}

#[cfg(test)]
mod tests {
    use super::{decode, first_value};

    #[test]
    fn the_first_value_of_a_name_counts() {
        for (query, name, value) in [
            ("a=1&b=2&a=3", "a", Some("1")),
            ("a=1&b=2", "b", Some("2")),
            ("a", "a", Some("")),
            ("a=", "a", Some("")),
            ("=1", "", Some("1")),
            ("a=b=c", "a", Some("b=c")),
            ("&&a=1&", "a", Some("1")),
            ("%61%20b=1", "a b", Some("1")),
            ("a+b=1", "a b", Some("1")),
            ("A=1", "a", None),
            ("ab=1", "a", None),
            ("", "a", None),
            ("", "", None),
        ] {
            let found = first_value(query.as_bytes(), name.as_bytes());
            assert_eq!(found, value.map(str::as_bytes), "{query} {name}");
        }
    }

    #[test]
    fn decoding_takes_broken_encodings_as_they_are() {
        for (encoded, plain) in
            [("%41%2b+", "A+ "), ("%", "%"), ("%4", "%4"), ("%zz%41", "%zzA"), ("%%41", "%A")]
        {
            let decoded: Vec<u8> = decode(encoded.as_bytes()).collect();
            assert_eq!(String::from_utf8(decoded).unwrap(), plain, "{encoded}");
        }
    }
}
