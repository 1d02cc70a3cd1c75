//! What the policies that limit share: who is counted together, and how clients are told.

pub mod fields;
pub mod key;
