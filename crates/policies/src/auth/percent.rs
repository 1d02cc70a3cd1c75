//! Parameters of queries and forms (WHATWG URL section 5): read and written.

/// The parameters in their order, decoded. What is no UTF-8 when it is decoded is replaced character by character.
pub(super) fn parameters(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let cut = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = cut.map_or((pair, &[][..]), |cut| (&pair[..cut], &pair[cut + 1..]));
        (decode(name), decode(value))
    })
}

/// Decoded as a form has it: `+` is a blank.
pub(super) fn decode(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                at += 2;
            }
            (b'+', _, _) => decoded.push(b' '),
            (byte, _, _) => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Appends a text in a spelling that means the same in queries, forms and paths.
pub(super) fn encode(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]].map(char::from));
        }
    }
}

/// Appends a parameter to a URL, behind `?` or `&` as it needs.
pub(super) fn add(url: &mut String, name: &str, value: &str) {
    match url.find('?') {
        None => url.push('?'),
        Some(_) if url.ends_with(['?', '&']) => {}
        Some(_) => url.push('&'),
    }
    encode(url, name);
    url.push('=');
    encode(url, value);
}

#[cfg(test)]
mod tests {
    use super::{add, decode, parameters};

    #[test]
    fn what_is_written_is_read_again() {
        let mut url = "https://a.example/x".to_owned();
        for (name, value) in [("a b", "ü&=+%"), ("c", "")] {
            add(&mut url, name, value);
        }
        assert_eq!(url, "https://a.example/x?a%20b=%C3%BC%26%3D%2B%25&c=");
        let (_, query) = url.split_once('?').unwrap();
        let read: Vec<_> = parameters(query.as_bytes()).collect();
        assert_eq!(read, [("a b".to_owned(), "ü&=+%".to_owned()), ("c".to_owned(), String::new())]);
        let mut more = "https://a.example/?x".to_owned();
        add(&mut more, "y", "1");
        assert_eq!(more, "https://a.example/?x&y=1");
    }

    #[test]
    fn what_is_cut_short_stands_for_itself() {
        assert_eq!(
            ["%", "%4", "%4x", "a+b", "%41%"].map(|text| decode(text.as_bytes())),
            ["%", "%4", "%4x", "a b", "A%"]
        );
        assert_eq!(decode(b"%ff"), "\u{fffd}");
        assert_eq!(parameters(b"&&a&=b").collect::<Vec<_>>().len(), 2);
    }
}
