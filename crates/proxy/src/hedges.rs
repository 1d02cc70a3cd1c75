//! What a worker knows of how long the upstreams of a snapshot usually take to answer, for routes that hedge by that.

use tollgate_upstream::quantile::Quantile;

/// By upstream: its name and the estimate. Few: only those whose routes want it.
#[derive(Debug, Default)]
pub struct Hedges {
    usual: Vec<Option<Quantile>>,
}

impl Hedges {
    /// Within how many microseconds the wanted share of an upstream's responses begins; 0 before any was seen.
    pub fn usual_us(&self, upstream: u32) -> u64 {
        self.usual.get(upstream as usize).copied().flatten().unwrap_or_default().get()
    }

    /// A response of an upstream has begun after so many microseconds.
    pub fn observe(&mut self, upstream: u32, first_byte_us: u64, thousandths: u32) {
        let at = upstream as usize;
        if self.usual.len() <= at {
            self.usual.resize(at + 1, None);
        }
        self.usual[at].get_or_insert_default().observe(first_byte_us, thousandths);
    }
}
