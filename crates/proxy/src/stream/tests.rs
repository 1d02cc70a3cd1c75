//! Whole connections through a worker, on real sockets.

mod carrying;
mod choosing;
mod plaza;
mod telling;
