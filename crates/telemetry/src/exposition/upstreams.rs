//! What is known of upstreams besides what was counted.

use super::Writer;
use crate::families::{self, Family};

/// An upstream as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its name.
    pub upstream: String,
    /// Requests that are held since it has no endpoint for them.
    pub held: u64,
}

/// Writes what is known of the upstreams.
pub fn write_upstreams(writer: &mut Writer, upstreams: &[UpstreamState]) {
    type Value = fn(&UpstreamState) -> u64;
    let families: [(&Family, Value); 1] = [(&families::UPSTREAM_HELD, |upstream| upstream.held)];
    for (family, value) in families {
        writer.family(family);
        for upstream in upstreams {
            writer.series(family, &[("upstream", &upstream.upstream)], value(upstream));
        }
    }
}
