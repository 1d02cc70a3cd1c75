//! The encoding of query parameters (`application/x-www-form-urlencoded`).

/// The decoded bytes: `%xx` is a byte, `+` a space; a `%` without two digits stands for itself.
pub fn decode(encoded: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'+' => Some(b' '),
            b'%' => match behind.get(..2).and_then(from_hex) {
                Some(value) => {
                    rest = &behind[2..];
                    Some(value)
                }
                None => Some(b'%'),
            },
            _ => Some(byte),
        }
    })
}

/// The byte that two hexadecimal digits stand for.
pub fn from_hex(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    Some(digit(*high)? << 4 | digit(*low)?)
}
