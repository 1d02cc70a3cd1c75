//! Randomness: fast for spreading load, jitter and identifiers, and the operating system's for secrets.

use std::hash::{BuildHasher, RandomState};
use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills a slice with bytes that nobody can guess: for keys, passwords and salts.
///
/// # Errors
/// If the operating system gives none.
pub fn unguessable(bytes: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match getrandom(&mut *rest, GetRandomFlags::empty()) {
            Ok(filled) => rest = &mut rest[filled..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A splitmix64 generator, not for secrets: one addition and a few multiplications a number.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A generator seeded by the machine.
    pub fn from_machine() -> Self {
        // The standard library keys each of its hash maps from the operating system's randomness.
        Self::from_seed(RandomState::new().hash_one(std::process::id()))
    }

    /// A generator that gives the same numbers for the same seed.
    pub fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Writes a UUID of version 7 (RFC 9562 section 5.7): 48 bits of milliseconds since 1970, then
/// 74 random bits, so that identifiers sort by time.
pub fn uuid_v7(wall_ms: u64, random: &mut Random) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let (a, b) = (random.next_u64(), random.next_u64());
    let high = (wall_ms << 16) | 0x7000 | (a & 0x0fff);
    let low = (b & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in bytes {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Random, uuid_v7};

    #[test]
    fn same_seed_same_numbers() {
        let (mut a, mut b) = (Random::from_seed(7), Random::from_seed(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
        assert_ne!(Random::from_machine().next_u64(), Random::from_machine().next_u64());
    }

    #[test]
    fn identifiers_have_version_and_variant_and_sort_by_time() {
        let mut random = Random::from_seed(1);
        let mut before = String::new();
        for ms in [1_700_000_000_000u64, 1_700_000_000_001, 1_800_000_000_000] {
            let text = String::from_utf8(uuid_v7(ms, &mut random).to_vec()).unwrap();
            assert_eq!((text.len(), &text[14..15]), (36, "7"), "{text}");
            assert!("89ab".contains(&text[19..20]), "{text}");
            assert_eq!(text.matches('-').count(), 4, "{text}");
            assert!(before < text);
            before = text;
        }
    }
}
