//! What the flight recorder keeps of exchanges on real sockets: decided again it comes out the same, and `why`
//! tells what happened.

mod compared;
mod keyed;
mod page;
mod plaza;
mod replay;
mod why;
