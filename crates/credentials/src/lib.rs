//! Proofs of identity and how they are verified: pure, with the time passed in.
