//! Which requests are counted together. The keys are those that balancers go by too, so they are made in the contract
//! of policies; their tests are here, where there are sample requests.

pub use tollgate_policy::key::{KeySource, LONGEST_PART, USUAL_V6_PREFIX};

#[cfg(test)]
mod tests;
