//! Keys of limits as keyed hashes.

use tollgate_runtime::Random;

/// What a limit counts for: a 128-bit hash of the limit's name and the key's bytes, under a secret of the process.
///
/// 64 bits choose where the key's state is, the other 64 tell it from its neighbours there. Nobody who does not know the
/// secret can choose two keys that meet; by chance a key among a million live ones in a table of `b` buckets is
/// taken for another with a probability of `7 / 2^64` (four in 10^19) per look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub(crate) place: u64,
    /// Never zero.
    pub(crate) tag: u64,
}

/// The secret under which keys are hashed.
#[derive(Clone)]
pub struct KeyHash {
    secret: [u64; 2],
}

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash")
    }
}

impl KeyHash {
    /// A secret of this process, new at each start.
    pub fn from_machine() -> Self {
        Self::from_secret([Random::from_machine().next_u64(), Random::from_machine().next_u64()])
    }

    /// A secret that was kept somewhere.
    pub fn from_secret(secret: [u64; 2]) -> Self {
        Self { secret }
    }

    /// The key of `bytes` (an address, a consumer's name …) under the limit with the number `limit`.
    pub fn key(&self, limit: u64, bytes: &[u8]) -> Key {
        let [place, tag] = siphash::<1, 3>(self.secret, limit, bytes);
        Key { place, tag: tag.max(1) }
    }
}

/// SipHash with 128 bits of output (Aumasson and Bernstein 2012), after the word `first`.
fn siphash<const C: usize, const D: usize>(secret: [u64; 2], first: u64, bytes: &[u8]) -> [u64; 2] {
    let mut sip = Sip::new(secret);
    sip.word::<C>(first);
    sip.finish::<C, D>(bytes, 8)
}

struct Sip([u64; 4]);

impl Sip {
    fn new([k0, k1]: [u64; 2]) -> Self {
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    fn rounds<const N: usize>(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..N {
            a = a.wrapping_add(b);
            c = c.wrapping_add(d);
            b = b.rotate_left(13) ^ a;
            d = d.rotate_left(16) ^ c;
            a = a.rotate_left(32).wrapping_add(d);
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            d = d.rotate_left(21) ^ a;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }

    fn word<const C: usize>(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds::<C>();
        self.0[0] ^= word;
    }

    /// Takes in the rest of the message, `before` bytes of which are in already.
    fn finish<const C: usize, const D: usize>(mut self, bytes: &[u8], before: usize) -> [u64; 2] {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word::<C>(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = (before + bytes.len()) as u8;
        self.word::<C>(u64::from_le_bytes(last));
        self.0[2] ^= 0xee;
        self.rounds::<D>();
        let low = self.0.iter().fold(0, |sum, word| sum ^ word);
        self.0[1] ^= 0xdd;
        self.rounds::<D>();
        [low, self.0.iter().fold(0, |sum, word| sum ^ word)]
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyHash, Sip};

    /// The first vectors of the reference implementation: the key 00 … 0f, no bytes and then the byte 00.
    #[test]
    fn it_is_siphash() {
        let secret = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let none = Sip::new(secret).finish::<2, 4>(&[], 0);
        assert_eq!(none, [0xe6a8_25ba_047f_81a3, 0x9302_55c7_1472_f66d]);
        let one = Sip::new(secret).finish::<2, 4>(&[0], 0);
        assert_eq!(one, [0x44af_996b_d8c1_87da, 0x45fc_229b_1159_7634]);
    }

    #[test]
    fn limits_bytes_and_secrets_all_count() {
        let (a, b) = (KeyHash::from_secret([1, 2]), KeyHash::from_machine());
        assert_eq!(a.key(1, b"alice"), a.key(1, b"alice"));
        assert_ne!(a.key(1, b"alice"), a.key(2, b"alice"));
        assert_ne!(a.key(1, b"alice"), a.key(1, b"alice\0"));
        assert_ne!(a.key(1, b"alice"), b.key(1, b"alice"));
    }
}
