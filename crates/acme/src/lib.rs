//! Certificates by ACME (RFC 8555): obtained from a directory such as Let's Encrypt, kept on disk, and
//! renewed when two thirds of their life are over, or when the directory says (RFC 9773).
//!
//! A [`Keeper`] looks after the certificates of one process. When to do what is decided by a
//! [`schedule::Schedule`], a function of the time and of what happened; the keeper does it. Challenges are
//! answered on Tollgate's own listeners: workers ask [`Challenges`] for http-01, and whoever chooses
//! certificates implements [`ChallengeCertificates`] for tls-alpn-01.
//!
//! What is kept is described in [`storage`].

mod account;
mod certificate;
mod challenges;
mod events;
mod failure;
mod http;
mod keeper;
mod order;
pub mod schedule;
mod settings;
mod status;
pub mod storage;
mod tls_stream;

pub use certificate::{BadCertificate, Issued};
pub use challenges::{ACME_TLS_ALPN, ChallengeCertificate, ChallengeCertificates, Challenges};
pub use events::Event;
pub use keeper::{Install, Keeper, OpenError, Stop, Surroundings};
pub use settings::{BadNames, ChallengeKind, LETS_ENCRYPT, Names, Settings};
pub use status::{Board, CertificateStatus};
