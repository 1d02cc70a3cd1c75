//! State that several instances share, in Redis or Valkey.
//!
//! [`RedisStore::take`] decides in Redis itself, by one script call: exact, at the price of a round trip. [`Leases`] takes
//! several units at once and hands them out here: most requests cost no round trip.

mod cluster;
mod connect;
mod lease;
mod lease_table;
mod node;
mod script;
mod settings;
mod store;
mod unavailable;

pub use lease::{Asking, LeaseSettings, Leased, Leases};
pub use script::{Counting, Take};
pub use settings::{Address, RedisSettings, Topology, UrlError};
pub use store::RedisStore;
pub use unavailable::{Unavailable, UnavailableKind};
