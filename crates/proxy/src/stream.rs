//! Carrying what is not understood: flows of datagrams.

pub mod udp;
