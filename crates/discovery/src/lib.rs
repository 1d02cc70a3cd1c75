//! Where endpoints come from besides the document: names in DNS, and files that are watched.
//!
//! A [`Source`] is something that can be looked at. [`follow()`] looks at it again and again and hands on each other list
//! of endpoints. What to do with a look and when to take the next one is decided by a [`Course`], which has no clock, no
//! randomness and no I/O of its own. The rule of all sources: **what cannot be learned changes nothing**; the last good
//! list stays until there is another.
//!
//! | source | file |
//! | --- | --- |
//! | addresses (A, AAAA) and services (SRV) in DNS | [`dns`] |
//! | a file with a list | [`mod@file`] |

mod course;
pub mod dns;
pub mod file;
mod follow;
mod found;

pub use course::{Course, Look, OnEmpty, Rules, Step};
pub use follow::{Looking, Source, follow};
pub use found::Found;
