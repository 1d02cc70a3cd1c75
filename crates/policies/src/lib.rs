//! The built-in policies, a folder each.
