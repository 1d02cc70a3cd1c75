//! Passwords: stored argon2 and bcrypt hashes, htpasswd files, and a cache of what was verified.
//!
//! Verifying costs tens of milliseconds on purpose: it belongs on a thread that may block. A [`PasswordCache`]
//! remembers right ones for a while. For a user who does not exist [`Decoy::refuse`] does the work of one who
//! does, so that the time to the refusal does not tell who exists.

mod cache;
mod htpasswd;
mod stored;

pub use cache::PasswordCache;
pub use htpasswd::{Htpasswd, LineError, MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_USERS};
pub use stored::{Decoy, LONGEST, Stored, hash};
