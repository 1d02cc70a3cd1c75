//! Exit codes. 2, wrong usage, is clap's.

/// Something went wrong.
pub const FAILED: u8 = 1;
/// The document is wrong. A service manager should not try again with the same one.
pub const INVALID_DOCUMENT: u8 = 3;
/// The running instance cannot be reached.
pub const UNREACHABLE: u8 = 4;
