//! Hand-over: another process, usually of a newer binary, takes the place of this one, and no request is lost.
//!
//! The process that runs starts the new one and passes it its listening sockets, those of the admin API among them
//! (`departure`); the new one compiles its document, takes the sockets that the document wants, binds what else it
//! wants, and says that it is ready (`arrival`). Only then does the old one stop accepting, and drains. Until then
//! it goes on as if nothing had happened, and it does so for good where the new one fails.
//!
//! The two talk over a pair of unix sockets, of which the new process has one as its standard input: so no descriptor
//! is inherited by its number, and when either of them ends, however that comes, the other hears of it.

pub mod arrival;
pub mod carried;
mod departure;
pub mod notify;
mod program;
pub mod turn;
mod wire;

pub use arrival::Arrival;
pub use program::Program;
