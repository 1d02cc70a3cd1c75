//! The contract of policies: what they see of an exchange, and what they can decide.
