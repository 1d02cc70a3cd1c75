//! Carrying to upstreams what is not understood: TCP connections, byte for byte, and flows of datagrams ([`udp`]).
//!
//! The walk of a connection, in [`tcp`]: its prelude (a PROXY header, a TLS hello) is received, its upstream chosen
//! ([`names`]), an endpoint picked and connected to (`connect`), then bytes go both ways (`carry`) until both sides
//! have ended, and it is told (`account`). A connection is an exchange without a head: it shares picking, health,
//! record and recorder with requests.

mod account;
mod carry;
mod connect;
mod hello;
pub mod names;
pub mod prelude;
pub mod proxy_header;
pub mod tcp;
mod tls;
pub mod udp;
mod way;

#[cfg(test)]
mod tests;
