//! A client's certificate as fields of the request that is passed on (RFC 9440).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The value of `Client-Cert`: the client's own certificate as a byte sequence of structured fields.
pub fn client_cert_field(leaf: &[u8]) -> String {
    let mut value = String::with_capacity(leaf.len() * 4 / 3 + 6);
    push(&mut value, leaf);
    value
}

/// The value of `Client-Cert-Chain`: the certificates that were shown beside the client's own, in that order.
pub fn client_cert_chain_field<'a>(intermediates: impl Iterator<Item = &'a [u8]>) -> String {
    let mut value = String::new();
    for certificate in intermediates {
        if !value.is_empty() {
            value.push_str(", ");
        }
        push(&mut value, certificate);
    }
    value
}

fn push(value: &mut String, bytes: &[u8]) {
    value.push(':');
    STANDARD.encode_string(bytes, value);
    value.push(':');
}

#[cfg(test)]
mod tests {
    use super::{client_cert_chain_field, client_cert_field};

    #[test]
    fn byte_sequences_are_padded_base64_between_colons() {
        assert_eq!(client_cert_field(b"hello"), ":aGVsbG8=:");
        let chain: [&[u8]; 2] = [b"\xff\xfe", b""];
        assert_eq!(client_cert_chain_field(chain.into_iter()), "://4=:, ::");
        assert_eq!(client_cert_chain_field([].into_iter()), "");
    }
}
