//! Datagrams in batches: many received and many sent with one system call (`recvmmsg`, `sendmmsg`), runs of
//! equally large ones as one message where the kernel joined them (UDP GRO) and cuts them again (UDP GSO).

mod control;
mod inbox;
mod name;
mod outbox;
mod socket;

pub use control::PacketAddress;
pub use inbox::{Datagram, Inbox, Wanted};
pub use outbox::{Outbox, Outgoing};
pub use socket::{adopt, check_free, connect, join_received, listen, watch};

#[cfg(test)]
mod tests;
