//! The hash of a balancing key: the same in every worker, process and instance, now and in versions to come.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Hashes a key (XXH3, 64 bits, no seed). Not keyed, since all instances have to agree: whoever may choose keys
/// freely can choose them so that they meet at one endpoint. `bounded_load` is what helps against that.
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The same, another one for each number.
pub(crate) fn numbered_hash(key: &[u8], number: u64) -> u64 {
    xxh3_64_with_seed(key, number)
}

#[cfg(test)]
mod tests {
    use super::key_hash;

    /// Values of the reference implementation: if they change, all keys move.
    #[test]
    fn hashes_stay_what_they_are() {
        assert_eq!(key_hash(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(key_hash(b"a"), 0xe6c6_32b6_1e96_4e1f);
        assert_eq!(key_hash(b"abc"), 0x78af_5f94_892f_3950);
    }
}
