//! The random parts of a browser login: PKCE verifier and challenge (RFC 7636), state, nonce.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api_key::sha256;

/// A verifier and the challenge made from it by method `S256` (RFC 7636 section 4.2).
#[derive(Clone)]
pub struct Pkce {
    /// Kept until the code is exchanged, then sent as `code_verifier`.
    pub verifier: String,
    /// Sent as `code_challenge`.
    pub challenge: String,
}

/// Makes a verifier of 43 characters from 32 random bytes that `random` fills in.
pub fn pkce(random: impl FnMut(&mut [u8])) -> Pkce {
    let verifier = random_token(random);
    let challenge = challenge(&verifier);
    Pkce { verifier, challenge }
}

/// The `S256` challenge of a verifier.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()))
}

/// 256 random bits as 43 characters of base64url: for `state`, `nonce`, session ids.
pub fn random_token(mut random: impl FnMut(&mut [u8])) -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Whether both are the same. The time taken tells no more than whether the lengths differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    verify_slices_are_equal(a, b).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{challenge, pkce, same};

    #[test]
    fn the_example_of_rfc_7636_appendix_b_holds() {
        let octets = [
            116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105,
            214, 191, 240, 91, 88, 5, 88, 83, 132, 141, 121,
        ];
        let made = pkce(|bytes| bytes.copy_from_slice(&octets));
        assert_eq!(made.verifier, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(made.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_eq!(challenge(&made.verifier), made.challenge);
    }

    #[test]
    fn only_the_same_is_the_same() {
        assert!(same(b"", b"") && same(b"abc", b"abc"));
        assert!(!same(b"abc", b"abd") && !same(b"abc", b"ab") && !same(b"", b"a"));
    }
}
