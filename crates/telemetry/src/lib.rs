//! What Tollgate tells about its traffic: counters and histograms, their text form, the access log.
//!
//! Each worker writes its own [`shard::Shard`], so that counting shares no cache line; readers add the
//! shards up.

pub mod access;
pub mod endpoints;
pub mod exposition;
pub mod families;
pub mod flows;
pub mod handshakes;
pub mod histogram;
pub mod log_writer;
pub mod outcomes;
pub mod pulse;
pub mod recent;
pub mod sessions;
pub mod shard;
pub mod tail;
pub mod trace;

pub use histogram::Histogram;
pub use shard::{Counter, Shard, Succession};
pub use tail::Tail;
