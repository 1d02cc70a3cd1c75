//! Certificates by ACME: a real authority on loopback asks the program's own listeners, and clients that believe
//! nobody but that authority open connections.

mod bench;
mod getting;
mod keeping;
mod operating;
mod renewing;
mod trouble;
