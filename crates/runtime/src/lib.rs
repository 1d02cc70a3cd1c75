//! The seams to the machine: clock, randomness, sockets, timers, splice. No other crate asks the
//! machine for the time or for randomness, so that deciding stays a function of its arguments.

pub mod activation;
pub mod clock;
pub mod datagrams;
pub mod date;
pub mod passing;
pub mod process;
pub mod random;
pub mod sockets;
pub mod splice;
pub mod wheel;

pub use clock::{CachedClock, Clock};
pub use random::Random;
pub use wheel::{TimerKey, Wheel};
