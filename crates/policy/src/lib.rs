//! The contract of policies: what they see of a request ([`Asked`]), what they come to ([`Verdict`]), what
//! they leave behind for those after them and for the exchange ([`Gate`]), and how a route's policies run one
//! after the other ([`Chain`]).
//!
//! A policy decides at once, on the head as it lies in the worker's buffer. What has to be waited for is a
//! future that it hands back; once that is ready, the chain runs on from the same policy with what came of it.
//! Nothing here reads a clock or does I/O: time comes with the request, and what a policy needs from outside it
//! was built with.

mod asked;
mod caller;
mod chain;
mod gate;
mod inputs;
pub mod key;
mod key_table;
mod series;
mod verdict;

pub use asked::{Asked, Certificate, Connection, Mode, Moment};
pub use caller::{Caller, Claims, Consumer, ConsumerCell, Consumers, CredentialKind};
pub use chain::{Chain, Entry, Passed};
pub use gate::{BodyCheck, Gate};
pub use inputs::Told;
pub use key::KeySource;
pub use series::{Outcome, PolicySeries};
pub use verdict::{Answer, Policy, Refused, Resolution, Stage, Verdict, Wait};
